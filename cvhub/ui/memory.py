"""Memory goes back to the system: of what many threads used for their answers, glibc keeps a heap a thread."""

import ctypes
import sys


def give_back() -> None:
    """Returns to the system what is free within the process, where the C library can do that."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps little
        if trim:
            trim(0)
