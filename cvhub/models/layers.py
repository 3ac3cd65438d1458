"""Building blocks that two or more architectures share."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6}


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, activation: (N, C_in, H, W) → (N, C_out, ⌈H/s⌉, ⌈W/s⌉).

    `same_padding` pads as TensorFlow's SAME does, at the bottom and right first; otherwise both sides get (k − 1)/2,
    and nothing if `valid`.
    `activation` None leaves the output linear; `eps` None, no normalisation, gives the convolution a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: str | None = "relu",
        same_padding: bool = False,
        eps: float | None = 1e-5,
        valid: bool = False,
    ):
        super().__init__()
        # The two rules differ only where the stride skips pixels.
        self.pad_same = same_padding and stride > 1
        padding = 0 if self.pad_same or valid else (kernel_size - 1) // 2 * dilation
        bias = eps is None
        kind = DepthwiseConv2d if 1 < groups == in_channels else nn.Conv2d
        self.conv = kind(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.norm = nn.Identity() if eps is None else nn.BatchNorm2d(out_channels, eps=eps)
        self.act = ACTIVATIONS[activation](inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.pad_same:
            x = pad_same(x, self.conv)
        return self.act(self.norm(self.conv(x)))


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + α Σ_j a_j²)^¾ over the 5 channels j nearest to i. (N, C, H, W) → (N, C, H, W).

    Krizhevsky et al. 2012, section 3.3, with its n and β; torch's α is five times this one. The sum is a convolution of
    1×1 whose kernel is a band of ones: seven times as fast as torch's average over a volume, forward and back.
    """

    neighbours = 2  # on each side

    def __init__(self, channels: int, k: float = 2.0, alpha: float = 1e-4):
        super().__init__()
        self.channels, self.k, self.alpha = channels, k, alpha

    def forward(self, x: Tensor) -> Tensor:
        squares = (self.alpha**0.5 * x).square()  # α goes first: squares of half-precision numbers overflow
        channel = torch.arange(self.channels, device=x.device)
        band = (channel - channel[:, None]).abs() <= self.neighbours
        total = F.conv2d(squares, band.to(squares.dtype)[:, :, None, None])
        root = (self.k + total).rsqrt()
        return x * root * root.sqrt()


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel by itself, whose training is fast on a CPU too.

    With a stride, the gradient of its input takes oneDNN about a hundred times as long as without (seen: 38 ms, not
    0.3). So training computes every output there is, and keeps each s-th: the same sums.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.stride != (1, 1) and x.device.type == "cpu":
            every = F.conv2d(x, self.weight, self.bias, 1, self.padding, self.dilation, self.groups)
            return F.avg_pool2d(every, 1, self.stride)  # unlike slicing, this keeps the memory format
        return super().forward(x)


def pad_same(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Pads (N, C, H, W) so that `conv`, itself without padding, gives ⌈H/s⌉ × ⌈W/s⌉, as TensorFlow's SAME does.

    The total on an axis of length n is (⌈n/s⌉ − 1)·s + d·(k − 1) + 1 − n for k ≥ s, the odd pixel at the end. Written
    without max(), so that tracers record it for every size instead of freezing one, and without the remainder, in
    which torch.export would lose itself: stage upon stage it makes the sizes' formulas grow.
    """
    padding = []
    for axis in (1, 0):  # F.pad takes the last axis first
        last = x.shape[2 + axis] - 1
        stride = conv.stride[axis]
        total = last // stride * stride + conv.dilation[axis] * (conv.kernel_size[axis] - 1) - last
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding)


# The output stride of the nets as published, and the one that leaves any net as it is, however many stages it has.
UNDILATED = 32


class Sampling(NamedTuple):
    """How a block samples its input, where strides may have been turned into dilations."""

    nominal_stride: int  # were no stage dilated
    stride: int  # what is left of it
    first_dilation: int  # of the convolution that has, or had, the stride
    dilation: int  # of the convolutions after it

    @property
    def after_first(self) -> "Sampling":
        """That of the other blocks of a stage whose first block samples so."""
        return Sampling(1, 1, self.dilation, self.dilation)


class MaxPool(nn.MaxPool2d):
    """Max pooling over windows that lie within the map: (N, C, H, W) → (N, C, ⌊(H − k)/s⌋ + 1, ⌊(W − k)/s⌋ + 1).

    With `last_reaches_out` the last window only has to begin within it: ⌈(H − k)/s⌉ + 1. Where its stride became a
    dilation it keeps the map's size: windows reach past the end, and every s-th of its values is what stride s would
    give.
    """

    def __init__(self, kernel_size: int, sampling: Sampling, last_reaches_out: bool = False):
        super().__init__(kernel_size, sampling.stride, dilation=sampling.first_dilation)
        if sampling.stride == 1:
            self.reach = (kernel_size - 1) * sampling.first_dilation
        else:
            self.reach = sampling.stride - 1 if last_reaches_out else 0

    def forward(self, x: Tensor) -> Tensor:
        # By hand: pooling itself pads half a kernel at most, and its ceil_mode, in OpenVINO, no map below the kernel.
        x = F.pad(x, (0, self.reach, 0, self.reach), value=-math.inf) if self.reach else x
        return F.max_pool2d(x, self.kernel_size, self.stride, dilation=self.dilation)


class LinearAct(nn.Linear):
    """A linear layer and its activation: (…, C) → (…, C')."""

    def __init__(self, in_features: int, out_features: int, act: nn.Module):
        super().__init__(in_features, out_features)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


def dilate_strides(strides: Iterable[int], output_stride: int, dilate_first_block: bool) -> Iterator[Sampling]:
    """The sampling of each stage's first block: strides become dilations once the net's stride is `output_stride`.

    So each convolution meets the same pixels as before, at more places (Chen et al. 2017, section 3.1). Not so the one
    whose stride was taken away if `dilate_first_block` gives it its stage's new dilation too.
    """
    reached, dilation = 1, 1
    for stride in strides:
        if output_stride == UNDILATED or reached * stride <= output_stride:
            reached *= stride
            yield Sampling(stride, stride, dilation, dilation)
        else:
            previous, dilation = dilation, dilation * stride
            yield Sampling(stride, 1, dilation if dilate_first_block else previous, dilation)


def split_at_strides(blocks: Iterable[Any]) -> list[list[Any]]:
    """Blocks grouped by the size of their maps: one of `stride` > 1 begins a group. The first group may be empty."""
    stages: list[list[Any]] = [[]]
    for block in blocks:
        if block.stride > 1:
            stages.append([])
        stages[-1].append(block)
    return stages


def sample_stage(blocks: Iterable[Any], sampling: Sampling) -> list[Sampling]:
    """Of the blocks of one map size: the stride that led to it is the first block's, or was the stem's."""
    return [sampling if block.stride > 1 else sampling.after_first for block in blocks]


def each_output(modules: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each of the modules gives, one run on what the one before gave."""
    outputs = []
    for module in modules:
        x = module(x)
        outputs.append(x)
    return outputs


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to a multiple of `divisor`, at least one, and never down by more than a tenth (MobileNets' rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016, https://arxiv.org/abs/1603.09382): training leaves branches out by chance.

    x (N, …) → for each picture 0 with probability `rate`, else x / (1 − rate), so that the mean stays what it was.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        ones = x.new_ones(x.shape[0], *[1] * (x.ndim - 1))
        return x * F.dropout(ones, self.rate)


def drop_path_rates(rate: float, depth: int) -> list[float]:
    """The rate of each block, from 0 at the first to `rate` at the last (the linear rule of Huang et al. 2016)."""
    return [rate * i / max(depth - 1, 1) for i in range(depth)]
