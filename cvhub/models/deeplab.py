"""DeepLabV3: Rethinking Atrous Convolution for Semantic Image Segmentation, Chen et al. 2017, https://arxiv.org/abs/1706.05587

A classifier shrinks the map 32 times, too coarse to draw with. DeepLab keeps it at a stride of 16 or 8: the last
strides become dilations ("atrous" convolutions, section 3.1), so that the filters see as much of the picture as before.
What is small here is large there: atrous spatial pyramid pooling (ASPP, section 3.3) looks at the map with several
dilations at once, and at the whole picture through its mean.

                         ┌ 1×1 ───────────────┐
                         ├ 3×3, dilation r₁ ──┤
    pixels → backbone ───┼ 3×3, dilation r₂ ──┼ concatenate → 1×1 → 3×3 → 1×1 → bilinear → logits (N, K, H, W)
            (N, C, h, w) ├ 3×3, dilation r₃ ──┤
                         └ mean → 1×1 ────────┘

V3+: Encoder-Decoder with Atrous Separable Convolution, Chen et al. 2018, https://arxiv.org/abs/1802.02611

What ASPP gives is enlarged and joined by a finer map of the backbone, projected to few channels (figure 2); 3×3
convolutions then draw the borders. Separable convolutions cost less.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import can_return_tuple

from .layers import ConvNormAct
from .mobilenet_v2 import CvMobileNetV2Config
from .resnet import CvResNetConfig
from .segmentation import (
    CvSegmenterConfig,
    CvSegmenterPreTrainedModel,
    CvSemanticSegmenterMixin,
    PixelClassifier,
    enlarge,
    make_backbone,
)


class CvDeepLabConfig(CvSegmenterConfig):
    """The defaults are DeepLabV3 on a ResNet-50 of stride 16; `backbone.output_stride` says which stride it has.

    - `high_level_feature`: the backbone's map that ASPP reads, the last unless named.
    - `atrous_rates`: dilations of ASPP, for stride 16; stride 8 wants twice as much (section 3.3). `aspp_channels`: of
      each branch. `aspp_separable`: whether they are separable. `aspp_conv`: a 3×3 convolution after ASPP.
    - `low_level_feature`: the finer map that V3+'s decoder joins, projected to `low_level_channels`; None is V3.
      `decoder_depth`: its 3×3 convolutions.
    - `separable`: whether the convolutions after ASPP are. `align_corners`: how maps are enlarged.
    - `dropout`: after ASPP. `batch_norm_eps`: of all that is not the backbone's.
    - `upsample`: whether logits are enlarged to the picture's size.
    - `auxiliary_features`: maps with a head of their own in training, whose losses count `auxiliary_weights`.
    """

    model_type = "cvhub_deeplab"
    counts: ClassVar[tuple[str, ...]] = ("aspp_channels", "low_level_channels")

    high_level_feature: str | None = None
    atrous_rates: list[int] | tuple[int, ...] = (6, 12, 18)
    aspp_channels: int = 256
    aspp_separable: bool = False
    aspp_conv: bool = True
    low_level_feature: str | None = None
    low_level_channels: int = 48
    decoder_depth: int = 2
    separable: bool = False
    align_corners: bool = False
    dropout: float = 0.5
    batch_norm_eps: float = 1e-5
    upsample: bool = True
    auxiliary_features: list[str] | tuple[str, ...] = ()

    def __post_init__(self, **kwargs: Any) -> None:
        if self.backbone is None:
            self.backbone = CvResNetConfig(output_stride=16, num_channels=self.num_channels)
        super().__post_init__(**kwargs)
        for name in (self.high_level_feature, self.low_level_feature, *self.auxiliary_features):
            self.map_index(name)
        if len(self.auxiliary_features) != len(self.auxiliary_weights):
            count = len(self.auxiliary_features)
            raise ValueError(f"auxiliary_weights are {self.auxiliary_weights}, expected {count}, one a feature.")
        if min(self.atrous_rates, default=1) < 1:
            raise ValueError(f"atrous_rates are {self.atrous_rates}, expected dilations from 1 on.")

    @classmethod
    def mobile(cls, **fields: Any) -> "CvDeepLabConfig":
        """V3+ on a MobileNetV2 of stride 16, separable throughout; `fields` override it."""
        row: dict[str, Any] = dict(
            backbone=CvMobileNetV2Config(output_stride=16, head_channels=0),
            low_level_feature="stage1",
            aspp_separable=True,
            separable=True,
            aspp_conv=False,
        )
        return cls(**(row | fields))

    def channels_of(self, name: str | None) -> int:
        """Channels of the backbone's map `name`."""
        return self.backbone.stage_channels[self.map_index(name)]

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: what the backbone takes."""
        return self.backbone.smallest_input


class SeparableConv(nn.Module):
    """A filter a channel, then a 1×1 across channels, normalised and activated once: (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, eps: float = 1e-5):
        super().__init__()
        padding = (kernel_size - 1) // 2 * dilation
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=padding, dilation=dilation, groups=in_channels, bias=False
        )
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


def convolution(config: Any, separable: bool, kernel_size: int = 3) -> partial:
    """The convolution of this net, plain or separable: called with the channels that it takes and gives."""
    return partial(SeparableConv if separable else ConvNormAct, kernel_size=kernel_size, eps=config.batch_norm_eps)


