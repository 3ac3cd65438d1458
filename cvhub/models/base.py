"""What every cvhub model shares with transformers, in one place.

A model file holds a paper; this file holds the plumbing: how a class travels to the Hub, how weights start, and how a
net answers with classes.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention
from transformers.utils.generic import can_return_tuple

from .layers import LinearAct
from .losses import classification_loss


class CvConfig(PreTrainedConfig):
    """Base of all cvhub configs. A family's config is listed under AutoConfig."""

    auto_classes: ClassVar[tuple[str, ...]] = ("AutoConfig",)
    _auto_class = "AutoConfig"


class CvImageConfig(CvConfig):
    """Config of a net that sees pictures."""

    num_channels: int = 3
    counts: ClassVar[tuple[str, ...]] = ()  # fields that hold a number from 1 on, or several, as num_channels does
    processor: ClassVar[tuple[str, str]] = ("image_processing", "CvImageProcessor")  # the family's file and class
    words: ClassVar[str] = ""  # transformers' processor of a net that reads words too

    def __post_init__(self, **kwargs: Any) -> None:
        for name in ("num_channels", *self.counts):
            value = getattr(self, name)
            if any(number < 1 for number in (value if isinstance(value, (list, tuple)) else [value])):
                raise ValueError(f"{name} is {value}, expected at least 1.")
        super().__post_init__(**kwargs)
        if not self.id2label:
            raise ValueError("num_labels is 0, expected at least 1.")

    @property
    def processor_fields(self) -> dict[str, Any]:
        """What the processor has to know of the net."""
        return {}

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
        cls._auto_class = next(iter(cls.__dict__.get("auto_classes", ())), None)

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
