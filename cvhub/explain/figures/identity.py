"""A residual block whose branch is zero is the identity (He et al. 2015, arXiv:1512.03385, section 3.1).

"If identity mappings are optimal, the solvers may simply drive the weights of the multiple nonlinear layers toward zero
to approach identity mappings." Here γ of each block's last norm is driven there; nets are often begun at γ = 0, so that
at first no block does anything (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cvhub.models.layers import Sampling
from cvhub.models.resnet import BasicBlock, CvResNetConfig

CHANNELS = 3  # the blocks are as wide as a picture, so that what they do to it can be looked at


@dataclass(frozen=True)
class Passage:
    """A map (H, W, 3), and what blocks with shortcuts and without make of it, of the same shape."""

    entered: np.ndarray
    residual: np.ndarray
    plain: np.ndarray

    @property
    def residual_change(self) -> float:
        """Greatest difference between what entered and what left, 0 for an identity."""
        return float(np.abs(self.residual - self.entered).max())

    @property
    def plain_change(self) -> float:
        return float(np.abs(self.plain - self.entered).max())


@torch.no_grad()
def passage(values: np.ndarray, gamma: float, depth: int) -> Passage:
    """`values` (H, W, 3) through `depth` blocks with weights of chance, the same ones with shortcuts and without.

    The ReLU after the sum lets negative values become 0, whatever γ is: blocks are identities on what is not negative,
    such as what any block before them gives.
    """
    pixels = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]
    residual, plain = stack("A", gamma, depth), stack("none", gamma, depth)
    plain.load_state_dict(residual.state_dict())
    outputs = (net(pixels)[0].permute(1, 2, 0).numpy() for net in (residual, plain))
    return Passage(pixels[0].permute(1, 2, 0).numpy(), *outputs)


def stack(shortcut: str, gamma: float, depth: int) -> nn.Sequential:
    """Basic blocks that keep size and channels, each 3×3 initialised as in a ResNet."""
    config = CvResNetConfig(block="basic", shortcut=shortcut)
    blocks = [BasicBlock(config, CHANNELS, CHANNELS, Sampling(1, 1, 1, 1)) for _ in range(depth)]
    chance = torch.Generator().manual_seed(0)
    for block in blocks:
        for convolution in (block.conv1.conv, block.conv2.conv):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu", generator=chance)
        nn.init.constant_(block.conv2.norm.get_parameter("weight"), gamma)
    return nn.Sequential(*blocks).eval()
