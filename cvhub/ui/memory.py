"""Memory goes back to the system: for many threads glibc keeps a heap each, with gaps where answers were."""

import ctypes
import sys
from typing import Any

ARENAS = 2  # of glibc, which would make eight a processor
M_ARENA_MAX = -8  # from malloc.h


def share_heaps() -> None:
    """From now on threads share few heaps, before most of them are there: with one each, which fill unevenly, a page
    of 50 threads takes a fifth more memory."""
    if mallopt := _of_glibc("mallopt"):
        mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Returns to the system what is free within the process."""
    if trim := _of_glibc("malloc_trim"):
        trim(0)


def _of_glibc(name: str) -> Any:
    """A function of the C library, or None where that is not glibc: others keep little."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