class ImagePooling(nn.Module):
    """The mean of the map, projected, at every position: (N, C, h, w) → (N, C', h, w) (Liu et al. 2015, ParseNet)."""

    def __init__(self, in_channels: int, out_channels: int, eps: float):
        super().__init__()
        self.project = ConvNormAct(in_channels, out_channels, 1, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x.mean((2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])


class ASPP(nn.Module):
    """Section 3.3: 1×1, dilated 3×3s and the picture's mean, joined and projected: (N, C, h, w) → (N, C', h, w)."""

    def __init__(self, config: Any, in_channels: int, out_channels: int):
        super().__init__()
        eps = config.batch_norm_eps
        conv = convolution(config, config.aspp_separable)
        branches = [ConvNormAct(in_channels, out_channels, 1, eps=eps)]
        branches += [conv(in_channels, out_channels, dilation=rate) for rate in config.atrous_rates]
        self.branches = nn.ModuleList([*branches, ImagePooling(in_channels, out_channels, eps)])
        self.project = ConvNormAct(len(self.branches) * out_channels, out_channels, 1, eps=eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.project(torch.cat([branch(x) for branch in self.branches], dim=1)))


class Decoder(nn.Module):
    """V3+, figure 2: x (N, C, h, w) enlarged to a finer map (N, F, H, W), beside its projection: (N, C', H, W)."""

    def __init__(self, config: Any, fine_channels: int, projected: int, convs: nn.Module):
        """`convs` take x's channels and `projected` more."""
        super().__init__()
        self.align_corners = config.align_corners
        self.project = ConvNormAct(fine_channels, projected, 1, eps=config.batch_norm_eps)
        self.convs = convs

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        x = F.interpolate(x, fine.shape[2:], mode="bilinear", align_corners=self.align_corners)
        return self.convs(torch.cat([x, self.project(fine)], dim=1))


class AuxiliaryHead(nn.Sequential):
    """torchvision's: a 3×3 to a quarter of the channels, and a class for each position."""

    def __init__(self, config: CvDeepLabConfig, in_channels: int):
        width = in_channels // 4
        conv = ConvNormAct(in_channels, width, 3, eps=config.batch_norm_eps)
        super().__init__(conv, nn.Dropout(0.1), PixelClassifier(width, config.num_logits))


class CvDeepLabPreTrainedModel(CvSegmenterPreTrainedModel):
    config_class = CvDeepLabConfig
    config: CvDeepLabConfig
    base_model_prefix = "deeplab"
    _no_split_modules: ClassVar[list[str]] = ["ASPP", "Decoder"]


class CvDeepLabModel(CvDeepLabPreTrainedModel):
    """The net without its last convolution."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvDeepLabConfig):
        super().__init__(config)
        width = config.aspp_channels
        self.backbone = make_backbone(config)
        self.aspp = ASPP(config, config.channels_of(config.high_level_feature), width)
        conv = convolution(config, config.separable)
        self.conv = conv(width, width) if config.aspp_conv else nn.Identity()
        self.decoder: nn.Module | None = None
        if (fine := config.low_level_feature) is not None:
            projected = config.low_level_channels
            widths = [width + projected, *[width] * (config.decoder_depth - 1)]
            convs = nn.Sequential(*(conv(channels, width) for channels in widths))
            self.decoder = Decoder(config, config.channels_of(fine), projected, convs)
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any) -> BaseModelOutput:
        """`pixel_values` (N, C, H, W) → the last map (N, C', h, w), and those of the backbone."""
        self.check_pixel_values(pixel_values)
        config, maps = self.config, self.backbone.feature_maps(pixel_values)
        x = self.conv(self.aspp(maps[config.map_index(config.high_level_feature)]))
        if self.decoder is not None:
            x = self.decoder(x, maps[config.map_index(config.low_level_feature)])
        keep = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=x, hidden_states=tuple(maps) if keep else None)


class CvDeepLabForSemanticSegmentation(CvSemanticSegmenterMixin, CvDeepLabPreTrainedModel):
    """A 1×1 convolution on `CvDeepLabModel`, its logits enlarged; auxiliary heads in training."""

    auto_classes = ("AutoModelForSemanticSegmentation",)

    def __init__(self, config: CvDeepLabConfig):
        super().__init__(config)
        self.deeplab = CvDeepLabModel(config)
        self.classifier = PixelClassifier(config.aspp_channels, config.num_logits)
        self.auxiliary = nn.ModuleList(
            AuxiliaryHead(config, config.channels_of(name)) for name in config.auxiliary_features
        )
        self.post_init()

    def main_logits(self, features: Any, size: Any) -> Tensor:
        """Of the last map, enlarged to the picture's `size`."""
        return self.enlarge(self.classifier(features.last_hidden_state), size)

    def auxiliary_logits(self, features: Any, size: Any) -> Iterator[Tensor]:
        """Of the backbone's maps that the config names."""
        for head, name in zip(self.auxiliary, self.config.auxiliary_features, strict=True):
            yield self.enlarge(head(features.hidden_states[self.config.map_index(name)]), size)

    def enlarge(self, logits: Tensor, size: Any) -> Tensor:
        """Logits (N, K, h, w) at the picture's `size`, where the config wants that."""
        if not self.config.upsample:
            return logits
        return enlarge(logits, size, self.config.align_corners)
