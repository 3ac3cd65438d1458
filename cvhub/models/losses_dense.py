"""What a segmenter's forward computes when it is given labels: one loss for all pixels, by name or by function.

Letters: N pictures, K channels, H × W pixels; z a logit, p a probability, t a target of 0 to 1, γ and α Lin's.

    logits    (N, K, H, W)  K = 1: a mask's, p = σ(z) of class 1 and 1 − p of class 0; K > 1: classes', p = softmax(z)
    labels    (N, H, W)     integers, the classes; pixels of `ignore_index` count nowhere
           or (N, K, H, W)  floats of 0 to 1, soft targets t, where every pixel counts
    weights   (N, H, W)     floats, what each pixel's loss is multiplied by
    a map     (N, H, W)     the loss of each pixel, 0 where it is ignored
    a loss    ()            its mean over the pixels that count, or over the channels for Dice and IoU

All is computed in float32 at least, is finite for logits of any size, and where no pixel counts is 0 with gradient 0.
Labels or weights that don't fit the logits raise `ValueError`.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-7  # what a quotient's denominator is at least


# --- Losses of single pixels ------------------------------------------------------------------------------------------


def cross_entropy_map(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """−Σ_k t_k log p_k of each pixel, in nats: −log of its class's probability (Long et al. 2015, section 4,
    https://arxiv.org/abs/1411.4038)."""
    z, y, valid = _read(logits, labels, ignore_index)
    return _expected(-_log_probabilities(z), y, valid)


