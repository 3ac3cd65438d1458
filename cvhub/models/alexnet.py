"""AlexNet: ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al. 2012, https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html

Eight layers that learn, five of them convolutions, and 60 million parameters: one of the largest such nets to date.
What made it possible: ReLU, which does not saturate and so learns several times faster than tanh (section 3.1); two
GPUs that hold half of the kernels each (3.2); normalised responses (3.3) and pooling windows that overlap (3.4), for
1.4 and 0.4 points less error; and dropout against the overfitting of so many parameters (4.2).

    pixels → conv1 11×11/4 → norm → pool → conv2 5×5 → norm → pool → conv3 3×3 → conv4 3×3 → conv5 3×3 → pool5
    224      (N, 96, 55, 55)        27     (N, 256, 27, 27)   13     384         384         256, 13     (N, 256, 6, 6)

    pool5 → mean over 6×6 cells → fc6 4096 → dropout → fc7 4096 → dropout → linear → logits

N batch, C channels, H height, W width, K classes; every pool is a maximum over 3×3 pixels, every second one. An
activation follows each layer but the last. conv2, conv4 and conv5 are cut into groups, one for each GPU.
"""

from itertools import pairwise
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import LinearAct, LocalResponseNorm, MaxPool, dilate_strides

# name: (channels of the convolutions, groups, whether responses are normalised)
VARIANTS = {
    "alexnet": ((96, 256, 384, 384, 256), 2, True),
    "alexnet_owt": ((64, 192, 384, 256, 256), 1, False),  # torchvision's, after Krizhevsky 2014, arXiv:1404.5997
}

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
POOL_KERNELS = {"overlapping": 3, "plain": 2, "none": 1}  # all with stride 2

# The first convolution. The paper's 224 pixels give its 55 positions with a border of 2, which it doesn't mention.
FIRST_KERNEL, FIRST_PADDING = 11, 2


