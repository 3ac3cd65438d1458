"""Runs a segmenter over pictures with masks and says what it is worth: classes, boundaries, things, whole pictures."""

import contextlib
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.classes import match_classes
from cvhub.evaluation.dataset import open_rows, source_of
from cvhub.evaluation.dense_metrics import BoundaryTally, SemanticTally
from cvhub.evaluation.segment_metrics import VOID, InstanceTally, PanopticTally
from cvhub.evaluation.truth import IGNORED, TRAINED_ON, MaskedRows, Masks, Truth, parse_map, read_truth
from cvhub.inference.images import decoded
from cvhub.inference.large import segment_large
from cvhub.inference.mask_file import read_mask
from cvhub.inference.segment import Segmenter
from cvhub.inference.segments import Segment
from cvhub.inference.windows import PictureWindows

log = logging.getLogger("cvhub")

# Average precision ranks all answers by their scores: none is left out.
LOWEST_SCORE = 0.0
HINT = "--map VALUE=CLASS gives a mask's value a class of the model"

Segments = list[dict[str, int]]  # of each its "id" in a mask and its "category_id"
Reads = Callable[[str, float | None], tuple[np.ndarray, list[Segment]]]


@dataclass
class SegmenterEvaluation:
    """What was found over the pictures that could be read, and how many could not.

    - `semantic`, `boundary`: of every segmenter. `things`: a tally for each class of things, by its number; `panoptic`
      too is None where the net can't tell things apart. `holdout`: which rows of the split, "" for all.
    """

    model: str
    dataset: str
    split: str
    holdout: str
    labels: list[str]
    semantic: SemanticTally
    boundary: BoundaryTally
    things: dict[int, InstanceTally] = field(default_factory=dict)
    panoptic: PanopticTally | None = None
    n: int = 0
    failed: int = 0

    @property
    def part(self) -> str:
        """What of the data set was measured on."""
        return f"{self.split}, held out by {self.holdout}" if self.holdout else self.split

    def metrics(self) -> dict[str, float]:
        """Single numbers by their names, as a card and the catalogue give them; what can't be told is left out."""
        values: dict[str, float] = {}
        if len(self.labels) == 2:
            values |= {"iou": self.semantic.iou, "dice": self.semantic.dice}
        values |= {"miou": self.semantic.miou, "pixel_accuracy": self.semantic.pixel_accuracy}
        values["boundary_f"] = self.boundary.mean_f
        if known := [tally.ap for tally in self.things.values() if tally.num_true]:
            values |= {"ap50": float(np.mean(known, axis=0)[0]), "ap50_95": float(np.mean(known))}
        if self.panoptic is not None:
            values |= self.panoptic.overall._asdict()
            values |= {"pq_things": self.panoptic.of_things.pq, "pq_stuff": self.panoptic.of_stuff.pq}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def report(self) -> dict[str, Any]:
        """The metrics by name, and those of each class; None where neither truth nor answers have it."""
        ious = zip(self.labels, self.semantic.class_iou, self.semantic.class_dice, self.boundary.class_f, strict=True)
        per_class = {
            name: {"iou": _number(iou), "dice": _number(dice), "boundary_f": _number(f)} for name, iou, dice, f in ious
        }
        for number, tally in self.things.items():
            per_class[self.labels[number]]["ap50"] = _number(tally.ap50)
        if self.panoptic is not None:
            for number, quality in self.panoptic.categories.items():
                per_class[self.labels[number]]["pq"] = quality.pq
        of = {"model": self.model, "dataset": self.dataset, "split": self.split, "holdout": self.holdout}
        return {**of, "n": self.n, "failed": self.failed, **self.metrics(), "per_class": per_class}


def evaluate_segmenter(segmenter: Segmenter, rows: MaskedRows, indices: np.ndarray) -> SegmenterEvaluation:
    """The segmenter's answers to these rows. One that can't be read is a line of log, and counted.

    Classes are matched by name. What the net calls things is judged as things too.
    """
    count = len(segmenter.labels)
    if count > IGNORED:
        raise CvhubError(f"{segmenter.name} has {count} classes, at most {IGNORED} can be measured.")
    numbers = np.full(IGNORED + 1, IGNORED, np.uint8)
    numbers[: len(rows.truth.classes)] = match_classes(rows.truth.classes, segmenter.labels, hint=HINT)
    of = segmenter.name, rows.rows.dataset, rows.rows.name, rows.truth.holdout, segmenter.labels
    found = SegmenterEvaluation(*of, SemanticTally(count, IGNORED), BoundaryTally(count, ignore_index=IGNORED))
    if "panoptic" in segmenter.tasks:
        found.things = {number: InstanceTally() for number in sorted(segmenter.config.thing_ids)}
        found.panoptic = PanopticTally(list(found.things))
    for index in indices.tolist():
        try:
            with _opened(rows, index) as (image, masks):
                _add(found, segmenter, image, masks._replace(labels=numbers[masks.labels]))
        except CvhubError as error:
            log.warning("row %d of %s: %s", index, rows.rows.name, error)
            found.failed += 1
        else:
            found.n += 1
    if not found.n:
        told = f"none of {found.failed} pictures can be read" if found.failed else f"{rows.rows.name} is empty"
        raise CvhubError(f"{rows.rows.dataset} can't be evaluated: {told}.")
    return found


