"""What an answer is worth against a truth: each loss by the library's own function, with the numbers it is made of."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cvhub.evaluation.boxes import giou, instance_boxes
from cvhub.evaluation.dense_metrics import BoundaryTally, SemanticTally
from cvhub.evaluation.segment_metrics import PanopticQuality, PanopticTally
from cvhub.evaluation.segmentation import answered_segments, true_segments
from cvhub.evaluation.truth import IGNORED, Masks
from cvhub.inference.segments import enlarged
from cvhub.models import losses_dense
from cvhub.ui.segment.reading import Thing, classes_in
from cvhub.ui.segment.state import Seen, View

if TYPE_CHECKING:
    from cvhub.inference.segment import Segmentation

TOLERANCE = 2  # pixels by which a boundary may be off
BORDER = 3  # pixels around a true border that are counted as near it


@dataclass(frozen=True)
class Overlaps:
    """Soft masks against true ones: pixels (K,) of intersection, prediction and truth, and the mean loss of both."""

    intersection: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    dice: float
    iou: float


@dataclass(frozen=True)
class SoftLosses:
    """Losses of the probabilities; the threshold has no say in them.

    - `pixel_map` (H, W), nats: binary cross entropy of two classes, else cross entropy; 0 where nothing is known.
    - `counted`: pixels whose truth is known; `focal`: with γ = 2. `near_border`, `border`: the share of the loss, and
      of the pixels, that lie at most `BORDER` pixels from where the truth changes its class.
    - `levels`: the net's own loss of the output, then of each auxiliary head, and `weights` what each counts.
    """

    binary: bool
    counted: int
    pixel: float
    pixel_map: np.ndarray
    overlaps: Overlaps
    focal: float
    near_border: float
    border: float
    levels: list[float]
    weights: list[float]

    @property
    def supervised(self) -> float:
        """Σ w_l L_l."""
        return sum(w * loss for w, loss in zip(self.weights, self.levels, strict=True))


@dataclass(frozen=True)
class HardScores:
    """How good the mask is that the threshold makes.

    - `iou` over the classes that the task shows, of class 1 alone where there are two: then `intersection` and `union`
      are its pixels, else None. `classes`: how many are in the mean.
    - `giou`: the mean over the boxes of matched objects; `matched`, `missed`, `invented`: objects.
    - `boundary_f`: the mean over classes; `quality`: of the panoptic task.
    """

    iou: float
    intersection: int | None
    union: int | None
    classes: int
    giou: float
    matched: int
    missed: int
    invented: int
    boundary_f: float
    quality: PanopticQuality | None


def full_size(logits: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Logits (K, h, w) → (1, K, H, W), as the net's own loss has them."""
    return torch.from_numpy(enlarged(logits[None], size))


def as_odds(z: Tensor, num_labels: int) -> Tensor:
    """Logits of two classes as one, (1, 1, H, W): σ of the difference is the softmax of the two."""
    return z[:, 1:] - z[:, :1] if num_labels == 2 and z.shape[1] == 2 else z


def labels_of(masks: Masks) -> Tensor:
    return torch.from_numpy(masks.labels)[None].long()


@torch.inference_mode()
def soft_losses(seen: Seen, masks: Masks) -> SoftLosses:
    """Raises ValueError where the truth doesn't fit the net."""
    count = len(seen.labels)
    z, y = as_odds(full_size(seen.answer.logits, seen.size), count), labels_of(masks)
    binary = z.shape[1] == 1
    pixel_loss, pixel_map = (
        (losses_dense.bce_loss, losses_dense.bce_map)
        if binary
        else (losses_dense.cross_entropy, losses_dense.cross_entropy_map)
    )
    per_pixel = pixel_map(z, y, IGNORED)[0].numpy()
    found = losses_dense.logits_overlap(z, y, IGNORED)
    overlaps = Overlaps(
        found.intersection.numpy(),
        found.predicted.numpy(),
        found.true.numpy(),
        float(losses_dense.dice_loss(z, y, IGNORED)),
        float(losses_dense.soft_iou_loss(z, y, IGNORED)),
    )
    focal = float(losses_dense.focal_loss(z, y, IGNORED))
    known = masks.labels != IGNORED
    near = near_borders(masks.labels) & known
    near_share = float(per_pixel[near].sum() / max(per_pixel.sum(), 1e-12))
    border_share = float(near.sum() / max(known.sum(), 1))
    levels, weights = level_losses(seen, y) if seen.levels else ([], [])
    pixel = float(pixel_loss(z, y, IGNORED))
    return SoftLosses(
        binary, int(known.sum()), pixel, per_pixel, overlaps, focal, near_share, border_share, levels, weights
    )