class CvAlexNetConfig(CvConvNetConfig):
    """The defaults are the paper's net; `variant` gives torchvision's too.

    - `widths`: channels of the five convolutions; `groups`: the parts of the second, fourth and fifth (section 3.2).
    - `activation`: "relu" or "tanh" (section 3.1). `response_norm`: whether the first two convolutions' responses are
      normalised (section 3.3).
    - `pooling` (section 3.4): "overlapping" windows 3×3, "plain" ones 2×2, or "none": strides stay, and take the first
      value of each window as it is. That is a convolution of twice the stride before it, computed in full: all three
      have the same parameters, multiply-adds and, but for a pixel, map sizes, so that pooling alone makes a difference.
    - `first_stride`: of the first convolution. `pooled_size`: cells a side that the last map is averaged to, whatever
      its size. `hidden_sizes`: of fc6 and fc7. Tiles of 64 pixels leave 2×2 cells with `first_stride` 2, and ask for
      `pooled_size` 2 and smaller `hidden_sizes`.
    - `dropout`: of the outputs of fc6 and fc7 (section 4.2). torchvision drops their inputs.
    - `output_stride`, `dilate_first_block` (of poolings), `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_alexnet"
    counts: ClassVar[tuple[str, ...]] = ("widths", "hidden_sizes", "pooled_size")

    widths: list[int] | tuple[int, ...] = (96, 256, 384, 384, 256)
    groups: int = 2
    activation: str = "relu"
    response_norm: bool = True
    pooling: str = "overlapping"
    first_stride: int = 4
    pooled_size: int = 6
    hidden_sizes: list[int] | tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        for field, allowed in (("activation", ACTIVATIONS), ("pooling", POOL_KERNELS)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, expected one of {tuple(allowed)}.")
        if len(self.widths) != 5 or any(width % self.groups for width in self.widths):
            raise ValueError(f"widths are {self.widths}, expected five multiples of groups={self.groups}.")
        if not 1 <= self.first_stride <= 8:
            raise ValueError(f"first_stride is {self.first_stride}, expected 1 to 8.")
        if len(self.hidden_sizes) != 2:
            raise ValueError(f"hidden_sizes are {self.hidden_sizes}, expected two, of fc6 and fc7.")
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvAlexNetConfig":
        """A row of `VARIANTS` by name; `fields` override it."""
        widths, groups, response_norm = VARIANTS[name]
        row: dict[str, Any] = dict(widths=widths, groups=groups, response_norm=response_norm)
        return cls(**(row | fields))

    @property
    def stage_names(self) -> list[str]:
        return ["conv1", "conv2", "conv3", "conv4", "conv5", "pool5"]

    @property
    def stage_strides(self) -> list[int]:
        return [self.first_stride, 2, 2, 1, 1, 2]

    @property
    def stage_channels(self) -> list[int]:
        return [*self.widths, self.widths[-1]]

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: one pixel of the last map, were no stage dilated."""
        size = 1
        for stride in reversed(self.stage_strides[1:]):
            if stride > 1:
                size = (size - 1) * stride + POOL_KERNELS[self.pooling]
        return (size - 1) * self.first_stride + FIRST_KERNEL - 2 * FIRST_PADDING

    def map_sizes(self, size: int) -> list[int]:
        """Windows lie within the map: what a stride leaves over is left out."""
        sizes = [(size - FIRST_KERNEL + 2 * FIRST_PADDING) // self.first_stride + 1]
        for before, after in pairwise(self.map_strides):
            sizes.append(sizes[-1] if after == before else (sizes[-1] - POOL_KERNELS[self.pooling]) // 2 + 1)
        return sizes


class ConvLayer(GradientCheckpointingLayer):
    """A convolution and its nonlinearity; without further arguments it keeps the map's size.

    (N, C, H, W) → (N, C', H, W)
    """

    def __init__(
        self,
        config: CvAlexNetConfig,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        groups: int = 1,
        stride: int = 1,
        padding: int | None = None,
    ):
        super().__init__()
        padding = kernel_size // 2 * dilation if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.act = ACTIVATIONS[config.activation]()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class CvAlexNetPreTrainedModel(CvPreTrainedModel):
    config_class = CvAlexNetConfig
    config: CvAlexNetConfig
    base_model_prefix = "alexnet"
    _no_split_modules: ClassVar[list[str]] = ["ConvLayer"]
    # All layers of the paper start with N(0, 0.01²), which suits 4096 inputs: here only the last.
    initial_fan = "fan_in"


class CvAlexNetConvolutions(CvConvNetMixin, CvAlexNetPreTrainedModel):
    """The net up to the last pooling: all that a backbone needs, with 2 of the 61 million parameters."""

    def __init__(self, config: CvAlexNetConfig):
        super().__init__(config)
        width, groups, kernel_size = config.widths, config.groups, POOL_KERNELS[config.pooling]
        _, second, third, fourth, fifth, last = dilate_strides(
            config.stage_strides, config.output_stride, config.dilate_first_block
        )
        self.conv1 = ConvLayer(
            config, config.num_channels, width[0], FIRST_KERNEL, stride=config.first_stride, padding=FIRST_PADDING
        )
        self.norm1 = LocalResponseNorm(width[0]) if config.response_norm else nn.Identity()
        self.pool1 = MaxPool(kernel_size, second)
        self.conv2 = ConvLayer(config, width[0], width[1], 5, second.dilation, groups)
        self.norm2 = LocalResponseNorm(width[1]) if config.response_norm else nn.Identity()
        self.pool2 = MaxPool(kernel_size, third)
        self.conv3 = ConvLayer(config, width[1], width[2], 3, third.dilation)
        self.conv4 = ConvLayer(config, width[2], width[3], 3, fourth.dilation, groups)
        self.conv5 = ConvLayer(config, width[3], width[4], 3, fifth.dilation, groups)
        self.pool5 = MaxPool(kernel_size, last)

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the map (N, C_i, H_i, W_i) of each convolution, and the last one pooled."""
        conv1 = self.conv1(pixel_values)
        conv2 = self.conv2(self.pool1(self.norm1(conv1)))
        conv3 = self.conv3(self.pool2(self.norm2(conv2)))
        conv4 = self.conv4(conv3)
        conv5 = self.conv5(conv4)
        return [conv1, conv2, conv3, conv4, conv5, self.pool5(conv5)]


class CvAlexNetModel(CvAlexNetConvolutions):
    """The net without its last layer: `pooler_output` (N, 4096) is what fc7 gives, the features that others took up."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvAlexNetConfig):
        super().__init__(config)
        fc6, fc7 = config.hidden_sizes
        self.fc6 = LinearAct(config.widths[-1] * config.pooled_size**2, fc6, ACTIVATIONS[config.activation]())
        self.dropout = nn.Dropout(config.dropout)
        self.fc7 = LinearAct(fc6, fc7, ACTIVATIONS[config.activation]())
        self.post_init()

    def pool(self, last_map: Tensor) -> Tensor:
        """The last map (N, C', h, w), averaged to `pooled_size` cells a side, through fc6 and fc7: (N, 4096)."""
        cells = F.adaptive_avg_pool2d(last_map, self.config.pooled_size).flatten(1)  # (N, C'·6·6)
        return self.fc7(self.dropout(self.fc6(cells)))


class CvAlexNetForImageClassification(CvImageClassifierMixin, CvAlexNetPreTrainedModel):
    """Dropout and a linear classifier on `CvAlexNetModel`."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvAlexNetConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.alexnet = CvAlexNetModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_sizes[-1], self.num_labels)
        self.post_init()

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, 4096) → logits (N, K)."""
        return self.classifier(self.dropout(pooled))


class CvAlexNetBackbone(CvBackboneMixin, CvAlexNetConvolutions):
    """The feature maps that `config.out_features` names: "conv1" (stride 4) … "conv5" and "pool5" (stride 32)."""

    auto_classes = ("AutoBackbone",)
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", r"(^|\.)fc[67]\."]

    def __init__(self, config: CvAlexNetConfig):
        super().__init__(config)
        self.post_init()
