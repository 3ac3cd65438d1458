"""What the view "Search" looks through: sample drawings, a visitor's files, a folder, a data set; and the limits.

A visitor of a public page names no folder: only who sits at the machine may have its disk read.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.picture_rows import DatasetPictures, open_source
from cvhub.inference.images import size_of
from cvhub.inference.indexing import FolderPictures, Picture, PictureSource
from cvhub.ui.answering import HUB_ID
from cvhub.ui.public import is_public
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.strings import Say
from cvhub.ui.words.thumbnails import Thumbnails

KINDS = ("drawings", "upload", "place")
MOST_PICTURES = 5_000  # of an upload, and of a data set on a public page
MOST_MEGAPIXELS = 20_000  # of an upload
LONGEST_PLACE = 1_000  # letters


class Chosen(NamedTuple):
    """What is searched: files, or a place, which is a folder or a DATASET, and perhaps the split."""

    kind: str
    files: tuple[str, ...] = ()
    place: str = ""
    split: str = ""

    @property
    def is_folder(self) -> bool:
        return os.path.isdir(self.place)


def choose(kind: str, files: Sequence[str], place: str, split: str, say: Say) -> Chosen:
    """Raises CvhubError for what is missing, too much, or not for strangers."""
    if kind not in KINDS:
        raise CvhubError(f"source is {kind!r}, expected one of {', '.join(KINDS)}.")
    if kind == "drawings":
        return Chosen(kind, tuple(map(sample_file, DRAWINGS)))
    if kind == "upload":
        return Chosen(kind, checked_files(files, say))
    return Chosen(kind, (), checked_place(place.strip(), say), split.strip())


def checked_files(files: Sequence[str], say: Say) -> tuple[str, ...]:
    if not files:
        raise CvhubError(say("search_no_files"))
    if len(files) > MOST_PICTURES:
        raise CvhubError(say("search_too_many", most=f"{MOST_PICTURES:,}"))
    return tuple(dict.fromkeys(files))


def checked_place(place: str, say: Say) -> str:
    """A folder that is there, from wherever it is seen, or a Hub id."""
    if not place:
        raise CvhubError(say("search_no_place_public" if is_public() else "search_no_place"))
    folder = os.path.expanduser(place)
    known = len(place) <= LONGEST_PLACE and bool(HUB_ID.fullmatch(place))
    if is_public():
        if not known or os.path.exists(place):
            raise CvhubError(say("search_hub_only"))
    elif os.path.isdir(folder):
        return os.path.abspath(folder)
    elif not known:
        raise CvhubError(say("search_unknown_place", place=place[:80]))
    return place


def open_chosen(chosen: Chosen, thumbnails: Thumbnails, say: Say) -> PictureSource:
    """Raises CvhubError for what can't be read, and beyond the limits."""
    if chosen.files:
        check_extent(chosen.files, say)
        return ListedPictures(chosen.files)
    if chosen.is_folder:
        return open_source(chosen.place, chosen.split or None)
    return RememberedRows(chosen.place, chosen.split or None, thumbnails)


def check_extent(files: Sequence[str], say: Say) -> None:
    """Raises CvhubError for more pixels than an upload may have, as the pictures' headers tell."""
    pixels = 0
    for file in files:
        with suppress(CvhubError):  # the index will name it
            height, width = size_of(Path(file))
            pixels += height * width
    if pixels > 1e6 * MOST_MEGAPIXELS:
        raise CvhubError(say("search_too_large", n=f"{pixels / 1e6:,.0f}", most=f"{MOST_MEGAPIXELS:,}"))


class ListedPictures(FolderPictures):
    """Files that each lie in a folder of their own, as uploads do, within one folder."""

    def __init__(self, files: Sequence[str]):
        self.paths = [Path(file) for file in files]
        self.folder = Path(os.path.commonpath([path.parent.parent for path in self.paths]))
        self.name = str(self.folder)
        self.total: int | None = len(self.paths)
        self.state: str | None = None


class RememberedRows(DatasetPictures):
    """Rows of the Hub, whose thumbnails are kept in passing: to open one later, all of the data set is fetched."""

    def __init__(self, dataset: str, split: str | None, thumbnails: Thumbnails):
        super().__init__(dataset, split)
        self.thumbnails = thumbnails

    def __iter__(self) -> Iterator[Picture]:
        for picture in super().__iter__():
            within = picture.entry[0] < MOST_PICTURES
            yield Picture(picture.entry, partial(self._opened, picture)) if within else picture

    @contextmanager
    def _opened(self, picture: Picture) -> Iterator[Image.Image]:
        with picture.open() as image:
            self.thumbnails.keep(picture.entry, image)
            yield image
