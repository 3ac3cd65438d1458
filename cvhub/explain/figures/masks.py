"""Two discs as masks: each loss of a soft prediction against a hard truth, and its gradient, pixel by pixel.

The picture is WIDTH × HEIGHT pixels, of which masks have one in CELL × CELL. A disc is (cx, cy, r) in pixels. A, the
prediction, has logits z = K tanh((r − d) / EDGE), d from its centre: sure within and without, in doubt at its edge.
B, the truth, has the label 1 where d < r. Losses are those of `cvhub/models/losses_dense.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvhub.models.losses_dense import Overlap, bce_map, dense_loss, focal_map, logits_overlap

WIDTH, HEIGHT, CELL = 400, 300, 4
EDGE = 10.0
STEPS, EVERY = 100, 4  # of descent, of which each fourth is kept
KINDS = ("soft_iou", "dice", "bce", "bce_dice", "focal")

Disc = Sequence[float]


@dataclass(frozen=True)
class Terms:
    """What the formulas are made of, in pixels of the masks, and what BCE and focal add up to over B and outside it."""

    intersection: float
    predicted: float
    true: float
    pixels: int
    bce: tuple[float, float]
    focal: tuple[float, float]


@dataclass(frozen=True)
class Slope:
    """One loss, ∂L/∂z of each pixel (H, W), and what that is for the disc as a whole, ∂L/∂(cx, cy, r), a pixel."""

    loss: float
    pixels: np.ndarray
    disc: tuple[float, float, float]

    def of_object(self, truth: np.ndarray) -> float:
        """The part of Σ|∂L/∂z| that comes from the pixels of the truth (H, W); 0 where there is no gradient."""
        steepness = np.abs(self.pixels)
        return float(steepness[truth].sum() / max(steepness.sum(), np.finfo(float).tiny))


@dataclass(frozen=True)
class Descent:
    """What descent on one loss makes of the prediction: p at each frame (F, H, W), its loss (F), and the IoU of p > ½
    with B (F), which compares the losses with each other."""

    probabilities: np.ndarray
    losses: np.ndarray
    ious: np.ndarray


def truth(b: Disc) -> np.ndarray:
    """(H, W), True within B."""
    x, y, radius = (float(number) for number in b)
    return (distances(torch.tensor([x, y], dtype=torch.float64)) < radius).numpy()


def terms(a: Disc, b: Disc, sureness: float) -> Terms:
    logits, labels = logits_of(tensor(a), sureness), labels_of(b)
    inside = labels[0] == 1
    found = logits_overlap(logits, labels)
    sums = []
    for losses in (bce_map(logits, labels)[0], focal_map(logits, labels)[0]):
        sums.append((losses[inside].sum().item(), losses[~inside].sum().item()))
    return Terms(found.intersection.item(), found.predicted.item(), found.true.item(), labels.numel(), *sums)


def slopes(a: Disc, b: Disc, sureness: float) -> dict[str, Slope]:
    """By loss."""
    disc, labels = tensor(a).requires_grad_(), labels_of(b)
    logits = logits_of(disc, sureness)
    found = {}
    for kind in KINDS:
        loss = dense_loss(logits, labels, kind)
        by_pixel, by_disc = torch.autograd.grad(loss, [logits, disc], retain_graph=True)
        found[kind] = Slope(loss.item(), by_pixel[0, 0].numpy(), tuple(by_disc.tolist()))
    return found


def descend(a: Disc, b: Disc, sureness: float, rate: float) -> dict[str, Descent]:
    """By loss: STEPS steps on every pixel's logit by itself, from A. `rate` is for N·L, the sum of the pixels' losses.

    A net's pixels share its weights; here none is moved but by its own gradient.
    """
    labels = labels_of(b)
    inside = labels[0] == 1
    found = {}
    for kind in KINDS:
        logits = logits_of(tensor(a), sureness)
        frames = []
        for step in range(STEPS + 1):
            logits.requires_grad_()
            loss = dense_loss(logits, labels, kind)
            (gradient,) = torch.autograd.grad(loss, logits)
            logits = logits.detach()
            if step % EVERY == 0:
                p = logits[0, 0].sigmoid()
                frames.append((p.numpy(), loss.item(), hard_iou(p > 0.5, inside)))
            logits = logits - rate * labels.numel() * gradient
        found[kind] = Descent(*map(np.stack, zip(*frames, strict=True)))
    return found


def hard_iou(mask: Tensor, truth: Tensor) -> float:
    """Of two masks (H, W) of true and false."""
    mask, truth = mask.double(), truth.double()
    return Overlap((mask * truth).sum(), mask.sum(), truth.sum()).iou.item()


def logits_of(disc: Tensor, sureness: float) -> Tensor:
    """z of a disc (3), (1, 1, H, W)."""
    return (sureness * torch.tanh((disc[2] - distances(disc[:2])) / EDGE))[None, None]


def labels_of(disc: Disc) -> Tensor:
    """(1, H, W) of int64."""
    return torch.from_numpy(truth(disc)).long()[None]


def distances(centre: Tensor) -> Tensor:
    """Of the masks' pixels from a place (2), in pixels of the picture, (H, W)."""
    y, x = (torch.arange(CELL / 2, side, CELL, dtype=torch.float64) for side in (HEIGHT, WIDTH))
    # A hair's breadth more, so that the root has a slope at the centre itself.
    return ((x - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2 + 1e-12).sqrt()


def tensor(disc: Disc) -> Tensor:
    return torch.tensor([float(number) for number in disc], dtype=torch.float64)
