"""Students that we taught and ship as data, by `docs/students.py`: what distillation did to them.

`cvhub/explain/students/` has for each run NAME.csv, its curve, NAME.toml, its recipe, and its line in runs.json: what
it is worth on the test split, which no choice was made by.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parents[1] / "students"
RUNS = "runs.json"
TEACHERS = ("eurosat_vgg", "eurosat_swin")  # a convolutional net and a transformer

# Row of the table, a recipe of `cvhub/training/recipes/students/` → its seeds, counted from 0.
ROWS: Mapping[str, int] = MappingProxyType(
    {
        "plain": 3,
        "recipe": 3,
        "hard_conv": 3,
        "soft_conv": 1,
        "hard_transformer": 1,
        "dual_fixed": 1,
        "dual_confidence": 1,
        "dual_agreement": 1,
        "mobilenet_v2": 1,
        "mobilenet_v2_taught": 1,
        "few_labels": 1,
        "few_labels_taught": 1,
        "without_muon": 1,
        "without_schedule": 1,
        "without_policy": 1,
        "without_mixing": 1,
        "without_erasing": 1,
        "without_smoothing": 1,
        "without_drop_path": 1,
        "without_repeats": 1,
        "without_ema": 1,
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


def mean_accuracy(runs: Sequence[Student]) -> float:
    return sum(run.accuracy for run in runs) / len(runs)
