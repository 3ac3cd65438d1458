"""The numbers of the view Overlap: the library's measures and losses, their gradients, and where descent leads."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvhub.evaluation.boxes import AGREEMENTS, iou
from cvhub.explain.figures import boxes, imbalance, masks
from cvhub.models.losses_dense import dense_loss

APART = ((30, 40, 130, 120), (250, 150, 370, 260))
OVERLAPPING = ((90, 40, 260, 210), (140, 92, 310, 258))
WITHIN = ((70, 70, 150, 130), (50, 40, 350, 260))
PAIRS = pytest.mark.parametrize(("a", "b"), [APART, OVERLAPPING, WITHIN])

side = st.tuples(st.integers(0, 390), st.integers(5, 200)).map(lambda s: (s[0], s[0] + s[1]))
box = st.tuples(side, side).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))


# --- Two boxes --------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(a=box, b=box)
def test_agreements_are_the_librarys_and_the_formulas_of_their_terms(a, b):
    found, t = boxes.pulls(a, b), boxes.terms(a, b)
    pair = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    for kind, agreement in AGREEMENTS.items():
        assert found[kind].agreement == pytest.approx(agreement(*pair).item(), abs=1e-12)
    overlap = t.intersection / t.union
    assert found["iou"].agreement == pytest.approx(overlap)
    assert found["giou"].agreement == pytest.approx(overlap - (t.around - t.union) / t.around)
    assert found["diou"].agreement == pytest.approx(overlap - t.apart / t.diagonal)
    assert found["ciou"].agreement == pytest.approx(overlap - t.apart / t.diagonal - t.alpha * t.v)
    assert found["dice"].agreement == pytest.approx(2 * t.intersection / (t.predicted + t.true))
    assert found["dice"].agreement == pytest.approx(2 * overlap / (1 + overlap))


@PAIRS
@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "dice"])
def test_gradients_of_the_sides_are_finite_differences(kind, a, b):
    """CIoU's is none, since its α is held."""
    pull, h = boxes.pulls(a, b)[kind], 1e-3
    for i, slope in enumerate(pull.gradient):
        ends = [tuple(x + sign * h * (i == j) for j, x in enumerate(a)) for sign in (1, -1)]
        above, below = (boxes.pulls(end, b)[kind].loss for end in ends)
        assert slope == pytest.approx((above - below) / (2 * h), abs=1e-7)
    ends = [(a[0] + dx, a[1], a[2] + dx, a[3]) for dx in (h, -h)]
    above, below = (boxes.pulls(end, b)[kind].loss for end in ends)
    assert pull.centre[0] == pytest.approx((above - below) / (2 * h), abs=1e-7)


def test_boxes_apart_are_pulled_by_all_but_iou_and_dice():
    found = boxes.pulls(*APART)
    assert {kind for kind, pull in found.items() if pull.still} == {"iou", "dice"}
    for kind in ("giou", "diou", "ciou"):
        assert min(-slope for slope in found[kind].centre) > 0  # to the right and down, where B is


def test_descent_arrives_from_apart_but_with_iou_and_dice_the_box_has_not_moved():
    found = boxes.descend(*APART, rate=0.03)
    assert set(found) == set(boxes.KINDS)
    for kind, way in found.items():
        assert way.boxes.shape == (boxes.STEPS + 1, 4)
        np.testing.assert_array_equal(way.boxes[0], APART[0])
        if kind in ("iou", "dice"):
            assert not way.moved
            np.testing.assert_array_equal(way.boxes[-1], APART[0])
            assert way.ious[-1] == 0
        else:
            assert way.moved
            assert way.ious[-1] > 0.98
            np.testing.assert_allclose(way.boxes[-1], APART[1], atol=2)


@PAIRS
def test_each_step_of_descent_has_the_loss_and_iou_of_its_box(a, b):
    for kind, way in boxes.descend(a, b, rate=0.03).items():
        for step in (0, 1, 40, boxes.STEPS):
            assert way.losses[step] == pytest.approx(boxes.pulls(way.boxes[step], b)[kind].loss, abs=1e-12)
            here = torch.from_numpy(way.boxes[step])
            assert way.ious[step] == iou(here, torch.tensor(b, dtype=torch.float64)).item()


def test_the_first_step_goes_against_the_gradient_of_centre_and_size():
    a, b = OVERLAPPING
    rate = 1e-5
    way = boxes.descend(a, b, rate)["giou"].boxes
    x0, _, x1, _ = boxes.pulls(a, b)["giou"].gradient
    long = (1 - boxes.MOMENTUM) * rate * boxes.WIDTH**2
    centres, widths = (way[:, 0] + way[:, 2]) / 2, way[:, 2] - way[:, 0]
    assert centres[1] - centres[0] == pytest.approx(-long * (x0 + x1))
    assert widths[1] - widths[0] == pytest.approx(-long * (x1 - x0) / 2)


def test_descent_that_steps_too_far_leaves_a_box():
    for way in boxes.descend(*WITHIN, rate=5).values():
        assert np.isfinite(way.boxes).all()
        assert (way.boxes[:, 2:] - way.boxes[:, :2] >= boxes.SMALLEST - 1e-9).all()


# --- Two masks --------------------------------------------------------------------------------------------------------

DISCS = ((150.5, 149.0, 70.0), (240.0, 160.0, 60.0))


