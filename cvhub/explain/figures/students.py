"""Students that we taught and ship as data, by `docs/students.py`: what distillation did to them.

`cvhub/explain/students/` has for each run NAME.csv, its curve, NAME.toml, its recipe, and its line in runs.json: what
it is worth on the test split, which no choice was made by.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

FOLDER = Path(__file__).parents[1] / "students"
RUNS = "runs.json"
SIDE = 64  # pixels of a tile's sides
REPETITIONS = 5
TRAINING_ALONE = ("drop_path_rate", "label_smoothing")  # fields of a config that change no answer
TEACHERS = ("eurosat_vgg", "eurosat_swin")  # a convolutional net and a transformer

# Row of the table, a recipe of `cvhub/training/recipes/students/` → its seeds, counted from 0.
ROWS: Mapping[str, int] = MappingProxyType(
    {
        "plain": 3,
        "recipe": 3,
        "hard_conv": 3,
        "soft_conv": 1,
        "hard_transformer": 1,
        "dual_fixed": 3,
        "dual_confidence": 1,
        "dual_agreement": 1,
        "mobilenet_v2": 1,
        "mobilenet_v2_taught": 1,
        "few_labels": 1,
        "few_labels_taught": 1,
        "without_muon": 1,
        "without_schedule": 1,
        "without_mixing": 1,
        "without_smoothing": 1,
        "without_drop_path": 1,
        "without_ema": 1,
        "with_policy": 1,
        "with_erasing": 1,
        "with_repeats": 1,
    }
)


@dataclass(frozen=True)
class Student:
    """One run. `accuracies` on the `tested` pictures by head: "class", and of a net with two heads "distillation" and
    "mean"; `agreements`: the share of pictures on which it says what a teacher says; `cpu_seconds` of processors that
    worked on its training, in sum."""

    name: str
    row: str
    seed: int
    parameters: int
    steps: int
    cpu_seconds: float
    tested: int
    accuracies: dict[str, float]
    agreements: dict[str, float]
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Of its answer: the mean of two heads, or the one there is."""
        return self.accuracies.get("mean", self.accuracies["class"])


def read_students(into: Path = FOLDER) -> dict[str, Student]:
    """Name → run, of those that were made."""
    file = into / RUNS
    lines = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: Student(name, **line) for name, line in lines.items()}


@lru_cache(maxsize=1)
def made() -> dict[str, tuple[Student, ...]]:
    """Row → the runs of its seeds, of those that ship."""
    students = read_students().values()
    return {row: runs for row in ROWS if (runs := tuple(one for one in students if one.row == row))}


def latencies() -> dict[str, float]:
    """Row or teacher → milliseconds of one tile, measured now; once for those that are the same net."""
    import torch

    from cvhub.explain.latency import milliseconds, timed_net
    from cvhub.load import load_config

    configs = {row: config_of(runs[0]) for row, runs in made().items()}
    configs |= {teacher: load_config(teacher) for teacher in TEACHERS}
    shapes = {name: config.to_json_string() for name, config in configs.items()}
    nets = {shape: configs[name] for name, shape in shapes.items()}
    tile = torch.zeros(1, 3, SIDE, SIDE)
    measured = {shape: milliseconds(timed_net(config), tile, REPETITIONS) for shape, config in nets.items()}
    return {name: measured[shape] for name, shape in shapes.items()}


def config_of(run: Student) -> Any:
    """Of the net that its recipe describes."""
    from cvhub.training.nets import make_family_config
    from cvhub.training.recipe_file import read_recipe

    recipe = read_recipe(tomllib.loads((FOLDER / f"{run.name}.toml").read_text(encoding="utf-8")))
    # What only training uses does not make another net.
    config = {name: value for name, value in recipe.model.config.items() if name not in TRAINING_ALONE}
    model = replace(recipe.model, config=config)
    return make_family_config(model, taught=bool(recipe.distillation.teachers))
