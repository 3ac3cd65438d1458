"""U-Net's pixel weights, which make the gaps between neighbouring objects worth learning."""

import numpy as np

from cvhub.errors import CvhubError

REACH = 6  # standard deviations: beyond them the term is below 2e-8 of w0


def border_weights(
    instances: np.ndarray, w0: float = 10.0, sigma: float = 5.0, class_weights: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """w(x) = w_c(x) + w0 · exp(−(d1(x) + d2(x))² / 2σ²), as float32 (H, W), of a map of instance ids (H, W).

    d1 and d2 are the distances, in pixels, from x to the nearest and to the second nearest object; w0 and σ are the
    paper's (Ronneberger et al. 2015, eq. 2, https://arxiv.org/abs/1505.04597). Ids below 1 are background, and the
    second term is added there alone, where the paper's figure 3d has it: no gap runs through an object. w_c is
    `class_weights`, of background and objects: the paper balances with it how often each occurs in the training set.

    Raises CvhubError for what is no map of integers.
    """
    if instances.ndim != 2 or not np.issubdtype(instances.dtype, np.integer):
        found = f"shape {instances.shape} and type {instances.dtype}"
        raise CvhubError(f"a map of instances has {found}, expected integers (H, W).")
    nearest, second = _two_nearest(instances, round(REACH * sigma))
    gaps = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    background, objects = class_weights
    return np.where(instances > 0, objects, background + gaps).astype(np.float32)


def _two_nearest(instances: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """d1 and d2 of each pixel, infinite where they are more than `reach`."""
    from scipy.ndimage import distance_transform_edt, find_objects

    nearest, second = np.full(instances.shape, np.inf), np.full(instances.shape, np.inf)
    ids, labels = np.unique(np.maximum(instances, 0), return_inverse=True)  # ids may be sparse
    labels = labels.reshape(instances.shape) + (ids[0] > 0)
    for label, box in enumerate(find_objects(labels), start=1):
        window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        distance = np.asarray(distance_transform_edt(labels[window] != label))
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        nearest[window] = np.minimum(nearest[window], distance)
    return nearest, second
