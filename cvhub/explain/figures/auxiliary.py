"""The gradient that GoogLeNet's auxiliary classifiers bring down (Szegedy et al. 2015, arXiv:1409.4842, section 5)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from cvhub.models.googlenet import CvGoogLeNetConfig, CvGoogLeNetForImageClassification
from cvhub.models.inception import TABLE_1

NARROWER = 8  # times than the paper's net, which would take a minute
SIDE, BATCH, CLASSES = 64, 4, 10
# How weights begin. The deviation is of a normal distribution, as was usual before normalised initialisation.
STARTS = {"fan_in": None, "0.05": 0.05, "0.01": 0.01}


@dataclass(frozen=True)
class Gradients:
    """‖∂L/∂W‖ of all weights of each row of table 1, in its order: of the main loss alone, and of L with 0.3 of the two
    auxiliary losses (section 5)."""

    names: tuple[str, ...]
    without: tuple[float, ...]
    together: tuple[float, ...]


@lru_cache(maxsize=8)
def gradients(start: str = "fan_in", normalization: str = "lrn") -> Gradients:
    """Of cross entropy on a batch of noise with random labels, in a net that has just been initialised.

    `start`: one of STARTS; `normalization`: "lrn", the paper's, or "batch".
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        model = narrow(normalization)
        if (deviation := STARTS[start]) is not None:
            begin_small(model, deviation)
        pixels, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(CLASSES, (BATCH,))
        output = model.train()(pixels, labels=labels)
        rows = rows_of_table_1(model.base_model)
        without = norms(model.loss(output.logits, labels), rows)
        together = norms(output.loss, rows)
    return Gradients(tuple(rows), without, together)


def narrow(normalization: str) -> Any:
    """The paper's 22 layers with an eighth of the channels, and without dropout, which chance would blur."""
    rows = [(row.name, *(channels // NARROWER for channels in row[1:])) for row in TABLE_1]
    return CvGoogLeNetForImageClassification(
        CvGoogLeNetConfig.variant(
            "googlenet",
            rows=rows,
            stem_channels=(8, 8, 24),
            normalization=normalization,
            auxiliary_channels=16,
            auxiliary_features=128,
            dropout=0.0,
            auxiliary_dropout=0.0,
            num_labels=CLASSES,
        )
    )


@torch.no_grad()
def begin_small(model: nn.Module, deviation: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=deviation)


def rows_of_table_1(base: Any) -> dict[str, list[Tensor]]:
    """Name → weights of its convolutions."""
    modules = {"conv1": base.stem, "conv2": base.conv2} | dict(base.inception.items())
    return {
        name: [part.weight for part in module.modules() if isinstance(part, nn.Conv2d)]
        for name, module in modules.items()
    }


def norms(loss: Tensor, rows: dict[str, list[Tensor]]) -> tuple[float, ...]:
    found = torch.autograd.grad(loss, [weight for weights in rows.values() for weight in weights], retain_graph=True)
    squares = iter(gradient.double().square().sum() for gradient in found)
    return tuple(float(sum(next(squares) for _ in weights)) ** 0.5 for weights in rows.values())
