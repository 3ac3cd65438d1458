"""Training curves that we ran and ship as data, by `docs/curves.py`, which holds their recipes.

`cvhub/explain/curves/` has for each run NAME.csv, the curve as `cvhub train` wrote it, NAME.toml, the recipe, which
repeats it, and its line in runs.json: what came out, judged on whole sets and without dropout or augmentation.
"""

import csv
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "curves"
RUNS = "runs.json"

# Experiment → its runs. Those of one experiment differ in nothing but what their names say.
EXPERIMENTS = {
    "degradation": ("plain_20", "plain_56", "residual_20", "residual_56"),
    "auxiliary": ("auxiliary_with", "auxiliary_without", "auxiliary_with_norm", "auxiliary_without_norm"),
    "dropout": ("alexnet", "alexnet_no_dropout"),
    "activation": ("alexnet", "alexnet_tanh"),
    "pooling": ("alexnet", "alexnet_plain_pooling", "alexnet_no_pooling"),
    "bias": ("vit_10", "vit_30", "vit_100", "resnet_10", "resnet_30", "resnet_100"),
}


@dataclass(frozen=True)
class Verdict:
    """Cross entropy, and the share of pictures that are named rightly."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Run:
    """One run. `pictures` it was trained on; `cpu_seconds` of processors that worked on it, in sum; `train` and
    `validation` at its end."""

    name: str
    parameters: int
    pictures: int
    epochs: float
    steps: int
    cpu_seconds: float
    train: Verdict
    validation: Verdict

    @property
    def gap(self) -> float:
        """By how much accuracy is lower on pictures that it was not trained on."""
        return self.train.accuracy - self.validation.accuracy

    def curve(self, column: str) -> list[tuple[float, float]]:
        """(epoch, value) wherever `column` was logged: loss, lr, validation_loss or validation_accuracy."""
        rows = _rows(FOLDER / f"{self.name}.csv")
        return [(float(row["epoch"]), float(row[column])) for row in rows if row[column]]


def runs(experiment: str) -> tuple[Run, ...]:
    """Those that were made, in the order of EXPERIMENTS; () if none was."""
    made = _made(FOLDER)
    return tuple(made[name] for name in EXPERIMENTS[experiment] if name in made)


def read_run(name: str, line: dict[str, Any]) -> Run:
    """From its line in runs.json."""
    verdicts: dict[str, Any] = {key: Verdict(**line[key]) for key in ("train", "validation")}
    return Run(name, **(line | verdicts))


@lru_cache(maxsize=1)
def _made(folder: Path) -> dict[str, Run]:
    file = folder / RUNS
    lines = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: read_run(name, line) for name, line in lines.items()}


@lru_cache(maxsize=32)
def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))
