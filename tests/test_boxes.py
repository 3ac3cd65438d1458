"""IoU and its successors: torchvision's values, safe where nothing is defined, and what each sees that IoU does not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops
from torch import Tensor
from torchvision import ops

from cvhub.errors import CvhubError
from cvhub.evaluation.boxes import (
    AGREEMENTS,
    area_around,
    areas,
    box_loss,
    ciou,
    diou,
    distances,
    giou,
    instance_boxes,
    iou,
    shapes_apart,
)

KINDS = pytest.mark.parametrize("kind", AGREEMENTS)
TORCHVISIONS = {
    "giou": ops.generalized_box_iou_loss,
    "diou": ops.distance_box_iou_loss,
    "ciou": ops.complete_box_iou_loss,
}
LOWEST = {"iou": 0, "giou": -1, "diou": -1, "ciou": -2}  # CIoU's α v is below 1, since v is


def box(*edges: float) -> Tensor:
    return torch.tensor(edges, dtype=torch.float64)


def random_boxes(*shape: int) -> Tensor:
    corner, size = 10 * torch.rand(*shape, 2, dtype=torch.float64), 0.1 + 8 * torch.rand(*shape, 2, dtype=torch.float64)
    return torch.cat([corner, corner + size], dim=-1)


edge = st.integers(-20, 20).map(float)
boxes = st.tuples(edge, edge, edge, edge).map(
    lambda e: box(min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3]))
)


# --- Against torchvision ----------------------------------------------------------------------------------------------


def test_all_pairs_are_torchvisions() -> None:
    a, b = random_boxes(7), random_boxes(5)
    torch.testing.assert_close(iou(a[:, None], b), ops.box_iou(a, b))
    torch.testing.assert_close(giou(a[:, None], b), ops.generalized_box_iou(a, b))
    torch.testing.assert_close(diou(a[:, None], b), ops.distance_box_iou(a, b))
    torch.testing.assert_close(ciou(a[:, None], b), ops.complete_box_iou(a, b))


@pytest.mark.parametrize("kind", TORCHVISIONS)
def test_losses_and_their_gradients_are_torchvisions(kind: str) -> None:
    """Up to the 1e-7 that it adds to denominators."""
    a, b = random_boxes(60).requires_grad_(), random_boxes(60)
    theirs = TORCHVISIONS[kind](a, b)
    ours = box_loss(a, b, kind)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    (expected,) = torch.autograd.grad(theirs.sum(), a)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), a)[0], expected, rtol=1e-5, atol=1e-6)


@KINDS
def test_leading_shapes_broadcast(kind: str) -> None:
    a, b = random_boxes(2, 3, 1), random_boxes(4)
    table = AGREEMENTS[kind](a, b)
    assert table.shape == (2, 3, 4)
    torch.testing.assert_close(table[1, 2, 3], AGREEMENTS[kind](a[1, 2, 0], b[3]))


# --- What IoU does not see --------------------------------------------------------------------------------------------


def test_three_pictures_of_equal_iou() -> None:
    """Two boxes that share a third of what they cover: side by side, corner on corner, and crossed.

    Side by side they fill the box around them; the others leave corners of it empty, the crossed ones a quarter.
    """
    shift = 1 - 0.5**0.5
    pictures = [
        (box(0, 0, 2, 1), box(1, 0, 3, 1)),
        (box(0, 0, 1, 1), box(shift, shift, 1 + shift, 1 + shift)),
        (box(0, 0, 2, 1), box(0, 0, 1, 2)),
    ]
    a, b = (torch.stack(side) for side in zip(*pictures, strict=True))
    torch.testing.assert_close(iou(a, b), torch.full((3,), 1 / 3, dtype=torch.float64))
    around = (1 + shift) ** 2
    torch.testing.assert_close(giou(a, b), box(1 / 3, 1 / 3 - (around - 1.5) / around, 1 / 3 - 1 / 4))


def test_boxes_apart_are_led_together_but_not_by_iou() -> None:
    a, b = box(0, 0, 2, 2), box(5, 1, 8, 3)
    gradients = {}
    for kind in AGREEMENTS:
        moving = a.clone().requires_grad_()
        box_loss(moving, b, kind).backward()
        gradients[kind] = moving.grad
    assert (gradients.pop("iou") == 0).all()
    for gradient in gradients.values():
        assert gradient[2] < 0  # the right edge is to move to the right, where b is


def test_diou_sees_the_centres_and_ciou_the_shapes() -> None:
    """One box within another, where neither IoU nor GIoU knows the place, nor DIoU the shape."""
    outer = box(0, 0, 8, 8)
    aside, centred, flat = box(1, 1, 3, 3), box(3, 3, 5, 5), box(0, 3.5, 4, 4.5)
    for same in (iou, giou):
        assert same(outer, aside) == same(outer, centred)
    torch.testing.assert_close(diou(outer, centred) - diou(outer, aside), box(0, 0, 0, 2**2 + 2**2)[3] / 128)
    assert ciou(outer, aside) == diou(outer, aside)
    assert iou(outer, flat) == iou(outer, aside)
    assert ciou(outer, flat) < diou(outer, flat)


def test_the_terms_of_the_formulas() -> None:
    """Of integers too, and computed on paper: 40 × 30 and 20 × 50, of which 10 × 20 is common."""
    a, b = torch.tensor([0, 0, 40, 30]), torch.tensor([30, 10, 50, 60])
    assert [term.item() for term in areas(a, b)] == [200, 1200 + 1000 - 200]
    assert area_around(a, b) == 50 * 60
    assert [term.item() for term in distances(a, b)] == [20**2 + 20**2, 50**2 + 60**2]
    v, alpha = shapes_apart(a.double(), b.double())
    torch.testing.assert_close(
        v, 4 / torch.pi**2 * (torch.tensor(0.4).double().atan() - (4 * box(1) / 3).atan())[0] ** 2
    )
    torch.testing.assert_close(alpha, v / (1 - 0.1 + v))


# --- Properties -------------------------------------------------------------------------------------------------------


@KINDS
@settings(max_examples=25)
@given(a=boxes, b=boxes, scale=st.sampled_from([1e-3, 0.5, 1.0, 1e4]))
def test_range_symmetry_scale_and_place(kind: str, a: Tensor, b: Tensor, scale: float) -> None:
    value = AGREEMENTS[kind](a, b)
    assert LOWEST[kind] <= value <= 1
    torch.testing.assert_close(AGREEMENTS[kind](b, a), value)
    torch.testing.assert_close(AGREEMENTS[kind](scale * a, scale * b), value)
    torch.testing.assert_close(AGREEMENTS[kind](a + 3, b + 3), value)
    assert value <= iou(a, b)


@KINDS
@settings(max_examples=25)
@given(a=boxes, b=boxes)
def test_any_boxes_have_finite_values_and_gradients(kind: str, a: Tensor, b: Tensor) -> None:
    """Points and lines too: integer edges make many."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    loss = box_loss(a, b, kind)
    loss.backward()
    for number in (loss, a.grad, b.grad):
        assert number.isfinite().all()


