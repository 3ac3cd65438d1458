"""Depthwise separable against full convolution (Howard et al. 2017, https://arxiv.org/abs/1704.04861, section 3.1)."""

from dataclasses import dataclass

from torch import nn

from cvhub.explain.cost import Cost, measure


@dataclass(frozen=True)
class Comparison:
    full: Cost
    separable: Cost

    @property
    def ratio(self) -> float:
        """Multiply-adds that the separable convolution needs, as a share of the full one's."""
        return self.separable.multiply_adds / self.full.multiply_adds


def compare(kernel: int, in_channels: int, out_channels: int, side: int) -> Comparison:
    """Costs of K×K convolutions from M to N channels on a map of side × side positions, its size kept."""

    def conv(channels: int, kernel: int, groups: int = 1) -> nn.Conv2d:
        return nn.Conv2d(in_channels, channels, kernel, 1, kernel // 2, groups=groups, bias=False, device="meta")

    full = conv(out_channels, kernel)
    separable = nn.Sequential(conv(in_channels, kernel, groups=in_channels), conv(out_channels, 1))
    return Comparison(measure(full, side, side), measure(separable, side, side))


def promised(kernel: int, out_channels: int) -> float:
    """1/N + 1/K²: equation 5 divided by equation 2."""
    return 1 / out_channels + 1 / kernel**2