def open_truth(
    segmenter: Segmenter, dataset: str, split: str | None, target: str = "", names: str = "", holdout: str | None = None
) -> tuple[MaskedRows, np.ndarray]:
    """The rows of a DATASET that a segmenter is to be measured on: what is held out, or all where nothing is.

    `target`, `names` and `holdout` are what the command line's --target, --map and --holdout say. What it leaves out is
    as the model's folder remembers, where a hold-out is meant of the split that was trained on.
    """
    rows = open_rows(dataset, split, streaming=False)
    known = read_truth(segmenter.folder) or Truth("", {})
    if holdout is None:
        column = known.holdout.partition(":")[0]
        holdout = known.holdout if rows.name == TRAINED_ON and column in {"", *rows.features} else ""
    truth = Truth(target or known.target, parse_map(names) if names else known.map, holdout)
    if not (truth.target and truth.map):
        raise CvhubError(
            f"{segmenter.name} doesn't remember where masks are: name their column with --target and their values with "
            "--map, such as 0=background,1=pet,255=ignore."
        )
    masked = MaskedRows(rows, truth)
    return masked, masked.held_out if holdout else masked.kept


@contextlib.contextmanager
def _opened(rows: MaskedRows, index: int) -> Iterator[tuple[Image.Image, Masks]]:
    picture, contents = rows.contents(index)
    with decoded(source_of(picture)) as image:
        yield image, rows.truth.read(contents, (image.height, image.width))


def _add(found: SegmenterEvaluation, segmenter: Segmenter, image: Image.Image, masks: Masks) -> None:
    """A picture's part of every tally."""
    with _asked(segmenter, image) as read:
        classes = _classes(*read("semantic", None))
        found.semantic.add(classes, masks.labels)
        found.boundary.add(classes, masks.labels)
        if found.panoptic is None:
            return
        instances, things = read("instance", LOWEST_SCORE)
        for number, tally in found.things.items():
            scores = {segment.id: segment.score or 0.0 for segment in things if segment.label_id == number}
            answered = np.where(np.isin(instances, list(scores)), instances, VOID)
            tally.add(answered, np.where(masks.labels == number, masks.instances, VOID), scores)
        mask, segments = answered_segments(*read("panoptic", None), segmenter.has_background)
        truth, true = true_segments(masks, found.things)
        found.panoptic.add(mask, truth, segments, true)


@contextlib.contextmanager
def _asked(segmenter: Segmenter, image: Image.Image) -> Iterator[Reads]:
    """What says the mask (H, W) and the segments of a task, by a threshold.

    A picture that the network can't be given at once is taken in tiles, anew for each task.
    """
    if segmenter.fits(image.height, image.width):
        answer = segmenter.segment(image)

        def read(task: str, threshold: float | None) -> tuple[np.ndarray, list[Segment]]:
            found = answer if task == "semantic" else segmenter.read_again(answer, task, threshold)
            return found.mask, found.segments

        yield read
        return
    with tempfile.TemporaryDirectory() as folder:

        def read_tiles(task: str, threshold: float | None) -> tuple[np.ndarray, list[Segment]]:
            file = Path(folder, f"{task}.png")
            segments = segment_large(segmenter, PictureWindows(image), file, task, threshold=threshold)
            return read_mask(file), segments

        yield read_tiles


def _classes(mask: np.ndarray, segments: list[Segment]) -> np.ndarray:
    """The class of each pixel, (H, W), of a semantic answer; what is in no segment is background, class 0."""
    numbers = np.zeros(int(mask.max(initial=0)) + 1, np.int64)
    for segment in segments:
        numbers[segment.id] = segment.label_id
    return numbers[mask]


def answered_segments(
    mask: np.ndarray, segments: Sequence[Segment], has_background: bool
) -> tuple[np.ndarray, Segments]:
    """A panoptic answer as panoptic quality takes it: where class 0 is the background, it is stuff like any other."""
    categories = [{"id": segment.id, "category_id": segment.label_id} for segment in segments]
    if not has_background:
        return mask, categories
    free = int(mask.max(initial=0)) + 1
    return np.where(mask == VOID, free, mask), [*categories, {"id": free, "category_id": 0}]


def true_segments(masks: Masks, things: dict[int, Any]) -> tuple[np.ndarray, Segments]:
    """Masks as panoptic quality takes them: ids (H, W), and what they are.

    A class of stuff is one segment, a thing one each; void is what is ignored, and what of a thing's class is no thing.
    """
    labels, instances = masks.labels.astype(np.int64), masks.instances.astype(np.int64)
    of_things = np.isin(labels, list(things))
    ids = 1 + labels + (IGNORED + 1) * np.where(of_things, instances, 0)
    ids[(labels == IGNORED) | (of_things & (instances == 0))] = VOID
    return ids, [{"id": id_, "category_id": (id_ - 1) % (IGNORED + 1)} for id_ in np.unique(ids).tolist() if id_]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
