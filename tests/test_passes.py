"""Threads that ask one network at the same moment share a forward pass, and each gets its own answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from cvhub.inference import passes
from cvhub.inference.passes import Pass, Passes


class Doubling:
    """A runtime that doubles, and notes the shapes that it was given."""

    name, precision, reason, gives_features = "doubling", "fp32", "", False

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.error: Exception | None = None

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        self.shapes.append(inputs.shape)
        if self.error:
            raise self.error
        return {"logits": 2 * inputs, "features": inputs + 1}


@pytest.fixture
def runtime() -> Doubling:
    return Doubling()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def inputs(number: float, *shape: int) -> np.ndarray:
    return np.full((1, *(shape or (3, 4, 4))), number, np.float32)


def while_another_runs(asked: Passes, threads: ThreadPoolExecutor, batches: list[np.ndarray]) -> list[Future[Pass]]:
    """Ask for all batches, in order, while the turn is somebody else's."""
    with passes.turn:
        futures = []
        for number, batch in enumerate(batches, 1):
            futures.append(threads.submit(asked.run, batch))
            end = time.monotonic() + 10
            while len(asked._waiting) < number:
                assert time.monotonic() < end
                time.sleep(0.001)
    return futures


def check(answer: Pass, number: float) -> None:
    assert (answer.outputs["logits"] == 2 * number).all()
    assert (answer.outputs["features"] == number + 1).all()


def test_who_comes_while_nothing_runs_is_answered_alone(runtime: Doubling) -> None:
    asked = Passes(runtime)
    check(asked.run(inputs(1)), 1)
    check(asked.run(inputs(2)), 2)
    assert [shape[0] for shape in runtime.shapes] == [1, 1]


@pytest.mark.parametrize(("waiting", "batches"), [(2, {2}), (3, {1, 2}), (8, {8}), (21, {1, 4, 16})])
def test_who_waits_shares_a_pass_with_as_many_as_make_a_power_of_two(
    waiting: int, batches: set[int], runtime: Doubling, threads: ThreadPoolExecutor
) -> None:
    answers = while_another_runs(Passes(runtime), threads, [inputs(i) for i in range(waiting)])
    for number, answer in enumerate(answers):
        check(answer.result(10), number)
    assert {shape[0] for shape in runtime.shapes} == batches
    assert sum(shape[0] for shape in runtime.shapes) == waiting


def test_only_inputs_of_one_shape_and_type_share_a_pass(runtime: Doubling, threads: ThreadPoolExecutor) -> None:
    batches = [inputs(0), inputs(1, 3, 8, 4), inputs(2), inputs(3).astype(np.int64), np.repeat(inputs(4), 2, axis=0)]
    answers = while_another_runs(Passes(runtime), threads, batches)
    for number, answer in enumerate(answers):
        check(answer.result(10), number)
    assert sorted(runtime.shapes) == [(1, 3, 4, 4), (1, 3, 8, 4), (2, 3, 4, 4), (2, 3, 4, 4)]


def test_large_inputs_go_alone(runtime: Doubling, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "MOST_VALUES", 2 * 3 * 4 * 4)
    answers = while_another_runs(
        Passes(runtime), threads, [*(inputs(i) for i in range(4)), *(inputs(i, 3, 64, 64) for i in range(4, 6))]
    )
    for number, answer in enumerate(answers):
        check(answer.result(10), number)
    assert sorted(runtime.shapes) == [(1, 3, 64, 64)] * 2 + [(2, 3, 4, 4)] * 2


def test_an_answer_does_not_keep_those_of_others(runtime: Doubling, threads: ThreadPoolExecutor) -> None:
    for answer in while_another_runs(Passes(runtime), threads, [inputs(i) for i in range(4)]):
        assert all(values.base is None for values in answer.result(10).outputs.values())


def test_a_failure_is_that_of_all_who_shared_the_pass_and_of_nobody_after(
    runtime: Doubling, threads: ThreadPoolExecutor
) -> None:
    asked = Passes(runtime)
    runtime.error = ValueError("no such layer")
    for answer in while_another_runs(asked, threads, [inputs(i) for i in range(4)]):
        with pytest.raises(ValueError, match="no such layer"):
            answer.result(10)
    runtime.error = None
    check(asked.run(inputs(5)), 5)
    assert not asked._waiting


def test_passes_of_two_networks_take_turns(threads: ThreadPoolExecutor) -> None:
    running, most = threading.Semaphore(0), []

    class Watched(Doubling):
        def run(self, inputs: np.ndarray) -> dict[str, Any]:
            running.release()
            time.sleep(0.01)
            most.append(running._value)
            running.acquire()
            return super().run(inputs)

    nets = [Passes(Watched()), Passes(Watched())]
    for answer in [threads.submit(nets[i % 2].run, inputs(i)) for i in range(8)]:
        answer.result(10)
    assert set(most) == {1}


def test_the_time_is_that_of_the_pass_and_not_of_the_waiting(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Slow(Doubling):
        def run(self, inputs: np.ndarray) -> dict[str, Any]:
            clock[0] += 0.5
            return super().run(inputs)

    monkeypatch.setattr(passes, "now", lambda: clock[0])
    asked = Passes(Slow())
    with passes.turn:
        (answer,) = while_another_runs(asked, threads, [inputs(1)])
        clock[0] += 100
    assert answer.result(10).milliseconds == 500
