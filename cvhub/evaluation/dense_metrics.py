"""What maps of classes are worth: how well pixels agree with the truth, and how well the classes' boundaries do.

A tally is shown a picture at a time, as maps (H, W) of integers, and keeps counts only; the metrics, each with its
formula and where it comes from, follow from them at any time. A quotient or a mean of nothing is NaN. Pixels whose
truth is `ignore_index` count nowhere. What is no such map raises CvhubError.
"""

import math

import numpy as np

from cvhub.errors import CvhubError

NOWHERE = -1  # in place of a class


class SemanticTally:
    """How often each class is answered for each true class, in pixels.

    With n_ij the pixels of class i that are answered j, all pictures together: t_i = Σ_j n_ij are true, p_i = Σ_j n_ji
    are answered (Long et al. 2015, https://arxiv.org/abs/1411.4038, section 5).
    """

    def __init__(self, num_labels: int, ignore_index: int = 255):
        self.num_labels = num_labels
        self.ignore_index = ignore_index
        self.confusion = np.zeros((num_labels, num_labels), np.int64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """A picture's classes, 0 to `num_labels` − 1, as answered and as they are."""
        counted = _counted(prediction, truth, self.num_labels, self.ignore_index)
        i, j = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        cells = np.bincount(i * self.num_labels + j, minlength=self.confusion.size)
        self.confusion += cells.reshape(self.confusion.shape)

    @property
    def pixel_accuracy(self) -> float:
        """Σ_i n_ii / Σ_i t_i (Long et al. 2015, section 5)."""
        n = int(self.confusion.sum())
        return int(self._right.sum()) / n if n > 0 else math.nan

    @property
    def class_iou(self) -> np.ndarray:
        """n_ii / (t_i + p_i − n_ii) of each class, (K,), NaN where neither truth nor answers have it (Everingham et al.
        2015, https://doi.org/10.1007/s11263-014-0733-5)."""
        return _ratio(self._right, self._sizes - self._right)

    @property
    def class_dice(self) -> np.ndarray:
        """2 n_ii / (t_i + p_i) of each class, (K,), NaN as in `class_iou`: F1 of its pixels (Dice 1945,
        https://doi.org/10.2307/1932409)."""
        return _ratio(2 * self._right, self._sizes)

    @property
    def miou(self) -> float:
        """The mean of `class_iou` over the classes that occur in truth or answers (Long et al. 2015, section 5)."""
        return _mean_of_numbers(self.class_iou)

    @property
    def iou(self) -> float:
        """`class_iou` of class 1, the foreground of a model of two classes; pooled over pixels, not over pictures."""
        return float(self.class_iou[self._foreground])

    @property
    def dice(self) -> float:
        """`class_dice` of class 1, as `iou`."""
        return float(self.class_dice[self._foreground])

    @property
    def _right(self) -> np.ndarray:
        return self.confusion.diagonal()

    @property
    def _sizes(self) -> np.ndarray:
        return self.confusion.sum(axis=0) + self.confusion.sum(axis=1)

    @property
    def _foreground(self) -> int:
        if self.num_labels != 2:
            raise CvhubError(f"the foreground of {self.num_labels} classes is not defined, expected 2 classes.")
        return 1


class BoundaryTally:
    """How well the classes' boundaries agree, within a tolerance of so many pixels, counted over all pictures together.

    A pixel is on its class's boundary if one of its four neighbours is of another class; ignored ones and the picture's
    edge make none. A boundary pixel is met if the other map has one of the same class at most `tolerance` away.
    """

    def __init__(self, num_labels: int, tolerance: float = 2, ignore_index: int = 255):
        self.num_labels = num_labels
        self.tolerance = tolerance
        self.ignore_index = ignore_index
        self._answered = np.zeros((num_labels, 2), np.int64)  # pixels of each class's boundary: met, and all
        self._true = np.zeros((num_labels, 2), np.int64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """A picture's classes, as for `SemanticTally.add`."""
        counted = _counted(prediction, truth, self.num_labels, self.ignore_index)
        answered = _boundaries(np.where(counted, prediction.astype(np.int64), NOWHERE))
        true = _boundaries(np.where(counted, truth.astype(np.int64), NOWHERE))
        for k in range(self.num_labels):
            self._answered[k] += _count_met(answered == k, true == k, self.tolerance)
            self._true[k] += _count_met(true == k, answered == k, self.tolerance)

    @property
    def class_f(self) -> np.ndarray:
        """2 P R / (P + R) of each class, (K,), NaN where neither map has a boundary of it (Csurka et al. 2013,
        https://doi.org/10.5244/C.27.32, section 3; DAVIS, Perazzi et al. 2016, https://doi.org/10.1109/CVPR.2016.85).

        Precision P is the share of answered boundary pixels that are met in the truth, recall R of true ones in the
        answer. The papers take the mean over pictures of what is here counted over all of them.
        """
        (p_met, p_all), (r_met, r_all) = self._answered.T, self._true.T
        precision, recall = p_met / np.maximum(p_all, 1), r_met / np.maximum(r_all, 1)
        f = _ratio(2 * precision * recall, precision + recall)
        return np.where(p_all + r_all > 0, np.nan_to_num(f), np.nan)

    @property
    def mean_f(self) -> float:
        """The mean of `class_f` over the classes that have boundaries."""
        return _mean_of_numbers(self.class_f)


def check_shapes(prediction: np.ndarray, truth: np.ndarray) -> None:
    """Raises CvhubError unless both are maps (H, W) of integers, of one size."""
    for name, ids in (("prediction", prediction), ("truth", truth)):
        if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
            raise CvhubError(f"the {name} has shape {ids.shape} and type {ids.dtype}, expected integers (H, W).")
    if prediction.shape != truth.shape:
        raise CvhubError(f"the prediction has shape {prediction.shape} and the truth {truth.shape}, expected the same.")


def _counted(prediction: np.ndarray, truth: np.ndarray, num_labels: int, ignore_index: int) -> np.ndarray:
    """Which pixels count, (H, W); of those, both maps' classes are found to be among the `num_labels`."""
    check_shapes(prediction, truth)
    counted = truth != ignore_index
    for name, classes in (("prediction", prediction[counted]), ("truth", truth[counted])):
        wrong = classes[(classes < 0) | (classes >= num_labels)]
        if len(wrong) > 0:
            raise CvhubError(f"the {name} has a class {wrong[0]}, expected 0 to {num_labels - 1}.")
    return counted


def _boundaries(classes: np.ndarray) -> np.ndarray:
    """The class of each pixel that has a neighbour of another class, else NOWHERE, which is no class either."""
    at_boundary = np.zeros(classes.shape, bool)
    for rows, marked in ((classes, at_boundary), (classes.T, at_boundary.T)):
        above, below = rows[:-1], rows[1:]
        differ = (above != below) & (above != NOWHERE) & (below != NOWHERE)
        marked[:-1] |= differ
        marked[1:] |= differ
    return np.where(at_boundary, classes, NOWHERE)


def _count_met(boundary: np.ndarray, other: np.ndarray, tolerance: float) -> tuple[int, int]:
    """How many pixels of a boundary are at most `tolerance` from one of the other, and how many it has."""
    from scipy.ndimage import distance_transform_edt

    size = int(boundary.sum())
    if size == 0 or not other.any():
        return 0, size
    distances = np.asarray(distance_transform_edt(~other))
    return int((distances[boundary] <= tolerance).sum()), size


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)


def _mean_of_numbers(values: np.ndarray) -> float:
    """The mean of what is not NaN, and NaN of nothing, without numpy's warning."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) > 0 else math.nan
