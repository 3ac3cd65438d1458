"""ViT: An Image is Worth 16x16 Words, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929

A picture is read as a sentence whose words are its patches: each is flattened and projected to D dimensions, a learned
class token goes before them, a learned position is added to each, and from there on it is a Transformer's encoder like
any other. Only the cut into patches knows of two dimensions. Convolutions assume more, that neighbours belong together,
anywhere in the picture: so ViT needs more pictures to learn as much (section 4.3), or a better recipe (DeiT).

    pixels → patches → projection → [class; patches] + positions → L blocks → norm → class token → linear → logits
    (N, C, H, W)       (N, D, h, w)  (N, 1 + h·w, D)                                  (N, D)                 (N, K)

    block (figure 1, right; eq. 2 and 3)
    x ─ norm ─ attention ─ (+) ─ norm ─ MLP ─ (+) → (N, 1 + h·w, D)
    └───────────────────────┘  └───────────────┘

N batch, C channels, H height, W width, P a patch's side, h = ⌈H/P⌉ and w = ⌈W/P⌉ patches, D width, L layers, K classes.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from .attention import (
    CvTransformerClassifierMixin,
    CvTransformerPreTrainedModel,
    EncoderBlock,
    PatchEmbedding,
    SelfAttention,
    resize_positions,
)
from .base import CvClassifierConfig
from .layers import drop_path_rates

# The rows of table 1; tiny and small came with DeiT (table 1) and Steiner et al. 2022 (https://arxiv.org/abs/2106.10270).
# name: (layers L, width D, heads); the MLP is 4D wide. ViT-L/16 is "large" with patches of 16 pixels.
VARIANTS = {
    "tiny": (12, 192, 3),
    "small": (12, 384, 6),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
    "huge": (32, 1280, 16),
}
POOLINGS = ("cls", "mean", "normed_mean")


class CvViTConfig(CvClassifierConfig):
    """The defaults are the paper's ViT-B/16; `variant` gives the other rows.

    - `image_size`: pixels a side, or (height, width), for which positions were learned. A picture of another size gets
      interpolated ones (section 3.2), `antialias_positions` as timm does it or else as transformers does.
    - `fill_patches`: where a side is no multiple of `patch_size`, zeros fill its last patch; otherwise that part of a
      patch is left out, as transformers does.
    - `pooling`: what is classified, the class token ("cls") or, of the patches (appendix D.3), the mean, normalised
      after it ("mean"), or the mean of what is normalised before it ("normed_mean"). Then a net may have no
      `class_token`, as timm's "gap" nets haven't.
    - `pre_norm`: a norm before the first block too, and no bias in the patches' projection, as CLIP has it.
    - `dropout`: on tokens, behind every linear layer but the projection to queries, keys and values (appendix B.1). The
      paper trains on ImageNet and ImageNet-21k with 0.1, on JFT-300M and for fine-tuning with none (table 3).
    - `attention_dropout`: on attention's weights; `drop_path_rate`: of the last block's branches, less before (not in
      the paper); `initializer_range`: σ of the weights' start.
    - `num_channels`, `label_smoothing`: see `CvClassifierConfig`.
    """

    model_type = "cvhub_vit"
    counts: ClassVar[tuple[str, ...]] = ("hidden_size", "num_hidden_layers", "intermediate_size")

    image_size: int | list[int] | tuple[int, ...] = 224
    patch_size: int = 16
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    class_token: bool = True
    pre_norm: bool = False
    fill_patches: bool = True
    pooling: str = "cls"
    antialias_positions: bool = True
    dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    drop_path_rate: float | int = 0.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        for field, allowed in (("pooling", POOLINGS), ("hidden_act", ACT2FN)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, expected one of {tuple(allowed)}.")
        if self.pooling == "cls" and not self.class_token:
            raise ValueError("pooling is 'cls', but there is no class_token to classify.")
        if self.fill_patches and any(side % self.patch_size for side in self.sides):
            raise ValueError(f"image_size is {self.image_size}, expected multiples of patch_size {self.patch_size}.")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} can't be shared by {self.num_attention_heads} heads.")
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> Self:
        """A row of `VARIANTS` by name; `fields` override it."""
        layers, width, heads = VARIANTS[name]
        row: dict[str, Any] = dict(num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads)
        row["intermediate_size"] = 4 * width
        return cls(**(row | fields))

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of `image_size`."""
        height, width = (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size
        return height, width

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches, for which positions were learned."""
        height, width = self.sides
        return height // self.patch_size, width // self.patch_size

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens before the patches."""
        return int(self.class_token)

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: two patches, for runtimes disagree on how to interpolate to one position."""
        return min(2 * self.patch_size, *self.sides)


class Embeddings(nn.Module):
    """Equation 1: patches projected, tokens put before them, positions added. (N, C, H, W) → (N, 1 + h·w, D)."""

    def __init__(self, config: CvViTConfig):
        super().__init__()
        self.config = config
        rows, columns = config.grid
        width, bias, fill = config.hidden_size, not config.pre_norm, config.fill_patches
        self.patches = PatchEmbedding(config.num_channels, width, config.patch_size, bias, fill)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if config.class_token else None
        self.positions = nn.Parameter(torch.zeros(1, config.num_prefix_tokens + rows * columns, width))
        self.dropout = nn.Dropout(config.dropout)

    def prefix(self) -> list[Tensor]:
        """The learned tokens before the patches, each (1, 1, D)."""
        return [] if self.class_token is None else [self.class_token]

    def forward(self, pixel_values: Tensor) -> Tensor:
        patches = self.patches(pixel_values)  # (N, D, h, w)
        tokens = [token.expand(patches.shape[0], -1, -1) for token in self.prefix()]
        x = torch.cat([*tokens, patches.flatten(2).transpose(1, 2)], dim=1)  # (N, 1 + h·w, D)
        return self.dropout(x + self.positions_for(patches.shape[2:]))

    def positions_for(self, grid: Any) -> Tensor:
        """The positions of a grid of patches, those of the tokens before them first: (1, 1 + h·w, D)."""
        config = self.config
        before, learned = self.positions.split([config.num_prefix_tokens, config.grid[0] * config.grid[1]], dim=1)
        return torch.cat([before, resize_positions(learned, config.grid, grid, config.antialias_positions)], dim=1)


def make_block(config: CvViTConfig, drop_path: float) -> EncoderBlock:
    """Equations 2 and 3: (N, 1 + h·w, D) → (N, 1 + h·w, D), and the weights of attention where they are kept."""
    width = config.hidden_size
    attention = SelfAttention(config, width, config.num_attention_heads, config.qkv_bias, config.attention_dropout)
    return EncoderBlock(
        attention,
        width,
        config.intermediate_size,
        config.hidden_act,
        config.layer_norm_eps,
        config.dropout,
        drop_path,
    )


class CvViTPreTrainedModel(CvTransformerPreTrainedModel):
    config_class = CvViTConfig
    config: CvViTConfig
    base_model_prefix = "vit"
    _no_split_modules: ClassVar[list[str]] = ["Embeddings", "EncoderBlock"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Tokens and positions start as weights do."""
        super()._init_weights(module)
        if isinstance(module, Embeddings):
            for parameter in module.parameters(recurse=False):
                init.trunc_normal_(parameter, std=self.config.initializer_range)


class CvViTModel(CvViTPreTrainedModel):
    """The encoder. Where patches are pooled before the norm, `last_hidden_state` is not normalised yet."""

    auto_classes = ("AutoModel",)
    embeddings_class: ClassVar[type[Embeddings]] = Embeddings

    def __init__(self, config: CvViTConfig):
        super().__init__(config)
        self.embeddings = self.embeddings_class(config)
        self.pre_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.pre_norm else nn.Identity()
        )
        rates = drop_path_rates(config.drop_path_rate, config.num_hidden_layers)
        self.blocks = nn.ModuleList(make_block(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → the tokens (N, 1 + h·w, D) and what is classified, (N, D).

        Where asked for, also the tokens before the first block and after each, before the norm, and each block's
        weights of attention, (N, heads, 1 + h·w, 1 + h·w).
        """
        self.check_pixel_values(pixel_values)
        keep_weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        x = self.pre_norm(self.embeddings(pixel_values))
        states, attentions = [x], []
        for block in self.blocks:
            x, weights = block(x, keep_weights)
            attentions.append(weights)
            if keep_states:
                states.append(x)
        tokens, pooled = self.pool(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens,
            pooler_output=pooled,
            hidden_states=tuple(states) if keep_states else None,
            attentions=tuple(attentions) if keep_weights else None,
        )

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last block's tokens (N, 1 + h·w, D) → the tokens to give out, and what is classified (eq. 4), (N, D)."""
        first = self.config.num_prefix_tokens
        if self.config.pooling == "mean":
            return x, self.norm(x[:, first:].mean(1))
        x = self.norm(x)
        return x, x[:, 0] if self.config.pooling == "cls" else x[:, first:].mean(1)


class CvViTForImageClassification(CvTransformerClassifierMixin, CvViTPreTrainedModel):
    """A linear classifier on `CvViTModel`, as in fine-tuning (section 3.2)."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvViTConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.vit = CvViTModel(config)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()
