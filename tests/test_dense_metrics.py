"""The segmenters' metrics against scikit-learn, torchmetrics and COCO's own code, and by hand."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from torchmetrics.detection import MeanAveragePrecision
from torchmetrics.detection import PanopticQuality as TorchmetricsPanopticQuality

from cvhub.errors import CvhubError
from cvhub.evaluation.dense_metrics import BoundaryTally, SemanticTally
from cvhub.evaluation.segment_metrics import THRESHOLDS, InstanceTally, PanopticTally

IGNORE = 255
seeds = st.integers(0, 10**6)


def class_maps(seed: int, num_labels: int, ignored: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """An answer that is mostly right, and the truth, of which a share is ignored; both (9, 11) bytes."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, num_labels, (9, 11)).astype(np.uint8)
    prediction = np.where(generator.random((9, 11)) < 0.7, truth, generator.integers(0, num_labels, (9, 11)))
    truth[generator.random((9, 11)) < ignored] = IGNORE
    return prediction.astype(np.uint8), truth


# --- Classes ----------------------------------------------------------------------------------------------------------


def test_pixels_are_counted_as_scikit_learn_does() -> None:
    """Over pictures of several sizes; class 4 is in neither map, 3 in the answer alone."""
    tally, answers, truths = SemanticTally(5), [], []
    for seed in range(3):
        prediction, truth = class_maps(seed, 3)
        prediction[0, 0], truth[0, 0] = 3, 1
        prediction, truth = prediction[: 9 - seed], truth[: 9 - seed]
        tally.add(prediction, truth)
        answers.append(prediction[truth != IGNORE])
        truths.append(truth[truth != IGNORE])
    answer, truth = np.concatenate(answers), np.concatenate(truths)
    per_class = {"labels": range(5), "average": None, "zero_division": np.nan}
    assert np.array_equal(tally.confusion, sklearn.confusion_matrix(truth, answer, labels=range(5)))
    assert tally.pixel_accuracy == pytest.approx(sklearn.accuracy_score(truth, answer))
    np.testing.assert_allclose(tally.class_dice, sklearn.f1_score(truth, answer, **per_class))
    jaccard = sklearn.jaccard_score(truth, answer, labels=range(4), average=None)
    np.testing.assert_allclose(tally.class_iou, [*jaccard, np.nan])
    assert jaccard[3] == 0
    assert tally.miou == pytest.approx(jaccard.mean())


def test_a_foreground_by_hand() -> None:
    """Two pixels right, one missed, two too many, one ignored; pooled, so the empty second picture only adds one."""
    tally = SemanticTally(2)
    tally.add(np.array([[1, 1, 0, 1, 1, 1]]), np.array([[1, 1, 1, 0, 0, IGNORE]]))
    assert (tally.iou, tally.dice) == (2 / 5, 4 / 7)
    tally.add(np.array([[1, 0]]), np.array([[0, 0]]))
    assert (tally.iou, tally.dice) == (2 / 6, 4 / 8)
    assert tally.pixel_accuracy == 3 / 7


@settings(max_examples=30)
@given(seed=seeds, num_labels=st.integers(2, 6))
def test_ranges_and_symmetry(seed: int, num_labels: int) -> None:
    """Answer and truth may change places, classes their numbers; Dice and IoU are one number told twice."""
    prediction, truth = class_maps(seed, num_labels, ignored=0)
    tally, swapped, renamed = SemanticTally(num_labels), SemanticTally(num_labels), SemanticTally(num_labels)
    tally.add(prediction, truth)
    swapped.add(truth, prediction)
    renamed.add(num_labels - 1 - prediction, num_labels - 1 - truth)
    np.testing.assert_allclose(swapped.class_iou, tally.class_iou)
    np.testing.assert_allclose(renamed.class_dice[::-1], tally.class_dice)
    np.testing.assert_allclose(tally.class_dice, 2 * tally.class_iou / (1 + tally.class_iou))
    assert 0 <= tally.miou <= 1
    perfect = SemanticTally(num_labels)
    perfect.add(truth, truth)
    assert (perfect.miou, perfect.pixel_accuracy) == (1, 1)


