"""How long a process takes for what it does, where others keep the machine busy."""

import time
from contextlib import suppress
from pathlib import Path

import psutil


class Stopwatch:
    """What a process does from now on, by two measures that don't grow with what others do on the machine."""

    def __init__(self, process: int):
        self._process = psutil.Process(process)
        self._start, self._first, self._waits = time.monotonic(), self._used(), self._waiting()

    def worked(self) -> float:
        """Seconds of processor time. Not divided by the processors: a thread that spins has one of them alone."""
        return self._used() - self._first

    def held(self) -> float:
        """Seconds by the clock, so that sleep and locks count, without those in which threads waited for a processor.

        Two threads that wait at once are counted twice, which hides what many of them work: that `worked` sees.
        """
        waited = sum(now - self._waits.get(thread, 0) for thread, now in self._waiting().items())
        return time.monotonic() - self._start - waited

    def _used(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _waiting(self) -> dict[str, float]:
        """Thread → seconds that it was ready to run and did not, as Linux keeps them."""
        seconds = {}
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            with suppress(OSError):  # it ended meanwhile
                seconds[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
        return seconds
