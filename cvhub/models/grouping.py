"""How pixels find the thing that they are of: centres are peaks of a map, and each pixel points to one.

Panoptic-DeepLab, section 3.3 of Cheng et al. 2020 (https://arxiv.org/abs/1911.10194). The maps are those of
panoptic_deeplab.py; the processor in dense_processing.py asks. All in NumPy, which compares numbers, and finds where a
map is true, several times as fast as torch does on a CPU.
"""

import numpy as np

FEW = 16  # points, of which all are asked for all pixels
BLOCK = 64  # pixels a side of where the others lead at once: few points are near all of it
FAR = 1e6  # pixels, to where an offset leads that is infinite or no number
ROOM = 2**16  # distances that are compared at once: they stay in the cache


def find_centres(centres: np.ndarray, threshold: float, kernel: int, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """`centres` (H, W) → rows and columns (n, 2) of its peaks, the highest first, and their heights (n,).

    A peak is above `threshold` and the highest in a window of `kernel` pixels a side.
    """
    around = _highest_near(_highest_near(centres, kernel, 0), kernel, 1)
    places = np.flatnonzero((centres == around) & (centres > threshold))
    heights = centres.take(places)
    best = np.argsort(-heights, kind="stable")[:top_k]
    points = np.stack(np.divmod(places[best], centres.shape[1]), axis=1)
    return points.astype(np.float32), heights[best]


def _highest_near(values: np.ndarray, kernel: int, axis: int) -> np.ndarray:
    """Of each of `values` (H, W) the highest in a window of `kernel` along `axis`. From the highest of n in a row
    follows that of any number up to 2 n."""
    border = np.full_like(values.take(range(kernel // 2), axis, mode="wrap"), -np.inf)
    padded = np.concatenate([border, values, border], axis)
    seen = 1
    while seen < kernel:
        step = min(seen, kernel - seen)
        first, second = (padded[:-step], padded[step:]) if axis == 0 else (padded[:, :-step], padded[:, step:])
        padded = np.maximum(first, second)
        seen += step
    return padded


def group_pixels(offsets: np.ndarray, points: np.ndarray, things: np.ndarray) -> np.ndarray:
    """Eq. 2: each pixel of `things` (H, W) belongs to the point nearest to where its offset leads.

    `offsets` (2, H, W) in pixels, `points` (n, 2) → ids (H, W) from 1 on, 0 outside `things` or where n is 0.
    """
    ids = np.zeros(things.shape, np.int64)
    if len(points):
        pixels = np.stack(np.nonzero(things))
        ids[things] = find_owners(offsets[:, things] + pixels.astype(np.float32), points) + 1
    return ids


def find_owners(ends: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of each of `ends` (2, P), where offsets lead, which of `points` (n, 2), n > 0, is the nearest: (P,)."""
    ends = np.fmax(np.fmin(ends, FAR), -FAR)
    if len(points) <= FEW or not ends.size:
        return _nearest(points, ends)
    rows, columns = (ends / BLOCK).clip(0, 127).astype(np.int16)
    blocks = rows * 128 + columns
    order = np.argsort(blocks, kind="stable")
    owners = np.empty(len(blocks), np.int64)
    for some in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        together = ends.take(some, axis=1)
        near = _near(points, together)
        owners[some] = near[_nearest(points[near], together)]
    return owners


def _nearest(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of each of `places` (2, P) the nearest of `points` (n, 2), the first of several.

    An `argmin` that goes through whole rows of places, a point each, which takes a third of its time.
    """
    n = len(points)
    ranks = np.arange(n)[::-1, None].astype(np.min_scalar_type(n))  # the higher, the earlier
    nearest = []
    for first in range(0, places.shape[1], step := 1 + ROOM // n):
        rows, columns = places[:, first : first + step]
        squares = (points[:, :1] - rows) ** 2 + (points[:, 1:] - columns) ** 2  # (n, P)
        nearest.append(n - 1 - ((squares == squares.min(axis=0)) * ranks).max(axis=0).astype(np.int64))
    return np.concatenate(nearest) if nearest else np.zeros(0, np.int64)


def _near(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which of `points` (n, 2) may be the nearest one to some of `places` (2, P), in order.

    All places lie within r of their middle m, and one point within d of m. What is nearest to a place is then at most
    d + r from it, and d + 2 r from m.
    """
    low, high = places.min(axis=1), places.max(axis=1)
    distances = np.hypot(*(points - (low + high) / 2).T)
    return np.flatnonzero(distances <= distances.min() + np.hypot(*(high - low)) * 1.001 + 1)  # rounded up