def test_nothing_is_not_a_number() -> None:
    tally, boundary, instances, panoptic = SemanticTally(2), BoundaryTally(2), InstanceTally(), PanopticTally({1})
    blank = np.zeros((3, 3), np.uint8)
    tally.add(blank, blank + IGNORE)
    boundary.add(blank, blank)
    instances.add(blank, blank, {})
    panoptic.add(blank, blank, [], [])
    values = [tally.pixel_accuracy, tally.miou, tally.iou, boundary.mean_f, instances.ap50, *panoptic.overall]
    assert np.isnan(values).all()


@pytest.mark.parametrize("tally", [SemanticTally(3), BoundaryTally(3)])
@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((1, 4, 4), int), np.zeros((4, 4), int), r"the prediction has shape \(1, 4, 4\) and type int64"),
        (np.zeros((4, 4), int), np.zeros((4, 4)), r"the truth has shape \(4, 4\) and type float64, expected integers"),
        (np.zeros((4, 4), int), np.zeros((4, 5), int), r"shape \(4, 4\) and the truth \(4, 5\), expected the same"),
        (np.full((4, 4), 3), np.zeros((4, 4), int), "the prediction has a class 3, expected 0 to 2"),
        (np.zeros((4, 4), int), np.full((4, 4), -1), "the truth has a class -1, expected 0 to 2"),
    ],
)
def test_maps_that_fit_nothing_are_refused(tally: Any, prediction: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(CvhubError, match=message):
        tally.add(prediction, truth)


def test_a_foreground_is_one_of_two_classes() -> None:
    with pytest.raises(CvhubError, match="the foreground of 3 classes is not defined"):
        _ = SemanticTally(3).iou


# --- Boundaries -------------------------------------------------------------------------------------------------------


def f_by_hand(prediction: np.ndarray, truth: np.ndarray, k: int, tolerance: float) -> float:
    """By all pairs of boundary pixels."""

    def boundary(classes: np.ndarray) -> np.ndarray:
        found = []
        for y, x in np.argwhere((classes == k) & (truth != IGNORE)):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < classes.shape[0] and 0 <= u < classes.shape[1]
                if inside and truth[v, u] != IGNORE and classes[v, u] != k:
                    found.append((y, x))
                    break
        return np.array(found).reshape(-1, 2)

    def share_met(a: np.ndarray, b: np.ndarray) -> float:
        if len(a) == 0 or len(b) == 0:
            return 0
        return float((np.sqrt(((a[:, None] - b) ** 2).sum(-1)).min(axis=1) <= tolerance).mean())

    answered, true = boundary(prediction), boundary(truth)
    if len(answered) + len(true) == 0:
        return np.nan
    precision, recall = share_met(answered, true), share_met(true, answered)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3])
@pytest.mark.parametrize("seed", range(3))
def test_boundary_f_is_that_of_all_pairs(seed: int, tolerance: float) -> None:
    generator = np.random.default_rng(seed)
    coarse = [np.kron(generator.integers(0, 3, (5, 6)), np.ones((3, 3), int)) for _ in range(2)]
    prediction, truth = coarse[0], coarse[1].copy()
    truth[5:8, 3:12] = IGNORE
    tally = BoundaryTally(4, tolerance)
    tally.add(prediction, truth)
    np.testing.assert_allclose(tally.class_f, [f_by_hand(prediction, truth, k, tolerance) for k in range(4)])
    assert 0 < tally.mean_f < 1


@pytest.mark.parametrize(("tolerance", "f"), [(2, 1), (1.9, 0)])
def test_a_boundary_two_pixels_off(tolerance: float, f: float) -> None:
    truth, prediction = np.zeros((8, 12), int), np.zeros((8, 12), int)
    truth[:, 5:], prediction[:, 7:] = 1, 1
    tally = BoundaryTally(2, tolerance)
    tally.add(prediction, truth)
    assert tally.class_f.tolist() == [f, f]


