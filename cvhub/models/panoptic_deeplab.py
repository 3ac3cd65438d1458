"""Panoptic-DeepLab, Cheng et al. 2020, https://arxiv.org/abs/1911.10194

Semantic segmentation names each pixel; instance segmentation tells one thing from the next; panoptic segmentation does
both for all pixels. This net does it bottom-up, without boxes: beside the class it learns where things have their
centres, and at each pixel the way to the centre of its thing. Pixels that point to the same centre are one thing.

                        ┌ ASPP → decoder ─ 5×5, 1×1 ─ classes (N, K, H, W)
    pixels → backbone ──┤
                        └ ASPP → decoder ┬ 5×5, 1×1 ─ centres (N, 1, H, W), a small hill at each thing's mean position
                                         └ 5×5, 1×1 ─ offsets (N, 2, H, W), pixels down and right to that position

The decoder is DeepLabV3+'s, joined by several finer maps one after another. How the three become segments is
`group_pixels` in grouping.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import ModelOutput, can_return_tuple

from .deeplab import ASPP, Decoder, convolution
from .losses_dense import dense_loss
from .mobilenet_v2 import CvMobileNetV2Config
from .segmentation import (
    CvSegmenterConfig,
    CvSegmenterPreTrainedModel,
    PixelClassifier,
    enlarge,
    make_backbone,
    weighted_sum,
)


class CvPanopticDeepLabConfig(CvSegmenterConfig):
    """The defaults are section 3.2's net on a MobileNetV2 of stride 16.

    - `thing_ids`: the classes of which one thing is told from the next; the others are stuff.
    - `atrous_rates`, `aspp_separable`, `dropout`, `batch_norm_eps`, `align_corners`: as DeepLab's.
    - `fine_features`: the backbone's finer maps that the decoders join, one after another.
    - `semantic_channels`, `instance_channels`: of ASPP and decoder. `semantic_projections`, `instance_projections`:
      of each fine map. `head_channels`: of a head's 5×5 convolution. `kernel_size`, `separable`: of those convolutions.
    - `centre_sigma`: width in pixels of the hill at a centre. The loss is the classes', `centre_weight` times the
      squared error of the centres, `offset_weight` times the absolute error of the offsets (eq. 1).
    """

    model_type = "cvhub_panoptic_deeplab"
    counts: ClassVar[tuple[str, ...]] = (
        *("semantic_channels", "semantic_projections", "instance_channels", "instance_projections"),
        *("head_channels", "kernel_size"),
    )
    processor: ClassVar[tuple[str, str]] = ("dense_processing", "CvPanopticProcessor")
    # bf16 has 8 bits: places would be rounded to whole pixels, and of a hill's pixels several would be its peak.
    precise_outputs: ClassVar[tuple[str, ...]] = ("centres", "offsets")

    thing_ids: list[int] | tuple[int, ...] = (1,)
    atrous_rates: list[int] | tuple[int, ...] = (6, 12, 18)
    aspp_separable: bool = True
    fine_features: list[str] | tuple[str, ...] = ("stage2", "stage1")
    semantic_channels: int = 256
    semantic_projections: list[int] | tuple[int, ...] = (64, 32)
    instance_channels: int = 128
    instance_projections: list[int] | tuple[int, ...] = (32, 16)
    head_channels: int = 32
    kernel_size: int = 5
    separable: bool = True
    align_corners: bool = False
    dropout: float = 0.1
    batch_norm_eps: float = 1e-5
    centre_sigma: float = 8.0
    centre_weight: float = 200.0
    offset_weight: float = 0.01

    def __post_init__(self, **kwargs: Any) -> None:
        if self.backbone is None:
            self.backbone = CvMobileNetV2Config(output_stride=16, head_channels=0, num_channels=self.num_channels)
        super().__post_init__(**kwargs)
        if self.single_logit:
            raise ValueError("single_logit is True, expected False: each class of a panoptic net has its own.")
        for name in self.fine_features:
            self.map_index(name)
        for field in ("semantic_projections", "instance_projections"):
            if len(getattr(self, field)) != len(self.fine_features):
                raise ValueError(f"{field} are {getattr(self, field)}, expected {len(self.fine_features)} widths.")
        if not set(self.thing_ids) <= set(range(self.num_logits)):
            raise ValueError(f"thing_ids are {self.thing_ids}, expected some of 0 to {self.num_logits - 1}.")

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: what the backbone takes."""
        return self.backbone.smallest_input

    @property
    def head_stride(self) -> int:
        """Pixels of the picture to one of the heads' maps."""
        return self.backbone.map_strides[self.map_index(self.fine_features[-1] if self.fine_features else None)]


@dataclass
class CvPanopticOutput(ModelOutput):
    """`logits` (N, K, H, W), `centres` (N, 1, H, W), `offsets` (N, 2, H, W) in pixels; `losses`: the three terms."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    centres: Tensor | None = None
    offsets: Tensor | None = None
    losses: tuple[Tensor, ...] | None = None


class Branch(nn.Module):
    """ASPP and the decoders after it: the backbone's maps → (N, C, h, w), the size of the last of `fine_features`."""

    def __init__(self, config: CvPanopticDeepLabConfig, channels: int, projections: Sequence[int]):
        super().__init__()
        widths = config.backbone.stage_channels
        self.fine_indices = [config.map_index(name) for name in config.fine_features]
        self.aspp = ASPP(config, widths[-1], channels)
        conv = convolution(config, config.separable, config.kernel_size)
        self.decoders = nn.ModuleList()
        for index, projected in zip(self.fine_indices, projections, strict=True):
            self.decoders.append(Decoder(config, widths[index], projected, conv(channels + projected, channels)))

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        x = self.aspp(maps[-1])
        for index, decoder in zip(self.fine_indices, self.decoders, strict=True):
            x = decoder(x, maps[index])
        return x


