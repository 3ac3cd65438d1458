"""How near what a net writes of pictures comes to what people said of them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cvhub.evaluation.dataset import opened
from cvhub.evaluation.pairs import PairEvaluation, PairRows, measure_pairs
from cvhub.inference.writing import Writer

WORD = re.compile(r"\w+")
LONGEST = 4  # words of a phrase that is looked for
PERFECT = 10.0  # CIDEr's scale


def evaluate_captions(
    writer: Writer, rows: PairRows, indices: np.ndarray, told: str = "", batch_size: int = 16
) -> PairEvaluation:
    """The captions of these rows against what is said of them."""
    answers = writer.answers(rows.pictures(indices), opened, batch_size=batch_size)
    return measure_pairs(
        writer.name, rows, told, answers, lambda found, said: caption_metrics([text for (text,) in found], said)
    )


def caption_metrics(written: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """`exact`: how many have the same words; `cider`: the mean of `cider`, 10 at best."""
    exact = [WORD.findall(one.lower()) == WORD.findall(other.lower()) for one, other in zip(written, said, strict=True)]
    return {"exact": float(np.mean(exact)), "cider": float(cider(written, said).mean())}


def cider(written: Sequence[str], said: Sequence[str]) -> np.ndarray:
    """For each pair how alike the phrases of 1 to 4 words are, those that few texts have counting more, 0 to 10 (N,).

    CIDEr (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726, equations 1 to 3) with one reference each, words as
    they are, and the mean over such lengths of phrases as the reference has: names are short. A word of every text
    would weigh nothing; where all of a reference's weigh nothing it can't be told, and counts 0.
    """
    likeness = np.stack([_phrase_likeness(written, said, length) for length in range(1, LONGEST + 1)])
    lengths = np.asarray([len(WORD.findall(text)) for text in said])
    there = np.arange(1, LONGEST + 1)[:, None] <= np.maximum(lengths, 1)
    return PERFECT * (likeness * there).sum(0) / there.sum(0)


def _phrase_likeness(written: Sequence[str], said: Sequence[str], length: int) -> np.ndarray:
    """Cosines (N,) of the counts of phrases, each times the logarithm of how rare it is among what is said."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    counter = CountVectorizer(ngram_range=(length, length), token_pattern=WORD.pattern)
    try:
        counts: Any = counter.fit_transform([*said, *written])
    except ValueError:  # no text is so long
        return np.zeros(len(said))
    references = counts[: len(said)]
    texts_with = np.maximum((references > 0).sum(axis=0), 1)
    weights = np.log(len(said) / np.asarray(texts_with)).ravel()
    weighed: Any = normalize(counts.multiply(weights).tocsr())
    return np.asarray(weighed[: len(said)].multiply(weighed[len(said) :]).sum(axis=1)).ravel()