def test_boundaries_are_counted_over_all_pictures() -> None:
    """A picture of 8 boundary pixels that are right, and one of 4 that are missed: P = 1, R = 8/12."""
    truth, small = np.zeros((8, 12), int), np.zeros((4, 12), int)
    truth[:, 5:], small[:, 5:] = 1, 1
    tally = BoundaryTally(2)
    tally.add(truth, truth)
    tally.add(np.zeros_like(small), small)
    assert tally.class_f == pytest.approx([0.8, 0.8])


# --- Objects ----------------------------------------------------------------------------------------------------------


def object_maps(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """True objects on a grid, answers that are shifted, cut, lost or made up, with scores of which some are equal."""
    truth, prediction = np.zeros((48, 48), np.int32), np.zeros((48, 48), np.int32)
    scores = {}
    for number, (y, x) in enumerate(np.ndindex(4, 4), start=1):
        top, left, size = 12 * y, 12 * x, generator.integers(4, 12)
        if generator.random() < 0.8:
            truth[top : top + size, left : left + size] = 10 * number
        if generator.random() < 0.8:
            dy, dx, cut = generator.integers(0, 3, 3)
            prediction[top + dy : top + size - cut, left + dx : left + size] = number
            scores[number] = round(float(generator.random()), 1)
    return prediction, truth, {id_: score for id_, score in scores.items() if (prediction == id_).any()}


def stacked(map_: np.ndarray, ids: list[int]) -> torch.Tensor:
    return torch.tensor(np.array([map_ == id_ for id_ in ids]).reshape(-1, *map_.shape))


def cocos_ap(pictures: list[tuple[np.ndarray, np.ndarray, dict[int, float]]]) -> tuple[float, float]:
    # Its own thresholds are float32, and on objects this small an IoU is often exactly 0.6.
    metric = MeanAveragePrecision("xyxy", "segm", THRESHOLDS.tolist(), np.linspace(0, 1, 101).tolist())
    for prediction, truth, scores in pictures:
        ids = np.unique(truth[truth > 0]).tolist()
        answers = {
            "masks": stacked(prediction, list(scores)),
            "scores": torch.tensor(list(scores.values())),
            "labels": torch.zeros(len(scores), dtype=torch.long),
        }
        metric.update([answers], [{"masks": stacked(truth, ids), "labels": torch.zeros(len(ids), dtype=torch.long)}])
    with contextlib.redirect_stdout(io.StringIO()):
        result = metric.compute()
    return float(result["map_50"]), float(result["map"])


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_cocos(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pictures = [object_maps(generator) for _ in range(4)]
    tally = InstanceTally()
    for prediction, truth, scores in pictures:
        tally.add(prediction, truth, scores)
    assert (tally.ap50, tally.ap50_95) == pytest.approx(cocos_ap(pictures), abs=1e-6)
    assert 0 < tally.ap50_95 < tally.ap50 < 1


def test_average_precision_by_hand() -> None:
    """Two objects; answered: one right, one wrong, the other right but for IoU 0.6, in order of their scores.

    P is 1 up to recall ½, which 51 of the 101 recalls are, then ⅔ up to a threshold of 0.6, and 0 above.
    """
    truth, prediction = np.zeros((3, 10), int), np.zeros((3, 10), int)
    truth[0], truth[1] = 8, 9
    prediction[0], prediction[2], prediction[1, :6] = 5, 6, 7
    tally = InstanceTally()
    tally.add(prediction, truth, {5: 0.9, 6: 0.8, 7: 0.7})
    expected = np.where(THRESHOLDS < 0.61, (51 + 50 * 2 / 3) / 101, 51 / 101)
    np.testing.assert_allclose(tally.ap, expected)


def test_an_object_is_given_once_to_the_higher_score() -> None:
    """Both halves of an object are answered, each with an IoU of 0.5, and then another object: P is 1, ½, ⅔."""
    truth = np.array([[1, 1, 1, 1, 2, 2]] * 2)
    prediction = np.array([[1, 1, 2, 2, 3, 3]] * 2)
    for halves in ({1: 0.9, 2: 0.8}, {1: 0.8, 2: 0.9}):
        tally = InstanceTally()
        tally.add(prediction, truth, halves | {3: 0.5})
        assert tally.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    over_both = InstanceTally()  # an answer over two objects finds one of them
    over_both.add(truth[:, :4], prediction[:, :4], {1: 0.9})
    assert over_both.ap50 == pytest.approx(51 / 101)


def test_answers_that_are_hidden_or_on_an_empty_picture_are_wrong() -> None:
    truth = np.zeros((4, 4), int)
    truth[0] = 3
    tally = InstanceTally()
    tally.add(np.where(truth == 3, 1, -1), truth, {1: 0.5, 2: 0.9})
    assert tally.ap50 == 0.5
    tally.add(np.full((2, 2), 4), np.zeros((2, 2), int), {4: 0.8})
    assert tally.ap50 == pytest.approx(1 / 3)
    missed = InstanceTally()
    missed.add(np.zeros_like(truth), truth, {})
    assert missed.ap50_95 == 0
    with pytest.raises(CvhubError, match="the prediction has an object 3 that has no score"):
        tally.add(truth, truth, {1: 0.5})


# --- Whole pictures ---------------------------------------------------------------------------------------------------

THINGS, STUFF = (1, 2), (5, 6)


def panoptic_map(generator: np.random.Generator, void: bool) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Blocks of segments, one a category of stuff; with `void`, some in none."""
    ids = generator.permutation(np.arange(10, 18))
    categories = [*THINGS, *THINGS, *THINGS, *STUFF]
    blocks = generator.integers(-1 if void else 0, 8, (4, 4))
    map_ = np.where(blocks < 0, 0, ids[blocks])
    return np.kron(map_, np.ones((4, 4), int)), [
        {"id": int(id_), "category_id": category, "area": 16} for id_, category in zip(ids, categories, strict=True)
    ]


def changed(map_: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same, perhaps shifted by a pixel, and a part of it overwritten by its most frequent segment."""
    shifted = np.roll(map_, generator.integers(0, 2, 2), axis=(0, 1))
    ids, counts = np.unique(shifted[shifted > 0], return_counts=True)
    shifted[:5, :7] = ids[counts.argmax()]
    return shifted


def coloured(map_: np.ndarray, segments: list[dict[str, Any]]) -> torch.Tensor:
    """As torchmetrics has it, (1, H, W, 2): category and instance, 99 for void."""
    category = {segment["id"]: segment["category_id"] for segment in segments} | {0: 99}
    return torch.tensor(np.stack([np.vectorize(category.get)(map_), map_], axis=-1))[None]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("void", [False, True])
def test_panoptic_quality_is_torchmetrics(seed: int, void: bool) -> None:
    """Whose void is the truth's only: void in an answer it does not count as the paper does."""
    generator = np.random.default_rng(seed)
    reference = TorchmetricsPanopticQuality(set(THINGS), set(STUFF), return_sq_and_rq=True, return_per_class=True)
    tally = PanopticTally(THINGS)
    for _ in range(3):
        answer, segments = panoptic_map(generator, void=False)
        truth = changed(answer, generator)
        if void:
            truth[generator.integers(0, 12) :, generator.integers(8, 16) :] = 0
        tally.add(answer, truth, segments, segments)
        reference.update(coloured(answer, segments), coloured(truth, segments))
    expected = reference.compute().tolist()  # in the order of the categories
    found = tally.categories
    for k, quality in zip((*THINGS, *STUFF), expected, strict=True):
        assert found[k] == pytest.approx(quality)
    assert tally.overall == pytest.approx(np.mean(expected, axis=0))
    assert tally.of_things == pytest.approx(np.mean(expected[:2], axis=0))
    assert tally.of_stuff == pytest.approx(np.mean(expected[2:], axis=0))
    assert 0 < tally.overall.pq < 1


def row(*runs: tuple[int, int]) -> np.ndarray:
    """A map (1, W) of ids, each so many times."""
    return np.array([[id_ for id_, times in runs for _ in range(times)]])


def info(**categories: int) -> list[dict[str, int]]:
    return [{"id": int(name[1:]), "category_id": category} for name, category in categories.items()]


def test_panoptic_quality_by_hand() -> None:
    """Category 1: a match of IoU 6/8 and an object missed; category 2: an answer that is not there."""
    tally = PanopticTally({1, 2})
    tally.add(row((5, 8), (6, 4), (0, 4)), row((7, 6), (8, 10)), info(_5=1, _6=2), info(_7=1, _8=1))
    found = tally.categories
    assert found[1] == pytest.approx((0.75 * 2 / 3, 0.75, 1 / 1.5))
    assert found[2] == (0, 0, 0)
    assert tally.overall == pytest.approx((0.25, 0.375, 1 / 3))


@pytest.mark.parametrize(("in_void", "false_positives"), [(5, 1), (6, 0)])
def test_an_answer_on_void(in_void: int, false_positives: int) -> None:
    """More than half of its ten pixels are void: no mistake. Exactly half: one."""
    tally = PanopticTally({1})
    tally.add(row((3, 10)), row((0, in_void), (4, 10 - in_void)), info(_3=1), info(_4=2))
    assert tally.matches[1].fp == false_positives
    assert tally.matches[2].fn == 1


def test_void_is_left_out_of_the_union_where_it_is_true_and_not_where_it_is_answered() -> None:
    """The answer's four pixels on void don't count; the object's four that nobody answered do."""
    tally = PanopticTally({1})
    tally.add(row((3, 10), (-1, 4)), row((0, 4), (9, 10)), info(_3=1), info(_9=1))
    assert tally.matches[1] == (6 / 10, 1, 0, 0)


def test_half_is_no_match() -> None:
    tally = PanopticTally({1})
    tally.add(row((3, 4), (0, 4)), row((9, 8)), info(_3=1), info(_9=1))
    assert tally.matches[1] == (0, 0, 1, 1)


@settings(max_examples=30)
@given(seed=seeds)
def test_panoptic_ranges_and_symmetry(seed: int) -> None:
    """PQ = SQ · RQ of each category; without void, answer and truth may change places. Numbers of ids mean nothing."""
    generator = np.random.default_rng(seed)
    answer, segments = panoptic_map(generator, void=False)
    truth = changed(answer, generator)
    tally, swapped, renumbered = PanopticTally(THINGS), PanopticTally(THINGS), PanopticTally(THINGS)
    tally.add(answer, truth, segments, segments)
    swapped.add(truth, answer, segments, segments)
    renumbered.add(70_000 - answer, truth, [segment | {"id": 70_000 - segment["id"]} for segment in segments], segments)
    for k, (pq, sq, rq) in tally.categories.items():
        assert pq == pytest.approx(sq * rq)
        assert 0 <= pq <= min(sq, rq) <= 1
        assert swapped.categories[k] == pytest.approx((pq, sq, rq))
        assert renumbered.categories[k] == pytest.approx((pq, sq, rq))
    perfect = PanopticTally(THINGS)
    perfect.add(truth, truth, segments, segments)
    assert perfect.overall == (1, 1, 1)


def test_segments_must_be_described() -> None:
    with pytest.raises(CvhubError, match="the truth has a segment 9 that its segments_info doesn't list"):
        PanopticTally({1}).add(row((3, 4)), row((9, 4)), info(_3=1), [])
    with pytest.raises(CvhubError, match="the prediction has a segment 3"):
        PanopticTally({1}).add(row((3, 4)), row((9, 4)), [], info(_9=1))
