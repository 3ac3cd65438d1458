"""What every cvhub model shares with transformers, in one place.

A model file holds a paper; this file holds the plumbing: how a class travels to the Hub, how weights start,
and how a net serves as a backbone.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import accumulate
from math import prod
from operator import mul
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import (
    BackboneOutput,
    BaseModelOutputWithPoolingAndNoAttention,
    ImageClassifierOutputWithNoAttention,
)
from transformers.utils.generic import can_return_tuple

from .layers import LinearAct
from .losses import classification_loss

OUTPUT_STRIDES = (8, 16, 32)


class CvConfig(PreTrainedConfig):
    """Base of all cvhub configs. A family's config is listed under AutoConfig."""

    auto_classes: ClassVar[tuple[str, ...]] = ("AutoConfig",)
    _auto_class = "AutoConfig"


class CvImageConfig(CvConfig):
    """Config of a net that sees pictures."""

    num_channels: int = 3
    processor: ClassVar[tuple[str, str]] = ("image_processing", "CvImageProcessor")  # the family's file and class

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have."""
        return 1

    @property
    def size_step(self) -> int:
        """By multiples of how many pixels a side may be larger than `smallest_input`."""
        return 1

    def fitting_size(self, size: int) -> int:
        """Fewest pixels from `size` on that a side may have."""
        steps = -(-(size - self.smallest_input) // self.size_step)
        return self.smallest_input + max(0, steps) * self.size_step


class CvClassifierConfig(CvImageConfig):
    """Config of a net that may name what pictures show."""

    label_smoothing: float = 0.0


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


class CvPreTrainedModel(PreTrainedModel):
    """A `PreTrainedModel` that carries its own code to the Hub and starts from the papers' initialisation.

    Each concrete class names the Auto classes that find it in `auto_classes`.
    """

    auto_classes: ClassVar[tuple[str, ...]] = ()
    main_input_name = "pixel_values"
    input_modalities = ["image"]
    # Our losses are means over the batch: Trainer divides by the accumulation steps itself.
    accepts_loss_kwargs = False
    supports_gradient_checkpointing = True
    # Whether weights start so that values keep their size ("fan_in") or gradients ("fan_out"). ResNet's code, and all
    # after it, took the second. Where BatchNorm doesn't set sizes right, the first matters more.
    initial_fan: ClassVar[str] = "fan_out"
    # A base model or a backbone leaves a classifier's weights aside.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\."]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # `_auto_class` would be inherited: an unlisted subclass must not claim its parent's place.
        cls._auto_class = cls.auto_classes[0] if "auto_classes" in cls.__dict__ else None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """He et al. 2015 (arXiv:1502.01852, eq. 10 or 14) before a ReLU, N(0, 0.01²) for other linear layers."""
        if isinstance(module, nn.Conv2d | LinearAct):
            init.kaiming_normal_(module.weight, mode=self.initial_fan, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            for name, statistic in module.named_buffers():
                init.ones_(statistic) if name == "running_var" else init.zeros_(statistic)

    def check_pixel_values(self, pixel_values: Tensor) -> None:
        """Raises `ValueError` unless `pixel_values` are (N, C, H, W) of this config's channels and not too small."""
        if pixel_values.ndim != 4:
            raise ValueError(f"pixel_values have shape {tuple(pixel_values.shape)}, expected (batch, channels, H, W).")
        if torch.jit.is_tracing():  # sizes are tensors then, and a comparison would be frozen into the graph
            return
        _, channels, height, width = pixel_values.shape
        if channels != self.config.num_channels:
            raise ValueError(f"pixel_values have {channels} channels, this config has {self.config.num_channels}.")
        smallest = self.config.smallest_input
        if height < smallest or width < smallest:
            raise ValueError(
                f"pixel_values are {height}x{width} pixels, this net needs at least {smallest}x{smallest}."
            )

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable = checkpoint, **settings: Any
    ) -> None:
        """BatchNorm's statistics move once a step, and not again where a block is recomputed."""
        given = getattr(gradient_checkpointing_func, "keywords", {})  # it is a functools.partial of torch's checkpoint
        if given.get("use_reentrant") is False and "context_fn" not in given:
            contexts = partial(_recomputation_contexts, self)
            gradient_checkpointing_func = partial(gradient_checkpointing_func, context_fn=contexts)
        super()._set_gradient_checkpointing(enable, gradient_checkpointing_func, **settings)

    # `cvhub.hub.card.complete_card`, set by registration.py where cvhub is installed: it can't travel with the models.
    complete_card: ClassVar[Callable[[Path, str], None] | None] = None

    def _upload_modified_files(self, working_dir: str | Path, repo_id: str, *args: Any, **kwargs: Any) -> Any:
        """The last step of `push_to_hub`, where transformers' blank card gives way to one made from what is known."""
        complete_card = type(self).complete_card
        if complete_card is not None:
            complete_card(Path(working_dir), repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Saves config, weights and the model's code, so that a folder works where cvhub is not installed.

        The config lists every Auto class of the family, not just the saved one, and says float32 for half-precision
        files: a user who names no dtype gets a model that takes the processor's float32 pixels.
        """
        self.config.auto_map = family_auto_map(type(self).__module__)
        super().save_pretrained(save_directory, *args, **kwargs)
        if self.dtype in (torch.float16, torch.bfloat16):
            config_file = Path(save_directory) / "config.json"
            config = json.loads(config_file.read_text(encoding="utf-8"))
            config_file.write_text(json.dumps(config | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def _recomputation_contexts(model: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """torch's `context_fn`: what surrounds the forward pass of a block, and what its recomputation."""
    return nullcontext(), _frozen_statistics(model)


@contextmanager
def _frozen_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm in training normalises by the batch as ever, and leaves its running statistics as they are."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and module.track_running_stats]
    before = [(norm, norm.momentum, norm.get_buffer("num_batches_tracked").clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # of the batch, that is
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum = momentum
            norm.get_buffer("num_batches_tracked").copy_(batches)


def family_classes(module_name: str) -> list[type]:
    """The classes of a model file that Auto classes list, in the file's order."""
    members = vars(sys.modules[module_name]).values()
    return [
        member
        for member in members
        if isinstance(member, type) and member.__module__ == module_name and getattr(member, "auto_classes", ())
    ]


def family_auto_map(module_name: str) -> dict[str, str]:
    """`auto_map` of a family's folder: Auto class name → "file.Class"."""
    file = module_name.split(".")[-1]
    return {auto: f"{file}.{cls.__name__}" for cls in family_classes(module_name) for auto in cls.auto_classes}


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


class CvImageClassifierMixin:
    """Turns a family's base model into a classifier: `classify` says how pooled features become logits."""

    @can_return_tuple
    def forward(
        self: Any,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutputWithNoAttention:
        """`pixel_values` (N, C, H, W), `labels` (N,) or soft (N, K) → logits (N, K) and, with labels, the loss."""
        features = self.base_model(pixel_values, output_hidden_states=output_hidden_states)
        logits = self.classify(features.pooler_output)
        return ImageClassifierOutputWithNoAttention(
            loss=self.loss(logits, labels), logits=logits, hidden_states=features.hidden_states
        )

    def classify(self: Any, pooled: Tensor) -> Tensor:
        """(N, C') → logits (N, K): a linear layer unless a paper says else."""
        return self.classifier(pooled)

    def loss(self: Any, logits: Tensor, labels: Tensor | None) -> Tensor | None:
        """What the config says that `labels` cost, None where there are none."""
        if labels is None:
            return None
        return classification_loss(logits, labels, self.config.label_smoothing, self.config.problem_type)
