"""A net's kept maps, read as a visitor wants them: by task and threshold, and as objects that can be counted."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from cvhub.ui.segment.state import Seen, View

if TYPE_CHECKING:
    from cvhub.inference.segment import Segmentation
    from cvhub.inference.segments import Segment

MARGIN = 1e-3  # of a probability that is compared, from 0 and from 1


@dataclass(frozen=True)
class Threshold:
    """What the threshold says in a task: `key` of the string that explains it, and where it begins.

    - "threshold_odds": a pixel is class 1 of two where its probability is above.
    - "threshold_unnamed": a pixel whose likeliest class has less probability is left unnamed.
    - "threshold_score": segments of a lower score are left out.
    """

    key: str
    default: float


@dataclass(frozen=True)
class Thing:
    """An object: its id in the map of objects, its class, score (None where it has none), pixels, and tight box
    (x0, y0, x1, y1), whose end is exclusive; `centroid` (x, y), the mean of its pixels' centres."""

    id: int
    label_id: int
    label: str
    score: float | None
    area: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]


def threshold_of(seen: Seen, task: str) -> Threshold:
    from cvhub.inference.segment import THRESHOLDS

    if task != "semantic":
        return Threshold("threshold_score", THRESHOLDS[task])
    return Threshold("threshold_odds", 0.5) if len(seen.labels) == 2 else Threshold("threshold_unnamed", 0.0)


def read(seen: Seen, view: View) -> "Segmentation":
    """The mask and its segments, of the kept maps."""
    if view.task != "semantic":
        found = seen.segmenter.read_again(seen.answer, view.task, view.threshold)
    elif view.threshold == threshold_of(seen, view.task).default:
        found = seen.answer
    elif len(seen.labels) == 2:
        found = seen.segmenter.read_again(shifted(seen.answer, view.threshold), "semantic")
    else:
        found = without_unsure(seen.segmenter.read_again(seen.answer, "semantic"), view.threshold)
    return without_small(found, view)


def shifted(answer: "Segmentation", threshold: float) -> "Segmentation":
    """Maps of two classes in which class 1 wins where it had more than `threshold`: ln t/(1 − t) off its logit."""
    threshold = min(max(threshold, MARGIN), 1 - MARGIN)
    logits = answer.logits.copy()
    logits[-1] -= math.log(threshold / (1 - threshold))
    return replace(answer, maps=answer.maps | {"logits": logits})


def without_unsure(found: "Segmentation", threshold: float) -> "Segmentation":
    """Pixels whose likeliest class has less probability than `threshold` belong to nothing."""
    if threshold <= 0:
        return found
    import torch

    from cvhub.inference.segments import enlarged

    logits = torch.from_numpy(enlarged(found.logits[None], found.mask.shape))
    surest = logits.softmax(1).amax(1)[0].numpy()
    return with_mask(found, np.where(surest >= threshold, found.mask, 0))


def without_small(found: "Segmentation", view: View) -> "Segmentation":
    """Segments of fewer than `smallest` pixels belong to nothing; of classes, each connected part by itself."""
    if view.smallest <= 1:
        return found
    if view.task == "semantic":
        parts = components(found.mask, {segment.id for segment in found.segments})[0]
    else:
        parts = found.mask
    areas = np.bincount(parts.ravel())
    return with_mask(found, np.where(areas[parts] >= view.smallest, found.mask, 0))


def with_mask(found: "Segmentation", mask: np.ndarray) -> "Segmentation":
    left = set(np.unique(mask).tolist())
    return replace(
        found, mask=mask.astype(np.int32), segments=[segment for segment in found.segments if segment.id in left]
    )


def components(mask: np.ndarray, ids: set[int]) -> tuple[np.ndarray, list[int]]:
    """The connected parts of each value in `ids`, numbered from 1 on, and each one's value; pixels touch by sides."""
    from scipy import ndimage

    parts, values = np.zeros(mask.shape, np.int32), []
    for value in sorted(ids):
        numbered, count = cast(tuple[np.ndarray, int], ndimage.label(mask == value))
        parts += np.where(numbered > 0, numbered + len(values), 0).astype(np.int32)
        values += [value] * count
    return parts, values


def things_in(seen: Seen, found: "Segmentation", task: str) -> tuple[np.ndarray, list[Thing]]:
    """The objects of an answer, and the map (H, W) int32 of their ids, 0 where there is none.

    A net that knows no things answers classes; each connected part of a class that can be counted is an object then.
    """
    countable = [segment for segment in found.segments if segment.label_id in seen.things]
    if task != "semantic":
        ids = np.where(np.isin(found.mask, [segment.id for segment in countable]), found.mask, 0)
        return ids, measured(ids, {segment.id: segment for segment in countable})
    of_class = {segment.id: segment for segment in countable}
    parts, values = components(found.mask, set(of_class))
    return parts, measured(parts, {number: of_class[value] for number, value in enumerate(values, 1)})


def measured(ids: np.ndarray, segments: "dict[int, Segment]") -> list[Thing]:
    """What there is to know of each object in a map."""
    from cvhub.evaluation.boxes import instance_boxes

    found = []
    for number, box in zip(*(rows.tolist() for rows in instance_boxes(ids)), strict=True):
        (x0, y0, x1, y1), segment = box, segments[number]
        inside = ids[y0:y1, x0:x1] == number
        across, down = inside.sum(0), inside.sum(1)
        area = int(down.sum())
        centroid = (float(across @ np.arange(x0, x1)) / area + 0.5, float(down @ np.arange(y0, y1)) / area + 0.5)
        found.append(Thing(number, segment.label_id, segment.label, segment.score, area, tuple(box), centroid))
    return found


def classes_in(seen: Seen, found: "Segmentation") -> np.ndarray:
    """The class of each pixel, (H, W) int64; what is in no segment is background, or where there is none K."""
    numbers = np.full(int(found.mask.max(initial=0)) + 1, 0 if seen.segmenter.has_background else len(seen.labels))
    for segment in found.segments:
        numbers[segment.id] = segment.label_id
    return numbers[found.mask]
