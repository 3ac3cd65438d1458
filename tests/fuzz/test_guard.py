"""The guard sees what it is there for; a fuzzer that can't fail would find nothing."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvhub.errors import CvhubError
from tests.fuzz import guard as guarding
from tests.fuzz.guard import SECRET, Guard
from tests.fuzz.stopwatch import Stopwatch


def refuse(sentence: str) -> None:
    raise CvhubError(sentence)


def run_file(place: Path) -> None:
    (place / "code.py").write_text("1 + 1")
    exec(compile("1 + 1", str(place / "code.py"), "exec"))


def move_out(place: Path) -> None:
    (place / "file").write_text("x")
    (place / "file").rename(place.parent / "elsewhere")


DEEDS: dict[str, Callable[[Path], object]] = {
    "dies": lambda place: ctypes.string_at(0),
    "hangs": lambda place: time.sleep(600),
    "spins": lambda place: spin(600),
    "grows": lambda place: b"x" * ((guarding.MEGABYTES + 100) * 2**20),
    "asks for all": lambda place: bytearray(2 * guarding.ADDRESSES * 2**20),
    "starts a program": lambda place: subprocess.run(["true"], check=True),
    "calls the shell": lambda place: os.system("true"),
    "writes elsewhere": lambda place: (place.parent / "elsewhere").write_text("x"),
    "moves elsewhere": move_out,
    "runs a file": run_file,
    "tells": lambda place: refuse(f"The file says {SECRET}."),
    "raises": lambda place: {}["unforeseen"],
    "refuses": lambda place: refuse("This is no picture."),
    "writes here": lambda place: (place / "file").write_text("x"),
}


def do(deed: str | None, place: Path) -> str:
    return f"done {DEEDS[deed](place) is not None}" if deed else "ready"


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    made = Guard(do, tmp_path_factory.mktemp("outer") / "place")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("dies", "the process died, exit code -11"),
        ("hangs", "no answer within"),
        ("spins", "no answer within"),
        ("grows", r"it took 1[56]\d\d MB of memory"),
        ("asks for all", "MemoryError"),
        ("starts a program", "subprocess.Popen"),
        ("calls the shell", "os.system"),
        ("writes elsewhere", "open .*elsewhere"),
        ("moves elsewhere", "os.rename"),
        ("runs a file", "runs .*code.py"),
        ("tells", "it tells"),
        ("raises", "KeyError: 'unforeseen'"),
    ],
)
def test_what_must_not_be_is_seen(case: str, told: str, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "LONGEST", 0.5 if case in ("hangs", "spins") else 10.0)
    with pytest.raises(AssertionError, match=told):
        guard.ask(case)
    assert guard.ask("writes here") == "done True"


def test_what_may_be_is_no_failure(guard: Guard) -> None:
    assert guard.ask("refuses") == "This is no picture."


def pin(processor: int) -> None:
    os.sched_setaffinity(0, {processor})


def spin(seconds: float) -> None:
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


def test_the_stopwatch_counts_what_one_thread_works_and_what_it_sleeps() -> None:
    stopwatch = Stopwatch(os.getpid())
    spin(0.5)
    assert stopwatch.worked() >= 0.45
    assert stopwatch.held() >= 0.45
    stopwatch = Stopwatch(os.getpid())
    time.sleep(0.5)
    assert stopwatch.worked() < 0.25
    assert stopwatch.held() >= 0.45


def test_the_stopwatch_stands_while_others_have_the_processor() -> None:
    """Two processes on one processor: each is ready all the time and runs half of it."""
    others = sorted(os.sched_getaffinity(0))
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: pin(others[0]))
    try:
        pin(others[0])
        stopwatch, start = Stopwatch(os.getpid()), time.monotonic()
        spin(0.5)
        clock = time.monotonic() - start
        assert stopwatch.held() == pytest.approx(stopwatch.worked(), abs=0.25)
        assert clock > stopwatch.held() + 0.1
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, others)
