"""What the command line chose, for every topic."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.nets import NETS, Net

ROOT = Path(__file__).parent.parent  # of the repository


@dataclass(frozen=True)
class Settings:
    """`work`: a folder for checkpoints, photos and caches, deleted afterwards; `photos`: the user's own, if any."""

    work: Path
    rounds: int = 5
    count: int = 1000
    photos: Path | None = None
    nets: tuple[Net, ...] = NETS