def test_masks_have_the_librarys_losses_and_their_terms():
    a, b = DISCS
    found, t = masks.slopes(a, b, 4), masks.terms(a, b, 4)
    logits, labels = masks.logits_of(masks.tensor(a), 4), masks.labels_of(b)
    for kind in masks.KINDS:
        assert found[kind].loss == dense_loss(logits, labels, kind).item()
    assert found["dice"].loss == pytest.approx(1 - 2 * t.intersection / (t.predicted + t.true))
    assert found["soft_iou"].loss == pytest.approx(1 - t.intersection / (t.predicted + t.true - t.intersection))
    assert found["bce"].loss == pytest.approx(sum(t.bce) / t.pixels)
    assert found["focal"].loss == pytest.approx(sum(t.focal) / t.pixels)
    assert found["bce_dice"].loss == pytest.approx(found["bce"].loss + found["dice"].loss)
    assert t.true == masks.truth(b).sum() == pytest.approx(math.pi * 60**2 / masks.CELL**2, rel=0.02)


def test_the_gradient_of_a_disc_is_a_finite_difference():
    a, b = DISCS
    h = 1e-4
    found = masks.slopes(a, b, 3)
    for i in range(3):
        ends = [tuple(x + sign * h * (i == j) for j, x in enumerate(a)) for sign in (1, -1)]
        above, below = (masks.slopes(end, b, 3) for end in ends)
        for kind in masks.KINDS:
            slope = (above[kind].loss - below[kind].loss) / (2 * h)
            assert found[kind].disc[i] == pytest.approx(slope, abs=1e-7)


def test_masks_apart_pull_every_pixel_but_not_the_disc():
    a, b = (95.0, 150.0, 60.0), (305.0, 150.0, 60.0)
    inside = masks.truth(b)
    for slope in masks.slopes(a, b, 6).values():
        assert (slope.pixels[inside] < 0).all()
        assert (slope.pixels[~inside] > 0).all()
        assert math.hypot(*slope.disc[:2]) < 1e-5  # where they overlap it is a thousand times that
        assert 0 < slope.of_object(inside) < 1


def test_a_sure_and_wrong_pixel_is_moved_by_bce_and_hardly_by_dice():
    found = masks.slopes((95, 150, 60), (305, 150, 60), 6)
    bce, dice = (np.abs(found[kind].pixels).max() * found[kind].pixels.size for kind in ("bce", "dice"))
    assert bce == pytest.approx(1, abs=0.01)
    assert dice < bce / 20


def test_descent_of_masks_is_gradient_descent_pixel_by_pixel():
    """BCE's is known on paper: z moves by η (t − p)."""
    a, b, rate = *DISCS, 0.3
    way = masks.descend(a, b, 4, rate)["bce"]
    z, t = masks.logits_of(masks.tensor(a), 4)[0, 0].numpy(), masks.truth(b)
    for frame in range(masks.STEPS // masks.EVERY + 1):
        p = 1 / (1 + np.exp(-z))
        np.testing.assert_allclose(way.probabilities[frame], p, atol=1e-9)
        assert way.losses[frame] == pytest.approx(-np.where(t, np.log(p), np.log1p(-p)).mean())
        assert way.ious[frame] == pytest.approx(((p > 0.5) & t).sum() / ((p > 0.5) | t).sum())
        for _ in range(masks.EVERY):
            z = z + rate * (t - 1 / (1 + np.exp(-z)))


def test_masks_apart_meet_by_bce_and_when_sure_not_by_dice_alone():
    found = masks.descend((95, 150, 60), (305, 150, 60), 6, 0.2)
    assert {kind: round(way.ious[-1], 2) for kind, way in found.items()} == {
        "soft_iou": 0,
        "dice": 0,
        "bce": 1,
        "bce_dice": 1,
        "focal": 1,
    }


@pytest.mark.parametrize("disc", [(2.0, 2.0, 8.0), (202.0, 150.0, 300.0), (0.0, 0.0, 8.0)])
def test_discs_at_the_edge_or_larger_than_the_picture_are_finite(disc):
    for slope in masks.slopes(disc, disc, 8).values():
        assert np.isfinite([slope.loss, *slope.disc, *slope.pixels.flat]).all()


# --- Few pixels among many --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("doubt", [0.05, 0.2])
def test_losses_and_shares_are_those_of_the_formulas(found, doubt):
    for f, share in imbalance.curve("bce", found, doubt).items():
        hit, q = found * f, doubt
        missed = f - hit
        assert share.loss == pytest.approx(-missed * math.log(q) - (1 - missed) * math.log(1 - q), rel=1e-9)
        theirs = missed * (1 - q) + hit * q
        assert share.of_gradient == pytest.approx(theirs / (theirs + (1 - f) * q), rel=1e-9)
    for f, share in imbalance.curve("dice", found, doubt).items():
        hit, q = found * f, doubt
        common = hit * (1 - q) + (f - hit) * q
        both = common + (1 - f) * q + f
        assert share.loss == pytest.approx(1 - 2 * common / both, rel=1e-9)
        theirs = f * 2 * (both - common)  # times p (1 − p) / both², which all pixels have
        assert share.of_gradient == pytest.approx(theirs / (theirs + (1 - f) * 2 * common), rel=1e-9)


def test_the_claim_of_the_notes():
    """An object that is missed: BCE forgets it as it shrinks, Dice does not."""
    bce, dice = (list(imbalance.curve(kind, 0, 0.05).values()) for kind in ("bce", "dice"))
    assert all(small.loss < large.loss for small, large in pairwise(bce))
    assert bce[0].loss < 0.06 < 0.9 < min(share.loss for share in dice)
    assert bce[0].of_gradient < 0.02
    assert min(share.of_gradient for share in dice) > 0.5
