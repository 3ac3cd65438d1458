"""What pictures and texts that belong together cost: each pair of a batch against all others."""

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_loss(logits: Tensor) -> Tensor:
    """Symmetric InfoNCE of `logits` (N, N), picture i against text j, whose diagonal holds the pairs: a float32 scalar.

    Each picture chooses among the texts and each text among the pictures: the mean of both cross entropies, in nats
    (Radford et al. 2021, figure 3; van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, eq. 4).
    """
    pairs = _check_square(logits)
    logits = logits.float()
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.t(), pairs)) / 2


def sigmoid_loss(logits: Tensor) -> Tensor:
    """−1/N Σᵢⱼ log σ(±zᵢⱼ) of `logits` (N, N), + for pairs, on the diagonal, and − for all others: a float32 scalar.

    Every cell is a question of its own, so that no row has to be complete (Zhai et al. 2023, SigLIP,
    https://arxiv.org/abs/2303.15343, section 3.2).
    """
    _check_square(logits)
    signs = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -F.logsigmoid(signs * logits.float()).sum() / len(logits)


LOSSES = {"softmax": softmax_loss, "sigmoid": sigmoid_loss}


def _check_square(logits: Tensor) -> Tensor:
    """Which text belongs to each picture: its own number."""
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, expected as many pictures as texts.")
    return torch.arange(len(logits), device=logits.device)
