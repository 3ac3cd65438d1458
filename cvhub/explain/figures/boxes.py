"""Two boxes: how far they agree by each measure, where each loss would move one of them, and where descent takes it.

All numbers are those of `cvhub/evaluation/boxes.py`, and Dice that of `cvhub/models/losses_dense.py`, for which a box
is a mask without fractions. Boxes are (x0, y0, x1, y1) in pixels of a picture of WIDTH × HEIGHT; L = 1 − agreement.
A is the predicted box, which moves; B is the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvhub.evaluation.boxes import AGREEMENTS, area_around, areas, box_loss, distances, iou, shapes_apart
from cvhub.models.losses_dense import Overlap

WIDTH, HEIGHT = 400, 300
KINDS = (*AGREEMENTS, "dice")
STEPS = 100
MOMENTUM = 0.8
SMALLEST = 1.0  # pixels that a side has at least in descent, which may step too far

Box = Sequence[float]


@dataclass(frozen=True)
class Terms:
    """What the formulas are made of: areas and squared distances in square pixels, v and α without unit."""

    predicted: float  # |A|
    true: float  # |B|
    intersection: float  # |A ∩ B|
    union: float  # |A ∪ B|
    around: float  # |C|
    apart: float  # ρ²
    diagonal: float  # c²
    v: float
    alpha: float


@dataclass(frozen=True)
class Pull:
    """One measure's agreement, and its loss's gradient ∂L/∂(x0, y0, x1, y1), a pixel."""

    agreement: float
    gradient: tuple[float, float, float, float]

    @property
    def loss(self) -> float:
        return 1 - self.agreement

    @property
    def centre(self) -> tuple[float, float]:
        """∂L/∂(cx, cy) while width and height stay: both sides move with the centre."""
        x0, y0, x1, y1 = self.gradient
        return x0 + x1, y0 + y1

    @property
    def still(self) -> bool:
        """No direction is better than any other."""
        return not any(self.gradient)


@dataclass(frozen=True)
class Descent:
    """Where gradient descent on one loss takes A: boxes (STEPS + 1, 4), the first as it was, and the loss of each.

    Its IoU with B compares the losses with each other.
    """

    boxes: np.ndarray
    losses: np.ndarray
    ious: np.ndarray

    @property
    def moved(self) -> bool:
        return bool((self.boxes != self.boxes[0]).any())


def terms(a: Box, b: Box) -> Terms:
    boxes = tensor(a), tensor(b)
    found = (*map(area, boxes), *areas(*boxes), area_around(*boxes), *distances(*boxes), *shapes_apart(*boxes))
    return Terms(*map(float, found))


def pulls(a: Box, b: Box) -> dict[str, Pull]:
    """By measure."""
    found = {}
    for kind in KINDS:
        moving = tensor(a).requires_grad_()
        loss = loss_of(kind, moving, tensor(b))
        (gradient,) = torch.autograd.grad(loss, moving)
        found[kind] = Pull(1 - loss.item(), tuple(gradient.tolist()))
    return found


def descend(a: Box, b: Box, rate: float) -> dict[str, Descent]:
    """By measure: STEPS steps from the same start, on centre and size, which are what detectors predict.

    `rate` is the first step's, in picture widths: lengths count as shares of WIDTH. These gradients don't shrink near
    the goal, where steps of one length would go to and fro for ever: so each step is along a running mean of gradients,
    and the rate falls to 0 with the square of the steps that are left.
    """
    truth = tensor(b)
    moving = tensor(a).repeat(len(KINDS), 1)
    mean = torch.zeros_like(moving)
    boxes, losses = [], []
    for step in range(STEPS + 1):
        moving.requires_grad_()
        loss = torch.stack([loss_of(kind, one, truth) for kind, one in zip(KINDS, moving, strict=True)])
        (gradient,) = torch.autograd.grad(loss.sum(), moving)
        moving = moving.detach()
        boxes.append(moving.numpy())
        losses.append(loss.detach().numpy())
        mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        moving = stepped(moving, mean, rate * WIDTH**2 * (1 - step / STEPS) ** 2)
    way = torch.from_numpy(np.stack(boxes, axis=1))  # (K, STEPS + 1, 4)
    found = zip(way.numpy(), np.stack(losses, axis=1), iou(way, truth).numpy(), strict=True)
    return {kind: Descent(*one) for kind, one in zip(KINDS, found, strict=True)}


def stepped(boxes: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """One step of descent from boxes (K, 4) on centre and size, by ∂L/∂ sides (K, 4) and a rate in square pixels."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    centre = centre - rate * (gradient[:, :2] + gradient[:, 2:])
    size = (size - rate * (gradient[:, 2:] - gradient[:, :2]) / 2).clamp_min(SMALLEST)
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


def loss_of(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """1 − the agreement of boxes (4), one of KINDS, as a scalar."""
    if kind != "dice":
        return box_loss(a, b, kind)
    intersection, _ = areas(a, b)
    return 1 - Overlap(intersection, area(a), area(b)).dice


def area(box: Tensor) -> Tensor:
    """Of a box (4), whose union with itself it is."""
    return areas(box, box)[1]


def tensor(box: Box) -> Tensor:
    return torch.tensor(box, dtype=torch.float64)