class Head(nn.Sequential):
    """A 5×5 convolution and a 1×1: (N, C, h, w) → (N, K, h, w)."""

    def __init__(self, config: CvPanopticDeepLabConfig, in_channels: int, middle: int, out_channels: int):
        conv = convolution(config, config.separable, config.kernel_size)
        super().__init__(conv(in_channels, middle), PixelClassifier(middle, out_channels))


@torch.no_grad()
def instance_targets(instances: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """`instances` (N, H, W), ids of things, 0 elsewhere → centres (N, 1, H, W) and offsets (N, 2, H, W) in pixels.

    A centre is a thing's mean position; around it stands a hill exp(−d²/2σ²), 1 high (section 3.2). Of two hills the
    higher counts. Offsets lead from each pixel of a thing to its centre, and are 0 elsewhere.
    """
    n, height, width = instances.shape
    rows = torch.arange(height, dtype=torch.float32, device=instances.device)
    columns = torch.arange(width, dtype=torch.float32, device=instances.device)
    positions = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # (2, H, W)
    centres, offsets = positions.new_zeros(n, 1, height, width), positions.new_zeros(n, 2, height, width)
    for i, picture in enumerate(instances):
        ids, of_pixel, areas = picture.unique(return_inverse=True, return_counts=True)
        sums = positions.new_zeros(2, len(ids)).index_add_(1, of_pixel.flatten(), positions.flatten(1))
        means = sums / areas  # (2, things)
        offsets[i] = (means[:, of_pixel] - positions) * (picture != 0)
        for row, column in means[:, ids != 0].T:
            hill = torch.outer(_hill(rows - row, sigma), _hill(columns - column, sigma))
            torch.maximum(centres[i, 0], hill, out=centres[i, 0])
    return centres, offsets


def _hill(distances: Tensor, sigma: float) -> Tensor:
    return torch.exp(-(distances**2) / (2 * sigma**2))


class CvPanopticDeepLabPreTrainedModel(CvSegmenterPreTrainedModel):
    config_class = CvPanopticDeepLabConfig
    config: CvPanopticDeepLabConfig
    base_model_prefix = "panoptic_deeplab"
    _no_split_modules: ClassVar[list[str]] = ["Branch"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^(classifier|centre_head|offset_head)\."]


class CvPanopticDeepLabModel(CvPanopticDeepLabPreTrainedModel):
    """Backbone and branches without their heads."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvPanopticDeepLabConfig):
        super().__init__(config)
        self.backbone = make_backbone(config)
        self.semantic = Branch(config, config.semantic_channels, config.semantic_projections)
        self.instance = Branch(config, config.instance_channels, config.instance_projections)
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any) -> BaseModelOutput:
        """`pixel_values` (N, C, H, W) → what both branches give, side by side (N, C' + C'', h, w)."""
        self.check_pixel_values(pixel_values)
        maps = tuple(self.backbone.feature_maps(pixel_values))
        joined = torch.cat([self.semantic(maps), self.instance(maps)], dim=1)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=joined, hidden_states=maps if keep else None)


class CvPanopticDeepLabForPanopticSegmentation(CvPanopticDeepLabPreTrainedModel):
    """The three heads on `CvPanopticDeepLabModel`.

    transformers' image-segmentation pipeline looks under AutoModelForImageSegmentation, hence the second name.
    """

    auto_classes = ("AutoModelForUniversalSegmentation", "AutoModelForImageSegmentation")

    def __init__(self, config: CvPanopticDeepLabConfig):
        super().__init__(config)
        self.panoptic_deeplab = CvPanopticDeepLabModel(config)
        semantic, instance = config.semantic_channels, config.instance_channels
        self.classifier = Head(config, semantic, semantic, config.num_logits)
        self.centre_head = Head(config, instance, config.head_channels, 1)
        self.offset_head = Head(config, instance, config.head_channels, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        instance_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> CvPanopticOutput:
        """`pixel_values` (N, C, H, W) → classes, centres, offsets at their size; with both labels, the loss.

        `labels` (N, H, W) of classes; `instance_labels` (N, H, W): ids of things, 0 elsewhere.
        """
        features = self.panoptic_deeplab(pixel_values).last_hidden_state
        semantic, instance = features.split([self.config.semantic_channels, self.config.instance_channels], dim=1)
        maps = (
            self.classifier(semantic),
            self.centre_head(instance),
            self.offset_head(instance) * self.config.head_stride,
        )
        size, align = pixel_values.shape[2:], self.config.align_corners
        logits, centres, offsets = (enlarge(x, size, align) for x in maps)
        losses = ()
        if labels is not None and instance_labels is not None:
            losses = tuple(self.losses(logits, centres, offsets, labels, instance_labels))
        return CvPanopticOutput(weighted_sum(losses, (1, 1, 1)), logits, centres, offsets, losses or None)

    def losses(
        self, logits: Tensor, centres: Tensor, offsets: Tensor, labels: Tensor, instances: Tensor
    ) -> Iterator[Tensor]:
        """The terms of eq. 1, weighted. Offsets count at the pixels of things, centres where a class is known."""
        config = self.config
        yield dense_loss(logits, labels, config.loss, config.ignore_index)
        target_centres, target_offsets = instance_targets(instances, config.centre_sigma)
        known = (labels != config.ignore_index)[:, None]
        squared = (centres.float() - target_centres) ** 2 * known
        yield config.centre_weight * squared.sum() / known.sum().clamp(min=1)
        things = (instances != 0)[:, None]
        absolute = (offsets.float() - target_offsets).abs() * things
        yield config.offset_weight * absolute.sum() / things.sum().clamp(min=1)
