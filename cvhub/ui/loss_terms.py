"""The numbers behind the loss readout, from kept logits.

p = softmax(z / τ), K classes, y the true class, m a soft target. Natural logarithms: everything is in nats.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LossTerms:
    """The losses of one prediction and what went into them."""

    p_true: float  # p_y
    cross_entropy: float  # −ln p_y
    uniform: float  # (1/K) Σ −ln p_k, the cross entropy to the uniform distribution
    smoothed: float  # (1 − ε) · cross_entropy + ε · uniform   (Szegedy et al. 2016, section 7)
    target_cross_entropy: float | None  # −Σ m_k ln p_k
    target_entropy: float | None  # −Σ m_k ln m_k
    divergence: float | None  # KL(m ‖ p) = target_cross_entropy − target_entropy   (Hinton et al. 2015)


def log_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """ln softmax(logits / temperature), shape (K,), in float64."""
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max()
    return shifted - np.log(np.exp(shifted).sum())


def mean_probabilities(logits: list[np.ndarray], temperature: float) -> np.ndarray:
    """The mean of several models' probabilities over the same K classes, shape (K,)."""
    return np.mean([np.exp(log_probabilities(z, temperature)) for z in logits], axis=0)


def loss_terms(
    logits: np.ndarray, true_index: int, temperature: float, epsilon: float, target: np.ndarray | None
) -> LossTerms:
    """All losses of one prediction; `target` (K,) is the soft target m, or None where there is none."""
    log_p = log_probabilities(logits, temperature)
    cross_entropy = float(-log_p[true_index])
    uniform = float(-log_p.mean())
    target_cross_entropy = target_entropy = divergence = None
    if target is not None:
        present = target > 0  # m ln m → 0 as m → 0
        target_cross_entropy = float(-(target[present] * log_p[present]).sum())
        target_entropy = float(-(target[present] * np.log(target[present])).sum())
        divergence = target_cross_entropy - target_entropy
    return LossTerms(
        p_true=float(np.exp(log_p[true_index])),
        cross_entropy=cross_entropy,
        uniform=uniform,
        smoothed=(1 - epsilon) * cross_entropy + epsilon * uniform,
        target_cross_entropy=target_cross_entropy,
        target_entropy=target_entropy,
        divergence=divergence,
    )
