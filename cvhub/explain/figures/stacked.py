"""Stacked 3×3 against one larger window (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556, section 2.3)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from cvhub.explain.cost import Cost, measure

NETS = {"3×3": (3,), "2 × 3×3": (3, 3), "5×5": (5,), "3 × 3×3": (3, 3, 3), "7×7": (7,)}
SIDE = 11  # pixels of the picture that the gradient is looked at in
DRAWS = 16  # nets of random weights that it is averaged over


@dataclass(frozen=True)
class Stack:
    """`reach` (SIDE, SIDE): how strongly the middle of the output depends on each pixel, the most 1; `field`: the
    pixels a side where that is not 0; `cost` at the chosen channels and size."""

    reach: np.ndarray
    field: int
    cost: Cost


def stack(kernels: tuple[int, ...], channels: int, device: str = "cpu") -> nn.Sequential:
    """Convolutions one after another, C channels in and out, without biases and what stands between them."""
    return nn.Sequential(*(nn.Conv2d(channels, channels, k, 1, k // 2, bias=False, device=device) for k in kernels))


def compare(channels: int, side: int) -> dict[str, Stack]:
    return {name: _study(kernels, channels, side) for name, kernels in NETS.items()}


@lru_cache(maxsize=len(NETS))
def gradient_reach(kernels: tuple[int, ...]) -> np.ndarray:
    """Mean |∂ middle of the output / ∂ pixel| over random weights, at a few channels: it doesn't depend on them."""
    total = torch.zeros(SIDE, SIDE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(DRAWS):
            picture = torch.randn(1, 4, SIDE, SIDE, requires_grad=True)
            middle = stack(kernels, 4)(picture)[0, :, SIDE // 2, SIDE // 2]
            (gradient,) = torch.autograd.grad(middle.sum(), picture)
            total += gradient[0].abs().mean(0)
    return (total / total.max()).numpy()


def _study(kernels: tuple[int, ...], channels: int, side: int) -> Stack:
    reach = gradient_reach(kernels)
    return Stack(reach, int((reach.max(0) > 0).sum()), measure(stack(kernels, channels, "meta"), side, side))
