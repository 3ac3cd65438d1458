"""Pictures with their classes, from the Hub or a folder, through the `datasets` library. The only file that imports it.

A split is read as a stream unless asked otherwise: other splits are not fetched, and memory stays flat.
"""

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from cvhub.errors import CvhubError, one_line
from cvhub.evaluation.class_folders import find_class_folders, has_one_table
from cvhub.inference.images import decoded
from cvhub.load import is_hub_id

log = logging.getLogger("cvhub")

UNNAMED = -1  # what `datasets` has where a class is unknown
SPLITS = ("test", "validation")  # tried in this order where none is named
TEXT_TYPES = ("string", "large_string")


class LabelledPicture(NamedTuple):
    """A row of a data set: its number in the split, what the picture column holds, and the index of its class."""

    number: int
    content: dict[str, Any] | None  # `bytes` of a file or None, and its `path`
    label: int


@dataclass(frozen=True)
class Split:
    """A split of a data set, as often as it is asked for; `classes` are the names that labels count."""

    dataset: str
    name: str
    classes: list[str]
    rows: Any
    picture_column: str
    target_column: str

    def __iter__(self) -> Iterator[LabelledPicture]:
        for number, row in enumerate(_readable(self.dataset, self.rows)):
            label = self.label_of(row[self.target_column], number)
            yield LabelledPicture(number, row[self.picture_column], label)

    def label_of(self, value: Any, number: int) -> int:
        """The index of the class that row `number` gives as a number or a name."""
        label = self.numbers.get(value) if isinstance(value, str) else value
        if label is None or label < 0:
            raise CvhubError(
                f"row {number} of {self.name} of {self.dataset} has no class; --split names another split."
            )
        return label

    def labelled(self, indices: Sequence[int]) -> "Split":
        """Of these rows those that have a class, and a line of log for how many have none; not of a stream."""
        values = self.rows[self.target_column]
        chosen = [index for index in map(int, indices) if values[index] not in (None, "", UNNAMED)]
        if len(chosen) < len(indices):
            log.warning("%d of %d rows have no class: they are left out.", len(indices) - len(chosen), len(indices))
        return replace(self, rows=self.rows.select(chosen))

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.classes)}


def opened(picture: LabelledPicture) -> contextlib.AbstractContextManager[Image.Image]:
    """The picture of a row, as `opened_content` gives it."""
    return opened_content(picture.content)


@contextlib.contextmanager
def opened_content(content: dict[str, Any] | None) -> Iterator[Image.Image]:
    """What a picture column holds, decoded. Raises CvhubError for what is missing or damaged."""
    with decoded(source_of(content)) as image:
        yield image


@dataclass(frozen=True)
class Rows:
    """A split as `datasets` has it: its rows, the types of its columns, and the first column of pictures."""

    dataset: str
    name: str
    rows: Any
    features: dict[str, Any]
    picture_column: str

    def undecoded(self, columns: Sequence[str]) -> "Rows":
        """With the pictures of these columns, and of the first, as files or their bytes."""
        datasets, rows = _import_datasets(), self.rows
        for column in dict.fromkeys((self.picture_column, *columns)):
            if not isinstance(self.features[column], datasets.Image):
                raise CvhubError(f"column {column} of {self.dataset} holds no pictures.")
            rows = rows.cast_column(column, datasets.Image(decode=False))
        return replace(self, rows=rows)

    def contents(self) -> Iterator[dict[str, Any] | None]:
        """What the first column of pictures holds, row by row: `bytes` of a file or None, and its `path`."""
        rows = self.undecoded(()).rows.select_columns([self.picture_column])
        return (row[self.picture_column] for row in _readable(self.dataset, rows))

    @property
    def total(self) -> int | None:
        """How many rows there are, None where a stream doesn't tell."""
        if isinstance(self.rows, Sized):
            return len(self.rows)
        told = (self.rows.info.splits or {}).get(self.name)
        return (told and told.num_examples) or None


def open_split(dataset: str, split: str | None = None, target: str | None = None, streaming: bool = True) -> Split:
    """A split of the DATASET, a Hub id or a folder: `test` unless named, else `validation`, else the only one.

    `target`: the column that holds the classes, by number or by name; the only column of class numbers unless said.
    Without `streaming` all splits are fetched, and then any row is at hand: `split.rows[number]`.
    """
    found = open_rows(dataset, split, streaming)
    features = found.features
    if target is None:
        target = _only_target(dataset, [column for column, kind in features.items() if _has_names(kind)])
    elif target not in features:
        raise CvhubError(f"{dataset} has no column {target!r}, only {_listed(list(features))}.")
    classes = _class_names(dataset, found.rows, target, features[target])
    rows = found.rows.select_columns([found.picture_column, target])
    rows = rows.cast_column(found.picture_column, _import_datasets().Image(decode=False))
    return Split(dataset, found.name, classes, rows, found.picture_column, target)