@KINDS
@pytest.mark.parametrize("same", [box(1, 2, 1, 2), box(1, 2, 4, 2), box(1, 2, 1, 6), box(1, 2, 4, 6)])
def test_equal_boxes(kind: str, same: Tensor) -> None:
    """Agree entirely, and without an area as little as boxes that touch."""
    a = same.clone().requires_grad_()
    loss = box_loss(a, same, kind)
    loss.backward()
    assert loss == (0 if same[2] > same[0] and same[3] > same[1] else 1)
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_gradients_are_finite_differences(kind: str, seed: int) -> None:
    """CIoU's is none, since its α is held; it is compared with torchvision's."""
    torch.manual_seed(seed)
    a, b = random_boxes(20).requires_grad_(), random_boxes(20)
    assert torch.autograd.gradcheck(lambda moving: box_loss(moving, b, kind), a)


@KINDS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_boxes_of_any_type_are_compared_in_single(kind: str, dtype: torch.dtype) -> None:
    """Products of a picture's sides are no float16."""
    a, b = box(0, 0, 1000, 800).to(dtype), box(100, 0, 900, 800).to(dtype)
    value = AGREEMENTS[kind](a, b)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, AGREEMENTS[kind](a.float(), b.float()))


def test_what_is_no_box() -> None:
    with pytest.raises(CvhubError, match=r"boxes have shape \(3, 5\), expected \(…, 4\)"):
        iou(torch.zeros(3, 5), torch.zeros(3, 4))
    with pytest.raises(CvhubError, match="the loss of boxes is 'l1', expected one of iou, giou, diou, ciou"):
        box_loss(torch.zeros(4), torch.zeros(4), "l1")


# --- Boxes of objects -------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), dtype=st.sampled_from([np.uint8, np.int32, np.uint16]))
def test_boxes_of_objects_are_scikit_images(seed: int, dtype: type) -> None:
    """Whatever their form and number; also in several pieces, and at the edge."""
    map_ = np.random.default_rng(seed).choice([0, 0, 0, 0, 0, 3, 7, 200], (7, 9)).astype(dtype)
    found = [(region.label, *region.bbox) for region in regionprops(map_.astype(int))]
    ids, tight = instance_boxes(map_)
    assert ids.tolist() == [label for label, *_ in found]
    assert tight.tolist() == [[x0, y0, x1, y1] for _, y0, x0, y1, x1 in found]


def test_ends_are_exclusive_and_what_is_below_1_is_background() -> None:
    map_ = np.full((5, 6), -1)
    map_[1:3, 2] = 4
    ids, tight = instance_boxes(map_)
    assert (ids.tolist(), tight.tolist()) == ([4], [[2, 1, 3, 3]])
    ids, tight = instance_boxes(np.zeros((5, 6), int))
    assert (ids.shape, tight.shape) == ((0,), (0, 4))
    with pytest.raises(CvhubError, match=r"has shape \(1, 5, 6\), expected \(H, W\)"):
        instance_boxes(np.zeros((1, 5, 6), int))
