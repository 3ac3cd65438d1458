"""The pictures of a recipe: what is trained on and what is held out, kept decoded where they fit into memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError, one_line
from cvhub.evaluation.dataset import LabelledPicture, Split, open_split, opened, source_of
from cvhub.models.losses import UNKNOWN
from cvhub.models.pixels import to_mode
from cvhub.training.recipe import Data

# So many pictures, spread over the set, tell how much memory all of them would take.
PROBES = 32
DECODERS = 4


@dataclass(frozen=True)
class PictureSet:
    """What is trained on and what is held out, with the names of the classes."""

    labels: list[str]
    train: "Pictures"
    held_out: "Pictures | None"


class Pictures:
    """Some rows of a split, decoded in mode "RGB" or "L" and shrunk once to `shorter_side`, if that isn't 0.

    `targets` are the numbers of their classes, −100 where that is unknown. Where all fit into the recipe's limit they
    are decoded when this is made, and never again; otherwise each time.
    """

    def __init__(self, split: Split, rows: np.ndarray, targets: np.ndarray, mode: str, data: Data):
        self.split = split
        self.rows = rows
        self.targets = targets[rows]
        self.mode = mode
        self.shorter_side = data.shorter_side
        self.kept: list[np.ndarray] | None = None
        if self._bytes() <= data.memory_mb * 1e6:
            with ThreadPoolExecutor(DECODERS) as threads:
                self.kept = list(threads.map(self._pixels, range(len(self))))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.kept[index]) if self.kept is not None else self._decode(index)

    def __iter__(self) -> Iterator[Image.Image]:
        return (self[index] for index in range(len(self)))

    def file(self, index: int) -> bytes:
        """What a picture was before it was decoded."""
        row = int(self.rows[index])
        try:
            source = source_of(self.split.rows[row][self.split.picture_column])
            return source.read_bytes() if isinstance(source, Path) else source.getvalue()
        except OSError as error:
            raise CvhubError(f"row {row} of {self.split.name} of {self.split.dataset}: {one_line(error)}.") from None

    def _bytes(self) -> float:
        probes = range(0, len(self), max(1, len(self) // PROBES))
        return float(np.mean([self._pixels(index).nbytes for index in probes]) * len(self))

    def _pixels(self, index: int) -> np.ndarray:
        return np.asarray(self._decode(index))

    def _decode(self, index: int) -> Image.Image:
        row = int(self.rows[index])
        content = self.split.rows[row][self.split.picture_column]
        try:
            with opened(LabelledPicture(row, content, int(self.targets[index]))) as picture:
                image = to_mode(picture, self.mode)
        except CvhubError as error:
            raise CvhubError(f"row {row} of {self.split.name} of {self.split.dataset}: {error}") from None
        shorter = min(image.size)
        if self.shorter_side and shorter > self.shorter_side:
            width, height = (max(1, round(side * self.shorter_side / shorter)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        return image


def load_pictures(data: Data, mode: str) -> PictureSet:
    """The pictures that a recipe's `[data]` names, in mode "RGB" or "L"."""
    split, targets = _read(data, data.split)
    kept, drawn = divide(targets, 0.0 if data.validation_split else data.validation, data.holdout_seed)
    if data.share < 1:
        kept = kept[divide(targets[kept], 1 - data.share, data.holdout_seed)[0]]
    if len(kept) < 2:
        raise CvhubError(f"{data.source} leaves {len(kept)} pictures to train on, expected at least 2.")
    known = targets.copy()
    if data.labelled < 1:
        known[kept[divide(targets[kept], 1 - data.labelled, data.holdout_seed)[1]]] = UNKNOWN
    held_out = Pictures(split, drawn, targets, mode, data) if len(drawn) else None
    if data.validation_split:
        other, other_targets = _read(data, data.validation_split)
        if other.classes != split.classes:
            raise CvhubError(f"The splits {split.name} and {other.name} of {data.source} have different classes.")
        held_out = Pictures(other, np.arange(len(other_targets)), other_targets, mode, data)
    return PictureSet(split.classes, Pictures(split, kept, known, mode, data), held_out)


def _read(data: Data, name: str) -> tuple[Split, np.ndarray]:
    """A split, and its rows' classes."""
    split = open_split(data.source, name, data.label_column or None, streaming=False)
    if len(split.classes) < 2:
        raise CvhubError(f"{data.source} has {len(split.classes)} classes, expected at least 2.")
    values = split.rows[split.target_column]
    return split, np.asarray([split.label_of(value, number) for number, value in enumerate(values)], dtype=np.int64)


def divide(targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The indices of what stays and of what is drawn: `share` of each class, both in ascending order.

    Of each class at least one stays. What stays with a larger share is a part of what stays with a smaller one.
    """
    drawn = np.zeros(len(targets), dtype=bool)
    for target in np.unique(targets):
        members = np.random.default_rng([seed, int(target)]).permutation(np.flatnonzero(targets == target))
        drawn[members[: min(round(share * len(members)), len(members) - 1)]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)
