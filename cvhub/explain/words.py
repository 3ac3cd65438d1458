"""Words and pictures: where a picture speaks for a word, and where a net looked for each word that it wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cvhub.explain.cam import grad_cam, one_gradient_at_a_time, torch_model
from cvhub.inference.writing import Step
from cvhub.inference.zero_shot import TASK, ZeroShot

LAST_LAYERS = 3  # whose attention is shown: the last choose the word
IDEOGRAPHS = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uf900", "\ufaff"))  # written without spaces


@dataclass(frozen=True)
class Word:
    """A written word.

    - `probability`: of its tokens together, each given what stands before it.
    - `attention` (rows, columns): what was taken from each patch, as a share of all that was looked at.
    """

    text: str
    probability: float
    attention: np.ndarray


class Cosine(nn.Module):
    """A net of both towers as one that judges pictures: (N, C, H, W) → cosines (N, 1) with a text embedding (E,)."""

    def __init__(self, model: Any, text: Tensor):
        super().__init__()
        self.model, self.text = model, text

    def forward(self, pixel_values: Tensor) -> Tensor:
        image = self.model.get_image_features(pixel_values).pooler_output
        return F.normalize(image, dim=-1) @ F.normalize(self.text, dim=-1)[:, None]


def word_heat(net: ZeroShot, image: Image.Image, text: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1]: which parts of the picture bring it near to a text embedding (E,).

    Grad-CAM of their cosine: on the last map of a convolutional tower, on the patches of a ViT's last block.
    """
    pixel_values = torch.from_numpy(net.processor([image]))
    with one_gradient_at_a_time:
        return grad_cam(Cosine(torch_model(net.folder, TASK), torch.from_numpy(text)).eval(), pixel_values, 0)


def words_of(steps: Sequence[Step]) -> list[Word]:
    """The words that tokens make up, without the end token. An ideograph's token is a word of its own."""
    groups: list[tuple[str, list[Step]]] = []  # what stands before a word, and the word's tokens
    before = ""
    for step in steps:
        if step.ends:
            break
        if groups and _continues(before, step.text):
            groups[-1][1].append(step)
        else:
            groups.append((before, [step]))
        before = step.text
    return [_word(begin, tokens) for begin, tokens in groups]


def _word(begin: str, tokens: list[Step]) -> Word:
    """The word that stands behind `begin`."""
    attention = np.mean([step.attention[-LAST_LAYERS:].mean(axis=(0, 1)) for step in tokens], axis=0)
    text = tokens[-1].text[len(begin) :].strip()
    return Word(text, float(np.prod([step.probability for step in tokens])), attention)


def _continues(before: str, text: str) -> bool:
    """Whether what a token added to the text `before` belongs to the word that this ends in."""
    added = text[len(before) :]
    if not added or not before or before.endswith("\N{REPLACEMENT CHARACTER}"):  # of a letter's bytes some are missing
        return True
    return not (added[0].isspace() or _is_ideograph(before[-1]) or _is_ideograph(added[0]))


def _is_ideograph(letter: str) -> bool:
    return any(first <= letter <= last for first, last in IDEOGRAPHS)
