"""What a student pays for answers other than its teachers': the losses of distillation.

Hinton et al. 2015, https://arxiv.org/abs/1503.02531, soften both distributions with a temperature τ; DeiT (Touvron et
al. 2021, https://arxiv.org/abs/2012.12877, section 4) calls that soft distillation and adds a hard one, against the
teacher's decision. With two teachers each sample weighs what they say. Nothing here knows of nets or data.

N samples, K classes, T teachers. Losses are of each sample, (N,), float32, in nats: whoever sums them up decides how.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cvhub.training.recipe import COMBINATIONS, LOSSES


def soft_distillation(student: Tensor, teacher: Tensor, temperature: float | Tensor = 3.0) -> Tensor:
    """τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ)), logits (N, K) each → (N,).

    DeiT's equation 2 without its weights. Softening divides gradients by τ²; the factor undoes that (Hinton et al.
    2015, section 2), so that changing τ does not change what the labels' loss weighs beside this one.
    """
    _check_shapes(student, teacher)
    log_p = F.log_softmax(student.float() / temperature, dim=-1)  # bf16 keeps too few digits for a logarithm
    log_q = F.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)


def hard_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy against the teacher's decision, logits (N, K) each → (N,). DeiT's equation 3, second term."""
    _check_shapes(student, teacher)
    return F.cross_entropy(student.float(), teacher.argmax(-1), reduction="none")


def teacher_weights(
    teachers: Tensor, labels: Tensor, combination: str = "fixed", weights: tuple[float, ...] = ()
) -> Tensor:
    """What each sample listens to each teacher, (N, T), from their logits (T, N, K) and its label.

    `labels` are classes (N,), −100 where none is known, or probabilities (N, K) of a mixed picture, which may leave a
    part of the sum unknown. `weights` are those of the teachers, equal unless given; they are made to sum up to 1.

    - "fixed": the weights.
    - "confidence": softmax over the teachers of the probability p that each gives the true class (of a mixed picture
      Σ q·p), times the weights: a teacher that knows better is heard more. Our definition, after the idea of Le et al.,
      https://arxiv.org/abs/2411.00209. Where no label is known, p is what the teacher gives to its own decision.
    - "agreement": the weights of those teachers whose decision is the true class (of a mixed picture one of its
      classes). A teacher that is wrong is not heard; where all are, the row is 0. Without a label all are heard.

    Raises `ValueError` for another combination, or another number of weights.
    """
    count, samples, classes = teachers.shape
    fixed = torch.tensor(weights or [1.0] * count, dtype=torch.float32, device=teachers.device)
    if len(fixed) != count or not bool((fixed >= 0).all()) or not fixed.sum() > 0:
        raise ValueError(f"weights are {weights}, expected {count} of 0 or more, not all 0.")
    fixed = (fixed / fixed.sum()).expand(samples, count)  # (N, T)
    if combination == "fixed":
        return fixed
    truth = _probabilities(labels, classes)  # (N, K)
    known = truth.sum(-1, keepdim=True) > 0  # (N, 1)
    if combination == "confidence":
        p = teachers.float().softmax(-1)  # (T, N, K)
        of_truth = torch.where(known[:, 0], (p * truth).sum(-1), p.amax(-1)).T  # (N, T)
        return _normalised(fixed * of_truth.softmax(-1))
    if combination == "agreement":
        right = truth.gather(-1, teachers.argmax(-1).T) > 0  # (N, T)
        return _normalised(fixed * (right | ~known))
    raise ValueError(f"combination is {combination!r}, expected one of {', '.join(COMBINATIONS)}.")


@dataclass(frozen=True)
class Objective:
    """How a student is taught: `loss` of LOSSES, `temperature` of the soft one, `combination` of COMBINATIONS, and
    `weights` of the teachers."""

    loss: str = "hard"
    temperature: float = 3.0
    combination: str = "fixed"
    weights: tuple[float, ...] = ()

    def __call__(self, student: Tensor, teachers: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What each teacher's answer costs each sample (N, T), and how much that teacher is heard (N, T).

        Logits of the student (N, K) and of the teachers (T, N, K), labels as `teacher_weights` takes them. The loss is
        the product's sum over the teachers, and its mean over the samples.
        """
        heard = teacher_weights(teachers, labels, self.combination, self.weights)
        each = [self.per_sample(student, teacher) for teacher in teachers]  # T of (N,)
        return torch.stack(each, dim=-1), heard

    def per_sample(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Logits (N, K) each → (N,)."""
        if self.loss == "soft":
            return soft_distillation(student, teacher, self.temperature)
        if self.loss == "hard":
            return hard_distillation(student, teacher)
        raise ValueError(f"loss is {self.loss!r}, expected one of {', '.join(LOSSES)}.")


def _probabilities(labels: Tensor, classes: int) -> Tensor:
    """(N,) classes or (N, K) probabilities → (N, K) probabilities, a row of 0 where nothing is known."""
    if labels.is_floating_point():
        return labels.float()
    one_hot = F.one_hot(labels.clamp(min=0), classes).float()
    return one_hot * (labels >= 0)[:, None]


def _normalised(rows: Tensor) -> Tensor:
    """Rows that sum up to 1, but for those of 0."""
    return rows / rows.sum(-1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)


def _check_shapes(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"the student's are {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}.")
