"""Swin's attention within windows, shifted or not (Liu et al. 2021, https://arxiv.org/abs/2103.14030, section 3.2).

    W-MSA         SW-MSA          SW-MSA, its map rolled: the windows at the end
    ┌───┬───┐     ┌─┬───┬─┐       ┌───┬─┬─┐   now hold parts that were not adjacent,
    │   │   │     ├─┼───┼─┤       │   │ ╎ │   which a mask keeps apart (figure 4);
    ├───┼───┤     │ │   │ │       ├───┼─┼─┤   there are four windows as before,
    │   │   │     ├─┼───┼─┤       ├╌╌╌┼╌┼╌┤   and not nine
    └───┴───┘     └─┴───┴─┘       └───┴─┴─┘

N batch, h and w of a map, C channels, M window size, d channels of a head.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import attend

# What is added to the scores of positions that must not meet; trained weights have known no other value.
APART = -100.0


def fill(x: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of rows and columns of (N, h, w, C) make both multiples; tracers record it for every size."""
    bottom, right = ((n + multiple - 1) // multiple * multiple - n for n in x.shape[1:3])
    return F.pad(x, (0, 0, 0, right, 0, bottom))


def relative_positions(window: int, device: torch.device | None = None) -> Tensor:
    """Which row of the bias table belongs to query i and key j of a window: (M², M²), counted row by row.

    Their offset along each axis is one of −M + 1 … M − 1, so the table has (2M − 1)² rows.
    """
    place = torch.arange(window, device=device)
    offset = place[:, None] - place + window - 1  # (M, M), of the query and of the key
    index = offset[:, None, :, None] * (2 * window - 1) + offset[None, :, None, :]  # (M, M, M, M)
    return index.flatten(2).flatten(0, 1)


def met_by_roll(windows: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Whether positions i and j of a window along one axis met only because the axis was rolled: (windows, M, M)."""
    place = torch.arange(windows * window, device=device)
    wrapped = (place >= windows * window - shift).view(windows, window)
    return wrapped[:, :, None] != wrapped[:, None, :]


class WindowAttention(nn.Module):
    """Attention within windows, W-MSA, or shifted ones, SW-MSA (section 3.2): (N, h, w, C) → (N, h, w, C).

    softmax(q·kᵀ / √d + B)·v (eq. 4), where B is looked up by the offset from query to key.
    """

    def __init__(self, config: Any, channels: int, heads: int, shifted: bool):
        super().__init__()
        self.config = config
        self.channels, self.heads, self.window, self.shifted = channels, heads, config.window_size, shifted
        self.qkv = nn.Linear(channels, 3 * channels)
        self.relative_position_bias = nn.Parameter(torch.zeros((2 * self.window - 1) ** 2, heads))
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, keep_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """Also returns the weights (N, windows, heads, M², M²) where they are kept."""
        (height, width), window = x.shape[1:3], self.window
        rows, columns = (height + window - 1) // window, (width + window - 1) // window  # of windows
        down, right = self.shifts(rows, columns)
        if self.config.fill_before_shift:
            x = fill(x, window)
        rolled = x.shape[1:3]
        if self.shifted:
            x = x.roll((-down, -right), (1, 2))
        x = fill(x, window)
        query, key, value = (self.cut(part, rows, columns) for part in self.qkv(x).chunk(3, dim=-1))
        bias = self.bias(rows, columns, down, right)
        x, weights = attend(self, query, key, value, bias, self.config.attention_dropout, keep_weights)
        x = self.join(x, rows, columns)[:, : rolled[0], : rolled[1]]
        if self.shifted:
            x = x.roll((down, right), (1, 2))
        if weights is not None:
            weights = weights.unflatten(1, (rows * columns, self.heads))
        return self.proj(x[:, :height, :width]), weights

    def shifts(self, rows: int, columns: int) -> tuple[int, int]:
        """⌊M/2⌋ down and right along an axis of several windows, 0 where one covers it; in arithmetic, for tracers."""
        if not self.shifted:
            return 0, 0
        several_down, several_right = 1 - 1 // rows, 1 - 1 // columns
        if not self.config.shift_axes_apart:
            several_down = several_right = several_down * several_right
        return self.window // 2 * several_down, self.window // 2 * several_right

    def cut(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Into windows and heads, side by side, since each such pair has a bias: (N, windows · heads, M², d)."""
        n, d = x.shape[0], self.channels // self.heads
        x = x.reshape(n * rows, self.window, columns, self.window, self.heads, d)
        x = x.permute(0, 2, 4, 1, 3, 5)  # (N · rows, columns, heads, M, M, d)
        return x.reshape(n, rows * columns * self.heads, self.window**2, d)

    def join(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """The reverse, of what `attend` returns: (N, M², windows · heads · d) → (N, rows · M, columns · M, C)."""
        n = x.shape[0]
        x = x.reshape(n, self.window, self.window, rows, columns, self.channels).permute(0, 3, 1, 4, 2, 5)
        return x.reshape(n, rows * self.window, columns * self.window, self.channels)

    def bias(self, rows: int, columns: int, down: int, right: int) -> Tensor:
        """What is added to the scores, B and the mask: (1, windows · heads, M², M²)."""
        area, device = self.window**2, self.relative_position_bias.device
        bias = self.relative_position_bias[relative_positions(self.window, device)].permute(2, 0, 1)  # (heads, M², M²)
        if self.shifted:
            above = met_by_roll(rows, self.window, down, device)[:, None, :, None, :, None]
            beside = met_by_roll(columns, self.window, right, device)[None, :, None, :, None, :]
            apart = (above | beside).reshape(rows * columns, 1, area, area)
            bias = bias + APART * apart.to(bias.dtype)
        else:
            bias = bias.expand(rows * columns, -1, -1, -1)
        return bias.reshape(1, rows * columns * self.heads, area, area)
