"""What a data set's masks mean: which column, which value is which class, and which rows are held out.

    cvhub evaluate MODEL DATASET --target trimap --map 1=pet,2=background,3=ignore --holdout name:0.1:0

A model's folder remembers how it was trained in `truth.json`, so that the same command without options measures it on
what it has not seen.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import Rows, source_of
from cvhub.inference.images import open_picture

FILE = "truth.json"
IGNORED = 255  # the label of a pixel that counts nowhere
EVERY_OTHER = "*"
TRAINED_ON = "train"  # the split that recipes hold rows of out


class Masks(NamedTuple):
    """`labels` (H, W) uint8, classes by number, `IGNORED` where nothing is known; `instances` (H, W) int32: the number
    of the thing at a pixel, from 1 on, 0 where there is none."""

    labels: np.ndarray
    instances: np.ndarray


@dataclass(frozen=True)
class Truth:
    """How masks are read.

    - `target`: the column of masks; "CLASSES+INSTANCES" names two.
    - `map`: value → class, or "ignore". "*" stands for every other value: in a column by itself each such value is a
      thing of that class.
    - `holdout`: "COLUMN:SHARE:SEED": of the values of COLUMN (such as the picture that tiles were cut from; empty for
      the rows themselves) so large a share is held out.
    """

    target: str
    map: dict[str, str]
    holdout: str = ""

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes by number, the background first."""
        names = [name for name in dict.fromkeys(self.map.values()) if name != "ignore"]
        return sorted(names, key=lambda name: name != "background")

    @cached_property
    def columns(self) -> list[str]:
        return self.target.split("+")

    def read(self, contents: Sequence[Any], size: tuple[int, int]) -> Masks:
        """The masks of a row whose `columns` hold `contents`, of a picture of `size` (height, width)."""
        values = [mask_values(content) for content in contents]
        for column, of_column in zip(self.columns, values, strict=True):
            if of_column.shape != size:
                found, expected = ("x".join(map(str, shape)) for shape in (of_column.shape, size))
                raise CvhubError(f"the mask in {column} has {found} pixels, the picture has {expected}.")
        labels = self._labels(values[0])
        if len(values) == 2:
            return Masks(labels, values[1].astype(np.int32))
        return Masks(labels, np.where(self._named(values[0]), 0, values[0]).astype(np.int32))

    def _named(self, values: np.ndarray) -> np.ndarray:
        """Where a value is listed in the map by itself; everywhere if the map has no "*"."""
        if EVERY_OTHER not in self.map:
            return np.ones(values.shape, bool)
        return np.isin(values, [int(value) for value in self.map if value != EVERY_OTHER])

    def _labels(self, values: np.ndarray) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(self.classes)} | {"ignore": IGNORED}
        listed = {int(value): numbers[name] for value, name in self.map.items() if value != EVERY_OTHER}
        other = numbers[self.map[EVERY_OTHER]] if EVERY_OTHER in self.map else -1
        beyond = min(max(listed, default=0), int(values.max(initial=0))) + 1  # masks of 32 bits have huge values
        table = np.full(beyond + 1, other, np.int16)
        for value, number in listed.items():
            if value < beyond:
                table[value] = number
        labels = table[np.minimum(values, beyond)]
        if labels.min(initial=0) < 0:
            value = values[labels < 0][0]
            known = ", ".join(f"{value}={name}" for value, name in self.map.items())
            raise CvhubError(f"a mask in {self.columns[0]} has the value {value}, which is none of {known}.")
        return labels.astype(np.uint8)


def parse_map(text: str) -> dict[str, str]:
    """ "1=pet,2=background,*=ignore" → value → class."""
    pairs = {}
    for part in text.split(","):
        value, equals, name = (piece.strip() for piece in part.partition("="))
        if not (equals and name and (value == EVERY_OTHER or value.isdecimal())):
            raise CvhubError(f"{part!r} is not VALUE=CLASS with a whole number or * as VALUE.")
        pairs[value] = name
    return pairs


def parse_holdout(text: str) -> tuple[str, float, int]:
    """ "image_id:0.1:0" → column, share, seed."""
    column, _, rest = text.partition(":")
    share, _, seed = rest.partition(":")
    try:
        values = column, float(share), int(seed or 0)
    except ValueError:
        raise CvhubError(f"{text!r} is not COLUMN:SHARE:SEED, such as image_id:0.1:0.") from None
    if not 0 < values[1] < 1:
        raise CvhubError(f"{text!r} holds out a share of {share}, expected more than 0 and less than 1.")
    return values


def mask_values(content: Any) -> np.ndarray:
    """What `datasets` holds of a mask → its values (H, W), whole numbers from 0 on."""
    try:
        image = open_picture(source_of(content))
    except CvhubError as error:
        raise CvhubError(f"a mask can't be read: {error}") from None
    if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise CvhubError(f"a mask has the mode {image.mode}, expected whole numbers in one channel.")
    values = np.asarray(image).astype(np.int64)
    if values.min(initial=0) < 0:
        raise CvhubError(f"a mask has the value {values.min()}, expected whole numbers from 0 on.")
    return values


class MaskedRows:
    """Rows with their masks: `kept` to train on, `held_out` to measure on. `rows` are opened without streaming."""

    def __init__(self, rows: Rows, truth: Truth):
        self.truth = truth
        for column in truth.columns:
            if column not in rows.features:
                raise CvhubError(f"{rows.dataset} has no column {column!r}, only {', '.join(rows.features)}.")
        self.rows = rows.undecoded(truth.columns)
        self.kept, self.held_out = self._divide()

    def _divide(self) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.rows.rows)
        if not self.truth.holdout:
            return np.arange(count), np.arange(0)
        column, share, seed = parse_holdout(self.truth.holdout)
        if column and column not in self.rows.features:
            raise CvhubError(f"{self.rows.dataset} has no column {column!r}, which --holdout names.")
        return divide_groups(self.rows.rows[column] if column else range(count), share, seed)

    def contents(self, index: int) -> tuple[Any, list[Any]]:
        """Of row `index` what its picture's column holds, and its masks' columns."""
        row = self.rows.rows[int(index)]
        return row[self.rows.picture_column], [row[column] for column in self.truth.columns]

    def groups(self, indices: np.ndarray) -> list[Any]:
        """What the column of the hold-out says of each of these rows, or the rows' numbers."""
        column = self.truth.holdout.partition(":")[0]
        if not column:
            return indices.tolist()
        values = self.rows.rows[column]
        return [values[int(index)] for index in indices]


def divide_groups(groups: Sequence[Any], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The indices of what stays and of what is drawn: `share` of the different values in `groups`, at least one."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = {names[index] for index in order[: max(1, round(share * len(names)))]}
    is_drawn = np.asarray([group in drawn for group in groups], bool)
    return np.flatnonzero(~is_drawn), np.flatnonzero(is_drawn)


def write_truth(truth: Truth, folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(asdict(truth), indent=2) + "\n", encoding="utf-8")


def read_truth(folder: Path) -> Truth | None:
    """What a model's folder remembers, if it does."""
    file = folder / FILE
    return Truth(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
