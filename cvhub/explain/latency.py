"""How long a forward pass takes, measured on this machine when a figure is asked for it."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from cvhub.convert.named import net_without_weights

CONSTANT = 0.01  # of all weights: a net takes as long whatever these are, and its initialisation takes longer


def timed_net(config: Any) -> nn.Module:
    """The classifier that `config` describes, to be timed and nothing else."""
    net = net_without_weights(config).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.fill_(CONSTANT)
    return net.eval()


@torch.inference_mode()
def milliseconds(module: nn.Module, x: Tensor, repetitions: int) -> float:
    """Least of several passes of `x` through `module`, in PyTorch as it is: what else the machine does only adds.

    One pass more goes before, which finds memory and kernels.
    """
    times = []
    for _ in range(1 + repetitions):
        start = time.perf_counter()
        module(x)
        times.append(time.perf_counter() - start)
    return 1000 * min(times[1:])
