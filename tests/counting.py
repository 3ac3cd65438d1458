"""What nets have and cost, counted by torch alone, for tests to compare with what papers and cvhub say."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count_weights(module: nn.Module) -> int:
    """Without biases and norms, which the papers' tables leave out."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1)


def count_multiply_adds(module: nn.Module, *shape: int) -> int:
    """Of a module without values on an input of `shape`, a picture of 224 pixels a side where none is given.

    This counter sees no attention unless it is written out ("eager").
    """
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(shape or (1, 3, 224, 224), device="meta"))
    return counter.get_total_flops() // 2
