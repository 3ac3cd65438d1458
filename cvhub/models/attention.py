"""What transformers of all kinds share: attention, how their weights start, and their classifier's forward."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import can_return_tuple

from .base import CvImageClassifierMixin, CvPreTrainedModel


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    keep_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(q·kᵀ / √d + bias)·v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, eq. 1).

    `query` (N, heads, L, d), `key` and `value` (N, heads, S, d), `bias` of a shape that broadcasts to
    (N, heads, L, S); `dropout` falls on the weights, in training. Returns (N, L, heads · d) and, where they are kept,
    the weights (N, heads, L, S). `module.config` names the implementation; fast ones never hold the weights, so keeping
    them computes them plainly.
    """
    scale = query.shape[-1] ** -0.5
    dropout = dropout if module.training else 0.0
    implementation = module.config._attn_implementation
    if keep_weights or implementation == "eager":
        scores = query @ key.transpose(-2, -1) * scale
        weights = (scores if bias is None else scores + bias).softmax(dim=-1)
        mixed = (F.dropout(weights, dropout) @ value).transpose(1, 2)
        return mixed.flatten(2), weights if keep_weights else None
    compute = ALL_ATTENTION_FUNCTIONS[implementation]
    mixed, _ = compute(module, query, key, value, bias, dropout=dropout, scaling=scale, is_causal=False)
    return mixed.flatten(2), None


class CvTransformerPreTrainedModel(CvPreTrainedModel):
    """A net whose blocks attend. The `initializer_range` of its config is the σ that weights start with."""

    _supports_sdpa = True
    _supports_attention_backend = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """N(0, σ²) cut at ±2σ for linear layers and patch projections, zero biases, norms as identities."""
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
