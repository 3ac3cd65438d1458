"""ResNet: Deep Residual Learning for Image Recognition, He et al. 2015, https://arxiv.org/abs/1512.03385

A deeper plain net trains worse than a shallower one (the degradation problem, figure 1), though it could copy it by
making the added layers identities. So each block learns a residual F and adds its input back: y = F(x) + x (eq. 1).

    pixels → stem: conv 7×7/2 → max pool 3×3/2 → stage 1 → stage 2 → stage 3 → stage 4 → mean → linear → logits
             (N, 64, H/2, W/2)                    H/4       H/8       H/16      H/32

    basic block (figure 5, left)              bottleneck (figure 5, right)
    x ─ 3×3, w ─ 3×3, w ─ (+) ─ relu          x ─ 1×1, w ─ 3×3, w ─ 1×1, 4w ─ (+) ─ relu
    └──── shortcut ────────┘                  └──────── shortcut ─────────────┘

N batch, C channels, H height, W width, w a stage's width, K classes.
"""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import ConvNormAct, Sampling, dilate_strides, each_output

# The rows of the paper's table 1, and of the nets that only change a stage's width or groups.
# name: (block, depths, groups, width of a group at stage 1)
VARIANTS = {
    "resnet18": ("basic", (2, 2, 2, 2), 1, 64),
    "resnet34": ("basic", (3, 4, 6, 3), 1, 64),
    "resnet50": ("bottleneck", (3, 4, 6, 3), 1, 64),
    "resnet101": ("bottleneck", (3, 4, 23, 3), 1, 64),
    "resnet152": ("bottleneck", (3, 8, 36, 3), 1, 64),
    "resnext50_32x4d": ("bottleneck", (3, 4, 6, 3), 32, 4),  # Xie et al. 2017, table 1
    "resnext101_32x4d": ("bottleneck", (3, 4, 23, 3), 32, 4),
    "resnext101_32x8d": ("bottleneck", (3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": ("bottleneck", (3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": ("bottleneck", (3, 4, 6, 3), 1, 128),  # Zagoruyko & Komodakis 2016, on ImageNet
    "wide_resnet101_2": ("bottleneck", (3, 4, 23, 3), 1, 128),
}

EXPANSION = {"basic": 1, "bottleneck": 4}
SHORTCUTS = ("A", "B", "C", "none")


class CvResNetConfig(CvConvNetConfig):
    """The defaults are the paper's ResNet-50; `variant` and `cifar` give the other rows.

    - `block`: "basic" or "bottleneck"; `depths`: blocks a stage; `widths`: w of each stage.
    - `shortcut` (section 3.3 and 4.1): "A" identity, padded with zero channels where they grow; "B" a projection only
      where the size changes; "C" always a projection; "none" the plain net of figure 3, middle.
    - `stride_in_1x1`: a bottleneck halves the map in its first 1×1, as in the paper, or in its 3×3 (v1.5).
    - `groups`, `width_per_group`: a bottleneck's 3×3 has groups · ⌊w · width_per_group / 64⌋ channels (ResNeXt, Wide).
    - `stem`: "imagenet" or "cifar" (3×3, stride 1, no pooling; section 4.2), of `stem_width` channels.
    - `first_stage_stride`: of stage 1, which in the paper keeps the size that the pooling left.
    - `output_stride`, `dilate_first_block`, `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_resnet"
    counts: ClassVar[tuple[str, ...]] = (
        *("depths", "widths", "stem_width", "first_stage_stride", "groups", "width_per_group"),
    )

    block: str = "bottleneck"
    depths: list[int] | tuple[int, ...] = (3, 4, 6, 3)
    widths: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    stem: str = "imagenet"
    stem_width: int = 64
    first_stage_stride: int = 1
    shortcut: str = "B"
    stride_in_1x1: bool = True
    groups: int = 1
    width_per_group: int = 64

    def __post_init__(self, **kwargs: Any) -> None:
        for field, allowed in (("block", EXPANSION), ("shortcut", SHORTCUTS), ("stem", ("imagenet", "cifar"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, expected one of {tuple(allowed)}.")
        if len(self.depths) != len(self.widths):
            raise ValueError(f"depths {self.depths} and widths {self.widths} must name the same number of stages.")
        if self.block == "basic" and (self.groups, self.width_per_group) != (1, 64):
            raise ValueError(f"groups={self.groups}, width_per_group={self.width_per_group} need block 'bottleneck'.")
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvResNetConfig":
        """A row of `VARIANTS` by name; `fields` override it."""
        block, depths, groups, width_per_group = VARIANTS[name]
        row: dict[str, Any] = dict(block=block, depths=depths, groups=groups, width_per_group=width_per_group)
        return cls(**(row | fields))

    @classmethod
    def cifar(cls, layers: int, **fields: Any) -> "CvResNetConfig":
        """The net of section 4.2 with 6n + 2 weighted layers: 20, 32, 44, 56 or 110 in the paper."""
        if layers < 8 or (layers - 2) % 6:
            raise ValueError(f"a CIFAR ResNet has 6n + 2 layers, such as 20 or 56, not {layers}.")
        n = (layers - 2) // 6
        row: dict[str, Any] = dict(block="basic", depths=(n, n, n), widths=(16, 32, 64), shortcut="A")
        row |= dict(stem="cifar", stem_width=16, num_labels=10)
        return cls(**(row | fields))

    @property
    def stage_names(self) -> list[str]:
        return ["stem", *(f"stage{i}" for i in range(1, len(self.depths) + 1))]

    @property
    def stage_strides(self) -> list[int]:
        stem = 2 if self.stem == "imagenet" else 1
        return [stem, self.pool_stride * self.first_stage_stride, *([2] * (len(self.depths) - 1))]

    @property
    def stage_channels(self) -> list[int]:
        return [self.stem_width, *(width * EXPANSION[self.block] for width in self.widths)]

    @property
    def pool_stride(self) -> int:
        """Stride of the max pooling between the stem and stage 1, 1 where there is none."""
        return 2 if self.stem == "imagenet" else 1


class IdentityShortcut(nn.Module):
    """Option A: every s-th pixel, new channels zero; no parameters. (N, C, H, W) → (N, C', ⌈H/s⌉, ⌈W/s⌉)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))


def make_shortcut(config: CvResNetConfig, in_channels: int, out_channels: int, sampling: Sampling) -> nn.Module | None:
    """The way around a block: options A, B, C of the paper, or None for a plain net.

    Where option B projects, it does so however the net is dilated: a checkpoint's weights fit any output stride.
    """
    if config.shortcut == "none":
        return None
    if config.shortcut != "C" and sampling.nominal_stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if config.shortcut == "A":
        return IdentityShortcut(in_channels, out_channels, sampling.stride)
    return ConvNormAct(in_channels, out_channels, 1, sampling.stride, activation=None)


class BasicBlock(GradientCheckpointingLayer):
    """Two 3×3 convolutions of the stage's width: (N, C, H, W) → (N, w, H/s, W/s)."""

    def __init__(self, config: CvResNetConfig, in_channels: int, width: int, sampling: Sampling):
        super().__init__()
        self.conv1 = ConvNormAct(in_channels, width, 3, sampling.stride, sampling.first_dilation)
        self.conv2 = ConvNormAct(width, width, 3, dilation=sampling.dilation, activation=None)
        self.shortcut = make_shortcut(config, in_channels, width, sampling)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(self.conv1(x))
        return F.relu(residual if self.shortcut is None else residual + self.shortcut(x))


class Bottleneck(GradientCheckpointingLayer):
    """1×1 to the middle width, 3×3 there, 1×1 to four times the stage's width: (N, C, H, W) → (N, 4w, H/s, W/s)."""

    def __init__(self, config: CvResNetConfig, in_channels: int, width: int, sampling: Sampling):
        super().__init__()
        middle = int(width * config.width_per_group / 64) * config.groups
        out_channels = width * EXPANSION["bottleneck"]
        if config.stride_in_1x1:
            stride_1x1, stride_3x3, dilation = sampling.stride, 1, sampling.dilation
        else:
            stride_1x1, stride_3x3, dilation = 1, sampling.stride, sampling.first_dilation
        self.conv1 = ConvNormAct(in_channels, middle, 1, stride_1x1)
        self.conv2 = ConvNormAct(middle, middle, 3, stride_3x3, dilation, config.groups)
        self.conv3 = ConvNormAct(middle, out_channels, 1, activation=None)
        self.shortcut = make_shortcut(config, in_channels, out_channels, sampling)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv3(self.conv2(self.conv1(x)))
        return F.relu(residual if self.shortcut is None else residual + self.shortcut(x))


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


def make_stage(config: CvResNetConfig, in_channels: int, width: int, depth: int, sampling: Sampling) -> nn.Sequential:
    """`depth` blocks, of which the first changes size and channels."""
    block = BLOCKS[config.block]
    out_channels = width * EXPANSION[config.block]
    first = block(config, in_channels, width, sampling)
    rest = [block(config, out_channels, width, sampling.after_first) for _ in range(depth - 1)]
    return nn.Sequential(first, *rest)


class CvResNetPreTrainedModel(CvPreTrainedModel):
    config_class = CvResNetConfig
    config: CvResNetConfig
    base_model_prefix = "resnet"
    _no_split_modules: ClassVar[list[str]] = ["BasicBlock", "Bottleneck"]


class CvResNetModel(CvConvNetMixin, CvResNetPreTrainedModel):
    """The net without its classifier."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvResNetConfig):
        super().__init__(config)
        kernel_size, stride = (7, 2) if config.stem == "imagenet" else (3, 1)
        self.stem = ConvNormAct(config.num_channels, config.stem_width, kernel_size, stride)
        self.max_pool = nn.MaxPool2d(3, 2, padding=1) if config.stem == "imagenet" else nn.Identity()
        self.stages = nn.ModuleList()
        channels = config.stage_channels
        strides = (stride, config.pool_stride, config.first_stage_stride, *config.stage_strides[2:])
        _, _, *sampling = dilate_strides(strides, config.output_stride, config.dilate_first_block)
        for i, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            self.stages.append(make_stage(config, channels[i], width, depth, sampling[i]))
        self.post_init()

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the stem (N, w, H/2, W/2) and of each stage, the last at H/32."""
        stem = self.stem(pixel_values)
        return [stem, *each_output(self.stages, self.max_pool(stem))]


class CvResNetForImageClassification(CvImageClassifierMixin, CvResNetPreTrainedModel):
    """Global average pooling and a linear classifier on `CvResNetModel` (section 3.3 of the paper)."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvResNetConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.resnet = CvResNetModel(config)
        self.classifier = nn.Linear(config.stage_channels[-1], self.num_labels)
        self.post_init()


class CvResNetBackbone(CvBackboneMixin, CvResNetModel):
    """The feature maps that `config.out_features` names: "stem" (stride 2, before the pooling), "stage1" …"""

    auto_classes = ("AutoBackbone",)