def level_losses(seen: Seen, y: Tensor) -> tuple[list[float], list[float]]:
    """The loss that the net is trained by, of its output and of each auxiliary head, and what each counts."""
    config: Any = seen.segmenter.config
    own = torch.where(y == IGNORED, config.ignore_index, y)
    losses = [
        float(losses_dense.dense_loss(full_size(logits, seen.size), own, config.loss, config.ignore_index))
        for logits in (seen.answer.logits, *seen.levels)
    ]
    return losses, [1.0, *seen.level_weights]


def near_borders(labels: np.ndarray) -> np.ndarray:
    """Pixels (H, W) at most `BORDER` from where a class meets another."""
    from scipy.ndimage import distance_transform_edt

    border = np.zeros(labels.shape, bool)
    for values, marked in ((labels, border), (labels.T, border.T)):
        differ = (values[:-1] != values[1:]) & (values[:-1] != IGNORED) & (values[1:] != IGNORED)
        marked[:-1] |= differ
        marked[1:] |= differ
    if not border.any():
        return border
    return np.asarray(distance_transform_edt(~border)) <= BORDER


def hard_scores(
    seen: Seen, found: "Segmentation", ids: np.ndarray, things: list[Thing], masks: Masks, view: View
) -> HardScores:
    """`ids` and `things` are the answer's objects. Raises CvhubError where the truth doesn't fit the net."""
    count = len(seen.labels)
    classes = classes_in(seen, found)
    semantic, boundary = SemanticTally(count + 1, IGNORED), BoundaryTally(count + 1, TOLERANCE, IGNORED)
    semantic.add(classes, masks.labels)
    boundary.add(classes, masks.labels)
    shown = seen.things if view.task == "instance" or count == 2 else list(range(count))
    ious = semantic.class_iou[shown]
    intersection = union = None
    if len(shown) == 1:
        k = shown[0]
        intersection = int(semantic.confusion[k, k])
        union = int(semantic.confusion[k].sum() + semantic.confusion[:, k].sum()) - intersection
    pairs, missed, invented = matched_objects(ids, things, masks)
    return HardScores(
        mean(ious),
        intersection,
        union,
        int((~np.isnan(ious)).sum()),
        mean(np.array(pairs, np.float64)),
        len(pairs),
        missed,
        invented,
        mean(boundary.class_f[shown]),
        panoptic_quality(seen, found, masks) if view.task == "panoptic" else None,
    )


def mean(values: np.ndarray) -> float:
    """Of what is a number; NaN of nothing."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else math.nan


def matched_objects(ids: np.ndarray, things: list[Thing], masks: Masks) -> tuple[list[float], int, int]:
    """The GIoU of the boxes of each pair of objects that match, and how many are missed and invented.

    Objects of one class match where the IoU of their masks is above ½, as for panoptic quality: that holds for one
    partner at most. Where nothing is known, nothing is an object.
    """
    known = masks.labels != IGNORED
    answered, true = np.where(known, ids, 0).astype(np.int64), np.where(known, masks.instances, 0).astype(np.int64)
    numbers, boxes = instance_boxes(answered)
    true_numbers, true_boxes = instance_boxes(true)
    label_of = {thing.id: thing.label_id for thing in things}
    width = int(true.max(initial=0)) + 1
    codes, shared = np.unique(answered * width + true, return_counts=True)
    areas, true_areas = np.bincount(answered.ravel()), np.bincount(true.ravel())
    found = []
    for code, common in zip(codes.tolist(), shared.tolist(), strict=True):
        i, j = divmod(code, width)
        if i and j and 2 * common > areas[i] + true_areas[j] - common:
            labels = masks.labels[(answered == i) & (true == j)]
            if np.bincount(labels).argmax() == label_of[i]:
                pair = boxes[np.searchsorted(numbers, i)], true_boxes[np.searchsorted(true_numbers, j)]
                found.append(float(giou(*(torch.from_numpy(box).double() for box in pair))))
    return found, len(true_numbers) - len(found), len(numbers) - len(found)


def panoptic_quality(seen: Seen, found: "Segmentation", masks: Masks) -> PanopticQuality:
    things = seen.things
    tally = PanopticTally(things)
    mask, segments = answered_segments(found.mask, found.segments, seen.segmenter.has_background)
    truth, true = true_segments(masks, dict.fromkeys(things))
    tally.add(mask, truth, segments, true)
    return tally.overall
