"""What maps of segments are worth: average precision of objects, panoptic quality of whole pictures.

A tally is shown a picture at a time, as two maps (H, W) of ids, one answered and one true, and keeps counts only (of
objects also each answer's score, by which average precision ranks them); the metrics, each with its formula and where
it comes from, follow from them at any time. The ids of the two maps have nothing to do with each other; a mean over
nothing is NaN. What is no such map, or is not described by the list that comes with it, raises CvhubError.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.dense_metrics import check_shapes

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of COCO's mask IoU
RECALLS = np.linspace(0, 1, 101)  # where COCO reads precision off
VOID = 0  # the id of pixels that are in no segment; in maps of objects, the background


# --- Objects ----------------------------------------------------------------------------------------------------------


class InstanceTally:
    """Objects of one class, judged by COCO's rules (https://cocodataset.org/#detection-eval) without its limit of 100
    answers a picture. Of each answer it keeps the score, and at which of ten thresholds it is right.
    """

    def __init__(self) -> None:
        self.num_true = 0
        self._scores: list[np.ndarray] = []  # a picture each, (answers,)
        self._right: list[np.ndarray] = []  # and (answers, 10)

    def add(self, prediction: np.ndarray, truth: np.ndarray, scores: Mapping[int, float]) -> None:
        """A picture's objects, ids below 1 being background, and the score of each one answered.

        An id of `scores` that has no pixel is a wrong answer.
        """
        answers, objects, areas = _areas(prediction, truth)
        if unscored := set(answers.tolist()) - {VOID} - set(scores):
            raise CvhubError(f"the prediction has an object {min(unscored)} that has no score.")
        iou = areas / (areas.sum(axis=1, keepdims=True) + areas.sum(axis=0) - areas)
        iou = np.vstack([iou, np.zeros(len(objects))])[:, objects != VOID]
        row = {answer: at for at, answer in enumerate(answers.tolist())}
        by_score = sorted(scores, key=lambda answer: -scores[answer])
        iou = iou[[row.get(answer, -1) for answer in by_score]] if by_score else iou[:0]
        self.num_true += iou.shape[1]
        self._scores.append(np.array([scores[answer] for answer in by_score], np.float64))
        self._right.append(np.stack([_match(iou, threshold) for threshold in THRESHOLDS], axis=1))

    @property
    def ap(self) -> np.ndarray:
        """Average precision at each of `THRESHOLDS`, (10,), NaN if there are no objects.

        It is 1/101 Σ_r max_(r' ≥ r) P(r') over the recalls r = 0, 0.01 … 1 (Everingham et al. 2010,
        https://doi.org/10.1007/s11263-009-0275-4, section 4.2, have 11 of them).

        P(r) is the share of right answers among those of highest score that find a share r of the objects, 0 where r
        is never reached. Answers choose in order of their scores: each takes the object of the largest mask IoU that no
        other has, and is right if that reaches the threshold.
        """
        if self.num_true == 0:
            return np.full(len(THRESHOLDS), np.nan)
        order = np.argsort(-np.concatenate(self._scores), kind="stable")
        found = np.concatenate(self._right)[order].cumsum(axis=0)
        precision = found / np.arange(1, len(found) + 1)[:, None]
        best = np.maximum.accumulate(precision[::-1])[::-1]
        best = np.vstack([best, np.zeros(len(THRESHOLDS))])
        at = [np.searchsorted(recall, RECALLS) for recall in found.T / self.num_true]
        return np.array([best[at[t], t].mean() for t in range(len(THRESHOLDS))])

    @property
    def ap50(self) -> float:
        """`ap` at a mask IoU of 0.5."""
        return float(self.ap[0])

    @property
    def ap50_95(self) -> float:
        """The mean of `ap` over the thresholds 0.5, 0.55 … 0.95, which COCO calls AP."""
        return float(self.ap.mean())


def _match(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Which answers are right, (A,), of their IoU (A, T) with the true objects, the first to choose first."""
    right = np.zeros(len(iou), bool)
    free = iou.copy()
    for answer in np.flatnonzero((iou >= threshold).any(axis=1)):
        choice = free[answer].argmax()
        if free[answer, choice] >= threshold:
            right[answer] = True
            free[:, choice] = 0
    return right


# --- Whole pictures ---------------------------------------------------------------------------------------------------


class PanopticQuality(NamedTuple):
    """Of a category, or a mean over categories, each 0 to 1 (Kirillov et al. 2019, https://arxiv.org/abs/1801.00868)."""

    pq: float
    sq: float
    rq: float


class Matches(NamedTuple):
    """Of one category: true positives TP and the sum of their IoU, false positives FP, false negatives FN."""

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def quality(self) -> PanopticQuality:
        """PQ = SQ · RQ with SQ = Σ_TP IoU / |TP| and RQ = |TP| / (|TP| + ½|FP| + ½|FN|) (eq. 1 and 2); SQ of no TP is
        0."""
        sq = self.iou / max(self.tp, 1)
        rq = self.tp / (self.tp + self.fp / 2 + self.fn / 2)
        return PanopticQuality(sq * rq, sq, rq)


class PanopticTally:
    """Segments of things, which can be counted, and stuff, which can't: every pixel is in one segment or void.

    An answer and a true segment of one category match if their IoU is above ½, which holds for one partner at most
    (section 4.1). Void is nobody's mistake: the IoU's union leaves out an answer's pixels that are void in truth, and
    an answer that is void by more than half is no false positive (section 4.2, as panopticapi has it; its crowds are
    not known here).
    """

    def __init__(self, things: Collection[int]):
        """`things` are the `category_id`s that can be counted."""
        self.things = things
        self.matches: dict[int, Matches] = defaultdict(Matches)

    def add(
        self,
        prediction: np.ndarray,
        truth: np.ndarray,
        predicted_segments: Iterable[Mapping[str, Any]],
        true_segments: Iterable[Mapping[str, Any]],
    ) -> None:
        """A picture's segments, ids below 1 being void.

        The lists tell of each segment its `id` in the map and its `category_id`; other keys are not read.
        """
        answers, segments, areas = _areas(prediction, truth)
        void = areas[:, segments == VOID].sum(axis=1)
        sizes, true_sizes = areas.sum(axis=1), areas.sum(axis=0)
        rows, columns = answers != VOID, segments != VOID
        answered = _categories(answers[rows], predicted_segments, "prediction")
        true = _categories(segments[columns], true_segments, "truth")
        areas = areas[np.ix_(rows, columns)]
        iou = areas / ((sizes - void)[rows, None] + true_sizes[columns] - areas)
        matched = (iou > 0.5) & (answered[:, None] == true)
        wrong = ~matched.any(axis=1) & (void / sizes <= 0.5)[rows]
        missed = ~matched.any(axis=0)
        for k in {*answered.tolist(), *true.tolist()}:
            ious = iou[matched & (true == k)]
            before = self.matches[k]
            self.matches[k] = Matches(
                before.iou + float(ious.sum()),
                before.tp + len(ious),
                before.fp + int((wrong & (answered == k)).sum()),
                before.fn + int((missed & (true == k)).sum()),
            )

    @property
    def categories(self) -> dict[int, PanopticQuality]:
        """Of each category that has a match or a mistake."""
        return {k: found.quality for k, found in sorted(self.matches.items()) if found.tp + found.fp + found.fn > 0}

    @property
    def overall(self) -> PanopticQuality:
        """The mean over `categories`, of each of the three (section 4.2)."""
        return _mean(self.categories.values())

    @property
    def of_things(self) -> PanopticQuality:
        """The mean over the categories of things."""
        return _mean([quality for k, quality in self.categories.items() if k in self.things])

    @property
    def of_stuff(self) -> PanopticQuality:
        """The mean over the other categories."""
        return _mean([quality for k, quality in self.categories.items() if k not in self.things])


def _categories(ids: np.ndarray, segments: Iterable[Mapping[str, Any]], name: str) -> np.ndarray:
    category = {segment["id"]: segment["category_id"] for segment in segments}
    if unknown := set(ids.tolist()) - set(category):
        raise CvhubError(f"the {name} has a segment {min(unknown)} that its segments_info doesn't list.")
    return np.array([category[id_] for id_ in ids.tolist()], np.int64)


def _mean(qualities: Collection[PanopticQuality]) -> PanopticQuality:
    if not qualities:
        return PanopticQuality(np.nan, np.nan, np.nan)
    return PanopticQuality(*np.mean(list(qualities), axis=0).tolist())


def _areas(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ids of each map, ascending (A,) and (T,), and how many pixels each pair of them shares, (A, T).

    What is below VOID, as -1 in some of transformers' maps, counts as VOID.
    """
    check_shapes(prediction, truth)
    answers, i = np.unique(np.maximum(prediction, VOID), return_inverse=True)
    segments, j = np.unique(np.maximum(truth, VOID), return_inverse=True)
    shared = np.bincount(i.ravel() * len(segments) + j.ravel(), minlength=len(answers) * len(segments))
    return answers, segments, shared.reshape(len(answers), len(segments))
