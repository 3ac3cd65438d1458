"""The Explore tab computes one thing at a time, so that what it measures is measured alone."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

_turn = Lock()


@contextmanager
def turn() -> Iterator[None]:
    """While active, nothing else of the tab is computed. The first turn imports torch and the nets."""
    with _turn:
        _import_nets()
        yield


@lru_cache(maxsize=1)
def _import_nets() -> None:
    """In one thread of the whole process: transformers' lazy imports lock each other out in several."""
    from cvhub.inference.pool import building
    from cvhub.models import FAMILIES

    with building:
        for family in FAMILIES:
            importlib.import_module(f"cvhub.convert.{family}")
