"""α and ρ of MobileNetV1 as a cost surface (Howard et al. 2017, arXiv:1704.04861, sections 3.3 and 3.4)."""

from dataclasses import dataclass
from functools import lru_cache

import torch

from cvhub.convert.named import net_without_weights
from cvhub.explain.cost import Cost, measure
from cvhub.explain.latency import milliseconds, timed_net
from cvhub.models.mobilenet_v1 import CvMobileNetV1Config

WIDTHS = (0.25, 0.5, 0.75, 1.0)  # α of table 6
SIZES = (128, 160, 192, 224)  # pixels a side, ρ · 224 of table 7
CLASSES = 1000
REPETITIONS = 3


@dataclass(frozen=True)
class Cell:
    """MobileNet α on a picture of size × size pixels. `promised`: α²ρ² times the whole net's multiply-adds."""

    alpha: float
    size: int
    cost: Cost
    promised: float

    @property
    def rho(self) -> float:
        return self.size / SIZES[-1]


def surface() -> tuple[Cell, ...]:
    """Every α with every ρ, ρ the faster."""
    return tuple(cell(alpha, size) for alpha in WIDTHS for size in SIZES)


@lru_cache(maxsize=64)
def cell(alpha: float, size: int) -> Cell:
    whole = measure_net(1.0, SIZES[-1]).multiply_adds
    return Cell(alpha, size, measure_net(alpha, size), (alpha * size / SIZES[-1]) ** 2 * whole)


@lru_cache(maxsize=64)
def measure_net(alpha: float, size: int) -> Cost:
    return measure(net_without_weights(config(alpha)), size, size)


def config(alpha: float) -> CvMobileNetV1Config:
    return CvMobileNetV1Config.variant("mobilenet_v1_100", width_multiplier=alpha, num_labels=CLASSES)


def latencies() -> dict[tuple[float, int], float]:
    """Milliseconds of a picture by (α, size)."""
    found = {}
    for alpha in WIDTHS:
        net = timed_net(config(alpha))
        for size in SIZES:
            found[alpha, size] = milliseconds(net, torch.zeros(1, 3, size, size), REPETITIONS)
    return found
