"""Receptive field arithmetic: which pixels a value of a feature map depends on.

Along one axis, position i of a map sees the pixels first + i·jump … last + i·jump: every layer maps (jump, first, last)
to new ones (Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields/, equations 1 and 2). Where layers
meet, the pixels seen are all those that either sees. The field is theoretical: it may reach beyond the picture.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Axis(NamedTuple):
    """A map's field along one axis: its positions, the pixels from one to the next, what the first position sees.

    Positions that see the whole picture have first = −∞ and last = ∞.
    """

    length: int
    jump: float = 1.0
    first: float = 0.0
    last: float = 0.0

    @property
    def size(self) -> float:
        """Pixels that one position sees, ∞ for the whole picture."""
        return self.last - self.first + 1

    def slide(self, kernel: int, stride: float, padding: int, dilation: int, length: int) -> "Axis":
        """After a window of `kernel` positions slid over this axis: convolution or pooling."""
        first = self.first - padding * self.jump
        last = self.last + ((kernel - 1) * dilation - padding) * self.jump
        return Axis(length, self.jump * stride, first, last)

    def slide_transposed(self, kernel: int, stride: int, padding: int, dilation: int, length: int) -> "Axis":
        """After a transposed convolution: a position gathers from at most ⌈extent / stride⌉ of this axis."""
        extent = dilation * (kernel - 1) + 1
        shift = self.jump * (padding - extent + 1) / stride
        last = self.last + shift + (math.ceil(extent / stride) - 1) * self.jump
        return Axis(length, self.jump / stride, self.first + shift, last)

    def resample(self, taps: int, length: int) -> "Axis":
        """After interpolation to `length` from `taps` neighbours, pixel centres at one half."""
        if length == self.length:
            return self
        scale = length / self.length
        shift = self.jump * (0.5 / scale - taps / 2)
        return Axis(length, self.jump / scale, self.first + shift, self.last + shift + (taps - 1) * self.jump)

    def adaptive(self, length: int) -> "Axis":
        """After adaptive pooling to `length` windows, which begin at ⌊i·n/length⌋ and end before ⌈(i+1)·n/length⌉."""
        n = self.length
        kernel = max(-(-(i + 1) * n // length) - i * n // length for i in range(length))
        return self.slide(kernel, n / length, 0, 1, length)

    def pick(self, chosen: slice) -> "Axis":
        """After keeping the positions of a slice."""
        kept = range(self.length)[chosen]
        shift = kept.start * self.jump
        return Axis(len(kept), self.jump * kept.step, self.first + shift, self.last + shift)

    def pad(self, before: int, after: int) -> "Axis":
        """After `before` and `after` positions were added at the ends."""
        shift = before * self.jump
        return Axis(self.length + before + after, self.jump, self.first - shift, self.last - shift)

    def mix(self, positions: float) -> "Axis":
        """After each position saw `positions` around it, as in a window of attention; ∞ for all."""
        reach = positions * self.jump / 2
        return self._replace(first=self.first - reach, last=self.last + reach)


Field = tuple[Axis, Axis]  # rows, columns


def start(height: int, width: int) -> Field:
    """The picture itself: every pixel sees itself."""
    return Axis(height), Axis(width)


def positions(field: Field) -> int:
    return field[0].length * field[1].length


def see_whole(field: Field) -> Field:
    """A map whose every position sees the whole picture."""
    return field[0].mix(math.inf), field[1].mix(math.inf)


def unite(fields: Iterable[Field]) -> Field:
    """What a position sees where tensors meet (a sum, a concatenation): the finest map sets the grid."""
    rows, columns = zip(*fields, strict=True)
    return _unite_axes(rows), _unite_axes(columns)


def _unite_axes(axes: tuple[Axis, ...]) -> Axis:
    finest = max(axes, key=lambda axis: axis.length)
    return finest._replace(first=min(axis.first for axis in axes), last=max(axis.last for axis in axes))


def field_size(field: Field | None) -> int | None:
    """Pixels a side that a position sees, of the longer side; None for the whole picture or nothing known of it."""
    if field is None:
        return None
    size = max(axis.size for axis in field)
    return None if math.isinf(size) else math.ceil(size)
