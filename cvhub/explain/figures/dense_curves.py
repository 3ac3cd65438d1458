"""U-Nets that we trained to see what deep supervision, skip connections and a pretrained encoder do, shipped as data
by `docs/dense_curves.py`, which holds their recipes.

`cvhub/explain/dense_curves/` has for each run NAME.csv, the curve as `cvhub train` wrote it, NAME.toml, the recipe,
which repeats it, and its line in runs.json, with what was measured at the start and after each tenth of the budget.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "dense_curves"
RUNS = "runs.json"

# Experiment → its runs. Those of one experiment differ in nothing but what their names say; the nets of "encoder" are
# built differently too, with about as many parameters.
EXPERIMENTS = {
    "supervision": ("unet", "supervised"),
    "supervision_no_norm": ("no_norm", "supervised_no_norm"),
    "skips": ("unet", "no_skips"),
    "encoder": ("supervised", "pretrained"),
}


@dataclass(frozen=True)
class Tenth:
    """A net after `tenth` tenths of its budget, 0 at the start.

    - `losses`: of one batch, always the same, the main loss and that of each supervised level, the finest first, none
      weighted.
    - `gradient`: ‖∂L/∂W‖ of that batch for each level of the contracting path, the finest first, where L is the main
      loss alone; `supervised_gradient`: where L is what is trained by, the weighted losses of all levels.
    - `iou` of the foreground and `boundary_f`: on what was held out.
    """

    tenth: int
    step: int
    losses: tuple[float, ...]
    gradient: tuple[float, ...]
    supervised_gradient: tuple[float, ...]
    iou: float
    boundary_f: float


@dataclass(frozen=True)
class DenseRun:
    """One run. `pictures` it was trained on; `cpu_seconds` of processors that worked on it, in sum; `weights`: what the
    loss of each supervised level counts."""

    name: str
    parameters: int
    pictures: int
    epochs: float
    steps: int
    cpu_seconds: float
    weights: tuple[float, ...]
    tenths: tuple[Tenth, ...]

    @property
    def last(self) -> Tenth:
        return self.tenths[-1]


def runs(experiment: str) -> tuple[DenseRun, ...]:
    """Those that were made, in the order of EXPERIMENTS; () if none was."""
    made = read_runs(FOLDER)
    return tuple(made[name] for name in EXPERIMENTS[experiment] if name in made)


@lru_cache(maxsize=2)
def read_runs(folder: Path) -> dict[str, DenseRun]:
    """Those in a folder's runs.json, by name."""
    file = folder / RUNS
    lines = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: _run(name, line) for name, line in lines.items()}


def read_tenth(fields: dict[str, Any]) -> Tenth:
    """JSON has lists where `Tenth` has tuples."""
    sequences: dict[str, Any] = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
    return Tenth(**(fields | sequences))


def _run(name: str, line: dict[str, Any]) -> DenseRun:
    sequences: dict[str, Any] = {"weights": tuple(line["weights"]), "tenths": tuple(map(read_tenth, line["tenths"]))}
    return DenseRun(name, **(line | sequences))
