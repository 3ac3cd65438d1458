"""What ViT and Swin cost as a picture grows (Liu et al. 2021, https://arxiv.org/abs/2103.14030, equations 1 and 2)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from cvhub.convert.named import net_without_weights
from cvhub.explain.cost import measure
from cvhub.explain.latency import milliseconds, timed_net
from cvhub.models.swin import CvSwinConfig
from cvhub.models.vit import CvViTConfig

# Two published nets of about equal cost at 224 pixels; and two that differ in nothing but how they attend.
PAIRS = {"published": ("ViT-S/16", "Swin-T"), "twins": ("every patch to all", "within windows")}
SIDES = {"published": (224, 448, 672, 896, 1120), "twins": (56, 112, 168, 224, 280)}
TIMED_SIDES = (56, 112, 168, 224)
REPETITIONS = 3


@dataclass(frozen=True)
class Point:
    """A net on a picture of side × side pixels: multiply-adds of all, of attention alone, and what the paper promises.

    Attention is its projections and its two products, as in the equations; the MLPs are not in it.
    """

    side: int
    multiply_adds: int
    attention: int
    promised: int


def configs(pair: str, side: int) -> tuple[CvViTConfig, CvSwinConfig]:
    """ViT's and Swin's. Positions are made for this side, so that none need be interpolated."""
    if pair == "published":
        vit = CvViTConfig.variant("small", image_size=side, num_labels=1000)
        return vit, CvSwinConfig.variant("swin_tiny", num_labels=1000)
    vit = CvViTConfig(
        image_size=side, patch_size=4, hidden_size=96, num_hidden_layers=2, num_attention_heads=3, intermediate_size=384
    )
    return vit, CvSwinConfig(embed_dim=96, depths=(2,), num_heads=(3,), patch_size=4, window_size=7)


@lru_cache(maxsize=32)
def points(pair: str, side: int) -> tuple[Point, Point]:
    """ViT's and Swin's."""
    vit, swin = configs(pair, side)
    return _point(vit, side, promised_by_equation_1(vit)), _point(swin, side, promised_by_equation_2(swin, side))


def promised_by_equation_1(config: CvViTConfig) -> int:
    """Ω(MSA) = 4hwC² + 2(hw)²C in each layer, the class token counted with the patches."""
    (rows, columns), channels = config.grid, config.hidden_size
    tokens = rows * columns + config.num_prefix_tokens
    return config.num_hidden_layers * (4 * tokens * channels**2 + 2 * tokens**2 * channels)


def promised_by_equation_2(config: CvSwinConfig, side: int) -> int:
    """Ω(W-MSA) = 4hwC² + 2M²hwC in each block, of a map filled up to whole windows for all but the projection back."""
    window, total, stride = config.window_size, 0, 1
    for depth, channels, step in zip(config.depths, config.stage_channels, config.stage_strides, strict=True):
        stride *= step
        plain = -(-side // stride)
        filled = -(-plain // window) * window
        block = (3 * filled**2 + plain**2) * channels**2 + 2 * window**2 * filled**2 * channels
        total += depth * block
    return total


def latencies(side: int) -> tuple[float, float]:
    """Milliseconds of a picture through each of the twins, ViT's and Swin's."""
    pixels = torch.zeros(1, 3, side, side)
    every, windows = (milliseconds(timed_net(config), pixels, REPETITIONS) for config in configs("twins", side))
    return every, windows


def _point(config: Any, side: int, promised: int) -> Point:
    cost = measure(net_without_weights(config), side, side)
    attention = sum(layer.multiply_adds for layer in cost.layers if ".attention" in layer.name)
    return Point(side, cost.multiply_adds, attention, promised)
