"""What makes a training step fast on a CPU and is the process's affair, not the net's."""

import ctypes
import sys
from functools import partial

import torch
from timm.optim import muon

from cvhub.inference.torch_runtime import has_native_bf16

# mallopt(3): how much free memory may stay with the process, and how many blocks may be mapped one by one.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare_machine() -> None:
    """Numbers too small to matter become 0, as they take a processor a hundred times longer; memory is kept."""
    torch.set_flush_denormal(True)
    keep_memory()
    if not has_native_bf16():
        orthogonalise_in_fp32()


def restore_machine() -> None:
    """Small numbers count again, for what else the process does."""
    torch.set_flush_denormal(False)


def orthogonalise_in_fp32() -> None:
    """timm's Muon multiplies in bf16, and has no setting for it: where that is not native, a step takes 15 seconds."""
    if not isinstance(muon.zeropower_via_newtonschulz, partial):
        muon.zeropower_via_newtonschulz = partial(muon.zeropower_via_newtonschulz, dtype=torch.float32)


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
