"""Two nets that we trained and rounded to 8 bits, by `docs/relu6.py`: one with ReLU6, one with ReLU.

`cvhub/explain/relu6/` has of each NAME.csv, the curve as `cvhub train` wrote it, NAME.toml, the recipe, which repeats
it, and its line in runs.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "relu6"
RUNS = "runs.json"


@dataclass(frozen=True)
class Rounded:
    """One net on the `n` pictures of a test split: how many it names rightly in `fp32` and in `int8`, for how many both
    name the `same` class, and by how much their logits differ, `off` = ‖a − b‖ / ‖b‖."""

    name: str
    activation: str
    steps: int
    cpu_seconds: float
    n: int
    fp32: int
    int8: int
    same: int
    off: float


def read_rounded(folder: Path = FOLDER) -> dict[str, Rounded]:
    """Those that were made, by name."""
    file = folder / RUNS
    lines: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: Rounded(**line | {"name": name}) for name, line in lines.items()}
