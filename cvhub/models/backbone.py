"""Nets whose stages give feature maps, so that another net can build on them: what all of those share."""

from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

from torch import Tensor
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput, BaseModelOutputWithPoolingAndNoAttention
from transformers.utils.generic import can_return_tuple

from .base import CvClassifierConfig

OUTPUT_STRIDES = (8, 16, 32)


class CvBackboneConfig(BackboneConfigMixin, CvClassifierConfig):
    """Config of a net whose stages give feature maps, so that it can serve as a backbone.

    A subclass defines, an entry for each feature map from the first on, `stage_names`, `stage_strides` (relative to the
    map before, were no stage dilated) and `stage_channels`.
    """

    @property
    def stage_names(self) -> list[str]:
        raise NotImplementedError

    @property
    def stage_strides(self) -> list[int]:
        raise NotImplementedError

    @property
    def stage_channels(self) -> list[int]:
        raise NotImplementedError

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: one pixel of the last feature map, were no stage dilated."""
        return prod(self.stage_strides)

    @property
    def map_strides(self) -> list[int]:
        """The stride of each feature map relative to the pixels."""
        return list(accumulate(self.stage_strides, mul))

    def map_sizes(self, size: int) -> list[int]:
        """Positions along a side of each feature map, where the picture's side has `size` pixels."""
        return [-(-size // stride) for stride in self.map_strides]

    def __post_init__(self, **kwargs: Any) -> None:
        out_features, out_indices = kwargs.pop("out_features", None), kwargs.pop("out_indices", None)
        self.set_output_features_output_indices(out_features=out_features, out_indices=out_indices)
        super().__post_init__(**kwargs)


class CvConvNetConfig(CvBackboneConfig):
    """Config of a convolutional net, whose strides may be turned into dilations (`dilate_strides` in layers.py)."""

    output_stride: int = 32  # no stage is dilated
    # Whether a convolution that lost its stride already has its stage's new dilation (segmentation_models_pytorch) or
    # still the old one (torchvision, transformers). The convolutions after it have the new one.
    dilate_first_block: bool = False

    @property
    def map_strides(self) -> list[int]:
        """The stride of each feature map relative to the pixels, where stages may be dilated."""
        strides, reached = [], 1
        for stride in self.stage_strides:
            if self.output_stride == OUTPUT_STRIDES[-1] or reached * stride <= self.output_stride:
                reached *= stride
            strides.append(reached)
        return strides

    def __post_init__(self, **kwargs: Any) -> None:
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {self.output_stride!r}, expected one of {OUTPUT_STRIDES}.")
        super().__post_init__(**kwargs)


class CvConvNetMixin:
    """Turns what a convolutional net's paper draws, `feature_maps`, into a base model: the class says that much."""

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → a map (N, C_i, H_i, W_i) for each of the config's `stage_names`."""
        raise NotImplementedError

    def pool(self, last_map: Tensor) -> Tensor:
        """What the classifier is given, (N, C'): the mean over the last map (N, C', h, w) unless a paper says else."""
        return last_map.mean((2, 3))

    @can_return_tuple
    def forward(
        self: Any, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPoolingAndNoAttention:
        """`pixel_values` (N, C, H, W) → the last map (N, C', h, w), what `pool` makes of it, and each stage's map."""
        self.check_pixel_values(pixel_values)
        maps = self.feature_maps(pixel_values)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutputWithPoolingAndNoAttention(
            last_hidden_state=maps[-1], pooler_output=self.pool(maps[-1]), hidden_states=tuple(maps) if keep else None
        )


class CvBackboneMixin(BackboneMixin):
    """Turns a family's base model into a backbone: mix in before it, and the feature maps of its stages come out."""

    config: CvBackboneConfig
    has_attentions = False

    def _init_transformers_backbone(self) -> None:
        super()._init_transformers_backbone()
        self.num_features = self.config.stage_channels

    @can_return_tuple
    def forward(self, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any) -> BackboneOutput:
        """`pixel_values` (N, C, H, W) → the feature maps named in `config.out_features`, each (N, C_i, H_i, W_i)."""
        # BackboneMixin's own forward only raises; the one meant is the base model's, after it in the MRO.
        base = super(BackboneMixin, self)
        maps = base.forward(pixel_values, output_hidden_states=True).hidden_states  # pyright: ignore[reportAttributeAccessIssue]
        wanted = set(self.out_features)
        return BackboneOutput(
            feature_maps=tuple(m for name, m in zip(self.stage_names, maps, strict=True) if name in wanted),
            hidden_states=maps if output_hidden_states else None,
        )
