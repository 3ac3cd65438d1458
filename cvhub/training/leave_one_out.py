"""Leave-one-out of multinomial logistic regression: from one fit to the answers of N, without fitting N times.

Without picture i the solution is near the one with all of them. Newton's method goes there from it, for all i side by
side: H, the Hessian of the full fit, is inverted once, and without picture i it is H − XᵢSᵢXᵢᵀ, of which the Woodbury
identity gives the inverse. What the steps end at depends on the gradient alone, which is exact.

Letters: N pictures, K classes, M = K − 1, D features and a constant 1. Logits may all be moved by the same amount, so
the weights' K rows add up to 0 and are W = B·V, with an orthonormal basis B (K, M) of such rows.
"""

import numpy as np

STEPS = 15  # 5 to 10 are usual
TOLERANCE = 1e-5  # of the largest component of the gradient; scikit-learn's is N·1e-4


def leave_each_out(
    features: np.ndarray, targets: np.ndarray, weight: np.ndarray, bias: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N, K): the probabilities for each picture by the regression that was fitted to all others; and (N,): which hold.

    Those of a picture that pulls so hard that the way without it is too long are not found. Of `features` (N, D − 1)
    and classes `targets` (N,). `weight` (K, D − 1) and `bias` (K,), which is not penalised, are about at the least of
    Σ −ln p + `penalty`/2·‖weight‖².
    """
    n, k = len(features), len(weight)
    x = np.concatenate([features, np.ones((n, 1))], axis=1, dtype=np.float64)
    basis = np.linalg.qr(np.eye(k) - 1 / k)[0][:, : k - 1]
    ridge = np.append(np.full(features.shape[1], penalty), 0.0)
    start = basis.T @ np.concatenate([weight, bias[:, None]], axis=1)
    inverse, reach, correction = _curvature(x, basis, ridge, softmax(x @ start.T @ basis.T))
    fits, wanted = np.repeat(start[None], n, axis=0), np.eye(k)[targets]  # (N, M, D)
    settled = np.zeros(n, bool)
    for _ in range(STEPS):
        wrong = softmax((fits @ x.T).swapaxes(1, 2) @ basis.T) - wanted  # (N fits, N pictures, K)
        wrong[np.arange(n), np.arange(n)] = 0  # the picture that is left out has no say
        gradient = (wrong @ basis).swapaxes(1, 2) @ x + ridge * fits
        settled = np.abs(gradient).max(axis=(1, 2)) <= TOLERANCE
        if settled.all():
            break
        step = (gradient.reshape(n, -1) @ inverse).reshape(fits.shape)
        at_own = correction @ (step @ x[:, :, None])  # (N, M, 1)
        step += np.einsum("na,namd->nmd", at_own[:, :, 0], reach)
        fits = fits - np.where(settled[:, None, None], 0, step)
    return softmax((fits @ x[:, :, None])[:, :, 0] @ basis.T), settled


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _curvature(
    x: np.ndarray, basis: np.ndarray, ridge: np.ndarray, p: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H⁻¹ (MD, MD), H⁻¹Xᵢ (N, M, M, D), and Sᵢ(1 − XᵢᵀH⁻¹XᵢSᵢ)⁻¹ (N, M, M), where the probabilities are `p` (N, K)."""
    (n, d), m = x.shape, basis.shape[1]
    mean = p @ basis
    s = np.einsum("ka,nk,kb->nab", basis, p, basis) - mean[:, :, None] * mean[:, None]  # (N, M, M)
    hessian = np.empty((m, d, m, d))
    for a in range(m):
        for b in range(a, m):
            hessian[a, :, b] = hessian[b, :, a] = x.T @ (s[:, a, b, None] * x) + np.diag(ridge) * (a == b)
    inverse = np.linalg.inv(hessian.reshape(m * d, m * d))
    reach = np.tensordot(x, inverse.reshape(m, d, m * d), axes=(1, 1)).reshape(n, m, m, d)
    own = (reach @ x[:, None, :, None])[..., 0]  # (N, M, M)
    return inverse, reach, s @ np.linalg.inv(np.eye(m) - own @ s)
