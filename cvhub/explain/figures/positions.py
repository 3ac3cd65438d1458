"""What a ViT makes of places (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, figures 6 and 7).

For any net of ours whose every token attends to all, DeiT too. Attention itself is in `cvhub/explain/attention.py`.
"""

from typing import Any

import numpy as np
import torch

from cvhub.catalog import CATALOG, Entry
from cvhub.errors import CvhubError
from cvhub.explain.attention import Attention
from cvhub.models.vit import Embeddings


def at_hand() -> Entry:
    """The catalogue's first ViT whose weights come with cvhub."""
    return next(entry for entry in CATALOG if entry.family == "vit" and entry.source == "bundled")


def patches(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (H, W, C), its sides filled up with zeros at the end, as the net reads it: (h, w, P, P, C)."""
    height, width, channels = picture.shape
    bottom, right = -height % size, -width % size
    filled = np.pad(picture, ((0, bottom), (0, right), (0, 0)))
    grid = filled.reshape((height + bottom) // size, size, (width + right) // size, size, channels)
    return grid.swapaxes(1, 2)


@torch.no_grad()
def similarity(model: Any, grid: tuple[int, int] | None = None) -> np.ndarray:
    """Cosine of the position embeddings of any two patches, (h, w, h, w): figure 7, centre.

    `grid`: h and w, those that were learned unless given; the net interpolates to others.
    """
    embeddings = _embeddings(model)
    rows, columns = grid or embeddings.config.grid
    positions = embeddings.positions_for((rows, columns))[0, -rows * columns :].double()
    unit = positions / positions.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return (unit @ unit.T).reshape(rows, columns, rows, columns).numpy()


def token(seen: Attention, row: int, column: int) -> int:
    """Which of the L tokens a patch is, behind those that are no patches."""
    rows, columns = seen.grid
    if not (0 <= row < rows and 0 <= column < columns):
        raise CvhubError(f"patch ({row}, {column}) is not on the grid of {rows} × {columns} patches.")
    return seen.weights.shape[-1] - rows * columns + row * columns + column


def between(seen: Attention, query: tuple[int, int], key: tuple[int, int]) -> np.ndarray:
    """How much a patch takes from another, in each head of each layer: (layers, heads)."""
    return seen.weights[:, :, token(seen, *query), token(seen, *key)]


def distances(seen: Attention, patch_size: int) -> np.ndarray:
    """How far patches look, in pixels: (layers, heads). Figure 7, right, and appendix D.7.

    The distance to each patch, weighted by attention, averaged over the patches that look; other tokens have no place.
    """
    rows, columns = seen.grid
    places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).reshape(-1, 2)
    far = patch_size * np.linalg.norm(places[:, None] - places, axis=-1)  # (h·w, h·w)
    among = seen.weights[..., -len(places) :, -len(places) :]
    among = among / np.maximum(among.sum(-1, keepdims=True), 1e-12)
    return (among * far).sum(-1).mean(-1)


def _embeddings(model: Any) -> Embeddings:
    found = next((module for module in model.modules() if isinstance(module, Embeddings)), None)
    if found is None:
        raise CvhubError(f"{type(model).__name__} learns no position of patches.")
    return found