def open_rows(
    dataset: str, split: str | None = None, streaming: bool = True, preferred: Sequence[str] = SPLITS
) -> Rows:
    """A split of the DATASET, chosen as `open_split` does, whatever its columns hold besides pictures.

    `preferred` are tried in this order where none is named.
    """
    datasets = _import_datasets()
    if not (Path(dataset).is_dir() or is_hub_id(dataset)):
        raise CvhubError(f"{dataset!r} is neither a folder nor a Hub id OWNER/NAME.")
    splits = _open_class_folders(Path(dataset)) or _load(dataset, streaming)
    name = _choose_split(dataset, [str(known) for known in splits], split, preferred)
    rows = splits[name]
    features = rows.features or {}
    picture_column = next((column for column, kind in features.items() if isinstance(kind, datasets.Image)), None)
    if picture_column is None:
        raise CvhubError(f"{dataset} has no column of pictures, only {_listed(list(features))}.")
    return Rows(dataset, name, rows, dict(features), picture_column)


def _load(dataset: str, streaming: bool) -> Any:
    settings: dict[str, Any] = {"path": dataset}
    if has_one_table(Path(dataset)):  # else test_1.png would be taken for the split `test`
        settings = {"path": "imagefolder", "data_dir": dataset, "data_files": {"train": "**"}}
    try:
        return _import_datasets().load_dataset(**settings, streaming=streaming)
    except Exception as error:  # of many kinds, for what is missing, unreachable or in no known form
        raise CvhubError(f"{dataset} can't be read as a data set: {one_line(error)}.") from error


def _open_class_folders(folder: Path) -> dict[str, Any] | None:
    """The splits of a folder of class folders, as `datasets` gives them; None for any other."""
    found = find_class_folders(folder) if folder.is_dir() else None
    if found is None:
        return None
    datasets = _import_datasets()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=found.classes)})
    return {
        split: datasets.Dataset.from_dict(
            {"image": [str(file) for file, _ in pictures], "label": [number for _, number in pictures]}, features
        )
        for split, pictures in found.splits.items()
    }


def _import_datasets() -> Any:
    import datasets

    return datasets


def _choose_split(dataset: str, names: list[str], wanted: str | None, preferred: Sequence[str]) -> str:
    if wanted is not None:
        if wanted not in names:
            raise CvhubError(f"{dataset} has no split {wanted!r}, only {_listed(names)}.")
        return wanted
    for name in preferred:
        if name in names:
            return name
    if len(names) > 1:
        raise CvhubError(f"{dataset} has the splits {_listed(names)}: choose one with --split.")
    return names[0]


def _has_names(kind: Any) -> bool:
    """Whether a column holds numbers of classes that have names."""
    return bool(getattr(kind, "names", None))


def _only_target(dataset: str, columns: list[str]) -> str:
    if len(columns) != 1:
        found = f"the class columns {_listed(columns)}" if columns else "no column of class numbers with names"
        raise CvhubError(f"{dataset} has {found}: --target says which column holds the classes.")
    return columns[0]


def _class_names(dataset: str, rows: Any, target: str, kind: Any) -> list[str]:
    """The names of a column of class numbers, or the different values of a column of text."""
    if _has_names(kind):
        return list(kind.names)
    if getattr(kind, "dtype", None) not in TEXT_TYPES:
        raise CvhubError(f"column {target} of {dataset} holds neither names of classes nor numbers that have names.")
    values = {row[target] for row in _readable(dataset, rows.select_columns([target]))}
    return sorted(value for value in values if value)


def _readable(dataset: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows; a CvhubError where the files behind them can't be read."""
    try:
        yield from rows
    except Exception as error:  # as in `open_split`: files are opened only now
        raise CvhubError(f"{dataset} can't be read to its end: {one_line(error)}.") from error


def source_of(content: dict[str, Any] | None) -> Path | io.BytesIO:
    """What `decoded` opens: a file, or one's bytes, fetched where the path is a remote one."""
    content = content or {}
    if content.get("bytes") is not None:
        return io.BytesIO(content["bytes"])
    path = content.get("path")
    if not path:
        raise CvhubError("there is no picture in this row.")
    if "://" not in path:
        return Path(path)
    from datasets.utils.file_utils import xopen

    try:
        with xopen(path, "rb") as file:
            return io.BytesIO(file.read())
    except Exception as error:  # of the many kinds of file systems
        raise CvhubError(f"{path.rpartition('/')[2]} can't be fetched: {one_line(error)}.") from error


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
