"""Runs a classifier over a split of a data set and says what it is worth."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.classes import match_classes
from cvhub.evaluation.dataset import Split, opened
from cvhub.evaluation.metrics import Tally
from cvhub.inference.classify import Classifier
from cvhub.inference.zero_shot import Asked

log = logging.getLogger("cvhub")


@dataclass(frozen=True)
class Evaluation:
    """What was found: `tally` over the pictures that could be read, and how many could not.

    `rows` says which rows of the split these are, "" for all.
    """

    model: str
    dataset: str
    split: str
    classes: list[str]
    tally: Tally
    failed: int
    rows: str = ""

    @property
    def n(self) -> int:
        return self.tally.n

    @property
    def part(self) -> str:
        """What of the data set was measured on."""
        return f"{self.split}, {self.rows}" if self.rows else self.split

    def metrics(self) -> dict[str, float]:
        """Single numbers by their names, as a card and the catalogue give them."""
        tally = self.tally
        values = {
            "accuracy": tally.accuracy,
            "top5": tally.top5,
            "ece": tally.expected_calibration_error,
            "nll": tally.negative_log_likelihood,
        }
        return {name: float(value) for name, value in values.items()}

    def report(self) -> dict[str, Any]:
        """The metrics by name; None where a class has no pictures, or no answers, to take a share of."""
        tally = self.tally
        counts = zip(self.classes, tally.confusion.sum(axis=1), tally.recall, tally.precision, strict=True)
        return {
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split,
            **({"rows": self.rows} if self.rows else {}),
            "n": self.n,
            "failed": self.failed,
            **self.metrics(),
            "accuracy_interval": list(tally.accuracy_interval),
            "per_class": {
                name: {"n": int(n), "recall": _number(recall), "precision": _number(precision)}
                for name, n, recall, precision in counts
            },
        }


def evaluate(
    classifier: Classifier | Asked,
    split: Split,
    renamed: Mapping[str, str] | None = None,
    batch_size: int = 16,
    rows: str = "",
) -> Evaluation:
    """The classifier's answers to all pictures of the split. One that can't be read is a line of log, and counted.

    `renamed`: the classifier's names of classes that the data set calls otherwise. `rows` is a word for what was taken
    of the split.
    """
    tally = Tally(match_classes(split.classes, classifier.labels, renamed), len(classifier.labels))
    failed = 0
    for picture, answer in classifier.answers(split, opened, batch_size):
        if isinstance(answer, str):
            log.warning("row %d of %s: %s", picture.number, split.name, answer)
            failed += 1
        else:
            tally.add(answer.logits, picture.label)
    if tally.n == 0:
        told = f"none of the {failed} pictures of {split.name} can be read" if failed else f"{split.name} is empty"
        raise CvhubError(f"{split.dataset} can't be evaluated: {told}.")
    return Evaluation(classifier.name, split.dataset, split.name, split.classes, tally, failed, rows)


def _number(value: np.floating) -> float | None:
    return None if math.isnan(value) else float(value)
