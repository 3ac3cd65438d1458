"""All ResNets at a glance (He et al. 2015, https://arxiv.org/abs/1512.03385, table 1), from their configs."""

from dataclasses import dataclass
from functools import lru_cache

import torch

from cvhub.convert.named import net_without_weights
from cvhub.explain.cost import measure
from cvhub.explain.latency import milliseconds, timed_net
from cvhub.models.resnet import EXPANSION, CvResNetConfig

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SIDE = 224  # pixels of a picture's sides
REPETITIONS = 3
CONVOLUTIONS = {"basic": 2, "bottleneck": 3}


@dataclass(frozen=True)
class Row:
    layers: int
    block: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]  # channels that leave each stage
    parameters: int
    multiply_adds: int


@lru_cache(maxsize=len(NAMES))
def row(name: str) -> Row:
    """A column of the paper's table, at 224 × 224 pixels and 1000 classes."""
    config = CvResNetConfig.variant(name, num_labels=1000)
    cost = measure(net_without_weights(config), SIDE, SIDE)
    return Row(
        layers=weighted_layers(config),
        block=config.block,
        depths=tuple(config.depths),
        widths=tuple(width * EXPANSION[config.block] for width in config.widths),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
    )


def latency(name: str) -> float:
    """Milliseconds of one picture, measured now."""
    net = timed_net(CvResNetConfig.variant(name, num_labels=1000))
    return milliseconds(net, torch.zeros(1, 3, SIDE, SIDE), REPETITIONS)


def weighted_layers(config: CvResNetConfig) -> int:
    """What a ResNet is named after: the stem, the blocks' convolutions and the classifier; projections don't count."""
    return 1 + CONVOLUTIONS[config.block] * sum(config.depths) + 1
