"""BCE and Dice as the object shrinks: what each loss of one and the same prediction is, and whose gradient it is.

A picture of PIXELS pixels, n of them the object's. A net finds a part of the object, p = 1 − q there, and takes all
else for background, p = q there: q is its doubt. Losses are those of `cvhub/models/losses_dense.py`.
"""

import math
from dataclasses import dataclass

import torch

from cvhub.models.losses_dense import dense_loss

PIXELS = 20_000
OBJECTS = (20, 40, 100, 200, 400, 1000, 2000, 4000, 10_000)  # n, 0.1 % to half of the picture
KINDS = ("bce", "dice", "bce_dice", "focal")


@dataclass(frozen=True)
class Share:
    """One loss, and the part of its gradient that is the object's: Σ|∂L/∂z| over its pixels, of that over all."""

    loss: float
    of_gradient: float


def curve(kind: str, found: float, doubt: float) -> dict[float, Share]:
    """By the object's share of the pixels. `found` is the share of the object that the net finds, `doubt` q."""
    return {n / PIXELS: share(kind, n, found, doubt) for n in OBJECTS}


def share(kind: str, n: int, found: float, doubt: float) -> Share:
    """Of an object of n pixels, a whole number of which is found."""
    labels = torch.zeros(1, 1, PIXELS, dtype=torch.int64)
    labels[..., :n] = 1
    sure = math.log((1 - doubt) / doubt)
    logits = torch.full((1, 1, 1, PIXELS), -sure, dtype=torch.float64)
    logits[..., : round(found * n)] = sure
    logits.requires_grad_()
    loss = dense_loss(logits, labels, kind)
    (gradient,) = torch.autograd.grad(loss, logits)
    steepness = gradient.abs().flatten()
    return Share(loss.item(), (steepness[:n].sum() / steepness.sum()).item())
