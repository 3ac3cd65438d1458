"""The classification losses are their formulas, written out here."""

import pytest
import torch
from torch import Tensor

from cvhub.models.losses import classification_loss

MULTI_LABEL = "multi_label_classification"


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(6, 5, dtype=torch.float64)


@pytest.fixture
def classes() -> Tensor:
    return torch.tensor([0, 4, 2, 2, 1, 3])


def test_cross_entropy(logits: Tensor, classes: Tensor) -> None:
    """−log p_y, a mean over the batch, in nats."""
    probabilities = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    expected = -torch.stack([probabilities[i, y].log() for i, y in enumerate(classes)]).mean()
    torch.testing.assert_close(classification_loss(logits, classes), expected.float())


@pytest.mark.parametrize("epsilon", [0.1, 0.4])
def test_label_smoothing(logits: Tensor, classes: Tensor, epsilon: float) -> None:
    """The target is 1 − ε + ε/K at the class and ε/K elsewhere (Szegedy et al. 2016)."""
    target = torch.full((6, 5), epsilon / 5, dtype=torch.float64)
    for i, y in enumerate(classes):
        target[i, y] += 1 - epsilon
    expected = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(classification_loss(logits, classes, epsilon), expected.float())


def test_soft_labels(logits: Tensor) -> None:
    """−Σ q log p: the KL divergence plus the target's entropy, which no weight changes."""
    target = torch.rand(6, 5, dtype=torch.float64).softmax(dim=1)
    divergence = (target * (target.log() - logits.log_softmax(dim=1))).sum(dim=1).mean()
    entropy = -(target * target.log()).sum(dim=1).mean()
    torch.testing.assert_close(classification_loss(logits, target), (divergence + entropy).float())
    smoothed = 0.9 * target + 0.1 / 5
    torch.testing.assert_close(classification_loss(logits, target, 0.1), classification_loss(logits, smoothed))


def test_one_hot_soft_labels_are_hard_labels(logits: Tensor, classes: Tensor) -> None:
    one_hot = torch.nn.functional.one_hot(classes, 5).double()
    torch.testing.assert_close(classification_loss(logits, one_hot), classification_loss(logits, classes))


def test_several_labels_a_picture(logits: Tensor) -> None:
    """−[y log σ(z) + (1 − y) log(1 − σ(z))], a mean over pictures and classes."""
    labels = torch.randint(0, 2, (6, 5))
    p = logits.sigmoid()
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    torch.testing.assert_close(classification_loss(logits, labels, problem_type=MULTI_LABEL), expected.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single(logits: Tensor, classes: Tensor, dtype: torch.dtype) -> None:
    half = logits.to(dtype)
    loss = classification_loss(half, classes)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, classification_loss(half.float(), classes))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_class_labels_of_any_integer_type(logits: Tensor, classes: Tensor, dtype: torch.dtype) -> None:
    assert torch.equal(classification_loss(logits, classes.to(dtype)), classification_loss(logits, classes))


@pytest.mark.parametrize(
    ("labels", "problem_type", "message"),
    [
        (torch.zeros(4, dtype=torch.long), None, r"class labels have shape \(4,\), expected \(6,\)"),
        (torch.zeros(6, 5, dtype=torch.long), None, r"class labels have shape \(6, 5\), expected \(6,\)"),
        (torch.zeros(6, 4), None, r"soft labels have shape \(6, 4\), expected \(6, 5\)"),
        (torch.zeros(6), MULTI_LABEL, r"multi-label labels have shape \(6,\), expected \(6, 5\)"),
    ],
)
def test_labels_that_fit_nothing_are_refused(
    logits: Tensor, labels: Tensor, problem_type: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classification_loss(logits, labels, problem_type=problem_type)
