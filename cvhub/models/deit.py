"""DeiT: Training data-efficient image transformers, Touvron et al. 2021, https://arxiv.org/abs/2012.12877

ViT's net, trained on ImageNet-1k alone: strong augmentation and regularisation (section 6, table 9) make up for the
pictures that it lacks. And a teacher may help: beside the class token goes a second one, the distillation token. It
attends and is attended to like any other, but a head of its own reads it, which learns what the teacher says while the
class token's head learns the true label (section 4). At inference the logits of both heads are averaged, as in the
released code (the paper adds their softmax).

    [class; distillation; patches] + positions → L blocks → norm ─┬─ class token → linear ────────┬─ mean → logits
    (N, 2 + h·w, D)                                               └─ distillation token → linear ─┘          (N, K)

N batch, h and w rows and columns of patches, D width, L layers, K classes.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .base import CvImageClassifierMixin
from .vit import VARIANTS as VIT_VARIANTS
from .vit import CvViTConfig, CvViTModel, CvViTPreTrainedModel, Embeddings

# The rows of table 1: ViT's.
VARIANTS = {name: VIT_VARIANTS[name] for name in ("tiny", "small", "base")}
# What there is of distillation: the token and its head, the token alone, neither.
DISTILLATIONS = ("head", "token", "none")


class CvDeiTConfig(CvViTConfig):
    """The defaults are the paper's distilled DeiT-B/16; `variant` gives "tiny", "small" and "base" (table 1).

    - `distillation`: "head", a distillation token that is classified by a head of its own; "token", one that takes part
      in attention only; "none", ViT's net.
    - `teacher`: whether one trains the distillation head. Without it labels train both heads, by the mean that answers.
    - The others are ViT's, with the values of table 9: stochastic depth 0.1 and no dropout.
    """

    model_type = "cvhub_deit"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["cls_logits", "distillation_logits"]

    distillation: str = "head"
    teacher: bool = True
    drop_path_rate: float | int = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        if self.distillation not in DISTILLATIONS:
            raise ValueError(f"distillation is {self.distillation!r}, expected one of {DISTILLATIONS}.")
        if self.pooling != "cls":
            raise ValueError(f"pooling is {self.pooling!r}, expected 'cls': DeiT's heads read tokens.")
        super().__post_init__(**kwargs)

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens before the patches."""
        return 1 if self.distillation == "none" else 2


class DistilledEmbeddings(Embeddings):
    """ViT's, with the distillation token behind the class token: (N, C, H, W) → (N, 2 + h·w, D)."""

    def __init__(self, config: CvDeiTConfig):
        super().__init__(config)
        has_token = config.distillation != "none"
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size)) if has_token else None

    def prefix(self) -> list[Tensor]:
        """The learned tokens before the patches, each (1, 1, D)."""
        tokens = super().prefix()
        return tokens if self.distillation_token is None else [*tokens, self.distillation_token]


@dataclass
class DistilledClassifierOutput(ModelOutput):
    """Logits (N, K) of the two heads, and `logits`, their mean. With one head `logits` are that one's.

    `loss` is what the class head has to pay for labels, while a teacher trains the distillation head. Where there is no
    teacher it is what the mean has to pay: a head that nobody trains must not answer.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    cls_logits: Tensor | None = None
    distillation_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class CvDeiTPreTrainedModel(CvViTPreTrainedModel):
    config_class = CvDeiTConfig
    config: CvDeiTConfig
    base_model_prefix = "deit"
    _no_split_modules: ClassVar[list[str]] = ["DistilledEmbeddings", "EncoderBlock"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", r"^distillation_classifier\."]


class CvDeiTModel(CvDeiTPreTrainedModel, CvViTModel):
    """ViT's encoder behind other embeddings; `pooler_output` is the class token."""

    auto_classes = ("AutoModel",)
    embeddings_class = DistilledEmbeddings


class CvDeiTForImageClassification(CvImageClassifierMixin, CvDeiTPreTrainedModel):
    """A linear classifier on the class token and, with `distillation` "head", one on the distillation token.

    A teacher comes in from outside: distillation adds to `loss` what `distillation_logits` cost against the teacher's
    answer, soft (eq. 2) or its hardest decision (eq. 3). That is a training matter, and no part of this file.
    """

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvDeiTConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.deit = CvDeiTModel(config)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        if config.distillation == "head":
            self.distillation_classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> DistilledClassifierOutput:
        """`pixel_values` (N, C, H, W), `labels` (N,) or soft (N, K) → logits (N, K) and, with labels, the loss."""
        features = self.deit(
            pixel_values, output_attentions=output_attentions, output_hidden_states=output_hidden_states
        )
        logits = cls_logits = self.classifier(features.pooler_output)
        distillation_logits = None
        if self.config.distillation == "head":
            distillation_logits = self.distillation_classifier(features.last_hidden_state[:, 1])
            logits = (cls_logits + distillation_logits) / 2
        return DistilledClassifierOutput(
            loss=self.loss(cls_logits if self.config.teacher else logits, labels),
            logits=logits,
            cls_logits=cls_logits,
            distillation_logits=distillation_logits,
            hidden_states=features.hidden_states,
            attentions=features.attentions,
        )
