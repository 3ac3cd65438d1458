"""What a student pays for its answer to one picture, by the very functions that train."""

from collections.abc import Sequence

import numpy as np

from cvhub.ui.distill.terms import LABELS, TEACHER, Term
from cvhub.ui.strings import Say


def pay(
    class_logits: np.ndarray,
    distillation_logits: np.ndarray,
    teachers: np.ndarray,
    true_index: int,
    titles: Sequence[str],
    labels: Sequence[str],
    *,
    loss: str,
    temperature: float,
    weight: float,
    combination: str,
    say: Say,
) -> list[Term]:
    """Logits (K,) of the head that learns labels and of the one that learns from teachers, logits (T, K) of these.

    A hard target is one of `labels`, and is named.
    """
    import torch

    from cvhub.models.losses import classification_loss
    from cvhub.training.distillation import Objective

    label = torch.tensor([true_index])
    paid = float(classification_loss(torch.from_numpy(class_logits)[None], label))
    terms = [Term(say("terms_labels"), LABELS, paid, 1 - weight, (1 - weight) * paid)]
    objective = Objective(loss, temperature, combination)
    student, answers = (torch.from_numpy(np.ascontiguousarray(z)) for z in (distillation_logits, teachers))
    each, heard = objective(student[None], answers[:, None], label)
    for title, said, value, share in zip(titles, teachers, each[0].tolist(), heard[0].tolist(), strict=True):
        decided = {"target": labels[int(said.argmax())]} if loss == "hard" else {}
        name = say("terms_teacher_says" if decided else "terms_teacher", title=title, **decided)
        terms.append(Term(name, TEACHER[loss], value, weight * share, weight * share * value))
    return terms
