"""Reduces what comes in pieces, a picture or a network's maps, so that only the reduced copy is ever in memory."""

import math

import numpy as np
from PIL import Image

from cvhub.inference.tiling import Progress
from cvhub.inference.windows import Windows
from cvhub.models.pixels import to_mode

ROWS = 256  # of a picture that is read to reduce it


class Reduced:
    """Values (C, height, width) that come in pieces, as the mean of each square of `factor` pixels a side."""

    def __init__(self, channels: int, height: int, width: int, factor: int):
        self.height, self.width, self.factor = height, width, factor
        self._sums = np.zeros((channels, math.ceil(height / factor), math.ceil(width / factor)), np.float32)

    def add(self, piece: np.ndarray, top: int, left: int = 0) -> None:
        """What lies from row `top` and column `left` on, each pixel once."""
        rows = (top + np.arange(piece.shape[1])) // self.factor
        columns = (left + np.arange(piece.shape[2])) // self.factor
        joined = np.add.reduceat(piece, np.flatnonzero(np.diff(columns, prepend=-1)), axis=2, dtype=np.float32)
        sums = self._sums[:, :, columns[0] : columns[-1] + 1]
        np.add.at(sums.transpose(1, 0, 2), rows, joined.transpose(1, 0, 2))

    def mean(self) -> np.ndarray:
        down, across = (
            np.minimum(self.factor, length - np.arange(0, length, self.factor)) for length in (self.height, self.width)
        )
        return self._sums / (down[:, None] * across).astype(np.float32)


def factor_for(height: int, width: int, pixels: int) -> int:
    """The smallest factor by which a picture has about `pixels` or fewer."""
    return math.ceil(math.sqrt(height * width / pixels))


def reduce_picture(windows: Windows, factor: int, progress: Progress | None = None) -> Image.Image:
    """The picture, a pixel the mean of `factor` x `factor`. `progress(done, total)` counts rows of pixels."""
    reduced = Reduced(3, windows.height, windows.width, factor)
    for top in range(0, windows.height, ROWS):
        rows = windows.read(top, 0, min(ROWS, windows.height - top), windows.width)
        reduced.add(rows.transpose(2, 0, 1), top)
        if progress:
            progress(top + len(rows), windows.height)
    return to_mode(Image.fromarray(np.rint(reduced.mean()).astype(np.uint8).transpose(1, 2, 0).copy()), "RGB")
