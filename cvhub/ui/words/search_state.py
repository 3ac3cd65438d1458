"""What the view "Search" remembers of one visit: its files, what it has indexed, and which results are shown."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from cvhub.inference.zero_shot import ZeroShot
from cvhub.ui.strings import Say
from cvhub.ui.words.search_job import IndexingJob, Key, Searched
from cvhub.ui.words.search_sources import Chosen
from cvhub.ui.words.state import WordsSession

PATIENCE = 0.3  # seconds until it is told how far the index is
STEP = 0.5  # seconds between two such lines
STOPPING = 5.0  # seconds that an index which nobody wants any more has to end, for the lock on its folder

_starting = Lock()

Subject = tuple[str, str]  # what is looked for: words, or the file of a picture


class Liked(NamedTuple):
    """A result of which more was asked for, while nothing else is: its place in the index of `key`."""

    key: Key
    subject: Subject
    place: str | int


@dataclass
class SearchSession(WordsSession):
    """One visit. `files`, `place`, `split`: what it has handed over to be searched; `folder`: its own, deleted with it;
    `shown`: the places of the results, and what they answer."""

    files: list[str] = field(default_factory=list)
    place: str = ""
    split: str = ""
    folder: Path | None = None
    job: IndexingJob | None = None
    searched: Searched | None = None
    liked: Liked | None = None
    shown: tuple[Key, Subject, list[str | int]] | None = None

    def prepare(self, net: ZeroShot, chosen: Chosen, say: Say) -> Iterator[IndexingJob]:
        """`searched` becomes what is chosen. Until then, the job is given now and then; its error is raised."""
        key = (net.name, chosen)
        if self.searched is not None and self.searched.key == key:
            return
        self._stop_unless(key)
        with _starting:
            job = self._job_for(net, chosen, say)
        pending = wait([job.future], PATIENCE).not_done
        while pending:
            yield job
            pending = wait([job.future], STEP).not_done
        self.searched = job.future.result()

    def _stop_unless(self, key: Key) -> None:
        """What is under way for another question ends, or has ended unasked."""
        if self.job is not None and (self.job.stopped or self.job.key != key):
            self.job.stop()
            wait([self.job.future], STOPPING)

    def _job_for(self, net: ZeroShot, chosen: Chosen, say: Say) -> IndexingJob:
        """The one that is under way for this already, or a new one."""
        job = self.job
        if job is None or job.future.done() or job.stopped or job.key != (net.name, chosen):
            job = self.job = IndexingJob(net, chosen, self.own_folder(net, chosen), say)
        return job

    def own_folder(self, net: ZeroShot, chosen: Chosen) -> Path:
        """Of the index of what is chosen; that of an upload stays when files come or go."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="cvhub-search-"))
        name = "\n".join((net.name, chosen.kind, chosen.place, chosen.split))
        return self.folder / hashlib.blake2b(name.encode(), digest_size=8).hexdigest()

    def forget(self) -> None:
        """The visit has ended: nothing is indexed any more, and its folder goes."""
        self.turn += 1
        self.searched = None
        if self.job is not None:
            self.job.stop()
            self.job.future.add_done_callback(lambda _: shutil.rmtree(str(self.folder), ignore_errors=True))
