"""The losses of distillation: worked by hand, timm's, their gradients, and whom a sample hears."""

import math

import pytest
import torch
from timm.task import LogitDistillationTask, TokenDistillationTask
from torch import Tensor, nn

from cvhub.training.distillation import Objective, hard_distillation, soft_distillation, teacher_weights

LN2 = math.log(2)


def logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- by hand


def test_soft_distillation_by_hand() -> None:
    """Two classes, τ = 2: softened, the teacher says 3/4 and 1/4, the student 1/2 each."""
    teacher, student = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2)
    kl = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert soft_distillation(student, teacher, 2.0).item() == pytest.approx(4 * kl, abs=1e-6)


def test_hard_distillation_by_hand() -> None:
    """The student gives the class that the teacher decides for 1/4."""
    student, teacher = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.1, 0.0]])
    assert hard_distillation(student, teacher).item() == pytest.approx(2 * LN2, abs=1e-6)


def test_a_student_that_says_the_same_pays_nothing_softly() -> None:
    assert soft_distillation(logits(5, 7), logits(5, 7) + 4.0).abs().max() < 1e-6


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the student's are \(2, 3\), the teacher's \(2, 4\)"):
        soft_distillation(torch.zeros(2, 3), torch.zeros(2, 4))


# -- temperature


def test_softening_leaves_the_gradients_size_alone() -> None:
    """τ · (p − q) is the gradient; for large τ it is (s − t) / K of logits without their mean (Hinton, equation 4)."""
    student, teacher = logits(4, 6).requires_grad_(), logits(4, 6, seed=1)
    for temperature in (1.0, 3.0, 1000.0):
        (gradient,) = torch.autograd.grad(soft_distillation(student, teacher, temperature).sum(), student)
        p, q = (student / temperature).softmax(-1), (teacher / temperature).softmax(-1)
        assert torch.allclose(gradient, (temperature * (p - q)).to(gradient), atol=1e-3)
    centred = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    assert torch.allclose(gradient, centred / 6, atol=0.02)


def test_the_gradient_of_the_temperature_is_that_of_finite_differences() -> None:
    student, teacher = logits(3, 5), logits(3, 5, seed=1)
    temperature = torch.tensor(2.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_distillation(student, teacher, temperature).sum(), temperature)
    step = 0.01
    around = [float(soft_distillation(student, teacher, 2.0 + sign * step).sum()) for sign in (1, -1)]
    assert gradient.item() == pytest.approx((around[0] - around[1]) / (2 * step), rel=5e-3)


def test_a_teacher_gets_no_say_in_bf16_that_it_would_not_have() -> None:
    """Numbers of three digits: the losses compute in float32."""
    student, teacher = (x.bfloat16() for x in (logits(64, 10), logits(64, 10, seed=1)))
    for loss in (soft_distillation, hard_distillation):
        assert loss(student, teacher).dtype == torch.float32
        assert torch.equal(loss(student, teacher), loss(student.float(), teacher.float()))


# -- timm's


class Says(nn.Module):
    """A net that answers with fixed logits, of one head or of two."""

    pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    num_classes, in_chans = 10, 3

    def __init__(self, *logits: Tensor):
        super().__init__()
        self.logits = [x.float() for x in logits]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.logits[0] if len(self.logits) == 1 else tuple(self.logits)

    def set_distilled_training(self, enable: bool) -> None:
        pass


PICTURES, LABELS = torch.zeros(8, 3, 4, 4), torch.arange(8) % 10


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_distillation_is_timms(temperature: float) -> None:
    student, teacher = logits(8, 10), logits(8, 10, seed=1)
    task = LogitDistillationTask(Says(student), Says(teacher), nn.CrossEntropyLoss(), temperature=temperature)
    theirs = task(PICTURES, LABELS)["kd_loss"]
    assert soft_distillation(student, teacher, temperature).mean().item() == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize("loss", ["hard", "soft"])
def test_distillation_of_a_token_is_timms(loss: str) -> None:
    classes, token, teacher = logits(8, 10), logits(8, 10, seed=1), logits(8, 10, seed=2)
    task = TokenDistillationTask(
        Says(classes, token), Says(teacher), nn.CrossEntropyLoss(), distill_type=loss, task_loss_weight=0.5
    )
    theirs = task(PICTURES, LABELS)
    each, heard = Objective(loss, temperature=task.temperature)(token, teacher[None], LABELS)
    assert (each * heard).mean().item() == pytest.approx(theirs["distill_loss"].item(), abs=1e-6)


# -- two teachers

# The worked example of docs/distillation.md: three samples, two classes, the true one is the first.
FIRST = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]).log()
SECOND = torch.tensor([[0.7, 0.3], [0.9, 0.1], [0.3, 0.7]]).log()
TRUTH = torch.zeros(3, dtype=torch.long)


@pytest.mark.parametrize(
    ("combination", "weights", "expected"),
    [
        ("fixed", (), [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]),
        ("fixed", (3.0, 1.0), [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]),
        ("confidence", (), [[0.5498, 0.4502], [0.3775, 0.6225], [0.4750, 0.5250]]),
        ("agreement", (), [[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]),
        ("agreement", (3.0, 1.0), [[0.75, 0.25], [0.0, 1.0], [0.0, 0.0]]),
    ],
)
def test_whom_a_sample_hears(combination: str, weights: tuple[float, ...], expected: list[list[float]]) -> None:
    heard = teacher_weights(torch.stack([FIRST, SECOND]), TRUTH, combination, weights)
    assert torch.allclose(heard, torch.tensor(expected), atol=5e-5)


def test_mixed_and_unknown_labels() -> None:
    """A mixed picture's p is Σ q·p, and either of its classes is right; without a label the teacher's own decision."""
    teachers = torch.stack([FIRST, SECOND])
    mixed = torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]])
    confidence = teacher_weights(teachers, mixed, "confidence")
    p = torch.tensor([[0.5, 0.5], [0.6, 0.1], [0.8, 0.7]])
    assert torch.allclose(confidence, p.softmax(-1), atol=1e-6)
    agreement = teacher_weights(teachers, mixed, "agreement")
    assert agreement.tolist() == [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]
    unknown = torch.full((3,), -100)
    assert torch.allclose(teacher_weights(teachers, unknown, "agreement"), torch.full((3, 2), 0.5))


def test_the_loss_is_the_weighted_sum_of_the_teachers() -> None:
    student = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]]).log()
    each, heard = Objective("hard", combination="agreement")(student, torch.stack([FIRST, SECOND]), TRUTH)
    loss = (each * heard).sum(-1).mean()
    # The first sample hears both, who say class 1; the second the second teacher, who says so too; the third nobody.
    assert loss.item() == pytest.approx((LN2 + math.log(4) + 0) / 3, abs=1e-6)
    assert heard.sum(-1).tolist() == [1, 1, 0]


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0), (-1.0, 2.0), (math.nan, 1.0)])
def test_weights_that_can_not_be_are_named(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected 2 of 0 or more, not all 0"):
        teacher_weights(torch.zeros(2, 3, 4), TRUTH, "fixed", weights)


def test_words_that_are_unknown_are_named() -> None:
    with pytest.raises(ValueError, match="combination is 'vote', expected one of fixed, confidence, agreement"):
        teacher_weights(torch.zeros(2, 3, 4), TRUTH, "vote")
    with pytest.raises(ValueError, match="loss is 'warm', expected one of hard, soft"):
        Objective("warm")(torch.zeros(3, 4), torch.zeros(1, 3, 4), TRUTH)
