"""Makes the index of what is searched, or renews it, in a thread of its own, which a newer question may end."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Thread

from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.picture_rows import DatasetPictures
from cvhub.inference.images import decoded
from cvhub.inference.indexing import IndexReport, PictureSource, build_index
from cvhub.inference.picture_index import PictureIndex, made_by, place_of
from cvhub.inference.pool import default_pool
from cvhub.inference.zero_shot import ZeroShot
from cvhub.ui.public import is_public
from cvhub.ui.strings import Say
from cvhub.ui.words.search_sources import MOST_PICTURES, Chosen, open_chosen
from cvhub.ui.words.thumbnails import Thumbnails

Key = tuple[str, Chosen]  # of the net's MODEL and what is searched


class Stopped(CvhubError):
    """A newer question has taken the place of this one."""


@dataclass(frozen=True)
class Searched:
    """Pictures that can be searched, and how they came to be.

    - `stays`: whether the index outlives the visit; `refused`: why it lies not where `cvhub index` keeps it, else "".
    - `seconds`: what making or renewing it took.
    """

    key: Key
    index: PictureIndex
    source: PictureSource
    report: IndexReport
    thumbnails: Thumbnails
    stays: bool
    refused: str
    seconds: float

    @cached_property
    def rows(self) -> dict[str | int, int]:
        """Where the picture of a place stands in the index."""
        return {entry[0]: row for row, entry in enumerate(self.index.entries)}

    def thumbnail(self, place: str | int) -> str:
        """A data URI, "" of a picture that can't be opened any more."""
        return self.thumbnails.find(self.index.entries[self.rows[place]], self.opener(place))

    def opener(self, place: str | int) -> Callable[[], AbstractContextManager[Image.Image]]:
        if isinstance(self.source, DatasetPictures):
            return partial(self.source.open, int(place))
        return partial(decoded, Path(self.index.origin, str(place)))


class IndexingJob:
    """Runs from the start. `own`: the visit's folder for this index; `done` of `total` pictures, None if unknown."""

    def __init__(self, net: ZeroShot, chosen: Chosen, own: Path, say: Say):
        self.net, self.chosen, self.own, self.say = net, chosen, own, say
        self.key: Key = (net.name, chosen)
        self.done = 0
        self.total: int | None = None
        self.stopped = False
        self.future: Future[Searched] = Future()
        Thread(target=self._run, name="index", daemon=True).start()

    def stop(self) -> None:
        """Ends it at the next picture."""
        self.stopped = True

    def _run(self) -> None:
        try:
            self.future.set_result(self._index())
        except BaseException as error:
            self.future.set_exception(error)

    def _index(self) -> Searched:
        start = time.perf_counter()
        thumbnails = Thumbnails(self.own / ".thumbnails")
        source = open_chosen(self.chosen, thumbnails, self.say)
        into, report, refused = self._build(source)
        index = PictureIndex.load(into)
        seconds = time.perf_counter() - start
        return Searched(self.key, index, source, report, thumbnails, into != self.own, refused, seconds)

    def _build(self, source: PictureSource) -> tuple[Path, IndexReport, str]:
        """Where `cvhub index` keeps it; in the visit's own folder where that is not to be, or can't, and why."""
        refused = ""
        if kept := kept_place(self.chosen):
            try:
                return kept, self._build_into(kept, source), refused
            except CvhubError as error:
                if self.done:
                    raise
                refused = str(error)
        return self.own, self._build_into(self.own, source), refused

    def _build_into(self, into: Path, source: PictureSource) -> IndexReport:
        return build_index(in_precision_of(into, self.net), source, into, progress=self._progress)

    def _progress(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total
        if self.stopped:
            raise Stopped
        if is_public() and max(done, total or 0) > MOST_PICTURES:
            raise CvhubError(self.say("search_too_many", most=f"{MOST_PICTURES:,}"))


def kept_place(chosen: Chosen) -> Path | None:
    """Where the index outlives the visit: of folders and data sets, for who sits at the machine."""
    return place_of(chosen.place) if chosen.place and not is_public() else None


def in_precision_of(index: Path, net: ZeroShot) -> ZeroShot:
    """The net in the precision of an index that is there: embeddings of others are not compared with its."""
    known = made_by(index)
    if known is None or known[1] == net.image_runtime.precision:
        return net
    return default_pool().zero_shot(net.name, "auto", known[1])
