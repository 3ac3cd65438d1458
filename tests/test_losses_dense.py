"""The segmenters' losses are their formulas and segmentation_models_pytorch's, and safe wherever nothing is defined."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as smp
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from cvhub.errors import CvhubError
from cvhub.models.losses_dense import (
    LOSSES,
    UNWEIGHTED_LOSSES,
    WEIGHTED_LOSSES,
    Overlap,
    bce_dice_loss,
    bce_loss,
    bce_map,
    cross_entropy,
    cross_entropy_map,
    dense_loss,
    dice_loss,
    focal_loss,
    focal_map,
    logits_overlap,
    overlap,
    soft_iou_loss,
)
from cvhub.training.border_weights import border_weights

IGNORE = 255
CHANNELS = pytest.mark.parametrize("channels", [1, 4])
EVERY_LOSS = pytest.mark.parametrize("kind", LOSSES)


def batch(channels: int, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    """Logits (2, K, 12, 9) and labels, of which a share is ignored; of four classes the last never occurs."""
    logits = 3 * torch.randn(2, channels, 12, 9)
    labels = torch.randint(0, max(channels - 1, 2), (2, 12, 9))
    labels[torch.rand(labels.shape) < ignored] = IGNORE
    return logits, labels


def mode(channels: int) -> str:
    return "binary" if channels == 1 else "multiclass"


# --- Against references -----------------------------------------------------------------------------------------------


@CHANNELS
@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize(("ours", "theirs"), [(dice_loss, smp.DiceLoss), (soft_iou_loss, smp.JaccardLoss)])
def test_dice_and_iou_are_smps(channels: int, ignored: float, ours, theirs) -> None:
    """A class that is absent from the truth included: it adds 0 and is counted."""
    logits, labels = batch(channels, ignored)
    expected = theirs(mode(channels), ignore_index=IGNORE)(logits, labels)
    torch.testing.assert_close(ours(logits, labels), expected)
    assert expected > 0.1


@pytest.mark.parametrize(("ours", "theirs"), [(dice_loss, smp.DiceLoss), (soft_iou_loss, smp.JaccardLoss)])
def test_soft_masks_are_smps(ours, theirs) -> None:
    logits, labels = batch(1)[0], torch.rand(2, 1, 12, 9)
    torch.testing.assert_close(ours(logits, labels), theirs("binary")(logits, labels))


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
def test_focal_loss_of_a_mask_is_smps_and_torchvisions(alpha: float | None, gamma: float) -> None:
    logits, labels = batch(1)
    ours = focal_loss(logits, labels, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(ours, smp.FocalLoss("binary", alpha, gamma, IGNORE)(logits, labels))
    counted = labels != IGNORE
    map_ = focal_map(logits, labels, gamma=gamma, alpha=alpha)
    theirs = sigmoid_focal_loss(logits[:, 0], labels.float(), -1 if alpha is None else alpha, gamma)
    torch.testing.assert_close(map_[counted], theirs[counted])


def test_focal_loss_of_classes_is_softmaxs() -> None:
    """smp has it as a function; its FocalLoss asks each class by itself, as masks do."""
    logits, labels = batch(4, ignored=0)
    torch.testing.assert_close(focal_loss(logits, labels), softmax_focal_loss_with_logits(logits, labels))
    one_against_all = [focal_loss(logits[:, k : k + 1], (labels == k).long()) for k in range(4)]
    torch.testing.assert_close(torch.stack(one_against_all).mean(), smp.FocalLoss("multiclass")(logits, labels))


def test_cross_entropy_is_torchs() -> None:
    logits, labels = batch(4)
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits, labels, ignore_index=IGNORE))
    expected = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    torch.testing.assert_close(cross_entropy_map(logits, labels), expected)


def test_bce_is_torchs() -> None:
    """Of a mask; and of classes, each channel a question of its own."""
    logits, labels = batch(1)
    counted = labels != IGNORE
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][counted], labels[counted].float())
    torch.testing.assert_close(bce_loss(logits, labels), expected)
    logits, labels = batch(4, ignored=0)
    one_hot = F.one_hot(labels, 4).movedim(-1, 1).float()
    torch.testing.assert_close(bce_loss(logits, labels), F.binary_cross_entropy_with_logits(logits, one_hot))


def test_of_a_mask_cross_entropy_is_bce() -> None:
    for labels in (batch(1)[1], torch.rand(2, 1, 12, 9)):
        logits = batch(1)[0]
        torch.testing.assert_close(cross_entropy(logits, labels), bce_loss(logits, labels))


def test_focal_loss_of_gamma_0_is_cross_entropy() -> None:
    logits, labels = batch(4)
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0), cross_entropy(logits, labels))


# --- Formulas by hand -------------------------------------------------------------------------------------------------


def test_overlap_by_hand() -> None:
    """I = ½ + 1, P = ½ + 1 + ¼, T = 2; the fourth pixel, which would change all three, is not valid."""
    p = torch.tensor([0.5, 1.0, 0.25, 0.75]).view(1, 1, 2, 2)
    t = torch.tensor([1.0, 1.0, 0.0, 1.0]).view(1, 1, 2, 2)
    found = overlap(p, t, torch.tensor([[[True, True], [True, False]]]))
    assert [term.tolist() for term in found] == [[1.5], [1.75], [2.0]]
    torch.testing.assert_close(found.dice, torch.tensor([2 * 1.5 / 3.75]))
    torch.testing.assert_close(found.iou, torch.tensor([1.5 / 2.25]))


@CHANNELS
def test_the_losses_are_made_of_the_terms_that_can_be_shown(channels: int) -> None:
    logits, labels = batch(channels)
    i, p, t = logits_overlap(logits, labels)
    present = (t > 0).float()
    torch.testing.assert_close(dice_loss(logits, labels), ((1 - 2 * i / (p + t)) * present).mean())
    torch.testing.assert_close(soft_iou_loss(logits, labels), ((1 - i / (p + t - i)) * present).mean())
    torch.testing.assert_close(bce_dice_loss(logits, labels), bce_loss(logits, labels) + dice_loss(logits, labels))


@CHANNELS
@pytest.mark.parametrize(
    ("map_of", "loss"), [(bce_map, bce_loss), (focal_map, focal_loss), (cross_entropy_map, cross_entropy)]
)
def test_losses_are_means_of_their_maps(channels: int, map_of, loss) -> None:
    logits, labels = batch(channels)
    map_, counted = map_of(logits, labels), labels != IGNORE
    assert map_.shape == labels.shape
    assert (map_[~counted] == 0).all()
    torch.testing.assert_close(loss(logits, labels), map_[counted].mean())


def test_focal_loss_by_hand() -> None:
    """p = ¾ of a pixel of class 1: ¼ · (1 − ¾)² · −log ¾; of class 0: ¾ · (1 − ¼)² · −log ¼."""
    logits = torch.tensor([3.0, 3.0]).log().view(1, 1, 1, 2)
    expected = torch.tensor([[[0.25 * 0.0625 * 0.2876821, 0.75 * 0.5625 * 1.3862944]]])
    torch.testing.assert_close(focal_map(logits, torch.tensor([[[1, 0]]]), alpha=0.25), expected)


def test_weights_multiply_the_pixels() -> None:
    logits, labels = batch(4)
    weights = torch.rand(labels.shape) * 5
    counted = labels != IGNORE
    for kind, map_of in (("cross_entropy", cross_entropy_map), ("bce", bce_map)):
        expected = (weights * map_of(logits, labels))[counted].mean()
        torch.testing.assert_close(dense_loss(logits, labels, kind, weights=weights), expected)
    both = dense_loss(logits, labels, "bce_dice", weights=weights)
    torch.testing.assert_close(both, bce_loss(logits, labels, weights=weights) + dice_loss(logits, labels))


@EVERY_LOSS
def test_a_config_names_its_loss(kind: str) -> None:
    logits, labels = batch(4)
    assert torch.equal(
        dense_loss(logits, labels, kind), (WEIGHTED_LOSSES | UNWEIGHTED_LOSSES)[kind](logits, labels, IGNORE)
    )


# --- Properties -------------------------------------------------------------------------------------------------------


@EVERY_LOSS
@CHANNELS
def test_one_hot_soft_labels_are_hard_labels(kind: str, channels: int) -> None:
    logits, labels = batch(channels, ignored=0)
    soft = labels[:, None].float() if channels == 1 else F.one_hot(labels, channels).movedim(-1, 1).float()
    torch.testing.assert_close(dense_loss(logits, soft, kind), dense_loss(logits, labels, kind))


@EVERY_LOSS
@CHANNELS
@pytest.mark.parametrize("soft", [False, True])
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_gradients_are_finite_differences(kind: str, channels: int, soft: bool, seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(2, channels, 3, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.rand(2, channels, 3, 2, dtype=torch.float64) if soft else batch(channels)[1][:, :3, :2]
    assert torch.autograd.gradcheck(lambda z: dense_loss(z, labels, kind), logits)


@pytest.mark.parametrize("loss", [dice_loss, soft_iou_loss])
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_overlap_doesnt_tell_answer_from_truth(loss: Any, seed: int) -> None:
    """Of two soft masks either may be the answer."""
    one, other = torch.rand(2, 2, 1, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(loss(one.logit(), other), loss(other.logit(), one))


@EVERY_LOSS
@CHANNELS
@pytest.mark.parametrize("ignore_index", [IGNORE, -100])
def test_ignored_pixels_count_nowhere(kind: str, channels: int, ignore_index: int) -> None:
    """Whatever their logits, and as if they were cut off."""
    logits, labels = batch(channels, ignored=0)
    labels[:, 8:] = ignore_index
    loss = dense_loss(logits, labels, kind, ignore_index)
    torch.testing.assert_close(loss, dense_loss(logits[:, :, :8], labels[:, :8], kind, ignore_index))
    logits = logits.clone().requires_grad_()
    dense_loss(logits, labels, kind, ignore_index).backward()
    assert (logits.grad[:, :, 8:] == 0).all()
    assert (logits.grad[:, :, :8] != 0).any()


@EVERY_LOSS
@CHANNELS
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_ranges_and_the_order_of_pixels(kind: str, channels: int, seed: int, scale: float) -> None:
    """Dice and IoU are within 0 and 1, the others not negative; where pixels and pictures stand changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(2, channels, 4, 3, generator=generator)
    labels = torch.randint(0, max(channels, 2), (2, 4, 3), generator=generator)
    loss = dense_loss(logits, labels, kind)
    assert 0 <= loss <= (1 if kind in ("dice", "soft_iou") else float("inf"))
    torch.testing.assert_close(dense_loss(logits.flip(0, 2), labels.flip(0, 1), kind), loss)


