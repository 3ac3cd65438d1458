"""What a ReLU in few dimensions destroys (Sandler et al. 2018, https://arxiv.org/abs/1801.04381, figure 1)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

POINTS = 400
TURNS = 2.5
DRAWS = 50  # random matrices that a share is averaged over


@dataclass(frozen=True)
class Passage:
    """The spiral (POINTS, 2), what comes back of it, and which points can't be told any more."""

    spiral: np.ndarray
    returned: np.ndarray
    lost: np.ndarray


def spiral() -> torch.Tensor:
    angle = 2 * torch.pi * TURNS * torch.linspace(0.05, 1, POINTS)
    return torch.stack([angle.cos(), angle.sin()], dim=1) * angle[:, None] / angle[-1]


def embed(dimensions: int, seed: int) -> nn.Sequential:
    """2 dimensions into n by a random matrix, then a ReLU."""
    matrix = nn.Linear(2, dimensions, bias=False)
    with torch.no_grad():
        matrix.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return nn.Sequential(matrix, nn.ReLU())


@torch.no_grad()
def passage(dimensions: int, seed: int = 0) -> Passage:
    """T⁺ ReLU(T x). A point is lost if fewer than its 2 dimensions stay active (lemma 2 in the paper's appendix A)."""
    net, points = embed(dimensions, seed), spiral()
    active = net(points)
    returned = active @ torch.linalg.pinv(net[0].get_parameter("weight")).T
    return Passage(points.numpy(), returned.numpy(), lost(active).numpy())


def lost(active: torch.Tensor) -> torch.Tensor:
    """Which points of (POINTS, n), what the ReLU left, can't be told any more."""
    return (active > 0).sum(1) < 2


@lru_cache(maxsize=64)
@torch.no_grad()
def share_lost(dimensions: int) -> float:
    """Mean over random matrices."""
    points = spiral()
    return float(np.mean([lost(embed(dimensions, seed)(points)).double().mean() for seed in range(DRAWS)]))


def expected_share(dimensions: int) -> float:
    """Each dimension is active with probability ½, so at most one of n is with (n + 1) / 2ⁿ."""
    return (dimensions + 1) / 2**dimensions
