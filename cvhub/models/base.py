"""What every cvhub model shares with transformers, in one place.

A model file holds a paper; this file holds the plumbing: how a class travels to the Hub, how weights start,
and how a convolutional net serves as a backbone.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput, ImageClassifierOutputWithNoAttention
from transformers.utils.generic import can_return_tuple

from .losses import classification_loss

OUTPUT_STRIDES = (8, 16, 32)


class CvConfig(PreTrainedConfig):
    """Base of all cvhub configs. A family's config is listed under AutoConfig."""

    auto_classes: ClassVar[tuple[str, ...]] = ("AutoConfig",)
    _auto_class = "AutoConfig"


class CvConvNetConfig(BackboneConfigMixin, CvConfig):
    """Config of a convolutional net that can serve as a backbone.

    A subclass defines, an entry for each feature map from the stem on, `stage_names`, `stage_strides` (relative to the
    map before, were no stage dilated) and `stage_channels`.
    """

    num_channels: int = 3
    output_stride: int = 32  # no stage is dilated
    # Whether a convolution that lost its stride already has its stage's new dilation (segmentation_models_pytorch) or
    # still the old one (torchvision, transformers). The convolutions after it have the new one.
    dilate_first_block: bool = False
    label_smoothing: float = 0.0

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
        smallest = 1
        for stride in self.stage_strides:
            smallest *= stride
        return smallest

    def __post_init__(self, **kwargs: Any) -> None:
        out_features, out_indices = kwargs.pop("out_features", None), kwargs.pop("out_indices", None)
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {self.output_stride!r}, expected one of {OUTPUT_STRIDES}.")
        self.set_output_features_output_indices(out_features=out_features, out_indices=out_indices)
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
    # A base model or a backbone leaves a classifier's weights aside.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\."]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # `_auto_class` would be inherited: an unlisted subclass must not claim its parent's place.
        cls._auto_class = cls.auto_classes[0] if "auto_classes" in cls.__dict__ else None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """He et al. 2015 (arXiv:1502.01852, eq. 14: fan out) for convolutions, N(0, 0.01²) for linear layers."""
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
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
                f"pixel_values are {height}x{width} pixels, this net's strides need at least {smallest}x{smallest}."
            )

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


class CvBackboneMixin(BackboneMixin):
    """Turns a family's base model into a backbone: mix in before it, and the feature maps of its stages come out."""

    config: CvConvNetConfig
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
    """Turns a family's base model into a classifier: the class says in `classify` how pooled features become logits."""

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
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.label_smoothing, self.config.problem_type)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits, hidden_states=features.hidden_states)
