"""Asks questions of a process that must not die, hang, take much memory, run anything or leave its place.

What answers is a function that gets a case and returns what it found; a `CvhubError` is an answer too, its sentence.
All else that it raises is a failure, and so is each thing that `watch` sees.
"""

import contextlib
import multiprocessing
import os
import pickle
import resource
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.stopwatch import Stopwatch
from tests.fuzz.watch import watch

LONGEST = 10.0  # seconds for one case, or for one request to the page and its handler, by `Stopwatch`
GLANCE = 0.1  # seconds between two looks at the stopwatch
MEGABYTES = 1500  # that one case may take beyond what the process has when it starts
ADDRESSES = 4800  # megabytes likewise that it may ask for: readers ask for what a file claims, and take what there is
SECRET = "what-no-sentence-may-tell"  # the content of a file outside of the place

Answer = Callable[[Any, Path], str]


class Guard:
    """A process of its own for `answer`, started anew after a failure. `place` is the folder that it must not leave."""

    def __init__(self, answer: Answer, place: Path):
        self.answer, self.place = answer, place
        self._process: Any = None
        self._start()

    def ask(self, case: Any) -> str:
        """What is answered; fails where the process died, hung, did what it may not, or raised the unforeseen. The case
        is then kept beside the place."""
        try:
            return self._ask(case)
        except AssertionError:
            (self.place.parent / "failed.pickle").write_bytes(pickle.dumps(case))
            raise

    def _ask(self, case: Any) -> str:
        stopwatch = Stopwatch(self._process.pid)
        self._pipe.send(case)
        while not self._pipe.poll(GLANCE):
            if max(stopwatch.worked(), stopwatch.held()) > LONGEST:
                self._start()
                raise AssertionError(f"no answer within {LONGEST:g} seconds")
        try:
            said, seen, taken = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._start()
            raise AssertionError(f"the process died, exit code {code}") from None
        assert taken <= MEGABYTES, f"it took {taken} MB of memory"
        assert not seen, f"it did what it may not: {seen}"
        assert not said.startswith("Traceback"), said
        assert SECRET not in said, f"it tells what stands in a file outside of its place: {said}"
        return said

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        with place_environment(self.place):
            self._process = context.Process(target=_serve, args=(theirs, self.answer, self.place), daemon=True)
            self._process.start()
        theirs.close()
        assert self._pipe.poll(120), "the process did not start"
        assert self._pipe.recv() == "ready"


@contextlib.contextmanager
def place_environment(place: Path) -> Iterator[None]:
    """What is written by right is written into the place."""
    folders = {"TMPDIR": "tmp", "CVHUB_CACHE": "cvhub", "HF_HOME": "huggingface", "XDG_CACHE_HOME": "cache"}
    before = dict(os.environ)
    for name, folder in folders.items():
        (place / folder).mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(place / folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(pipe: Any, answer: Answer, place: Path) -> None:
    from cvhub.errors import CvhubError

    os.chdir(place)
    tempfile.tempdir = None  # read TMPDIR anew
    with contextlib.suppress(CvhubError):
        answer(None, place)  # imports what it needs
    seen = watch(place)
    resource.setrlimit(resource.RLIMIT_AS, ((megabytes("VmSize") + ADDRESSES) * 2**20,) * 2)
    start = megabytes("VmRSS")
    pipe.send("ready")
    while True:
        case = pipe.recv()
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM, the most that was ever taken, begins anew
        try:
            said = answer(case, place)
        except CvhubError as error:
            said = str(error)
        except Exception:
            said = traceback.format_exc()
        pipe.send((said, list(seen), megabytes("VmHWM") - start))
        seen.clear()


def megabytes(name: str) -> int:
    """What Linux tells about this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024
