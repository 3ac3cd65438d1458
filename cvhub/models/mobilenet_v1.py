"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, Howard et al. 2017 (MobileNetV1),
https://arxiv.org/abs/1704.04861

An ordinary convolution filters the channels and combines them in one step. Here a depthwise convolution filters each
channel on its own (eq. 3), and a pointwise one, 1×1, combines them: with k×k kernels and c' outputs, 1/c' + 1/k² of the
multiply-adds, an eighth to a ninth where k = 3 (section 3.1). Two numbers trade accuracy for cost: the width multiplier
α thins every layer (section 3.3), the resolution multiplier ρ shrinks the picture (section 3.4).

    x (N, c, H, W) ─ 3×3 depthwise /s, norm, relu ─ 1×1, c', norm, relu → (N, c', H/s, W/s)     (figure 3, right)

    pixels → stem: 3×3/2, 32 → rows of blocks (table 1) → mean → linear → logits
             (N, 32, H/2, W/2)  (N, 64, H/2, W/2) … (N, 1024, H/32, W/32)

N batch, c channels, H height, W width, s stride.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import ACTIVATIONS, ConvNormAct, Sampling, dilate_strides, each_output, sample_stage, split_at_strides


class Row(NamedTuple):
    """Lines of table 1: n pairs of a depthwise and a pointwise convolution to c channels, the first of stride s."""

    c: int
    n: int
    s: int


# The last line of table 1 prints stride 2 for its depthwise convolution, whose map keeps its 7×7: the stride is 1.
MOBILENET_V1_ROWS = (
    Row(64, 1, 1),
    Row(128, 2, 2),
    Row(256, 2, 2),
    Row(512, 6, 2),
    Row(1024, 2, 2),
)
SHALLOW_ROWS = tuple(row._replace(n=1) if row.c == 512 else row for row in MOBILENET_V1_ROWS)
# name: (rows, α)
VARIANTS = {
    "mobilenet_v1_100": (MOBILENET_V1_ROWS, 1.0),  # table 6
    "mobilenet_v1_075": (MOBILENET_V1_ROWS, 0.75),
    "mobilenet_v1_050": (MOBILENET_V1_ROWS, 0.5),
    "mobilenet_v1_025": (MOBILENET_V1_ROWS, 0.25),
    "mobilenet_v1_shallow": (SHALLOW_ROWS, 1.0),  # table 5: without the five equal blocks of 512 channels
    "mobilenet_v1_125": (MOBILENET_V1_ROWS, 1.25),  # timm's, wider than the paper's widest
}


class BlockShape(NamedTuple):
    """Channels in and out of one depthwise separable convolution, and its stride."""

    in_channels: int
    out_channels: int
    stride: int