def bce_map(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """−[t log σ(z) + (1 − t) log(1 − σ(z))] of each pixel, a mean over its channels, each a question of yes or no."""
    z, y, valid = _read(logits, labels, ignore_index)
    losses = F.binary_cross_entropy_with_logits(z, _targets(y, z), reduction="none")
    return torch.where(valid, losses.mean(dim=1), 0)


def focal_map(
    logits: Tensor, labels: Tensor, ignore_index: int = 255, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """−Σ_k t_k α_k (1 − p_k)^γ log p_k of each pixel: cross entropy, less of it the surer the net is and right.

    `alpha` weighs a mask's class 1, and 1 − α its class 0; None weighs all alike (Lin et al. 2017, eq. 4 and 5,
    https://arxiv.org/abs/1708.02002). Of K classes, p is softmax's.
    """
    z, y, valid = _read(logits, labels, ignore_index)
    log_p = _log_probabilities(z)
    # The bound keeps the power's gradient finite for γ < 1 at p = 1.
    doubt = (-log_p.expm1()).clamp_min(torch.finfo(z.dtype).tiny)
    costs = -(doubt**gamma) * log_p
    if alpha is not None:
        if z.shape[1] > 1:
            raise ValueError(f"alpha is {alpha} with {z.shape[1]} channels, expected None, or one channel.")
        costs = costs * costs.new_tensor([1 - alpha, alpha]).view(1, 2, 1, 1)
    return _expected(costs, y, valid)


# --- Overlap, of all pixels together ----------------------------------------------------------------------------------


class Overlap(NamedTuple):
    """How predicted and true masks overlap, in pixels of each channel (K,); soft masks have fractions of pixels."""

    intersection: Tensor
    predicted: Tensor
    true: Tensor

    @property
    def dice(self) -> Tensor:
        """2 I / (P + T), (K,): Dice's coefficient, made soft (Drozdzal et al. 2016, https://arxiv.org/abs/1608.04117).

        The denominator of V-Net (Milletari et al. 2016, section 3) has sums of squares instead.
        """
        return 2 * self.intersection / (self.predicted + self.true).clamp_min(EPSILON)

    @property
    def iou(self) -> Tensor:
        """I / (P + T − I), (K,): intersection over union, or Jaccard's index, made soft (Rahman & Wang 2016,
        https://doi.org/10.1007/978-3-319-50835-1_22)."""
        return self.intersection / (self.predicted + self.true - self.intersection).clamp_min(EPSILON)


def overlap(probabilities: Tensor, targets: Tensor, valid: Tensor) -> Overlap:
    """The overlap of p and t, both (N, K, H, W), over the pixels of `valid` (N, H, W), all pictures together.

    I = Σ min(p, t), P = Σ p, T = Σ t. Where t is 0 or 1, min(p, t) is the papers' p·t; where it is soft, only min makes
    p = t the best answer (Wang et al. 2023, https://arxiv.org/abs/2303.16296).
    """
    counted = valid[:, None]
    p, t = torch.where(counted, probabilities, 0), torch.where(counted, targets, 0)
    every_pixel = (0, 2, 3)
    return Overlap(torch.minimum(p, t).sum(every_pixel), p.sum(every_pixel), t.sum(every_pixel))


def logits_overlap(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Overlap:
    """The overlap that `dice_loss` and `soft_iou_loss` have in their formulas."""
    z, y, valid = _read(logits, labels, ignore_index)
    p = z.sigmoid() if z.shape[1] == 1 else z.softmax(dim=1)
    return overlap(p, _targets(y, z), valid)


# --- Losses -----------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = 255, weights: Tensor | None = None) -> Tensor:
    """`cross_entropy_map`'s mean over the pixels that count; with weights Σ w(x) ℓ(x) / number of such pixels.

    So it is eq. 1 of U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597), there a sum.
    """
    return _mean(cross_entropy_map(logits, labels, ignore_index), labels, ignore_index, weights)


def bce_loss(logits: Tensor, labels: Tensor, ignore_index: int = 255, weights: Tensor | None = None) -> Tensor:
    """`bce_map`'s mean over the pixels that count, weighted as in `cross_entropy`."""
    return _mean(bce_map(logits, labels, ignore_index), labels, ignore_index, weights)


def focal_loss(
    logits: Tensor, labels: Tensor, ignore_index: int = 255, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """`focal_map`'s mean over the pixels that count. The paper's detectors divide by the number of objects."""
    return _mean(focal_map(logits, labels, ignore_index, gamma, alpha), labels, ignore_index, None)


def dice_loss(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """1 − 2 I / (P + T), a mean over the channels, each over all pixels of the batch.

    A channel that occurs nowhere in the truth adds 0, whatever is predicted: for an empty truth every non-empty
    prediction is equally wrong, 1, so there is no slope to follow.
    """
    found = logits_overlap(logits, labels, ignore_index)
    return _mean_of_present(1 - found.dice, found)


def soft_iou_loss(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """1 − I / (P + T − I), a mean over the channels as in `dice_loss`."""
    found = logits_overlap(logits, labels, ignore_index)
    return _mean_of_present(1 - found.iou, found)


def bce_dice_loss(logits: Tensor, labels: Tensor, ignore_index: int = 255, weights: Tensor | None = None) -> Tensor:
    """`bce_loss`, to which alone the weights apply, + `dice_loss`: each pixel by itself, and the mask as a whole
    (Isensee et al. 2018, https://arxiv.org/abs/1809.10486)."""
    return bce_loss(logits, labels, ignore_index, weights) + dice_loss(logits, labels, ignore_index)


WEIGHTED_LOSSES = {"cross_entropy": cross_entropy, "bce": bce_loss, "bce_dice": bce_dice_loss}
UNWEIGHTED_LOSSES = {"focal": focal_loss, "dice": dice_loss, "soft_iou": soft_iou_loss}
LOSSES = (*WEIGHTED_LOSSES, *UNWEIGHTED_LOSSES)


def dense_loss(
    logits: Tensor, labels: Tensor, kind: str, ignore_index: int = 255, weights: Tensor | None = None
) -> Tensor:
    """The loss that a config names, one of `LOSSES`, as a scalar. Weights are for those of `WEIGHTED_LOSSES`."""
    if kind in WEIGHTED_LOSSES:
        return WEIGHTED_LOSSES[kind](logits, labels, ignore_index, weights)
    if kind not in UNWEIGHTED_LOSSES:
        raise ValueError(f"the loss is {kind!r}, expected one of {', '.join(LOSSES)}.")
    if weights is not None:
        raise ValueError(f"the loss {kind!r} takes no weights, only {', '.join(WEIGHTED_LOSSES)} do.")
    return UNWEIGHTED_LOSSES[kind](logits, labels, ignore_index)


# --- What they share --------------------------------------------------------------------------------------------------


def _read(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits in float32 at least, labels as floats or as int64 with 0 where ignored, and which pixels count."""
    z = logits.to(torch.promote_types(logits.dtype, torch.float32))
    pixels = (z.shape[0], *z.shape[2:])
    if labels.is_floating_point():
        if labels.shape != z.shape:
            raise ValueError(f"soft labels have shape {tuple(labels.shape)}, expected {tuple(z.shape)}.")
        _check_range(labels, 1)
        return z, labels.to(z.dtype), labels.new_ones(pixels, dtype=torch.bool)
    if labels.shape != pixels:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected {pixels}.")
    y = labels.long()  # in uint8 an ignore_index of −100 would be 156
    valid = y != ignore_index
    y = torch.where(valid, y, 0)
    _check_range(y, max(z.shape[1], 2) - 1)
    return z, y, valid


def _check_range(labels: Tensor, highest: int) -> None:
    wrong = labels[~((labels >= 0) & (labels <= highest))]  # NaN too
    if len(wrong) > 0:
        raise ValueError(f"a label is {wrong[0].item():g}, expected 0 to {highest}, or the ignore_index in integers.")


def _log_probabilities(z: Tensor) -> Tensor:
    """log p of each class, (N, max(K, 2), H, W)."""
    if z.shape[1] == 1:
        return torch.cat([F.logsigmoid(-z), F.logsigmoid(z)], dim=1)
    return z.log_softmax(dim=1)


def _expected(costs: Tensor, y: Tensor, valid: Tensor) -> Tensor:
    """What the labels cost, (N, H, W), of what each class would cost a pixel, (N, classes, H, W)."""
    if not y.is_floating_point():
        return torch.where(valid, costs.gather(1, y[:, None]).squeeze(1), 0)
    t = torch.cat([1 - y, y], dim=1) if y.shape[1] == 1 else y
    return (t * costs).sum(dim=1)


def _targets(y: Tensor, z: Tensor) -> Tensor:
    """Labels as t (N, K, H, W), of integers a mask or one-hot."""
    if y.is_floating_point():
        return y
    if z.shape[1] == 1:
        return y[:, None].to(z.dtype)
    return torch.zeros_like(z).scatter(1, y[:, None], 1)


def _mean(losses: Tensor, labels: Tensor, ignore_index: int, weights: Tensor | None) -> Tensor:
    if weights is not None:
        if weights.shape != losses.shape:
            raise ValueError(f"weights have shape {tuple(weights.shape)}, expected {tuple(losses.shape)}.")
        losses = losses * weights.to(losses.dtype)
    if labels.is_floating_point():
        return losses.mean()
    return losses.sum() / (labels.long() != ignore_index).sum().clamp_min(1)


def _mean_of_present(losses: Tensor, found: Overlap) -> Tensor:
    return torch.where(found.true > 0, losses, 0).mean()