@given(i=st.floats(0, 1e4), p=st.floats(0, 1e4), t=st.floats(0.1, 1e4))
def test_dice_and_iou_are_one_number_told_twice(i: float, p: float, t: float) -> None:
    """D = 2 J / (1 + J), and neither depends on the size of the picture."""
    found = Overlap(*(torch.tensor([v], dtype=torch.float64) for v in (min(i, p, t), p, t)))
    torch.testing.assert_close(found.dice, 2 * found.iou / (1 + found.iou))
    doubled = Overlap(*(4 * term for term in found))
    torch.testing.assert_close(doubled.dice, found.dice)
    torch.testing.assert_close(doubled.iou, found.iou)


@pytest.mark.parametrize("side", [32, 16, 8, 4])
def test_missing_a_small_object_costs_dice_nearly_all_and_bce_nearly_nothing(side: int) -> None:
    """A net that is sure of background everywhere: BCE is in proportion to the object's share, Dice hardly moves."""
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, :side, :side] = 1
    logits = torch.full((1, 1, 64, 64), -8.0)
    share = side**2 / 64**2
    torch.testing.assert_close(bce_loss(logits, labels), torch.tensor(8.0 * share), rtol=0, atol=1e-3)
    assert dice_loss(logits, labels) > 0.99


# --- Where nothing is defined -----------------------------------------------------------------------------------------


