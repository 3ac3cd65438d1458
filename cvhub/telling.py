"""What tells on stderr how long work goes on: one line that renews itself on a terminal, elsewhere a new one comes now
and then; or a sentence on what is waited for."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import TracebackType
from typing import Self, TextIO

TERMINAL_SECONDS = 0.2
OTHER_SECONDS = 10.0
CELLS = 24  # of a bar
SILENT_SECONDS = 2.0  # without a word, after which somebody wonders


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Says what is waited for, where the block takes so long that it must be the first use of a model."""
    line = f"{model} is being loaded; its first use fetches, converts and compiles the weights, and keeps them."
    timer = Timer(SILENT_SECONDS, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class TellingLine:
    """`due` says when to `show` the next line; `end` shows the last, after which other output may follow."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.shown = time.monotonic()
        self.open = False

    def due(self) -> bool:
        return time.monotonic() - self.shown >= (TERMINAL_SECONDS if self.terminal else OTHER_SECONDS)

    def show(self, line: str) -> None:
        self.shown, self.open = time.monotonic(), self.terminal
        self._print(line, "" if self.terminal else "\n")

    def end(self, line: str) -> None:
        self.open = False
        self._print(line, "\n")

    def _print(self, line: str, end: str) -> None:
        before = "\r\x1b[2K" if self.terminal else ""  # back to the line's start, and clear it
        print(before + line, end=end, file=self.stream, flush=True)


class Bar:
    """slide.tif ████████░░░░░░░░ 52 % · 14 of 27 tiles · 8 s left

    Call it with how many are done and how many there are, None where nobody knows, in a with block, after which other
    output has its own line.
    """

    def __init__(self, name: str, unit: str, stream: TextIO | None = None):
        self.name, self.unit = name, unit
        self.line = TellingLine(stream)
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.line.open:
            print(file=self.line.stream)

    def __call__(self, done: int, total: int | None) -> None:
        if done == total:
            self.line.end(self._text(done, total))
        elif self.line.due():
            self.line.show(self._text(done, total))

    def _text(self, done: int, total: int | None) -> str:
        seconds = time.monotonic() - self.started
        if total is None:
            return f"{self.name} · {done:,} {self.unit} · {duration(seconds)}"
        full = CELLS * done // total
        left = f"{duration(seconds / done * (total - done))} left" if done < total else f"done in {duration(seconds)}"
        share = f"{'█' * full}{'░' * (CELLS - full)} {100 * done // total} %"
        return f"{self.name} {share} · {done:,} of {total:,} {self.unit} · {left}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
