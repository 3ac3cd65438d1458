"""What a net of patches attended to: the maps of single heads, and attention rolled out over all layers.

Attention says where a token took from, not what that did to the answer: `grad_cam` in cam.py asks for that.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.inference.patches import patch_grid

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Attention:
    """The weights of a forward pass on one picture: each row is what one token takes from all, and adds up to 1.

    - `weights` (layers, heads, L, L); `grid`: rows and columns of the patches, the last of the L tokens in reading
      order. The first token is the class token; with DeiT the second is the distillation token.
    """

    weights: np.ndarray
    grid: tuple[int, int]

    def maps(self, layer: int = -1, token: int = 0) -> np.ndarray:
        """What each head of a layer took from the patches for a token: (heads, rows, columns)."""
        return self._patches(self.weights[layer, :, token])

    def rollout(self, token: int = 0) -> np.ndarray:
        """How much of each patch is in a token after all layers, if weights were all that counts: (rows, columns).

        Attention rollout (Abnar & Zuidema 2020, https://arxiv.org/abs/2005.00928, section 3 and eq. 1): heads are
        averaged, the shortcut around attention gives each token half of itself, and layers are multiplied.
        """
        identity = np.eye(self.weights.shape[-1])
        mixed = identity
        for layer in self.weights.mean(axis=1):
            mixed = (0.5 * layer + 0.5 * identity) @ mixed
        return self._patches(mixed[token])

    def _patches(self, rows: np.ndarray) -> np.ndarray:
        """(…, L) → (…, rows, columns), without the tokens before the patches."""
        return rows[..., -math.prod(self.grid) :].reshape(*rows.shape[:-1], *self.grid)


def attention(model: Any, pixel_values: "Tensor") -> Attention:
    """What `model`, one of ours whose every token attends to all, attended to in `pixel_values` (1, C, H, W)."""
    import torch

    with torch.no_grad():
        output = model(pixel_values, output_attentions=True)
    weights = output.get("attentions")
    config = model.config.to_dict()
    size = config.get("patch_size")
    if not weights or not isinstance(size, int):
        raise CvhubError(f"{type(model).__name__} has no attention between all patches of a picture.")
    height, width = pixel_values.shape[2:]
    if not config.get("class_token", True):
        raise CvhubError(f"{type(model).__name__} has no class token whose attention could be followed here.")
    grid = patch_grid(size, config.get("fill_patches", True), height, width)
    if any(layer.shape[-1] < math.prod(grid) for layer in weights):
        raise CvhubError(f"{type(model).__name__} attends within windows, not to all patches of a picture.")
    return Attention(np.stack([layer[0].double().cpu().numpy() for layer in weights]), grid)
