"""Swin's windows, shifted and not, and its mask (Liu et al. 2021, https://arxiv.org/abs/2103.14030, figures 2 and 4).

Nothing is drawn from memory: the model's own attention runs on a map, and its answers tell which patches it joins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvhub.models.swin import CvSwinConfig
from cvhub.models.swin_windows import WindowAttention

PROBES = 3  # values a patch is marked with; two different groups of patches agree in all of them never


@dataclass(frozen=True)
class Partition:
    """How attention parts a map of h × w patches, each of `patch` × `patch` pixels of the picture.

    - `groups` (h, w): patches of equal number attend to each other, and to no others. Numbered in reading order.
    - `windows` (h, w): what shares a window, which a mask may part further into groups.
    - `masks` (windows, M², M²), bool: which query (rows) may not attend to which key, of each window of the rolled map.
    - `shift`: patches down and right by which the windows are shifted; 0 where one window covers the map.
    """

    groups: np.ndarray
    windows: np.ndarray
    masks: np.ndarray
    shift: tuple[int, int]
    patch: int


class UnmaskedAttention(WindowAttention):
    """Shifted windows without their mask, to see what it keeps apart."""

    def bias(self, rows: int, columns: int, down: int, right: int) -> Tensor:
        return torch.zeros_like(super().bias(rows, columns, down, right))


def partition(config: CvSwinConfig, height: int, width: int, stage: int, shifted: bool) -> Partition:
    """What blocks of a stage (1, 2 …) do with a picture of height × width pixels."""
    patch = config.patch_size * 2 ** (stage - 1)
    rows, columns = -(-height // patch), -(-width // patch)
    masked, unmasked = (probe(kind, config, shifted) for kind in (WindowAttention, UnmaskedAttention))
    across = -(-rows // masked.window), -(-columns // masked.window)  # windows
    down, right = masked.shifts(*across)
    with torch.no_grad():
        masks = masked.bias(*across, down, right)[0] < 0
    return Partition(
        groups=together(masked, rows, columns),
        windows=together(unmasked, rows, columns),
        masks=masks.numpy(),
        shift=(down, right),
        patch=patch,
    )


def probe(kind: type[WindowAttention], config: CvSwinConfig, shifted: bool) -> WindowAttention:
    """Attention whose queries and keys are 0 and whose values are the map itself: it averages what it may attend to."""
    fields = ("window_size", "fill_before_shift", "shift_axes_apart")
    same: dict[str, Any] = {field: getattr(config, field) for field in fields}
    eager = CvSwinConfig.variant("swin_tiny", attn_implementation="eager", **same)
    attention = kind(eager, PROBES, 1, shifted).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.qkv.weight[-PROBES:] = torch.eye(PROBES)
        nn.init.eye_(attention.proj.weight)
    return attention.eval()


@torch.no_grad()
def together(attention: WindowAttention, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) of numbers, equal where patches average over the same patches."""
    marks = torch.rand(1, rows, columns, PROBES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means, _ = attention(marks)
    seen: dict[tuple[float, ...], int] = {}
    keys = (tuple(mean) for mean in means[0].flatten(0, 1).numpy().round(9).tolist())
    return np.asarray([seen.setdefault(key, len(seen)) for key in keys]).reshape(rows, columns)
