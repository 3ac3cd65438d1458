"""What pictures and texts that belong together cost: each pair of a batch against all others."""

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_loss(logits: Tensor, same: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of `logits` (N, N), picture i against text j, whose diagonal holds the pairs: a float32 scalar.

    Each picture chooses among the texts and each text among the pictures: the mean of both cross entropies, in nats
    (Radford et al. 2021, figure 3; van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, eq. 4). Where the `same`
    is said of several pictures, symmetric and bool (N, N), each of these is as right as the other.
    """
    targets = _check_square(logits, same).float()
    targets = targets / targets.sum(dim=1, keepdim=True)
    logits = logits.float()
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.t(), targets)) / 2


def sigmoid_loss(logits: Tensor, same: Tensor | None = None) -> Tensor:
    """−1/N Σᵢⱼ log σ(±zᵢⱼ) of `logits` (N, N), + for pairs, on the diagonal, and − for all others: a float32 scalar.

    Every cell is a question of its own, so that no row has to be complete (Zhai et al. 2023, SigLIP,
    https://arxiv.org/abs/2303.15343, section 3.2). Where the `same` is said of several pictures, they are pairs too.
    """
    signs = 2 * _check_square(logits, same).float() - 1
    return -F.logsigmoid(signs * logits.float()).sum() / len(logits)


LOSSES = {"softmax": softmax_loss, "sigmoid": sigmoid_loss}


def _check_square(logits: Tensor, same: Tensor | None) -> Tensor:
    """Which texts are right for each picture, (N, N): its own alone unless said."""
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, expected as many pictures as texts.")
    if same is None:
        return torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if same.shape != logits.shape:
        raise ValueError(f"same has shape {tuple(same.shape)}, expected that of the logits, {tuple(logits.shape)}.")
    return same
