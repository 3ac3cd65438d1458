"""How well two boxes agree: IoU and its three successors, which see what IoU does not, how boxes lie that don't meet.

A box is (x0, y0, x1, y1) in pixels, x0 ≤ x1 and y0 ≤ y1. Boxes are compared in pairs, (…, 4) with (…, 4) → (…), the
leading shapes broadcast: (N, 1, 4) with (M, 4) gives all (N, M). Everything is differentiable, in float32 at least;
a fraction 0/0, of boxes without area, counts as 0, and its gradient is finite.
"""

import math

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor

from cvhub.errors import CvhubError


def iou(a: Tensor, b: Tensor) -> Tensor:
    """|A ∩ B| / |A ∪ B|, 0 to 1 (Everingham et al. 2010, https://doi.org/10.1007/s11263-009-0275-4, section 4.2).

    Boxes apart have 0, whatever their distance: no gradient leads them together.
    """
    return _ratio(*areas(a, b))


def giou(a: Tensor, b: Tensor) -> Tensor:
    """IoU − (|C| − |A ∪ B|) / |C|, −1 to 1, where C is the smallest box around both
    (Rezatofighi et al. 2019, algorithm 1, https://arxiv.org/abs/1902.09630)."""
    intersection, union = areas(a, b)
    around = area_around(a, b)
    return _ratio(intersection, union) - _ratio(around - union, around)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """IoU − ρ² / c², −1 to 1: ρ is the distance of the centres, c the diagonal of the smallest box around both
    (Zheng et al. 2020, eq. 7, https://arxiv.org/abs/1911.08287)."""
    return iou(a, b) - _ratio(*distances(a, b))


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """DIoU − α v, v = 4/π² (arctan w_b/h_b − arctan w_a/h_a)² and α = v / (1 − IoU + v): the shapes should agree too
    (Zheng et al. 2020, eq. 8 to 11). α only weighs v, so no gradient flows through it."""
    v, alpha = shapes_apart(a, b)
    return diou(a, b) - alpha * v


AGREEMENTS = {"iou": iou, "giou": giou, "diou": diou, "ciou": ciou}


def box_loss(boxes: Tensor, targets: Tensor, kind: str) -> Tensor:
    """1 − the agreement of that name, one of `AGREEMENTS`, of each pair (…): 0 for equal boxes that have an area."""
    if kind not in AGREEMENTS:
        raise CvhubError(f"the loss of boxes is {kind!r}, expected one of {', '.join(AGREEMENTS)}.")
    return 1 - AGREEMENTS[kind](boxes, targets)


def areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """|A ∩ B| and |A ∪ B|, (…) each, in square pixels."""
    a, b = _pair(a, b)
    common = torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], dim=-1)
    intersection = _sides(common).prod(dim=-1)
    return intersection, _sides(a).prod(dim=-1) + _sides(b).prod(dim=-1) - intersection


def area_around(a: Tensor, b: Tensor) -> Tensor:
    """GIoU's |C|, (…), in square pixels."""
    return _sides(_around(*_pair(a, b))).prod(dim=-1)


def distances(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """DIoU's ρ² and c², (…) each, in square pixels."""
    a, b = _pair(a, b)
    apart = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(dim=-1)
    return apart, _sides(_around(a, b)).square().sum(dim=-1)


def shapes_apart(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """CIoU's v and α, (…) each; α without gradient."""
    a, b = _pair(a, b)
    v = 4 / math.pi**2 * (_slope(b) - _slope(a)).square()
    with torch.no_grad():
        alpha = _ratio(v, 1 - iou(a, b) + v)
    return v, alpha


def instance_boxes(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a map (H, W), ascending (M,), and the tight box of each, (M, 4) of int64; ids below 1 are background.

    x1 and y1 are exclusive, so that x1 − x0 is the width in pixels.
    """
    if instances.ndim != 2:
        raise CvhubError(f"a map of instances has shape {instances.shape}, expected (H, W).")
    ids = np.unique(instances)
    ids = ids[ids > 0]
    if len(ids) and ids[-1] > instances.size:  # far apart, as colours are: room is made for each number up to the last
        instances, numbers = np.where(instances > 0, np.searchsorted(ids, instances) + 1, 0), range(1, len(ids) + 1)
    else:
        numbers = ids.tolist()
    found = find_objects(instances.astype(np.int64, copy=False))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in (found[number - 1] for number in numbers)]
    return ids, np.array(boxes, np.int64).reshape(-1, 4)


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    for boxes in (a, b):
        if boxes.shape[-1:] != (4,):
            raise CvhubError(f"boxes have shape {tuple(boxes.shape)}, expected (…, 4).")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(dtype), b.to(dtype)


def _sides(boxes: Tensor) -> Tensor:
    """Width and height, (…, 2); of what is no box, since it ends before it begins, 0."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)


def _around(a: Tensor, b: Tensor) -> Tensor:
    """The smallest box that holds both, (…, 4)."""
    return torch.cat([torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])], dim=-1)


def _slope(boxes: Tensor) -> Tensor:
    """arctan w/h, of a point 0 and with gradient 0."""
    w, h = _sides(boxes).unbind(dim=-1)
    return torch.atan2(w, h)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both are."""
    return part / torch.where(whole > 0, whole, 1)