class CvMobileNetV1Config(CvConvNetConfig):
    """The defaults are the paper's MobileNet 1.0; `variant` gives the named others.

    - `rows`: lines (c, n, s) of table 1. Channels, the stem's too, are multiplied by `width_multiplier` α and cut to
      whole numbers, of which no layer has fewer than `min_channels`.
    - `activation`: "relu" as in the paper, or "relu6" as in the weights that its authors released.
    - `padding`: "symmetric" or "same", TensorFlow's, which those weights were trained with.
    - `dropout`: before the classifier. The paper's resolution multiplier ρ is the size of the input.
    - `output_stride`, `dilate_first_block`, `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_mobilenet_v1"
    counts: ClassVar[tuple[str, ...]] = ("min_channels", "stem_channels")

    rows: list[Any] | tuple[Any, ...] = MOBILENET_V1_ROWS
    width_multiplier: float | int = 1.0
    min_channels: int = 8
    stem_channels: int = 32
    activation: str = "relu"
    padding: str = "symmetric"
    batch_norm_eps: float = 1e-5
    dropout: float = 0.0

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
            raise ValueError(f"rows are {self.rows!r}, expected lines (c, n, s).") from None
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvMobileNetV1Config":
        """A row of `VARIANTS` by name; `fields` override it."""
        rows, width_multiplier = VARIANTS[name]
        row: dict[str, Any] = dict(rows=rows, width_multiplier=width_multiplier)
        return cls(**(row | fields))

    def scaled(self, channels: int) -> int:
        """Channels times α (section 3.3)."""
        return max(int(channels * self.width_multiplier), self.min_channels)

    @property
    def stem_width(self) -> int:
        return self.scaled(self.stem_channels)

    @property
    def stages(self) -> list[list[BlockShape]]:
        """The blocks, grouped by their map's stride: a block of stride 2 begins a stage, the first go with the stem."""
        return split_at_strides(self._blocks())

    def _blocks(self) -> Iterator[BlockShape]:
        in_channels = self.stem_width
        for c, n, s in self.rows:
            for i in range(n):
                yield BlockShape(in_channels, self.scaled(c), s if i == 0 else 1)
                in_channels = self.scaled(c)

    @property
    def stage_names(self) -> list[str]:
        return ["stem", *(f"stage{i}" for i in range(1, len(self.stages)))]

    @property
    def stage_strides(self) -> list[int]:
        return [2, *(stage[0].stride for stage in self.stages[1:])]

    @property
    def stage_channels(self) -> list[int]:
        stem = self.stages[0][-1].out_channels if self.stages[0] else self.stem_width
        return [stem, *(stage[-1].out_channels for stage in self.stages[1:])]


def conv_norm_act(config: CvMobileNetV1Config) -> partial[ConvNormAct]:
    """The convolution of this net, with the config's padding, normalisation and activation."""
    same = config.padding == "same"
    return partial(ConvNormAct, activation=config.activation, same_padding=same, eps=config.batch_norm_eps)


class DepthwiseSeparable(GradientCheckpointingLayer):
    """Figure 2 (b) and (c) one after the other: (N, c, H, W) → (N, c', H/s, W/s)."""

    def __init__(self, config: CvMobileNetV1Config, shape: BlockShape, sampling: Sampling):
        super().__init__()
        conv, channels = conv_norm_act(config), shape.in_channels
        self.depthwise = conv(channels, channels, 3, sampling.stride, sampling.first_dilation, groups=channels)
        self.pointwise = conv(channels, shape.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class CvMobileNetV1PreTrainedModel(CvPreTrainedModel):
    config_class = CvMobileNetV1Config
    config: CvMobileNetV1Config
    base_model_prefix = "mobilenet_v1"
    _no_split_modules: ClassVar[list[str]] = ["DepthwiseSeparable"]


class CvMobileNetV1Model(CvConvNetMixin, CvMobileNetV1PreTrainedModel):
    """The net without its classifier."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvMobileNetV1Config):
        super().__init__(config)
        self.stem = conv_norm_act(config)(config.num_channels, config.stem_width, 3, stride=2)
        samplings = dilate_strides(config.stage_strides, config.output_stride, config.dilate_first_block)
        self.stages = nn.ModuleList()
        for shapes, sampling in zip(config.stages, samplings, strict=True):
            blocks = zip(shapes, sample_stage(shapes, sampling), strict=True)
            self.stages.append(nn.Sequential(*(DepthwiseSeparable(config, *block) for block in blocks)))
        self.post_init()

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the stages, the stem's with the first, the last at H/32."""
        return each_output(self.stages, self.stem(pixel_values))


class CvMobileNetV1ForImageClassification(CvImageClassifierMixin, CvMobileNetV1PreTrainedModel):
    """Global average pooling and a linear classifier on `CvMobileNetV1Model` (the last lines of table 1)."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvMobileNetV1Config):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.mobilenet_v1 = CvMobileNetV1Model(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.stage_channels[-1], self.num_labels)
        self.post_init()

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C') → logits (N, K)."""
        return self.classifier(self.dropout(pooled))


class CvMobileNetV1Backbone(CvBackboneMixin, CvMobileNetV1Model):
    """The feature maps that `config.out_features` names: "stem" (stride 2, with the first row), "stage1" …"""

    auto_classes = ("AutoBackbone",)
