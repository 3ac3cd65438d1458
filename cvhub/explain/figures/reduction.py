"""Inception's 1×1 reductions (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 4 and figure 2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from cvhub.explain.cost import Cost, measure
from cvhub.models.googlenet import CvGoogLeNetConfig
from cvhub.models.inception import Inception, Row, convolution


class NaiveInception(nn.Module):
    """Figure 2(a): each kernel on all channels, which the pooling hands on. (N, C, H, W) → (N, ΣC_i + C, H, W)."""

    def __init__(self, config: CvGoogLeNetConfig, in_channels: int, row: Row):
        super().__init__()
        conv = convolution(config)
        kernels = ((row.conv1, 1), (row.conv3, 3), (row.conv5, config.third_kernel))
        self.branches = nn.ModuleList(conv(in_channels, channels, kernel) for channels, kernel in kernels)
        self.branches.append(nn.MaxPool2d(3, 1, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


@dataclass(frozen=True)
class Comparison:
    """A block of table 1 on a map of side × side positions.

    - `reduced`: as in figure 2(b). `naive`: as in 2(a), on as many channels as the net's block gets.
    - `piled_channels`: what it would get if the blocks before it were naive too; `piled`: naive, on these.
    """

    name: str
    side: int
    in_channels: int
    piled_channels: int
    reduced: Cost
    naive: Cost
    piled: Cost


@lru_cache(maxsize=8)
def compare(size: int = 224) -> tuple[Comparison, ...]:
    """The nine blocks of the paper's net, for a picture of size × size pixels."""
    return tuple(_compare(CvGoogLeNetConfig(), size))


def _compare(config: CvGoogLeNetConfig, size: int) -> Iterator[Comparison]:
    channels = piled = config.stage_channels[1]
    with torch.device("meta"):
        for rows, side in zip(config.stages, config.map_sizes(size)[2:], strict=True):
            for row in rows:
                blocks = (
                    Inception(config, channels, row, dilation=1),
                    NaiveInception(config, channels, row),
                    NaiveInception(config, piled, row),
                )
                costs = (measure(block, side, side) for block in blocks)
                yield Comparison(row.name, side, channels, piled, *costs)
                channels, piled = row.out_channels, piled + row.conv1 + row.conv3 + row.conv5
