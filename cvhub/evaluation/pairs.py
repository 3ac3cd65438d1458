"""Pictures and what is said of them: which columns hold the texts, and which rows are held out.

    cvhub evaluate MODEL DATASET --texts "label|title" --holdout "base_label|title:0.2:0" --one-per base_label

A column may be several, joined by |: the first that the data set has counts, so that one wording does for several data
sets. A model's folder remembers how it was trained in `pairs.json`.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import TEXT_TYPES, LabelledPicture, Rows, open_rows
from cvhub.evaluation.truth import TRAINED_ON, divide_groups, parse_holdout

log = logging.getLogger("cvhub")

FILE = "pairs.json"
UNASKED = -1  # the class of a picture that has a text instead


@dataclass(frozen=True)
class Pairing:
    """How a data set's pairs are read.

    - `texts`: the column of what is said of each picture.
    - `holdout`: "COLUMN:SHARE:SEED", of whose values so large a share is held out; "" holds nothing out.
    - `one_per`: the column of whose values each is measured once, by its first row; "" measures every row.
    - `watched`: "SHARE:SEED" of what is not held out: training was watched on it, and so it was not learnt either.
    """

    texts: str
    holdout: str = ""
    one_per: str = ""
    watched: str = ""


class PairRows:
    """Rows of pictures and texts, opened without streaming: `kept` to train on, `watched` meanwhile, and `held_out`."""

    def __init__(self, rows: Rows, pairing: Pairing):
        self.rows = rows.undecoded([])
        self.pairing = pairing
        self.kept, self.watched, self.held_out = np.arange(len(rows.rows)), np.arange(0), np.arange(0)
        if pairing.holdout:
            columns, share, seed = parse_holdout(pairing.holdout)
            self.kept, self.held_out = divide_groups(self.values(columns), share, seed)
        if pairing.watched:
            _, share, seed = parse_holdout(f":{pairing.watched}")
            inner, outer = divide_groups(self.groups(self.kept), share, seed)
            self.kept, self.watched = self.kept[inner], self.kept[outer]

    def column(self, columns: str) -> str:
        """Of names joined by | the first that there is; raises `CvhubError` for none."""
        known = self.rows.features
        found = next((name for name in columns.split("|") if name in known), None)
        if found is None:
            names = columns.replace("|", " or ")
            raise CvhubError(f"{self.rows.dataset} has no column {names!r}, only {', '.join(known)}.")
        return found

    def texts(self) -> list[str | None]:
        """What is said of each row. Raises `CvhubError` for a column that holds no texts."""
        column = self.column(self.pairing.texts)
        if getattr(self.rows.features[column], "dtype", None) not in TEXT_TYPES:
            raise CvhubError(f"column {column} of {self.rows.dataset} holds no texts.")
        return list(self.rows.rows[column])

    def values(self, columns: str) -> list[Any]:
        """What a column says of each row; no column says the row's number."""
        return list(self.rows.rows[self.column(columns)] if columns else range(len(self.rows.rows)))

    def content(self, index: int) -> Any:
        """Of row `index` what its picture's column holds."""
        return self.rows.rows[index][self.rows.picture_column]

    def groups(self, indices: np.ndarray) -> list[Any]:
        """What the column of the hold-out says of each of these rows."""
        values = self.values(self.pairing.holdout.partition(":")[0])
        return [values[index] for index in indices.tolist()]

    def once(self, indices: np.ndarray) -> np.ndarray:
        """Of these rows the first with each value of `one_per`."""
        if not self.pairing.one_per:
            return indices
        values = self.values(self.pairing.one_per)
        firsts: dict[Any, int] = {}
        for index in indices.tolist():
            firsts.setdefault(values[index], index)
        return np.asarray(sorted(firsts.values()), dtype=np.int64)

    def pictures(self, indices: np.ndarray) -> Iterator[LabelledPicture]:
        """These rows, as what reads pictures takes them."""
        return (LabelledPicture(index, self.content(index), UNASKED) for index in indices.tolist())

    def chosen(self, learnt: bool = False) -> tuple[np.ndarray, str]:
        """The rows to measure on, and a word for them: what is held out, or what was `learnt`; all where nothing is."""
        holdout, watched, one_per = self.pairing.holdout, self.pairing.watched, self.pairing.one_per
        if learnt and not holdout:
            raise CvhubError("What was learnt is what no hold-out takes away: name that with --holdout.")
        told = [
            f"{'all but those ' if learnt else ''}held out by {holdout}" if holdout else "",
            f"all but those watched by {watched}" if learnt and watched else "",
            f"one a {one_per}" if one_per else "",
        ]
        everything = np.sort(np.concatenate([self.kept, self.watched]))
        rows = self.kept if learnt else self.held_out if holdout else everything
        return self.once(rows), ", ".join(filter(None, told))


def open_pairs(dataset: str, split: str | None, folder: Path, given: Mapping[str, str | None]) -> PairRows:
    """The rows of a DATASET; what isn't `given` of a `Pairing`'s fields is as the model's `folder` remembers.

    What it remembers of columns that the data set hasn't is nothing, and its hold-out is of the split trained on.
    """
    rows = open_rows(dataset, split, streaming=False)
    known = asdict(read_pairing(folder) or Pairing(""))
    for name in ("texts", "holdout", "one_per"):
        if not _is_there(rows, known[name].partition(":")[0]) or (name == "holdout" and rows.name != TRAINED_ON):
            known[name] = ""
    if not known["holdout"]:
        known["watched"] = ""
    return PairRows(rows, Pairing(**known | {name: value for name, value in given.items() if value is not None}))


def _is_there(rows: Rows, columns: str) -> bool:
    return any(name in rows.features for name in columns.split("|"))


@dataclass(frozen=True)
class PairEvaluation:
    """What was found over `n` pairs; `texts` is their column, `rows` says of which rows of the split, "" for all."""

    model: str
    dataset: str
    split: str
    texts: str
    rows: str
    n: int
    failed: int
    scores: dict[str, float]

    @property
    def part(self) -> str:
        """What of the data set was measured on."""
        return ", ".join(filter(None, (self.split, self.rows, f"texts in {self.texts}")))

    def metrics(self) -> dict[str, float]:
        return self.scores

    def report(self) -> dict[str, Any]:
        values = asdict(self)
        return values | values.pop("scores")


def measure_pairs(
    model: str,
    rows: PairRows,
    told: str,
    answers: Iterable[tuple[LabelledPicture, Any]],
    score: Callable[[Sequence[Any], Sequence[str]], dict[str, float]],
) -> PairEvaluation:
    """What `score` makes of the answers, and of what is said of the same pictures; `told` is a word for the rows.

    A picture that can't be read, and one of which nothing is said, is a line of log, and counted.
    """
    texts, split = rows.texts(), rows.rows.name
    found, said, failed = [], [], 0
    for picture, answer in answers:
        text = texts[picture.number]
        if isinstance(answer, str) or not text:
            log.warning("row %d of %s: %s", picture.number, split, answer if text else "nothing is said of it.")
            failed += 1
        else:
            found.append(answer)
            said.append(text)
    if not found:
        raise CvhubError(f"{rows.rows.dataset} can't be evaluated: none of {failed} pictures can be compared.")
    column = rows.column(rows.pairing.texts)
    return PairEvaluation(model, rows.rows.dataset, split, column, told, len(found), failed, score(found, said))


def write_pairing(pairing: Pairing, folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(asdict(pairing), indent=2) + "\n", encoding="utf-8")


def read_pairing(folder: Path) -> Pairing | None:
    """What a model's folder remembers, if it does."""
    file = folder / FILE
    return Pairing(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
