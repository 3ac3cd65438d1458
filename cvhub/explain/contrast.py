"""What a batch of pictures and texts costs a net that tells pairs from others: the loss, and all that it is made of."""

from dataclasses import dataclass

import numpy as np
import torch

from cvhub.errors import CvhubError
from cvhub.inference.classify import softmax
from cvhub.models.losses_contrastive import softmax_loss


@dataclass(frozen=True)
class Contrast:
    """Of N pairs, picture i and text i; all matrices (N, N) with a picture a row. Losses in nats.

    - `cosines`; `among_texts`: softmax of each row, a picture's choice among the texts; `among_pictures`: softmax of
      each column, a text's choice among the pictures.
    - `loss`: symmetric InfoNCE, the mean of what pictures pay and what texts pay.
    """

    cosines: np.ndarray
    among_texts: np.ndarray
    among_pictures: np.ndarray
    loss: float

    @property
    def picture_losses(self) -> np.ndarray:
        """(N,): −ln of what each picture gives its own text."""
        return -np.log(np.maximum(self.among_texts.diagonal(), np.finfo(np.float64).tiny))

    @property
    def text_losses(self) -> np.ndarray:
        """(N,): −ln of what each text gives its own picture."""
        return -np.log(np.maximum(self.among_pictures.diagonal(), np.finfo(np.float64).tiny))


def contrast(images: np.ndarray, texts: np.ndarray, temperature: float) -> Contrast:
    """Embeddings of length 1, (N, E) each, in pairs; logits are cosines divided by the temperature."""
    if len(images) != len(texts):
        raise CvhubError(f"There are {len(images)} pictures and {len(texts)} texts, expected as many of each.")
    cosines = images.astype(np.float64) @ texts.T.astype(np.float64)
    among_texts = softmax(cosines, temperature)
    among_pictures = softmax(cosines.T, temperature).T
    loss = float(softmax_loss(torch.from_numpy(cosines / temperature)))
    return Contrast(cosines, among_texts, among_pictures, loss)
