"""U-Net: Convolutional Networks for Biomedical Image Segmentation, Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597

Which pixel belongs to what needs context, and where exactly a border runs needs detail. A contracting path halves the
map and doubles the channels, level by level; an expanding path mirrors it, and at each level is handed the map of the
contracting one (figure 1), so that detail doesn't have to pass through the bottom.

    x (N, C, 572²) ─ 2× 3×3 ─ 568² ──── crop, concatenate ───→ 392² ─ 2× 3×3 ─ 388² ─ 1×1 → logits (N, K, 388²)
                               │ max pool 2×2                   ↑ up-convolution 2×2
                              284² ─ 2× 3×3 ─ 280² ─ crop … → 200² ─ 2× 3×3 ─ 196²
                                               ⋮                ⋮
                                              32² ─ 2× 3×3 ─→ 28²

The paper's convolutions are valid: each takes a pixel from every side, and what remains has seen real context only, so
that a large picture can be cut into tiles whose answers fit together (figure 2, `cvhub/inference/tiling.py`). With
padding the logits have the picture's size. The contracting path may also be a backbone of ours.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import can_return_tuple

from .layers import ConvNormAct
from .segmentation import (
    CvSegmenterConfig,
    CvSegmenterPreTrainedModel,
    CvSemanticSegmenterMixin,
    PixelClassifier,
    enlarge,
    make_backbone,
)

UPSAMPLINGS = ("transposed", "bilinear", "nearest")


class CvUNetConfig(CvSegmenterConfig):
    """The defaults are the paper's net of five levels, for grey pictures and two classes.

    - `widths`: channels of each level of the contracting path; a `backbone` brings its own instead, and
      `backbone_features` may name the maps that it hands over, one a stride from 2 on (else the last of each).
    - `decoder_widths`: of each level of the expanding path, from the bottom up; () mirrors `widths`.
    - `upsampling`: "transposed" halves the channels (the paper); "bilinear" and "nearest" leave them as they are.
    - `padding`: whether convolutions keep the map's size. `skip_connections`: whether levels are handed over at all.
    - `batch_norm`: after each convolution, with `batch_norm_eps`. `dropout`: at the bottom (section 3.1).
    - `head_kernel_size`: of the last convolution, 1 in the paper.
    - `auxiliary_weights`: deep supervision (Lee et al. 2015, https://arxiv.org/abs/1409.5185): a weight for a head on
      each level of the expanding path below the last, the finest first; () for none. It needs `padding`.
    """

    model_type = "cvhub_unet"
    counts: ClassVar[tuple[str, ...]] = ("widths", "decoder_widths", "head_kernel_size")

    num_channels: int = 1
    widths: list[int] | tuple[int, ...] = (64, 128, 256, 512, 1024)
    decoder_widths: list[int] | tuple[int, ...] = ()
    backbone_features: list[str] | tuple[str, ...] = ()
    upsampling: str = "transposed"
    padding: bool = False
    skip_connections: bool = True
    batch_norm: bool = False
    batch_norm_eps: float = 1e-5
    dropout: float = 0.5
    head_kernel_size: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling is {self.upsampling!r}, expected one of {UPSAMPLINGS}.")
        if not self.padding and (self.backbone is not None or self.auxiliary_weights):
            raise ValueError("padding is False, expected True with a backbone or auxiliary_weights.")
        if len(self.encoder_widths) < 2:
            raise ValueError(f"widths are {self.widths}, expected at least two levels.")
        levels = len(self.encoder_widths) - (self.backbone is None)
        if self.decoder_widths and len(self.decoder_widths) != levels:
            raise ValueError(f"decoder_widths are {self.decoder_widths}, expected {levels} widths.")
        if len(self.auxiliary_weights) >= max(levels, 1):
            raise ValueError(f"auxiliary_weights are {self.auxiliary_weights}, expected fewer than {levels} levels.")

    @property
    def encoder_widths(self) -> list[int]:
        """Channels of the maps that the contracting path gives, from the finest on."""
        if self.backbone is None:
            return list(self.widths)
        return [self.backbone.stage_channels[index] for index in self.encoder_indices]

    @property
    def encoder_indices(self) -> list[int]:
        """Which of the backbone's maps are used: the named ones, or the last of each size."""
        if self.backbone_features:
            return [self.map_index(name) for name in self.backbone_features]
        strides = self.backbone.map_strides
        return [i for i, stride in enumerate(strides) if i + 1 == len(strides) or strides[i + 1] != stride]

    @property
    def expanding_widths(self) -> list[int]:
        """Channels of each level of the expanding path: one more with a backbone, whose maps begin at stride 2."""
        if self.decoder_widths:
            return list(self.decoder_widths)
        mirrored = list(reversed(self.encoder_widths[:-1]))
        return mirrored if self.backbone is None else [*mirrored, max(1, mirrored[-1] // 2)]

    @property
    def stride(self) -> int:
        """Pixels of the picture to one of the bottom's: what a side of a tile should be a multiple of."""
        return 2 ** len(self.expanding_widths)

    @property
    def size_step(self) -> int:
        """Valid convolutions take sides of which every pooling has an even rest (section 3: even tiles)."""
        return 1 if self.padding else self.stride

    @property
    def processor_fields(self) -> dict[str, Any]:
        """Of valid convolutions: what the processor mirrors by."""
        names = ("margin", "smallest_input", "size_step")
        return {} if self.padding else {name: getattr(self, name) for name in names}

    @property
    def margin(self) -> int:
        """Pixels that each side of the logits lacks: 92 in the paper."""
        return (self.smallest_input - self.output_size(self.smallest_input)) // 2

    def output_size(self, size: int) -> int:
        """Pixels a side of the logits, of a picture with `size`: 388 of 572 in the paper."""
        if self.padding:
            return size
        for _ in self.widths[1:]:
            size = (size - 4) // 2
        size -= 4
        for _ in self.widths[1:]:
            size = 2 * size - 4
        return size

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: one at the bottom or, of valid convolutions, one of the logits."""
        if self.padding:
            return self.stride
        size = 1
        for _ in self.widths[1:]:
            size = (size + 5) // 2
        size += 4
        for _ in self.widths[1:]:
            size = 2 * size + 4
        return size


class DoubleConv(GradientCheckpointingLayer):
    """Two 3×3 convolutions, each with its ReLU: (N, C, H, W) → (N, C', H, W), or H − 4 and W − 4 without padding."""

    def __init__(self, config: CvUNetConfig, in_channels: int, out_channels: int):
        super().__init__()
        eps = config.batch_norm_eps if config.batch_norm else None
        self.conv1 = ConvNormAct(in_channels, out_channels, 3, eps=eps, valid=not config.padding)
        self.conv2 = ConvNormAct(out_channels, out_channels, 3, eps=eps, valid=not config.padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class ContractingPath(nn.Module):
    """The left half of figure 1: (N, C, H, W) → a map of each level, the finest first."""

    def __init__(self, config: CvUNetConfig):
        super().__init__()
        channels = (config.num_channels, *config.widths)
        self.levels = nn.ModuleList(DoubleConv(config, *pair) for pair in pairwise(channels))

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        maps = [self.levels[0](pixel_values)]
        for level in self.levels[1:]:
            maps.append(level(F.max_pool2d(maps[-1], 2)))
        return maps


class UpBlock(nn.Module):
    """A level of the right half: x (N, C, h, w) twice as large, beside the skip (N, S, H, W), and two convolutions."""

    def __init__(self, config: CvUNetConfig, in_channels: int, skip_channels: int, out_channels: int):
        super().__init__()
        self.mode = config.upsampling
        self.up: nn.Module = nn.Identity()
        if config.upsampling == "transposed":
            self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
            in_channels = out_channels
        self.convs = DoubleConv(config, in_channels + skip_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """`size` (H, W): that of the map to come, before the convolutions, where maps keep their sizes."""
        x = self.upsample(x, size)
        return self.convs(x if skip is None else torch.cat([x, centre_crop(skip, x)], dim=1))

    def upsample(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if self.mode != "transposed":
            return F.interpolate(x, size, mode=self.mode)
        x = self.up(x)
        bottom, right = size[0] - x.shape[2], size[1] - x.shape[3]
        return F.pad(x, (0, right, 0, bottom), mode="replicate")  # a side that the pooling had to round down


def centre_crop(x: Tensor, like: Tensor) -> Tensor:
    """The middle of x (…, H, W) at the height and width of `like`; tracers record it for every size."""
    top, left = (x.shape[-2] - like.shape[-2]) // 2, (x.shape[-1] - like.shape[-1]) // 2
    return x[..., top : top + like.shape[-2], left : left + like.shape[-1]]


class CvUNetPreTrainedModel(CvSegmenterPreTrainedModel):
    config_class = CvUNetConfig
    config: CvUNetConfig
    base_model_prefix = "unet"
    initial_fan = "fan_in"  # section 3: √(2/N) of the N values that a neuron is given
    _no_split_modules: ClassVar[list[str]] = ["DoubleConv"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.ConvTranspose2d):  # of a kernel's values each output pixel is given one a channel
            init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5)
            if module.bias is not None:
                init.zeros_(module.bias)


class CvUNetModel(CvUNetPreTrainedModel):
    """The net without its last convolution."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvUNetConfig):
        super().__init__(config)
        self.encoder = ContractingPath(config) if config.backbone is None else make_backbone(config)
        self.dropout = nn.Dropout(config.dropout)
        *skips, channels = config.encoder_widths
        skips = [width if config.skip_connections else 0 for width in reversed(skips)]
        self.decoder = nn.ModuleList()
        for level, width in enumerate(config.expanding_widths):
            self.decoder.append(UpBlock(config, channels, skips[level] if level < len(skips) else 0, width))
            channels = width
        self.post_init()

    def check_pixel_values(self, pixel_values: Tensor) -> None:
        """Without padding a side must have a size whose halves are whole: section 3's even tiles."""
        super().check_pixel_values(pixel_values)
        if torch.jit.is_tracing():
            return
        for size in pixel_values.shape[2:]:
            fitting = self.config.fitting_size(size)
            if fitting != size:
                fitting = f"{fitting - self.config.size_step} or {fitting}"
                raise ValueError(f"a side has {size} pixels, which valid convolutions can't halve; try {fitting}.")

    def encode(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the contracting path, the finest first."""
        maps = self.encoder.feature_maps(pixel_values)
        return maps if self.config.backbone is None else [maps[index] for index in self.config.encoder_indices]

    @can_return_tuple
    def forward(self, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any) -> BaseModelOutput:
        """`pixel_values` (N, C, H, W) → the last map (N, C', h, w), and those of each level of the expanding path."""
        self.check_pixel_values(pixel_values)
        *skips, bottom = self.encode(pixel_values)
        x, maps = self.dropout(bottom), []
        for level, block in enumerate(self.decoder):
            skip = skips[-1 - level] if level < len(skips) else None
            x = block(x, skip if self.config.skip_connections else None, self.size_after(x, skip, pixel_values))
            maps.append(x)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=x, hidden_states=tuple(maps) if keep else None)

    def size_after(self, x: Tensor, skip: Tensor | None, pixel_values: Tensor) -> tuple[int, int]:
        """Height and width of x (N, C, h, w) once upsampled: the finer map's, or twice its own without padding."""
        if not self.config.padding:
            return 2 * x.shape[2], 2 * x.shape[3]
        height, width = (pixel_values if skip is None else skip).shape[2:]
        return height, width


class CvUNetForSemanticSegmentation(CvSemanticSegmenterMixin, CvUNetPreTrainedModel):
    """A 1×1 convolution on `CvUNetModel`, and one on each level that deep supervision trains."""

    auto_classes = ("AutoModelForSemanticSegmentation",)

    def __init__(self, config: CvUNetConfig):
        super().__init__(config)
        self.unet = CvUNetModel(config)
        *coarser, last = config.expanding_widths
        self.classifier = PixelClassifier(last, config.num_logits, config.head_kernel_size)
        supervised = list(reversed(coarser))[: len(config.auxiliary_weights)]
        self.auxiliary = nn.ModuleList(PixelClassifier(width, config.num_logits) for width in supervised)
        self.post_init()

    def main_logits(self, features: Any, size: Any) -> Tensor:
        """Of the last map; as many pixels as the picture has, or `margin` fewer on each side."""
        return self.classifier(features.last_hidden_state)

    def auxiliary_logits(self, features: Any, size: Any) -> Iterator[Tensor]:
        """Of the levels below the last, the finest first, enlarged to the picture's `size`."""
        for head, x in zip(self.auxiliary, features.hidden_states[-2::-1], strict=False):
            yield enlarge(head(x), size)

    def losses(self, outputs: tuple[Tensor, ...], labels: Tensor, label_weights: Tensor | None) -> Iterator[Tensor]:
        """As `CvSemanticSegmenterMixin.losses`, against the part of the labels that valid convolutions see."""
        if not self.config.padding:
            labels = centre_crop(labels, outputs[0])
            label_weights = None if label_weights is None else centre_crop(label_weights, outputs[0])
        return super().losses(outputs, labels, label_weights)
