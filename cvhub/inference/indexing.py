"""Makes an index of pictures and keeps it up to date: what is new or changed is embedded, all else stays."""

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.images import decoded, find_pictures, reason_of
from cvhub.inference.picture_index import (
    Entry,
    PictureIndex,
    holds_index,
    portable_name,
    size_and_time,
    told_from,
    weights_fingerprint,
)
from cvhub.inference.zero_shot import ZeroShot

SAVE_SECONDS = 60.0  # of work that a kill may cost

Progress = Callable[[int, int | None], None]  # pictures done, and of how many where that is known


class Picture(NamedTuple):
    """One of a source: what the index knows it by, and what opens it, or says what is wrong with it."""

    entry: Entry
    open: Callable[[], AbstractContextManager[Image.Image]]


class PictureSource(Protocol):
    """Pictures that can be indexed.

    - `name`: as its user calls it; `total`: how many there are, None where that is not known beforehand.
    - `state`: the same while nothing has changed, so that nothing need be read; None where nothing tells.
    """

    name: str
    total: int | None
    state: str | None

    def __iter__(self) -> Iterator[Picture]: ...

    def told(self, index: Path) -> dict[str, str]:
        """How the index in a folder names this source, by the kind of `COLUMNS`."""
        ...

    def identity(self, entry: Entry) -> Hashable:
        """What pictures with the same embedding share."""
        ...


class FolderPictures:
    """The picture files of a folder and its subfolders, hidden ones not."""

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise CvhubError(f"There is no folder {folder}.")
        self.folder, self.name = folder, str(folder)
        self.paths = list(find_pictures([folder]))
        self.total: int | None = len(self.paths)
        self.state: str | None = None

    def __iter__(self) -> Iterator[Picture]:
        for path in self.paths:
            place = path.relative_to(self.folder).as_posix()
            yield Picture((place, *_size_and_time(path)), partial(decoded, path))

    def told(self, index: Path) -> dict[str, str]:
        return {"folder": told_from(index, self.folder)}

    def identity(self, entry: Entry) -> Hashable:
        return entry


class Failure(NamedTuple):
    """A picture that is not in the index: its path in the folder or its row, and the sentence that says why."""

    place: str | int
    error: str


@dataclass
class IndexReport:
    """What became of the pictures of a source. `removed` are those that it no longer has."""

    folder: Path
    kept: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        """How many the index holds."""
        return self.kept + self.added + self.changed

    @property
    def done(self) -> int:
        return self.pictures + len(self.failed)


def build_index(
    net: ZeroShot, source: PictureSource, into: Path, batch_size: int = 16, progress: Progress | None = None
) -> IndexReport:
    """Makes the index of a source in the folder `into`, or brings the one that is there up to date.

    Damaged pictures are left out and reported. What is done is saved now and then: after a kill, the next call goes on
    from there. Raises `CvhubError` for a source without pictures, for a folder that holds other things, the index of
    another source or model, or that can't be written, and while another process writes into it.
    """
    if source.total == 0:
        raise CvhubError(f"{source.name} has no pictures.")
    holds_index(into)  # a folder of other things is refused before a lock is put there
    with _writing(into):
        update = _Update(_index_to_update(net, source, into), source, progress or (lambda done, total: None))
        update.run(net, batch_size)
    return update.report


def _index_to_update(net: ZeroShot, source: PictureSource, into: Path) -> PictureIndex:
    """That of the folder, or an empty one."""
    told, precision = source.told(into), net.image_runtime.precision
    if not holds_index(into):
        made_by = portable_name(net.name), weights_fingerprint(net.folder), precision
        return PictureIndex(into, *made_by, told, [], np.zeros((0, 0), np.float32), complete=False)
    index = PictureIndex.load(into)
    index.require_made_by(net)
    if index.precision != precision:
        raise CvhubError(
            f"The index in {into} was computed in {index.precision}, not in {precision}: "
            "choose that precision, or index into another folder."
        )
    if index.source != told:
        raise CvhubError(f"The index in {into} is of {index.origin}, not of {source.name}: choose another folder.")
    return index


class _Update:
    """One pass over a source, from an index to its next state."""

    def __init__(self, old: PictureIndex, source: PictureSource, progress: Progress):
        self.old, self.source, self.progress = old, source, progress
        self.rows = {source.identity(entry): row for row, entry in enumerate(old.entries)}
        self.before = {entry[0] for entry in old.entries}  # places
        self.seen: set[Any] = set()
        self.found: list[tuple[Entry, np.ndarray]] = []
        self.report = IndexReport(old.folder)

    def run(self, net: ZeroShot, batch_size: int) -> None:
        if self.source.state is not None and self.source.state == self.old.source_state:
            self.report.kept = len(self.old.entries)
            return
        saved = time.monotonic()
        for picture, answer in net.embeddings(self._unknown(), lambda picture: picture.open(), batch_size):
            self._take(picture.entry, answer)
            if time.monotonic() - saved >= SAVE_SECONDS:
                self._unfinished().save()
                saved = time.monotonic()
        self._finish()

    def _unknown(self) -> Iterator[Picture]:
        """What has to be embedded; the rest is kept in passing."""
        for picture in self.source:
            self.seen.add(picture.entry[0])
            row = self.rows.get(self.source.identity(picture.entry))
            if row is None:
                yield picture
            else:
                self.found.append((picture.entry, self.old.embeddings[row]))
                self.report.kept += 1
                self.progress(self.report.done, self.source.total)

    def _take(self, entry: Entry, answer: np.ndarray | str) -> None:
        if isinstance(answer, str):
            self.report.failed.append(Failure(entry[0], answer))
        else:
            self.found.append((entry, answer))
            was_there = entry[0] in self.before
            self.report.changed += was_there
            self.report.added += not was_there
        self.progress(self.report.done, self.source.total)

    def _unfinished(self) -> PictureIndex:
        """With what the old index holds of pictures that this pass has not come to."""
        old = zip(self.old.entries, self.old.embeddings, strict=True)
        rest = [pair for pair in old if pair[0][0] not in self.seen]
        return self._index([*self.found, *rest], complete=False, state=None)

    def _finish(self) -> None:
        if not self.seen:  # a drive that is not mounted looks so: nobody wants an empty index of it
            raise CvhubError(f"{self.source.name} has no pictures.")
        self.report.removed = len(self.before - self.seen)
        new = self._index(self.found, complete=True, state=None if self.report.failed else self.source.state)
        old = self.old
        if (new.entries, new.complete, new.source_state) != (old.entries, old.complete, old.source_state):
            new.save()

    def _index(self, found: list[tuple[Entry, np.ndarray]], complete: bool, state: str | None) -> PictureIndex:
        found = sorted(found, key=lambda pair: pair[0][0])  # by their places
        entries = [entry for entry, _ in found]
        embeddings = np.stack([embedding for _, embedding in found]) if found else self.old.embeddings[:0]
        return replace(self.old, entries=entries, embeddings=embeddings, complete=complete, source_state=state)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """The folder, made where it is missing, for one process at a time."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise CvhubError(f"Another process is indexing into {folder}: wait until it is done.") from None
    except OSError as error:
        raise CvhubError(f"The index can't be written into {folder}: {reason_of(error)}.") from None
    try:
        yield
    finally:
        lock.release()


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        return size_and_time(path)
    except OSError:  # opening it will say the same
        return 0, 0
