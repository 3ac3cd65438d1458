"""What segmenters share: a backbone of ours inside, a class for each pixel, auxiliary heads, and the loss of both."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.utils.generic import can_return_tuple

from .backbone import CvConvNetConfig
from .base import CvImageConfig, CvPreTrainedModel
from .losses_dense import LOSSES, dense_loss
from .mobilenet_v2 import CvMobileNetV2Backbone, CvMobileNetV2Config
from .resnet import CvResNetBackbone, CvResNetConfig

# model_type: the classes of a net that can serve as a backbone
BACKBONES: dict[str, tuple[Any, Any]] = {
    cls.model_type: (cls, backbone)
    for cls, backbone in ((CvMobileNetV2Config, CvMobileNetV2Backbone), (CvResNetConfig, CvResNetBackbone))
}


class CvSegmenterConfig(CvImageConfig):
    """Config of a net that names each pixel.

    - `backbone`: the config of one of our nets, or its dict with a `model_type`; its stages give the feature maps.
    - `single_logit`: two classes told apart by one logit, the odds of the second; else each class has its own.
    - `loss`: one of `LOSSES` in losses_dense.py; pixels labelled `ignore_index` cost nothing.
    - `auxiliary_weights`: what the loss of each auxiliary head counts.

    `precise_outputs`: those that are made of their head's map in fp32, whatever a net is computed in.
    """

    processor: ClassVar[tuple[str, str]] = ("dense_processing", "CvSemanticProcessor")
    precise_outputs: ClassVar[tuple[str, ...]] = ()

    backbone: Any = None
    single_logit: bool = False
    loss: str = "cross_entropy"
    ignore_index: int = 255
    auxiliary_weights: list[float] | tuple[float, ...] = ()

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.backbone, dict):
            self.backbone = _backbone_config(self.backbone)
        if self.backbone is not None and self.backbone.num_channels != self.num_channels:
            raise ValueError(f"the backbone has num_channels={self.backbone.num_channels}, not {self.num_channels}.")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}, expected one of {LOSSES}.")
        super().__post_init__(**kwargs)
        if self.single_logit and self.num_labels != 2:
            raise ValueError(f"num_labels is {self.num_labels}, expected 2 with single_logit.")

    @property
    def margin(self) -> int:
        """Pixels that each side of the logits lacks."""
        return 0

    @property
    def num_logits(self) -> int:
        """Logits of a pixel."""
        return 1 if self.single_logit else self.num_labels  # pyright: ignore[reportReturnType]

    def map_index(self, name: str | None) -> int:
        """Which of the backbone's feature maps `name` is; None is the last."""
        names = self.backbone.stage_names
        if name is None:
            return len(names) - 1
        if name not in names:
            raise ValueError(f"the backbone has no feature map {name!r}, only {', '.join(names)}.")
        return names.index(name)


def _backbone_config(fields: dict[str, Any]) -> CvConvNetConfig:
    kind = fields.get("model_type")
    if kind not in BACKBONES:
        raise ValueError(f"backbone has model_type {kind!r}, expected one of {', '.join(BACKBONES)}.")
    return BACKBONES[kind][0](**{name: value for name, value in fields.items() if name != "model_type"})


def make_backbone(config: CvSegmenterConfig) -> Any:
    """The net whose `feature_maps` a segmenter reads."""
    return BACKBONES[config.backbone.model_type][1](config.backbone)


@dataclass
class CvSegmenterOutput(SemanticSegmenterOutput):
    """`auxiliary_logits`: what each auxiliary head says, like `logits`. `losses`: the main term, then theirs."""

    auxiliary_logits: tuple[Tensor, ...] | None = None
    losses: tuple[Tensor, ...] | None = None


def weighted_sum(losses: Sequence[Tensor], weights: Iterable[float]) -> Tensor | None:
    """Σ w·ℓ over the losses that there are, None of none."""
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=False)]).sum() if losses else None


