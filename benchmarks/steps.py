"""Steps of training, timed in turns. Each contender has a process of its own, as machine settings are a process's."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median

from benchmarks.machine import cpus
from benchmarks.timing import PAUSE_SECONDS, take_single_turns

WARM_UPS, STEPS = 3, 3  # steps before the first turn, and in each

Step = Callable[[], None]


def time_steps(
    processes: Mapping[str, ProcessPoolExecutor], makers: Mapping[str, Callable[[], Step]], rounds: int
) -> dict[str, float]:
    """Median seconds of a step, by contender; a maker builds it, in the contender's process."""
    for name, make in makers.items():
        processes[name].submit(_prepare, make).result()
    return take_single_turns({name: partial(_turn, processes[name]) for name in makers}, rounds)


def _turn(process: ProcessPoolExecutor) -> float:
    time.sleep(PAUSE_SECONDS)
    return process.submit(_seconds).result()


# --- In the contender's process --------------------------------------------------------------------------------------

_step: Step | None = None


def _prepare(make: Callable[[], Step]) -> None:
    """Builds the net and takes the first steps, which find their memory and kernels."""
    import torch

    global _step
    _step = None  # the net before makes room
    torch.set_num_threads(cpus())
    torch.manual_seed(0)
    step = _step = make()
    for _ in range(WARM_UPS):
        step()


def _seconds() -> float:
    assert _step is not None
    taken = []
    for _ in range(STEPS):
        start = time.perf_counter()
        _step()
        taken.append(time.perf_counter() - start)
    return median(taken)
