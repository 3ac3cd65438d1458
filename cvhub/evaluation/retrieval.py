"""How well a net of both towers finds the text of a picture among all texts, and the picture of a text."""

from collections.abc import Sequence

import numpy as np

from cvhub.evaluation.dataset import opened
from cvhub.evaluation.pairs import PairEvaluation, PairRows, measure_pairs
from cvhub.inference.zero_shot import ZeroShot

RANKS = (1, 5, 10)


def evaluate_retrieval(
    net: ZeroShot, rows: PairRows, indices: np.ndarray, told: str = "", batch_size: int = 16
) -> PairEvaluation:
    """Each picture of these rows against the texts of all, and each text against all pictures."""

    def recalls(found: Sequence[np.ndarray], said: Sequence[str]) -> dict[str, float]:
        names = sorted(set(said))
        own = np.asarray(said)[:, None] == np.asarray(names)
        return recall_metrics(np.stack(found) @ net.embed_texts(names).T, own)

    answers = net.embeddings(rows.pictures(indices), opened, batch_size)
    return measure_pairs(net.name, rows, told, answers, recalls)


def recall_metrics(similarity: np.ndarray, own: np.ndarray, ranks: Sequence[int] = RANKS) -> dict[str, float]:
    """Of pictures against texts (N, M), of which `own` says which belong together: the recalls at each rank by name.

    A picture is found for a text where one of those of which the text is said is among the k nearest, and so a text
    for a picture. "recall@k" is the mean of both ways.
    """
    to_text, to_image = _ranks(similarity, own), _ranks(similarity.T, own.T)
    values: dict[str, float] = {}
    for k in ranks:
        text, image = float(np.mean(to_text < k)), float(np.mean(to_image < k))
        values |= {f"image_to_text_recall@{k}": text, f"text_to_image_recall@{k}": image}
        values[f"recall@{k}"] = (text + image) / 2
    return values


def _ranks(similarity: np.ndarray, own: np.ndarray) -> np.ndarray:
    """For each row the number of strangers that are at least as near as the nearest of its own."""
    nearest = np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)
    return ((similarity >= nearest) & ~own).sum(axis=1)
