"""A visitor's zip of class folders becomes a folder of pictures: nothing outside of it, and no more than the limits."""

import itertools
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from cvhub.errors import CvhubError
from cvhub.evaluation.class_folders import UNSEEN
from cvhub.inference.images import SUFFIXES

MOST_PICTURES = 5000
MOST_MEGABYTES = 200  # unpacked
FEWEST_PICTURES = 5  # of a class: one is held out
CHUNK = 1 << 20
LONGEST_NAME = 60  # characters of a folder's name: file systems take 255 bytes
# What zipfile and its decompressors raise; bz2 raises an OSError without a number.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


def unpack(archive: Path, folder: Path) -> dict[str, int]:
    """Writes the pictures of `archive` into `folder`, a folder a class; returns how many each of these folders has.

    The class of a picture is the folder that it lies in; folders around all of them count for nothing. Its name is that
    of the folder written, which is that in the archive but for what a file system may not take. Raises
    `CvhubError` for what is no zip, for too many or too large files, and for less than two classes or a class of less
    than five pictures. A class may have no folder in the archive for itself: an empty one is said to be empty.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not _unseen(info.filename)]
            empty = {PurePosixPath(info.filename).name for info in members if info.is_dir()}
            pictures = [info for info in members if PurePosixPath(info.filename).suffix.lower() in SUFFIXES]
            _check_size(pictures)
            counts: dict[str, int] = {}
            names: dict[str, str] = {}  # of the folders, by those in the archive
            for info in pictures:
                label = PurePosixPath(info.filename).parent.name
                if not label:
                    raise CvhubError(f"{info.filename} lies in no folder, which would name its class.")
                if label not in names:
                    names[label] = _new_name(label, names.values())
                counts[label] = counts.get(label, 0) + 1
                _extract(opened, info, folder / names[label], counts[label])
    except (*DAMAGED, OSError) as error:
        if getattr(error, "errno", None):  # it is the disk that fails
            raise
        raise CvhubError(f"This is no zip that can be read: {str(error).rstrip('.') or 'it is damaged'}.") from None
    parents = {part for info in pictures for part in PurePosixPath(info.filename).parts[:-2]}
    _check_classes(counts, empty - set(counts) - parents)
    return {names[label]: count for label, count in counts.items()}


def _unseen(name: str) -> bool:
    return any(part.startswith(UNSEEN) for part in PurePosixPath(name).parts)


def _check_size(pictures: list[zipfile.ZipInfo]) -> None:
    if any(info.header_offset < 0 for info in pictures):
        raise zipfile.BadZipFile("it is damaged")
    if len(pictures) > MOST_PICTURES:
        raise CvhubError(f"The zip holds {len(pictures):,} pictures, the limit is {MOST_PICTURES:,}.")
    if sum(info.file_size for info in pictures) > MOST_MEGABYTES * 1e6:
        raise CvhubError(f"The zip's pictures have more than {MOST_MEGABYTES} MB, which is the limit.")


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, number: int) -> None:
    """Under a name of our own; not more of it than it says it has."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{number:05}{PurePosixPath(info.filename).suffix.lower()}"
    left = info.file_size
    with opened.open(info) as source, target.open("wb") as made:
        while left > 0 and (piece := source.read(min(CHUNK, left))):
            made.write(piece)
            left -= len(piece)


def _new_name(label: str, taken: Collection[str]) -> str:
    """A folder's name that means no other place, that is seen, and that none has yet, in capitals neither."""
    kept = re.sub(r"[^\w .,()'&+-]", "_", label)[:LONGEST_NAME].strip(" .")
    name = re.sub(r"^_+", "_", kept) or "_"
    others = {other.casefold() for other in taken}
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(new for new in itertools.chain([name], numbered) if new.casefold() not in others)


def _check_classes(counts: dict[str, int], empty: set[str]) -> None:
    if empty:
        raise CvhubError(f"The class {min(empty)!r} has no pictures.")
    if len(counts) < 2:
        raise CvhubError(f"There are {len(counts)} classes, expected at least 2: a folder of pictures for each.")
    label, fewest = min(counts.items(), key=lambda item: item[1])
    if fewest < FEWEST_PICTURES:
        raise CvhubError(f"The class {label!r} has {fewest} pictures, expected at least {FEWEST_PICTURES}.")
