"""What transformers share: patches, positions, attention, the encoder's block, and their classifier's forward."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import can_return_tuple

from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import DropPath


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    keep_weights: bool = False,
    causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(q·kᵀ / √d + bias)·v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, eq. 1).

    `query` (N, heads, L, d), `key` and `value` (N, heads, S, d), `bias` of a shape that broadcasts to
    (N, heads, L, S); `dropout` falls on the weights, in training. With `causal`, which takes no `bias` and L = S, each
    query sees its own key and those before it. Returns (N, L, heads · d) and, where they are kept,
    the weights (N, heads, L, S). `module.config` names the implementation; fast ones never hold the weights, so keeping
    them computes them plainly.
    """
    scale = query.shape[-1] ** -0.5
    dropout = dropout if module.training else 0.0
    implementation = module.config._attn_implementation
    if keep_weights or implementation == "eager":
        scores = query @ key.transpose(-2, -1) * scale
        if causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, float("-inf"))
        weights = (scores if bias is None else scores + bias).softmax(dim=-1)
        mixed = (F.dropout(weights, dropout) @ value).transpose(1, 2)
        return mixed.flatten(2), weights if keep_weights else None
    if implementation == "sdpa":  # transformers' own way to it fails on an empty batch
        mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout, causal, scale=scale)
        return mixed.transpose(1, 2).flatten(2), None
    compute = ALL_ATTENTION_FUNCTIONS[implementation]
    mixed, _ = compute(module, query, key, value, bias, dropout=dropout, scaling=scale, is_causal=causal)
    return mixed.flatten(2), None


class PatchEmbedding(nn.Module):
    """Cuts pictures into P×P patches and projects each to D dimensions: (N, C, H, W) → (N, D, ⌈H/P⌉, ⌈W/P⌉).

    One linear layer on every flattened patch is a convolution whose stride is its kernel. Where a side is no multiple
    of P, zeros (the processor's mean colour) fill the last patch, at the bottom and right; without `fill` such a part
    of a patch is left out.
    """

    def __init__(self, num_channels: int, width: int, patch_size: int, bias: bool = True, fill: bool = True):
        super().__init__()
        self.patch_size, self.fill = patch_size, fill
        self.projection = nn.Conv2d(num_channels, width, patch_size, patch_size, bias=bias)

    def forward(self, pixel_values: Tensor) -> Tensor:
        if not self.fill:
            return self.projection(pixel_values)
        size = self.patch_size
        bottom, right = ((n + size - 1) // size * size - n for n in pixel_values.shape[2:])
        return self.projection(F.pad(pixel_values, (0, right, 0, bottom)))


def resize_positions(
    positions: Tensor, grid: tuple[int, int], new_grid: tuple[int, int], antialias: bool = True
) -> Tensor:
    """Positions (1, h·w, D) learned on a grid of h×w patches → (1, h'·w', D) for another, bicubically interpolated."""
    # A tracer would keep the answer of this comparison for pictures of all sizes. (At equal sizes it changes nothing.)
    if not (torch.jit.is_tracing() or torch.compiler.is_exporting()) and tuple(new_grid) == grid:
        return positions
    planes = positions.unflatten(1, grid).permute(0, 3, 1, 2)  # (1, D, h, w)
    if antialias:
        planes = planes.float()  # the filter knows no half precision, and timm takes float32 of every type
    planes = F.interpolate(planes, size=new_grid, mode="bicubic", antialias=antialias)
    return planes.flatten(2).transpose(1, 2).to(positions.dtype)


class SelfAttention(nn.Module):
    """Every token gathers from all: several heads of `attend` side by side, (N, L, D) → (N, L, D) and the weights.

    Each of the h heads has D/h dimensions (Vaswani et al. 2017, section 3.2.2). `config` names the implementation. If
    `causal`, a token gathers from itself and those before it.
    """

    def __init__(
        self, config: Any, width: int, heads: int, qkv_bias: bool = True, dropout: float = 0.0, causal: bool = False
    ):
        super().__init__()
        self.config = config
        self.heads = heads
        self.dropout = dropout
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, keep_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        # (N, L, 3D) → three of (N, heads, L, D/heads)
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        mixed, weights = attend(
            self, query, key, value, dropout=self.dropout, keep_weights=keep_weights, causal=self.causal
        )
        return self.proj(mixed), weights


class Mlp(nn.Module):
    """Two linear layers on each token by itself, an activation between them: (N, L, D) → (N, L, D)."""

    def __init__(self, width: int, hidden_width: int, activation: str = "gelu", dropout: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.act = ACT2FN[activation]
        self.fc2 = nn.Linear(hidden_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.dropout(self.act(self.fc1(x)))))


class EncoderBlock(GradientCheckpointingLayer):
    """Attention, then an MLP, each behind its norm and beside a shortcut: (N, …, D) → (N, …, D).

    `attention` takes the tokens and whether to keep its weights, and returns as many tokens and the weights.

    x ─ norm ─ attention ─ (+) ─ norm ─ MLP ─ (+) →
    └───────────────────────┘  └───────────────┘
    """

    def __init__(
        self,
        attention: nn.Module,
        width: int,
        hidden_width: int,
        activation: str = "gelu",
        layer_norm_eps: float = 1e-5,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=layer_norm_eps)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width, eps=layer_norm_eps)
        self.mlp = Mlp(width, hidden_width, activation, dropout)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, keep_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.attention(self.norm1(x), keep_weights)
        x = x + self.drop_path(self.dropout(mixed))
        return x + self.drop_path(self.mlp(self.norm2(x))), weights


class CvTransformerPreTrainedModel(CvPreTrainedModel):
    """A net whose blocks attend. The `initializer_range` of its config is the σ that weights start with."""

    _supports_sdpa = True
    _supports_attention_backend = True

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        """All attention goes through `attend`. transformers would look for its own call in the source of each file."""
        return True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """N(0, σ²) cut at ±2 for linear layers and patch projections, zero biases, norms as identities."""
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            init.trunc_normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class CvTransformerClassifierMixin(CvImageClassifierMixin):
    """`CvImageClassifierMixin` for nets that attend: what they attended to comes out where it is asked for."""

    @can_return_tuple
    def forward(
        self: Any,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutput:
        """`pixel_values` (N, C, H, W), `labels` (N,) or soft (N, K) → logits (N, K) and, with labels, the loss."""
        features = self.base_model(
            pixel_values, output_attentions=output_attentions, output_hidden_states=output_hidden_states
        )
        logits = self.classify(features.pooler_output)
        return ImageClassifierOutput(
            loss=self.loss(logits, labels),
            logits=logits,
            hidden_states=features.hidden_states,
            attentions=features.attentions,
        )
