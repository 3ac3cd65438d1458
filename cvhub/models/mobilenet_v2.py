"""MobileNetV2: Inverted Residuals and Linear Bottlenecks, Sandler et al. 2018, https://arxiv.org/abs/1801.04381

A block widens a thin tensor t times, filters each channel on its own, and projects back without an activation: in few
dimensions a ReLU would destroy what it zeroes (section 3.2). The shortcut joins the thin ends (section 3.3), so what
is kept in memory stays small.

    x (N, c, H, W) ─ 1×1, t·c, relu6 ─ k×k depthwise /s, relu6 ─ 1×1, c', linear ─ (+) → (N, c', H/s, W/s)
    └──────────────── only where s = 1 and c = c' ─────────────────────────────────┘

    pixels → stem: 3×3/2, 32 → rows of blocks (table 2) → head: 1×1, 1280 → mean → dropout → linear → logits

EfficientNet-Lite (Tan & Le 2019 without squeeze-and-excitation, all ReLU6) is this net with other rows.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import (
    ACTIVATIONS,
    ConvNormAct,
    Sampling,
    dilate_strides,
    each_output,
    make_divisible,
    sample_stage,
    split_at_strides,
)


class Row(NamedTuple):
    """A line of table 2: n blocks of expansion t, output channels c and kernel size k, the first of stride s."""

    t: float
    c: int
    n: int
    s: int
    k: int = 3


MOBILENET_V2_ROWS = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)
# Tan & Le 2019, table 1, without the squeeze-and-excitation column.
EFFICIENTNET_LITE_ROWS = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 40, 2, 2, 5),
    Row(6, 80, 3, 2),
    Row(6, 112, 3, 1, 5),
    Row(6, 192, 4, 2, 5),
    Row(6, 320, 1, 1),
)
# name: (rows, α, depth multiplier, whether α and the depth multiplier leave stem, head and outer rows alone)
VARIANTS = {
    "mobilenet_v2_035": (MOBILENET_V2_ROWS, 0.35, 1.0, False),
    "mobilenet_v2_050": (MOBILENET_V2_ROWS, 0.5, 1.0, False),
    "mobilenet_v2_075": (MOBILENET_V2_ROWS, 0.75, 1.0, False),
    "mobilenet_v2_100": (MOBILENET_V2_ROWS, 1.0, 1.0, False),
    "mobilenet_v2_140": (MOBILENET_V2_ROWS, 1.4, 1.0, False),
    "mobilenet_v2_110d": (MOBILENET_V2_ROWS, 1.1, 1.2, True),
    "mobilenet_v2_120d": (MOBILENET_V2_ROWS, 1.2, 1.4, True),
    "efficientnet_lite0": (EFFICIENTNET_LITE_ROWS, 1.0, 1.0, True),
    "efficientnet_lite1": (EFFICIENTNET_LITE_ROWS, 1.0, 1.1, True),
    "efficientnet_lite2": (EFFICIENTNET_LITE_ROWS, 1.1, 1.2, True),
    "efficientnet_lite3": (EFFICIENTNET_LITE_ROWS, 1.2, 1.4, True),
    "efficientnet_lite4": (EFFICIENTNET_LITE_ROWS, 1.4, 1.8, True),
}


class BlockShape(NamedTuple):
    """Channels in, inside and out of one inverted residual, its stride and kernel."""

    in_channels: int
    hidden: int
    out_channels: int
    stride: int
    kernel_size: int


class CvMobileNetV2Config(CvConvNetConfig):
    """The defaults are the paper's MobileNetV2 1.0; `variant` gives the named others.

    - `rows`: lines (t, c, n, s, k) of table 2. Channels are scaled by `width_multiplier` α and rounded to
      multiples of `channel_divisor`.
    - `head_channels`: of the last 1×1 convolution; 0 leaves it out, for a backbone whose last map is table 2's last.
    - `scale_ends`: whether α scales the stem too, and the head where α > 1 (the paper); EfficientNet-Lite leaves both.
    - `activation`: "relu6" as in the paper, or "relu", to see what the bound is for.
    - `padding`: "symmetric" or "same", TensorFlow's, which the official weights were trained with.
    - `dropout`: before the classifier. The paper's resolution multiplier ρ is the size of the input.
    - `output_stride`, `dilate_first_block`, `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_mobilenet_v2"
    counts: ClassVar[tuple[str, ...]] = ("channel_divisor", "stem_channels")

    rows: list[Any] | tuple[Any, ...] = MOBILENET_V2_ROWS
    width_multiplier: float | int = 1.0
    channel_divisor: int = 8
    stem_channels: int = 32
    head_channels: int = 1280
    scale_ends: bool = True
    activation: str = "relu6"
    padding: str = "symmetric"
    batch_norm_eps: float = 1e-5
    dropout: float = 0.2

    def __post_init__(self, **kwargs: Any) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}, expected one of {tuple(ACTIVATIONS)}.")
        if self.padding not in ("symmetric", "same"):
            raise ValueError(f"padding is {self.padding!r}, expected 'symmetric' or 'same'.")
        if self.width_multiplier <= 0:
            raise ValueError(f"width_multiplier is {self.width_multiplier}, expected more than 0.")
        try:
            self.rows = [list(Row(*row)) for row in self.rows]
        except TypeError:
            raise ValueError(f"rows are {self.rows!r}, expected lines (t, c, n, s) or (t, c, n, s, k).") from None
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvMobileNetV2Config":
        """A row of `VARIANTS` by name; `fields` override it."""
        rows, width_multiplier, depth, fixed_ends = VARIANTS[name]
        outer = (0, len(rows) - 1) if fixed_ends else ()
        scaled = [row if i in outer else row._replace(n=math.ceil(row.n * depth)) for i, row in enumerate(rows)]
        row: dict[str, Any] = dict(rows=scaled, width_multiplier=width_multiplier, scale_ends=not fixed_ends)
        return cls(**(row | fields))

    def scaled(self, channels: int) -> int:
        """Channels times α; α = 1 leaves them as the rows give them."""
        if self.width_multiplier == 1:
            return channels
        return make_divisible(channels * self.width_multiplier, self.channel_divisor)

    @property
    def stem_width(self) -> int:
        return self.scaled(self.stem_channels) if self.scale_ends else self.stem_channels

    @property
    def head_width(self) -> int:
        """The head never shrinks: table 2's last line under α < 1 (section 4)."""
        return max(self.head_channels, self.scaled(self.head_channels)) if self.scale_ends else self.head_channels

    @property
    def stages(self) -> list[list[BlockShape]]:
        """The blocks, grouped by their map's stride: a block of stride 2 begins a stage, the first go with the stem."""
        return split_at_strides(self._blocks())

    def _blocks(self) -> Iterator[BlockShape]:
        in_channels = self.stem_width
        for t, c, n, s, k in self.rows:
            out_channels = self.scaled(c)
            for i in range(n):
                yield BlockShape(in_channels, round(in_channels * t), out_channels, s if i == 0 else 1, k)
                in_channels = out_channels

    @property
    def stage_names(self) -> list[str]:
        head = ["head"] if self.head_channels else []
        return ["stem", *(f"stage{i}" for i in range(1, len(self.stages))), *head]

    @property
    def stage_strides(self) -> list[int]:
        return [2, *(stage[0].stride for stage in self.stages[1:]), 1][: len(self.stage_names)]

    @property
    def stage_channels(self) -> list[int]:
        stem = self.stages[0][-1].out_channels if self.stages[0] else self.stem_width
        channels = [stem, *(stage[-1].out_channels for stage in self.stages[1:])]
        return [*channels, self.head_width] if self.head_channels else channels


def conv_norm_act(config: CvMobileNetV2Config) -> partial[ConvNormAct]:
    """The convolution of this net, with the config's padding, normalisation and activation."""
    same = config.padding == "same"
    return partial(ConvNormAct, activation=config.activation, same_padding=same, eps=config.batch_norm_eps)


class InvertedResidual(GradientCheckpointingLayer):
    """Figure 4(d): (N, c, H, W) → (N, c', H/s, W/s); no expansion where the hidden width is the input's (t = 1)."""

    def __init__(self, config: CvMobileNetV2Config, shape: BlockShape, sampling: Sampling):
        super().__init__()
        conv, hidden = conv_norm_act(config), shape.hidden
        self.expand = nn.Identity() if hidden == shape.in_channels else conv(shape.in_channels, hidden, 1)
        self.depthwise = conv(
            hidden, hidden, shape.kernel_size, sampling.stride, sampling.first_dilation, groups=hidden
        )
        self.project = conv(hidden, shape.out_channels, 1, activation=None)
        # A stride that became a dilation still marks a change of stage, which has no shortcut.
        self.has_shortcut = shape.stride == 1 and shape.in_channels == shape.out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_shortcut else y


class CvMobileNetV2PreTrainedModel(CvPreTrainedModel):
    config_class = CvMobileNetV2Config
    config: CvMobileNetV2Config
    base_model_prefix = "mobilenet_v2"
    _no_split_modules: ClassVar[list[str]] = ["InvertedResidual"]


class CvMobileNetV2Model(CvConvNetMixin, CvMobileNetV2PreTrainedModel):
    """The net without its classifier."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvMobileNetV2Config):
        super().__init__(config)
        conv = conv_norm_act(config)
        self.stem = conv(config.num_channels, config.stem_width, 3, stride=2)
        samplings = dilate_strides(config.stage_strides, config.output_stride, config.dilate_first_block)
        self.stages = nn.ModuleList()
        for shapes, sampling in zip(config.stages, samplings, strict=False):  # the head has a sampling too
            blocks = zip(shapes, sample_stage(shapes, sampling), strict=True)
            self.stages.append(nn.Sequential(*(InvertedResidual(config, *block) for block in blocks)))
        self.head = conv(config.stage_channels[-2], config.head_width, 1) if config.head_channels else None
        self.post_init()

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the stages, the stem's with the first, and of the head."""
        modules = [*self.stages] if self.head is None else [*self.stages, self.head]
        return each_output(modules, self.stem(pixel_values))


class CvMobileNetV2ForImageClassification(CvImageClassifierMixin, CvMobileNetV2PreTrainedModel):
    """Global average pooling, dropout and a linear classifier on `CvMobileNetV2Model`."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvMobileNetV2Config):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.mobilenet_v2 = CvMobileNetV2Model(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.stage_channels[-1], self.num_labels)
        self.post_init()

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C') → logits (N, K)."""
        return self.classifier(self.dropout(pooled))


class CvMobileNetV2Backbone(CvBackboneMixin, CvMobileNetV2Model):
    """The feature maps that `config.out_features` names: "stem" (stride 2, with the first row), "stage1" …, "head"."""

    auto_classes = ("AutoBackbone",)
