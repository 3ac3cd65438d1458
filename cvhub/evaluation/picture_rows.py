"""The pictures of a data set, for an index of them: each row once, known by its content."""

import hashlib
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import Rows, open_rows, opened_content, source_of
from cvhub.inference.images import decoded, find_pictures, name_of, open_file
from cvhub.inference.indexing import FolderPictures, Picture, PictureSource
from cvhub.inference.picture_index import Entry, size_and_time, told_from

TABLES = ("*.parquet", "*/*.parquet")  # where a data set's folder has them


class DatasetPictures:
    """The first column of pictures of a split of a DATASET; the split is chosen as `open_rows` does."""

    def __init__(self, dataset: str, split: str | None = None):
        self.dataset = dataset
        self.rows = open_rows(dataset, split)
        self.name = f"split {self.rows.name} of {dataset}"
        self.total = self.rows.total
        self.state = state_of(dataset)

    def __iter__(self) -> Iterator[Picture]:
        for number, content in enumerate(self.rows.contents()):
            content = content if Path(self.dataset).is_dir() else without_local_file(content)
            try:
                data = _read(content)
            except CvhubError:  # opening it will say the same
                yield Picture((number, ""), partial(opened_content, content))
            else:
                digest = hashlib.blake2b(data, digest_size=16).hexdigest()
                yield Picture((number, digest), partial(decoded, BytesIO(data)))

    def told(self, index: Path) -> dict[str, str]:
        folder = Path(self.dataset)
        return {"dataset": told_from(index, folder) if folder.is_dir() else self.dataset, "split": self.rows.name}

    def identity(self, entry: Entry) -> Hashable:
        """Rows may move."""
        return entry[1]

    def open(self, row: int) -> AbstractContextManager[Image.Image]:
        """The picture of any row. The first time, all of the data set is fetched."""
        found = self._at_hand
        if row >= len(found.rows):
            raise CvhubError(f"{self.name} has no row {row} any more.")
        return opened_content(found.rows[row][found.picture_column])

    @cached_property
    def _at_hand(self) -> Rows:
        return open_rows(self.dataset, self.rows.name, streaming=False).undecoded(())


def without_local_file(content: dict[str, Any] | None) -> dict[str, Any] | None:
    """None for what names a file of this machine: a row that is streamed from the Hub brings bytes or a remote path."""
    named = content is not None and content.get("bytes") is None and "://" not in (content.get("path") or "")
    return None if named else content


def open_source(source: str, split: str | None = None) -> PictureSource:
    """The pictures of a folder, or of a DATASET where it holds tables or no pictures, or a split is named."""
    folder = Path(source)
    if split is not None or not folder.is_dir() or any(any(folder.glob(table)) for table in TABLES):
        return DatasetPictures(source, split)
    if next(find_pictures([folder]), folder) != folder:
        return FolderPictures(folder)
    try:
        return DatasetPictures(source)
    except CvhubError as error:
        raise CvhubError(f"{source} holds no pictures, and {error}") from None


def state_of(dataset: str) -> str | None:
    """Tells one state of a DATASET from another without reading it; None where nobody answers."""
    folder = Path(dataset)
    if not folder.is_dir():
        return _revision_of(dataset)
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") for part in inside.parts):
            digest.update(f"{inside.as_posix()} {size_and_time(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _revision_of(repo: str) -> str | None:
    from huggingface_hub import HfApi

    from cvhub.hub.failures import FAILURES

    try:
        return HfApi().dataset_info(repo).sha
    except FAILURES:
        return None


def _read(content: dict[str, Any] | None) -> bytes:
    """The file that a row holds or names."""
    source = source_of(content)
    if isinstance(source, BytesIO):
        return source.getvalue()
    with open_file(source, name_of(source)) as file:
        return file.read()