class PixelClassifier(nn.Conv2d):
    """A linear layer at each position, or over k×k of them: (N, C, H, W) → logits (N, K, H, W)."""

    def __init__(self, channels: int, num_logits: int, kernel_size: int = 1):
        super().__init__(channels, num_logits, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """What is traced is for OpenVINO, which sorts a convolution's channels, that lie side by side, into maps many
        times as fast in bf16 as in float32: an addition to whole maps, class by class, makes float32 of them then."""
        if not torch.jit.is_tracing() or self.bias is None:
            return super().forward(x)
        maps = F.conv2d(x, self.weight, None, self.stride, self.padding)
        count, _, height, width = maps.shape
        by_class = maps.transpose(0, 1).flatten(1) + self.bias[:, None]
        return by_class.reshape(-1, count, height, width).transpose(0, 1)


def enlarge(maps: Tensor, size: Any, align_corners: bool = False) -> Tensor:
    """Maps (N, C, h, w) of a head, bilinear, at the picture's `size`: (N, C, H, W).

    As so many pictures of one channel: readers and losses take a map at a time, whereas convolutions leave the channels
    of a pixel side by side, and sorting them costs less here than when they are enlarged. What is traced is for
    OpenVINO, which multiplies matrices many times as fast as it enlarges: A·map·Bᵀ, as a line of the larger map is a
    mixture of two of the smaller one.
    """
    if torch.jit.is_tracing():
        rows, columns = (mixtures(*sides, align_corners) for sides in zip(maps.shape[2:], size, strict=True))
        return rows @ maps @ columns.t()
    channels = maps.shape[1]
    planes = maps if channels == 1 else maps.flatten(0, 1)[:, None]
    planes = F.interpolate(planes, size, mode="bilinear", align_corners=align_corners)
    return planes if channels == 1 else planes.reshape(-1, channels, *planes.shape[2:])


def mixtures(given: Any, wanted: Any, align_corners: bool) -> Tensor:
    """How much of each of `given` lines is in each of `wanted` ones, (wanted, given).

    A line's place is its middle, or, with `align_corners`, the first and the last are the same. Counted in whole
    numbers, in parts of the distance of two given lines: bf16 would round places of some hundred lines by whole ones.
    """
    line = torch.arange(wanted)[:, None]
    # A single line is the first one given.
    parts = torch.as_tensor(wanted - 1).clamp(min=1) if align_corners else 2 * wanted
    places = line * (given - 1) if align_corners else (2 * line + 1) * given - wanted
    places = places.clamp(min=0).minimum(torch.as_tensor(parts * (given - 1)))
    distances = places - parts * torch.arange(given)
    return (parts - torch.maximum(distances, -distances)).clamp(min=0) / parts


class CvSegmenterPreTrainedModel(CvPreTrainedModel):
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", r"^auxiliary\."]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As every net of ours; logits start near zero, so that no class is preferred."""
        super()._init_weights(module)
        if isinstance(module, PixelClassifier):
            init.normal_(module.weight, std=0.01)


class CvSemanticSegmenterMixin:
    """Turns a base model into a semantic segmenter, which says how its maps become logits.

    `main_logits` reads the base model's output; so does `auxiliary_logits`, for each auxiliary head.
    """

    @can_return_tuple
    def forward(
        self: Any,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        label_weights: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_auxiliary: bool | None = None,
        **kwargs: Any,
    ) -> CvSegmenterOutput:
        """`pixel_values` (N, C, H, W) → logits (N, K, h, w) and, with `labels`, the loss.

        `labels` (N, H, W) of classes and `ignore_index`, or soft (N, K, H, W); `label_weights` (N, H, W) weigh pixels.
        Auxiliary heads speak in training, and where `output_auxiliary` asks for them.
        """
        features = self.base_model(pixel_values, output_hidden_states=True)
        logits = self.main_logits(features, pixel_values.shape[2:])
        speaking = self.training if output_auxiliary is None else output_auxiliary
        auxiliary = tuple(self.auxiliary_logits(features, pixel_values.shape[2:])) if speaking else ()
        losses = tuple(self.losses((logits, *auxiliary), labels, label_weights)) if labels is not None else ()
        weights = (1.0, *self.config.auxiliary_weights)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return CvSegmenterOutput(
            loss=weighted_sum(losses, weights),
            logits=logits,
            hidden_states=features.hidden_states if keep else None,
            auxiliary_logits=auxiliary or None,
            losses=losses or None,
        )

    def losses(
        self: Any, outputs: tuple[Tensor, ...], labels: Tensor, label_weights: Tensor | None
    ) -> Iterator[Tensor]:
        """The config's loss of each of `outputs` (N, K, h, w), at the size of the labels."""
        for logits in outputs:
            if logits.shape[2:] != labels.shape[-2:]:
                logits = enlarge(logits, labels.shape[-2:])
            yield dense_loss(logits, labels, self.config.loss, self.config.ignore_index, label_weights)
