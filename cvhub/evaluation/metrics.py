"""What a classifier's answers are worth. Each metric stands with its formula and where it comes from.

Of n pictures, picture i has the class y_i. The classifier gives class k the logit z_ik and so the probability
p_ik = exp(z_ik) / Σ_j exp(z_ij), and answers ŷ_i, the class of the largest; of equal ones the first.
"""

import math
from collections.abc import Sequence

import numpy as np

BINS = 15  # of the calibration error, as Guo et al. 2017 have them
CONFIDENT = 1.959963984540054  # standard deviations on either side that hold 95 % of a normal distribution


class Tally:
    """Counts and sums over the pictures so far, of which nothing else is kept; the metrics follow from them.

    `columns`: for each class of the data set, its index among the classifier's `num_labels` classes. The metrics are
    not defined before the first picture.
    """

    def __init__(self, columns: Sequence[int], num_labels: int):
        self.columns = list(columns)
        # Pictures by their true class, of the data set, and by the class answered, of the classifier.
        self.confusion = np.zeros((len(self.columns), num_labels), np.int64)
        self._top5 = 0
        self._log_likelihood = 0.0
        self._binned_correct = np.zeros(BINS)
        self._binned_confidence = np.zeros(BINS)

    def add(self, logits: np.ndarray, label: int) -> None:
        """A picture's logits (K,), and its true class, counted among the data set's."""
        z = logits.astype(np.float64) - logits.max()
        log_p = z - np.log(np.exp(z).sum())
        column = self.columns[label]
        prediction = int(z.argmax())
        self.confusion[label, prediction] += 1
        better = np.count_nonzero(z > z[column]) + np.count_nonzero(z[:column] == z[column])
        self._top5 += better < 5
        self._log_likelihood += float(log_p[column])
        confidence = math.exp(log_p[prediction])
        bin_ = max(0, math.ceil(confidence * BINS) - 1)
        self._binned_correct[bin_] += prediction == column
        self._binned_confidence[bin_] += confidence

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> np.ndarray:
        """How many pictures of each class are answered rightly, (D,)."""
        return self.confusion[np.arange(len(self.columns)), self.columns]

    @property
    def accuracy(self) -> float:
        """1/n Σ_i [ŷ_i = y_i], top-1 accuracy (Russakovsky et al. 2015, https://arxiv.org/abs/1409.0575, section 4.1,
        whose error it is 1 minus)."""
        return int(self.correct.sum()) / self.n

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Where the accuracy on further pictures of this kind lies, with 95 % confidence."""
        return wilson_interval(int(self.correct.sum()), self.n)

    @property
    def top5(self) -> float:
        """The share of pictures whose class is among the five likeliest (Russakovsky et al. 2015, section 4.1)."""
        return self._top5 / self.n

    @property
    def recall(self) -> np.ndarray:
        """Accuracy among the pictures of each class k, (D,): Σ_i [ŷ_i = y_i = k] / Σ_i [y_i = k], NaN where there are
        none (Sokolova & Lapalme 2009, https://doi.org/10.1016/j.ipm.2009.03.002, table 2)."""
        return _share(self.correct, self.confusion.sum(axis=1))

    @property
    def precision(self) -> np.ndarray:
        """Accuracy among the answers of each class k, (D,): Σ_i [ŷ_i = y_i = k] / Σ_i [ŷ_i = k], NaN where there are
        none (Sokolova & Lapalme 2009, table 2)."""
        return _share(self.correct, self.confusion.sum(axis=0)[self.columns])

    @property
    def expected_calibration_error(self) -> float:
        """Σ_m |B_m|/n · |acc(B_m) − conf(B_m)| (Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3).

        B_m holds the pictures whose confidence, the largest p_ik, is in ((m − 1)/15, m/15]; acc is the accuracy among
        them and conf the mean of their confidences.
        """
        return float(np.abs(self._binned_correct - self._binned_confidence).sum()) / self.n

    @property
    def negative_log_likelihood(self) -> float:
        """−1/n Σ_i ln p_i,y_i, the cross entropy in nats (Guo et al. 2017, section 2, there as a sum)."""
        return -self._log_likelihood / self.n


def wilson_interval(successes: int, n: int, z: float = CONFIDENT) -> tuple[float, float]:
    """(p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n) of p = successes / n (Wilson 1927, JASA 22:209–212).

    Unlike p ± z √(p(1 − p)/n) it stays within 0 and 1, and is right for few pictures and for p near 0 or 1 too.
    """
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _share(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
