"""What makes a training step fast on a CPU and is the process's affair, not the net's."""

import ctypes
import sys

import torch

# mallopt(3): how much free memory may stay with the process, and how many blocks may be mapped one by one.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare_machine() -> None:
    """Numbers too small to matter become 0, as they take a processor a hundred times longer; memory is kept."""
    torch.set_flush_denormal(True)
    keep_memory()


def restore_machine() -> None:
    """Small numbers count again, for what else the process does."""
    torch.set_flush_denormal(False)


def keep_memory() -> None:
    """Lets glibc reuse the memory of one step in the next.

    By default a large block returns to the system when freed, and each of its pages is cleared anew when it comes back:
    a step allocates gigabytes of activations.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
