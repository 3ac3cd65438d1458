"""What a classifier's forward computes when it is given labels."""

from torch import Tensor
from torch.nn import functional as F

UNKNOWN = -100  # the class of a sample whose class nobody knows, as torch has it


def classification_loss(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, problem_type: str | None = None
) -> Tensor:
    """Mean loss of `logits` (N, K), as a float32 scalar in nats.

    - `labels` (N,) of integers: cross entropy −log p_y; with smoothing ε the target is (1 − ε)·onehot(y) + ε/K
      (Szegedy et al. 2016, section 7).
    - `labels` (N, K) of probabilities: −Σ_k q_k log p_k, smoothed in the same way.
    - Labels of −100, and soft ones that sum up to 0, are unknown: the mean leaves them out, and is 0 of nothing.
    - `problem_type` "multi_label_classification", `labels` (N, K) of 0 and 1: binary cross entropy, mean over all.

    Raises `ValueError` when the shape or type of `labels` fits none of these.
    """
    # bf16 keeps three digits, too few for a logarithm.
    logits = logits.float()
    if problem_type == "multi_label_classification":
        if labels.shape != logits.shape:
            raise ValueError(f"multi-label labels have shape {tuple(labels.shape)}, expected {tuple(logits.shape)}.")
        return F.binary_cross_entropy_with_logits(logits, labels.float())
    if labels.is_floating_point():
        if labels.shape != logits.shape:
            raise ValueError(f"soft labels have shape {tuple(labels.shape)}, expected {tuple(logits.shape)}.")
        labels = labels.float()
    elif labels.shape == logits.shape[:1]:
        labels = labels.long()
    else:
        raise ValueError(f"class labels have shape {tuple(labels.shape)}, expected {tuple(logits.shape[:1])}.")
    each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing, ignore_index=UNKNOWN)
    counted = known(labels)
    return (each * counted).sum() / counted.sum().clamp(min=1)


def known(labels: Tensor) -> Tensor:
    """Which samples' labels, of integers (N,) or probabilities (N, K), are known, (N,)."""
    return labels.sum(-1) > 0 if labels.is_floating_point() else labels != UNKNOWN
