"""A folder with a folder of pictures for each class: which pictures there are, and of which class each is.

`datasets` would guess splits from the names of files and read the part that it takes for one, or take the innermost
folder for the class. Here every picture counts, at any depth, and is of the class that the uppermost folder names.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import metadata_load

from cvhub.errors import CvhubError
from cvhub.inference.images import SUFFIXES

# How folders of splits are called, as `datasets` knows them.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "dev", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
NO_WORD = re.compile(r"[-._ 0-9]+")
UNSEEN = (".", "__")
TABLES = {"metadata.csv", "metadata.jsonl", "metadata.parquet"}  # what the library reads beside pictures


@dataclass(frozen=True)
class ClassFolders:
    """`splits`: name → a split's pictures with the numbers of their classes; `classes`: the names, of all splits."""

    classes: list[str]
    splits: dict[str, list[tuple[Path, int]]]


def find_class_folders(folder: Path) -> ClassFolders | None:
    """The folder's class folders, or those in its folders of splits; None where it is laid out in another way.

    A folder without pictures is no class. Raises `CvhubError` where some pictures would be left out.
    """
    files = list(_files(folder))  # relative to it
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    names = {file.parts[0] for file in pictures if len(file.parts) > 1}
    if not names or any(file.name in TABLES for file in files):
        return None
    flat = {file.parts[0] for file in pictures if len(file.parts) == 2}
    splits = {name for name in names - flat if _split_of(name)}  # a class may be called `train`, too
    if splits and splits != names:
        others = _listed(sorted(names - splits))
        raise CvhubError(f"{folder} holds splits ({_listed(sorted(splits))}) beside other folders ({others}).")
    if flat == names and names <= SPLIT_WORDS.keys():
        raise CvhubError(f"{folder} holds splits ({_listed(sorted(names))}) of pictures without folders of classes.")
    return _read(folder, pictures, depth=2 if splits else 1)


def has_one_table(folder: Path) -> bool:
    """Whether a table tells of all pictures together: neither folders nor the card tell of splits."""
    if not any((folder / name).is_file() for name in TABLES):
        return False
    card = folder / "README.md"
    told = card.is_file() and "configs" in (metadata_load(card) or {})
    return not told and not any(_split_of(child.name) for child in folder.iterdir() if child.is_dir())


def _read(folder: Path, pictures: list[Path], depth: int) -> ClassFolders:
    """`pictures`, relative to `folder`, lie in class folders of this depth: in 2, those of splits are around them."""
    loose = sorted(str(file) for file in pictures if len(file.parts) <= depth)
    if loose:
        raise CvhubError(f"{folder} holds pictures beside its folders of classes: {_listed(loose)}.")
    classes = sorted({file.parts[depth - 1] for file in pictures})
    numbers = {name: number for number, name in enumerate(classes)}
    splits: dict[str, list[tuple[Path, int]]] = {}
    for file in sorted(pictures, key=Path.as_posix):
        split = str(_split_of(file.parts[0])) if depth == 2 else "train"
        splits.setdefault(split, []).append((folder / file, numbers[file.parts[depth - 1]]))
    return ClassFolders(classes, splits)


def _files(folder: Path) -> Iterator[Path]:
    """Of all depths, but for hidden ones and what an archive of macOS leaves (`__MACOSX`)."""
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(UNSEEN)]
        yield from (Path(root, name).relative_to(folder) for name in files if not name.startswith(UNSEEN))


def _split_of(name: str) -> str | None:
    words = NO_WORD.split(name.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"