def value_and_gradient(logits: Tensor, labels: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    loss = dense_loss(logits, labels, kind)
    loss.backward()
    return loss.detach(), logits.grad


@EVERY_LOSS
@CHANNELS
def test_where_every_pixel_is_ignored_the_loss_is_0(kind: str, channels: int) -> None:
    logits = batch(channels)[0]
    loss, gradient = value_and_gradient(logits, torch.full((2, 12, 9), IGNORE), kind)
    assert loss == 0
    assert (gradient == 0).all()


@EVERY_LOSS
@CHANNELS
@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize(("answer", "truth"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_huge_logits_and_empty_masks(kind: str, channels: int, size: float, answer: int, truth: int) -> None:
    """All of one class in truth, and answered with probabilities of exactly 0 and 1."""
    logits = torch.full((1, channels, 4, 4), -size)
    if channels > 1 or answer:
        logits[:, answer if channels > 1 else 0] = size
    loss, gradient = value_and_gradient(logits, torch.full((1, 4, 4), truth), kind)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    if answer == truth:
        assert loss == 0


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_focal_loss_of_certain_pixels(gamma: float) -> None:
    """The derivative of (1 − p)^γ has no limit at p = 1 for γ < 1, the loss's has."""
    logits = torch.tensor([-1e4, -90.0, -20.0, 20.0, 90.0, 1e4]).view(1, 1, 2, 3).requires_grad_()
    focal_loss(logits, torch.ones(1, 2, 3, dtype=torch.long), gamma=gamma).backward()
    assert logits.grad.isfinite().all()


def test_false_positives_on_an_empty_truth_cost_bce_alone() -> None:
    logits, labels = torch.full((1, 1, 4, 4), 2.0), torch.zeros(1, 4, 4, dtype=torch.long)
    assert dice_loss(logits, labels) == 0
    assert soft_iou_loss(logits, labels) == 0
    _, gradient = value_and_gradient(logits, labels, "bce_dice")
    assert (gradient > 0).all()


@EVERY_LOSS
@CHANNELS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single(kind: str, channels: int, dtype: torch.dtype) -> None:
    logits, labels = batch(channels)
    half = logits.to(dtype)
    loss = dense_loss(half, labels, kind)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, dense_loss(half.float(), labels, kind))


@pytest.mark.parametrize("ignore_index", [255, -100])
def test_labels_of_bytes(ignore_index: int) -> None:
    """−100 is no byte, so 156, which it would wrap to, is a wrong label and not an ignored one."""
    logits, labels = batch(4, ignored=0)
    assert torch.equal(cross_entropy(logits, labels.byte(), ignore_index), cross_entropy(logits, labels, ignore_index))
    with pytest.raises(ValueError, match="a label is 156"):
        cross_entropy(logits, torch.full((2, 12, 9), 156, dtype=torch.uint8), -100)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 6, 4, dtype=torch.long), r"labels have shape \(2, 6, 4\), expected \(2, 6, 5\)"),
        (torch.zeros(2, 3, 6, 5, dtype=torch.long), r"labels have shape \(2, 3, 6, 5\), expected \(2, 6, 5\)"),
        (torch.zeros(2, 6, 5), r"soft labels have shape \(2, 6, 5\), expected \(2, 3, 6, 5\)"),
        (torch.full((2, 6, 5), 3), "a label is 3, expected 0 to 2"),
        (torch.full((2, 6, 5), -1), "a label is -1, expected 0 to 2"),
        (torch.full((2, 3, 6, 5), 255.0), "a label is 255, expected 0 to 1"),
        (torch.full((2, 3, 6, 5), torch.nan), "a label is nan, expected 0 to 1"),
    ],
)
@EVERY_LOSS
def test_labels_that_fit_nothing_are_refused(kind: str, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dense_loss(torch.zeros(2, 3, 6, 5), labels, kind)


def test_what_else_is_refused() -> None:
    logits, labels = batch(4)
    with pytest.raises(ValueError, match="a label is 2, expected 0 to 1"):
        bce_loss(torch.zeros(2, 1, 12, 9), torch.full((2, 12, 9), 2))
    with pytest.raises(ValueError, match="the loss is 'mse', expected one of cross_entropy, bce, bce_dice, focal"):
        dense_loss(logits, labels, "mse")
    with pytest.raises(ValueError, match="'dice' takes no weights, only cross_entropy, bce, bce_dice do"):
        dense_loss(logits, labels, "dice", weights=torch.ones(2, 12, 9))
    with pytest.raises(ValueError, match=r"weights have shape \(12, 9\), expected \(2, 12, 9\)"):
        dense_loss(logits, labels, "bce", weights=torch.ones(12, 9))
    with pytest.raises(ValueError, match=r"alpha is 0\.25 with 4 channels"):
        focal_loss(logits, labels, alpha=0.25)


# --- U-Net's weights --------------------------------------------------------------------------------------------------


def objects(seed: int) -> np.ndarray:
    """Rectangles that may touch, with ids that are not counted through, some at the picture's edge."""
    generator = np.random.default_rng(seed)
    map_ = np.zeros((24, 28), np.uint16)
    for id_ in (7, 300, 2, 41, 8):
        y, x = generator.integers(0, 22), generator.integers(0, 26)
        map_[y : y + generator.integers(2, 9), x : x + generator.integers(2, 9)] = id_
    return map_


def distances_by_hand(instances: np.ndarray) -> np.ndarray:
    """From each pixel to each object, ascending, (M, H, W), by all pairs of pixels."""
    grid = np.stack(np.indices(instances.shape), axis=-1).reshape(-1, 1, 2)
    ids = np.unique(instances[instances > 0])
    return np.sort(
        [
            np.sqrt(((grid - np.argwhere(instances == id_)) ** 2).sum(-1)).min(axis=1).reshape(instances.shape)
            for id_ in ids
        ],
        axis=0,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sigma", [1.5, 5.0])
def test_border_weights_are_equation_2(seed: int, sigma: float) -> None:
    instances = objects(seed)
    d1, d2 = distances_by_hand(instances)[:2]
    gaps = 0.5 + 8 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    expected = np.where(instances == 0, gaps, 3.0)
    weights = border_weights(instances, 8, sigma, (0.5, 3.0))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert weights[instances == 0].max() > 0.52


def test_the_narrower_a_gap_the_more_it_weighs() -> None:
    instances = np.zeros((20, 60), np.int32)
    for id_, (start, stop) in enumerate([(0, 10), (12, 22), (30, 40)], start=1):
        instances[5:15, start:stop] = id_
    row = border_weights(instances)[10]
    assert row[10] == pytest.approx(1 + 10 * np.exp(-(3**2) / 50))  # one pixel from one, two from the other
    assert row[11] > row[25] > row[45] > 1
    assert (row[:10] == 1).all()


@pytest.mark.parametrize(
    "instances", [np.zeros((9, 9), int), np.eye(9, dtype=int), np.full((9, 9), 5), -np.eye(9, dtype=int)]
)
def test_no_gap_without_two_objects(instances: np.ndarray) -> None:
    assert (border_weights(instances) == 1).all()


def test_what_is_no_map_of_objects() -> None:
    with pytest.raises(CvhubError, match=r"shape \(1, 4, 4\) and type int64, expected integers \(H, W\)"):
        border_weights(np.zeros((1, 4, 4), np.int64))
    with pytest.raises(CvhubError, match="type float32"):
        border_weights(np.zeros((4, 4), np.float32))
