"""Damages bytes and numbers as chance would, or somebody who means harm; Hypothesis chooses how."""

import functools
import hashlib
import itertools
import os
import string
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st

# `make fuzz` sets it: all cases instead of the few of every day.
WHOLE = os.environ.get("CVHUB_FUZZ") == "whole"
SEED = int(os.environ.get("CVHUB_FUZZ_SEED", "0"))

# What formats store as sizes, counts and offsets, in both orders of bytes.
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = [number.to_bytes(4, order) for number in NUMBERS for order in ("little", "big")]
WORDS += [b"\0", b"\xff", b"\xff" * 8, b"\0" * 8, (1 << 40).to_bytes(8, "little"), (1 << 62).to_bytes(8, "big")]
HEAD = 96  # bytes at the beginning, where most formats say what they are; half of all damage is done there


def fuzzed(few: int, whole: int) -> Any:
    """Runs a test on so many cases, the same ones each time; on the `whole` number where CVHUB_FUZZ says so. They are
    counted: Hypothesis runs fewer where it finds no more that differ."""
    cases = whole if WHOLE else few
    chosen = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate] if WHOLE else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

    def counted(test: Any) -> Any:
        started, inner = itertools.count(), test.hypothesis.inner_test

        @functools.wraps(inner)
        def start(*case: Any, **named: Any) -> None:
            next(started)
            inner(*case, **named)

        test.hypothesis.inner_test = start
        run = chosen(seed(SEED)(test))

        def check() -> None:
            run()
            number = next(started)
            print(f"{number} cases")
            assert number >= cases

        return check

    return counted


class Content(bytes):
    """What a file holds, told briefly where a case is told."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes {hashlib.sha1(self).hexdigest()[:8]}>"


@st.composite
def damaged(draw: st.DrawFn, files: Sequence[bytes]) -> bytes:
    """One of the files with one to six wounds."""
    content = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 6))):
        content = draw(_wounded(content, files))
    return Content(content)


@st.composite
def _wounded(draw: st.DrawFn, content: bytes, files: Sequence[bytes]) -> bytes:
    size = len(content)
    place = min(draw(st.one_of(st.integers(0, HEAD), st.integers(0, max(0, size - 1)))), size)
    kind = draw(st.sampled_from(("flip", "word", "word", "cut", "drop", "repeat", "splice")))
    if kind == "flip" and place < size:
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    if kind == "word":
        word = draw(st.sampled_from(WORDS))
        return content[:place] + word + content[place + len(word) :]
    if kind == "cut":
        return content[:place]
    length = draw(st.integers(1, 64))
    if kind == "drop":
        return content[:place] + content[place + length :]
    if kind == "repeat":
        return content[:place] + content[place : place + length] * draw(st.integers(2, 9)) + content[place:]
    return content[:place] + draw(st.sampled_from(files))[place:]


HOSTILE_NUMBERS = [-1, 0, 1, 3, 7, -(2**31), 2**31, 10**6, 10**9, 10**12, 2**63, 10**30, 0.5, -0.0, 1e308]
HOSTILE_NUMBERS += [float("nan"), float("inf"), float("-inf")]
HOSTILE_TEXTS = [
    "",
    "..",
    "../../secret",
    "/etc/passwd",
    "a/b",
    "\0",
    "猫",
    "x" * 5000,
    "__import__('os').system('id')",
]
HOSTILE_TEXTS += ["<script>alert(1)</script>", "{0.__class__}", "%s%n", "-1", "1e999", "NaN", "http://127.0.0.1:9/"]


def hostile() -> st.SearchStrategy[Any]:
    """A value of JSON that nobody reckoned with."""
    text = st.text(string.printable, max_size=12)
    leaves = st.one_of(st.none(), st.booleans(), st.sampled_from(HOSTILE_NUMBERS), st.sampled_from(HOSTILE_TEXTS), text)
    nested = st.sampled_from([[], {}, [[]] * 40, {"a": {"b": {}}}, [1] * 3000, _deep(200)])
    return st.one_of(leaves, leaves, nested, st.lists(leaves, max_size=4), st.dictionaries(text, leaves, max_size=3))


def _deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """JSON of which one value, somewhere, is another, or missing."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 9)) == 0:
            return {name: kept for name, kept in value.items() if name != key}
        return value | {key: draw(altered(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(altered(value[place])), *value[place + 1 :]]
    return draw(hostile())
