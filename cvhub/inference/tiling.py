"""Runs a network on a picture of any size, tile by tile (Ronneberger et al. 2015, U-Net,
https://arxiv.org/abs/1505.04597, section 2 and figure 2).

The answer comes in pieces that are final, so that memory holds a tile, what it shares with those around it, and never
the picture.
What lies beyond the picture's border is mirrored.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cvhub.errors import CvhubError
from cvhub.inference.windows import Windows

# (N, h, w, 3) uint8, RGB → (N, K, h', w') float32, where h' and w' are smaller by twice the plan's margin.
Forward = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TilePlan:
    """How tiles of `side` pixels cover a picture.

    - A network without padding answers for `side` − 2 `margin` pixels. The answers of neighbouring tiles then belong
      together, and equal those of one run on the whole mirrored picture.
    - One with padding answers for all of `side` (`margin` 0) and is worse near a tile's border. Neighbours share at
      least `overlap` pixels, where the answer goes over from one to the other linearly.

    `stride`: the network's total stride. Tiles start at its multiples, so that pooling falls on the same pixels in
    each: where the sizes are no multiples, as U-Net's 388 is not of 16, neighbours share the rest. Raises CvhubError
    for numbers of which no such plan can be made.
    """

    side: int
    margin: int = 0
    overlap: int = 0
    stride: int = 1

    def __post_init__(self):
        if self.margin < 0 or self.overlap < 0 or self.stride < 1:
            raise CvhubError(f"{self}: margin and overlap are at least 0, stride is at least 1.")
        if self.margin == 0 and self.side % self.stride:
            raise CvhubError(f"{self}: without a margin, side is expected to be a multiple of stride.")
        if self.step < 1 or self.side - 2 * self.margin > 2 * self.step:
            raise CvhubError(
                f"{self}: side without margins is expected to be at least stride plus overlap, and twice the overlap."
            )

    @property
    def step(self) -> int:
        """Pixels from a tile to the next."""
        return (self.side - 2 * self.margin - self.overlap) // self.stride * self.stride


@dataclass(frozen=True)
class _Axis:
    """Tiles along one side of a picture of `length` pixels: where they start, and what their answers count."""

    length: int
    side: int
    margin: int
    step: int

    @classmethod
    def of(cls, length: int, plan: TilePlan) -> "_Axis":
        """A picture smaller than a tile makes the tile smaller, by multiples of the stride."""
        spare = max(0, plan.side - 2 * plan.margin - length)
        side = plan.side - spare // plan.stride * plan.stride
        return cls(length, side, plan.margin, plan.step)

    @property
    def answered(self) -> int:
        return self.side - 2 * self.margin

    @property
    def shared(self) -> int:
        return max(0, self.answered - self.step)

    @property
    def starts(self) -> range:
        """The first pixel that each tile answers for."""
        return range(0, max(1, self.length - self.shared), self.step)

    def final(self, start: int) -> int:
        """Of how many pixels the answer is final with the tile at `start`, as long as those before it are there."""
        return self.step if start < self.starts[-1] else self.length - start

    def weights(self, start: int) -> np.ndarray:
        """What the answers of a tile count, (answered,): rising and falling where shared; all tiles' sum is 1."""
        rising = (np.arange(self.shared, dtype=np.float32) + 0.5) / max(1, self.shared)
        weights = np.ones(self.answered, np.float32)
        if start > 0:
            weights[: self.shared] = rising
        if start < self.starts[-1]:
            weights[self.step :] = 1 - rising
        return weights


class Piece(NamedTuple):
    """A final part of the answer: its first row and column, and its `values` (K, rows, columns) float32."""

    top: int
    left: int
    values: np.ndarray


def run_tiles(
    windows: Windows, forward: Forward, plan: TilePlan, batch_size: int = 1, progress: Progress | None = None
) -> Iterator[Piece]:
    """The network's answer in pieces, a row of them after the other, each from left to right.

    All tiles have one shape; `forward` gets `batch_size` of them, at the end fewer. `progress(done, total)` counts
    tiles. Closing the generator stops the reading. Raises CvhubError where `forward` answers in another shape than the
    plan says.
    """
    down, across = _Axis.of(windows.height, plan), _Axis.of(windows.width, plan)
    answers = _answers(windows, forward, down, across, batch_size, progress)
    above: dict[int, np.ndarray] = {}  # by column: the last rows of the tiles above, to which those below add
    for top in down.starts:
        beside = None  # the last columns of the tile before, to which the next one adds
        for left in across.starts:
            values = next(answers) * (down.weights(top)[:, None] * across.weights(left))
            if beside is not None:
                values[:, :, : across.shared] += beside
            beside = values[:, :, across.step :].copy()
            values = values[:, :, : across.final(left)]
            if top > 0:
                values[:, : down.shared] += above[left]
            above[left] = values[:, down.step :].copy()
            yield Piece(top, left, values[:, : down.final(top)])


def _answers(
    windows: Windows, forward: Forward, down: _Axis, across: _Axis, batch_size: int, progress: Progress | None
) -> Iterator[np.ndarray]:
    """The answer to each tile, (K, h', w'), row by row."""
    places = itertools.product(down.starts, across.starts)
    done, total = 0, len(down.starts) * len(across.starts)
    while batch := list(itertools.islice(places, batch_size)):
        tiles = [
            read_mirrored(windows, top - down.margin, left - across.margin, down.side, across.side)
            for top, left in batch
        ]
        answers = forward(np.stack(tiles))
        expected = (len(batch), down.answered, across.answered)
        if answers.ndim != 4 or (answers.shape[0], *answers.shape[2:]) != expected:
            raise CvhubError(
                f"the network answers {down.side}x{across.side} pixels in shape {answers.shape}, expected "
                f"({expected[0]}, K, {expected[1]}, {expected[2]})."
            )
        done += len(batch)
        if progress:
            progress(done, total)
        yield from answers


def read_mirrored(windows: Windows, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A window that may reach beyond the picture, (height, width, 3) uint8, filled as `np.pad`'s "reflect" does."""
    rows, columns = _reflect(top, height, windows.height), _reflect(left, width, windows.width)
    first_row, first_column = int(rows.min()), int(columns.min())
    within = windows.read(
        first_row, first_column, int(rows.max()) + 1 - first_row, int(columns.max()) + 1 - first_column
    )
    return within[(rows - first_row)[:, None], columns - first_column]


def _reflect(start: int, count: int, length: int) -> np.ndarray:
    """Which of `length` pixels stand at `start` and after, where ... 2 1 | 0 1 2 ... repeats on both sides."""
    period = max(1, 2 * (length - 1))
    positions = np.arange(start, start + count) % period
    return np.minimum(positions, period - positions) if length > 1 else positions
