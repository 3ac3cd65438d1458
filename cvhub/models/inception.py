"""The Inception block, of which GoogLeNet is made (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 4).

    figure 2(b)                              x (N, C, H, W)
                     ┌───────────────┬───────────────┼───────────────┐
                    1×1             1×1             1×1         max pool 3×3/1
                     │              3×3             5×5             1×1
                     └───────────────┴───────┬───────┴───────────────┘
                                   (N, ΣC_i, H, W), joined in this order

N batch, C channels, H height, W width.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .layers import ConvNormAct


class Row(NamedTuple):
    """A block of table 1: channels of the 1×1, of 3×3 and 5×5 behind their reductions, of the pooling's projection."""

    name: str
    conv1: int
    reduce3: int
    conv3: int
    reduce5: int
    conv5: int
    project: int

    @property
    def out_channels(self) -> int:
        return self.conv1 + self.conv3 + self.conv5 + self.project


TABLE_1 = (
    Row("3a", 64, 96, 128, 16, 32, 32),
    Row("3b", 128, 128, 192, 32, 96, 64),
    Row("4a", 192, 96, 208, 16, 48, 64),
    Row("4b", 160, 112, 224, 24, 64, 64),
    Row("4c", 128, 128, 256, 24, 64, 64),
    Row("4d", 112, 144, 288, 32, 64, 64),
    Row("4e", 256, 160, 320, 32, 128, 128),
    Row("5a", 256, 160, 320, 32, 128, 128),
    Row("5b", 384, 192, 384, 48, 128, 128),
)


def convolution(config: Any) -> partial[ConvNormAct]:
    """The convolution of a net with `config`: with BatchNorm or, as in 2014, without."""
    return partial(ConvNormAct, eps=config.batch_norm_eps if config.normalization == "batch" else None)


class Inception(GradientCheckpointingLayer):
    """Figure 2(b): four views of one map, joined: (N, C, H, W) → (N, ΣC_i, H, W).

    Of a GoogLeNet's `config` it takes the kernel of the third branch and the convolutions' normalisation.
    """

    def __init__(self, config: Any, in_channels: int, row: Row, dilation: int):
        super().__init__()
        conv, branch = partial(convolution(config), dilation=dilation), nn.Sequential
        self.branch1x1 = conv(in_channels, row.conv1, 1)
        self.branch3x3 = branch(conv(in_channels, row.reduce3, 1), conv(row.reduce3, row.conv3, 3))
        self.branch5x5 = branch(conv(in_channels, row.reduce5, 1), conv(row.reduce5, row.conv5, config.third_kernel))
        pool: nn.Module = nn.MaxPool2d(3, 1, padding=1)
        if dilation > 1:  # a pooling itself pads half a kernel at most
            pool = nn.Sequential(nn.ConstantPad2d(dilation, -torch.inf), nn.MaxPool2d(3, 1, dilation=dilation))
        self.branch_pool = branch(pool, conv(in_channels, row.project, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1x1, self.branch3x3, self.branch5x5, self.branch_pool)
        return torch.cat([branch(x) for branch in branches], dim=1)
