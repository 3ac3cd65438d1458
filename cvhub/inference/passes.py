"""Forward passes of a process with many visitors: one at a time, and those who wait for the same network share one."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter as now

import numpy as np

from cvhub.inference.runtime import Runtime

# A second pass at once would fight for the same cores, and the time shown would be that of both.
turn = threading.RLock()
_last_asked = now()

MOST_TOGETHER = 16  # inputs of one pass
MOST_VALUES = 2**22  # numbers that they are, together: 16 pictures of 224², or one of 1024² and more


@dataclass(frozen=True)
class Pass:
    """What a network answered, and the milliseconds of its pass for each input, without what it waited for its turn."""

    outputs: dict[str, np.ndarray]
    milliseconds: float


@dataclass(eq=False)  # two that ask the same are two
class _Request:
    inputs: np.ndarray
    answer: Future[Pass] = field(default_factory=Future)


def seconds_idle() -> float:
    """Since a network was asked last, by anybody."""
    return now() - _last_asked


class Passes:
    """A runtime that several threads may ask at once.

    Nobody waits for company: who comes while nothing runs is answered alone. While another pass runs, of this network
    or another, requests gather, and the next pass takes those of one shape that are there: one, two, four, eight or
    sixteen, since a network is prepared for each number of inputs when it first comes, which takes longer than a pass.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._waiting: deque[_Request] = deque()
        self._gathering = threading.Lock()

    def run(self, inputs: np.ndarray) -> Pass:
        """`Runtime.run`, perhaps together with what others ask."""
        global _last_asked
        _last_asked = now()
        request = _Request(inputs)
        with self._gathering:
            self._waiting.append(request)
        with turn:
            if not request.answer.done():
                self._answer(self._gather(request))
        return request.answer.result()

    def _gather(self, first: _Request) -> list[_Request]:
        """Takes `first` and others like it, those that came first, from who waits."""
        with self._gathering:
            alike = [other for other in self._waiting if other is not first and _alike(first.inputs, other.inputs)]
            taken = [first, *alike[: _company(first.inputs, alike)]]
            for request in taken:
                self._waiting.remove(request)
        return taken

    def _answer(self, requests: list[_Request]) -> None:
        inputs = [request.inputs for request in requests]
        start = now()
        try:
            outputs = self.runtime.run(np.concatenate(inputs) if len(inputs) > 1 else inputs[0])
        except BaseException as error:
            for request in requests:
                request.answer.set_exception(error)
            return
        total = sum(map(len, inputs))
        milliseconds = (now() - start) * 1000 / total
        first = 0
        for request in requests:
            last = first + len(request.inputs)
            own = {name: values[first:last] for name, values in outputs.items()}
            if len(requests) > 1:  # a visit that keeps its own must not keep all
                own = {name: values.copy() for name, values in own.items()}
            request.answer.set_result(Pass(own, milliseconds))
            first = last


def _alike(inputs: np.ndarray, others: np.ndarray) -> bool:
    """Whether they fit into one array. Who brings several inputs has a batch of their own already."""
    return len(inputs) == len(others) == 1 and inputs.shape == others.shape and inputs.dtype == others.dtype


def _company(inputs: np.ndarray, alike: list[_Request]) -> int:
    """How many of those alike join: as many as make a power of 2, within the limits."""
    most = min(MOST_TOGETHER, MOST_VALUES // inputs.size, len(alike) + 1)
    return 2 ** max(0, most.bit_length() - 1) - 1
