"""Contenders take turns, so that whatever else the machine does meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

WARM_UPS = 3
TURN_SECONDS = 0.4
MOST_CALLS = 40
PAUSE_SECONDS = 0.05  # in which the threads of the contender before stop spinning


def take_turns(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of a call, by contender: A B C A B C …, each turn some calls after one that doesn't count."""
    calls = {name: _calls_a_turn(contender) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            time.sleep(PAUSE_SECONDS)
            contender()
            times[name] += [seconds(contender) for _ in range(calls[name])]
    return {name: statistics.median(taken) for name, taken in times.items()}


def take_single_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of what the contenders themselves say they took, one call a turn, for calls of seconds or more."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender())
    return {name: statistics.median(taken) for name, taken in times.items()}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _calls_a_turn(contender: Callable[[], Any]) -> int:
    warm = min(seconds(contender) for _ in range(WARM_UPS))
    return max(3, min(MOST_CALLS, round(TURN_SECONDS / warm)))
