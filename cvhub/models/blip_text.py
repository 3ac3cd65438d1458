"""BLIP's texts (Li et al. 2022, https://arxiv.org/abs/2201.12086, section 3.1): one transformer to encode and decode.

BERT's block (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), whose norms come after the shortcuts, with cross
attention to a picture's tokens between its two parts. Asked as an encoder each token sees all; as a decoder, those
before it, whose keys and values a cache keeps from step to step.

    ids → embedding + positions → norm → L blocks → tokens ─┬─ linear → act → norm → linear → logits    (decoder)
    (N, T)    (N, T, D)                            (N, T, D)│                               (N, T, V)
                                                            └─ first token: the text, alone or with its picture

    block
    x ─ attention ─ (+) ─ norm ─ cross attention ─ (+) ─ norm ─ MLP ─ (+) ─ norm →
    └────────────────┘      └─────────────────────┘       └────────────┘

N texts, T tokens, S tokens of the picture, D width, L blocks, V words.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
)
from transformers.utils.generic import can_return_tuple

from .attention import ACT2FN, CvTransformerPreTrainedModel, Mlp, attend
from .base import CvConfig

IGNORED = -100  # labels that cost nothing


class CvBlipTextConfig(CvConfig):
    """The defaults are the paper's, BERT-base with two words more: a start for decoding, one for encoding.

    - `encoder_hidden_size`: width of the picture's tokens, to which the text attends.
    - `max_position_embeddings`: most tokens a text may have.
    - `bos_token_id` starts what is decoded, `sep_token_id` ends it; `pad_token_id` stands behind shorter texts.
    - `label_smoothing`: of the decoder's loss; `dropout`, `attention_dropout`: in training.
    """

    model_type = "cvhub_blip_text"
    auto_classes: ClassVar[tuple[str, ...]] = ()
    base_config_key = "text_config"

    vocab_size: int = 30524
    hidden_size: int = 768
    encoder_hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    label_smoothing: float | int = 0.0
    initializer_range: float = 0.02
    bos_token_id: int = 30522
    sep_token_id: int = 102
    eos_token_id: int = 102
    pad_token_id: int = 0
    tie_word_embeddings: bool = True
    use_cache: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} can't be shared by {self.num_attention_heads} heads.")
        super().__post_init__(**kwargs)


class TextAttention(nn.Module):
    """Each token gathers from the text, or from the picture's tokens of width `memory_width`: (N, T, D) → (N, T, D)."""

    def __init__(self, config: CvBlipTextConfig, memory_width: int):
        super().__init__()
        self.config = config
        self.dropout = config.attention_dropout
        width = config.hidden_size
        self.query = nn.Linear(width, width)
        self.key, self.value = nn.Linear(memory_width, width), nn.Linear(memory_width, width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, keep_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`keys` and `values` (N, heads, S, D/heads), `bias` as in `attend`."""
        mixed, weights = attend(self, self.split(self.query(x)), keys, values, bias, self.dropout, keep_weights)
        return self.proj(mixed), weights

    def remember(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What is attended to, (N, S, D'), as keys and values (N, heads, S, D/heads)."""
        return self.split(self.key(source)), self.split(self.value(source))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.config.num_attention_heads, -1)).transpose(1, 2)  # (N, heads, T, D/heads)


class TextBlock(GradientCheckpointingLayer):
    """One of the L blocks, the `number`-th; without `memory` it leaves its cross attention out."""

    def __init__(self, config: CvBlipTextConfig, number: int):
        super().__init__()
        self.number = number
        width, eps = config.hidden_size, config.layer_norm_eps
        self.attention = TextAttention(config, width)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.cross_attention = TextAttention(config, config.encoder_hidden_size)
        self.cross_norm = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, config.intermediate_size, config.hidden_act)
        self.mlp_norm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        bias: Tensor | None = None,
        memory_bias: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        keep_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        keys, values = self.attention.remember(x)
        if cache is not None:
            keys, values = cache.self_attention_cache.update(keys, values, self.number)
        mixed, weights = self.attention(x, keys, values, bias, keep_weights)
        x = self.attention_norm(x + self.dropout(mixed))
        cross_weights = None
        if memory is not None:
            mixed, cross_weights = self.cross_attention(x, *self.seen(memory, cache), memory_bias, keep_weights)
            x = self.cross_norm(x + self.dropout(mixed))
        return self.mlp_norm(x + self.dropout(self.mlp(x))), weights, cross_weights

    def seen(self, memory: Tensor, cache: EncoderDecoderCache | None) -> tuple[Tensor, Tensor]:
        """Keys and values of the picture, which stay as they are from the first step on."""
        if cache is not None and cache.is_updated.get(self.number):
            kept: Any = cache.cross_attention_cache.layers[self.number]
            return kept.keys, kept.values
        keys, values = self.cross_attention.remember(memory)
        if cache is not None:
            keys, values = cache.cross_attention_cache.update(keys, values, self.number)
            cache.is_updated[self.number] = True
        return keys, values


class CvBlipTextPreTrainedModel(CvTransformerPreTrainedModel):
    config_class = CvBlipTextConfig
    config: CvBlipTextConfig
    base_model_prefix = "text"
    main_input_name = "input_ids"
    input_modalities = ["text"]
    _no_split_modules: ClassVar[list[str]] = ["TextBlock"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """N(0, σ²), as BERT starts."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, CvBlipTextModel):
            init.normal_(module.positions, std=self.config.initializer_range)
        elif isinstance(module, WordHead):
            init.zeros_(module.bias)


class CvBlipTextModel(CvBlipTextPreTrainedModel):
    """The transformer; `pooler_output` is the first token, which stands for the text."""

    def __init__(self, config: CvBlipTextConfig):
        super().__init__(config)
        width = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.zeros(config.max_position_embeddings, width))
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(TextBlock(config, number) for number in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embedding = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: Cache | None = None,
        causal: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """`input_ids` (N, T), `encoder_hidden_states` (N, S, D') → tokens (N, T, D).

        Masks, (N, T) with what the cache holds before it and (N, S), are 1 where something may be seen. With a `cache`
        the ids are those that came since.
        """
        keep_weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if cache is not None and not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache, DynamicCache(config=self.config))
        past = 0 if cache is None else int(cache.get_seq_length())
        self.check_length(input_ids, past)
        length = input_ids.shape[1]
        x = self.embedding(input_ids) + self.positions[past : past + length]
        x = self.dropout(self.norm(x))
        bias = attention_bias(attention_mask, length, past, causal, x)
        memory_bias = attention_bias(encoder_attention_mask, length, 0, False, x)
        states, attentions, cross_attentions = [x], [], []
        for block in self.blocks:
            x, weights, cross_weights = block(x, encoder_hidden_states, bias, memory_bias, cache, keep_weights)
            states.append(x)
            attentions.append(weights)
            cross_attentions.append(cross_weights)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=x[:, 0],
            cache=cache,  # pyright: ignore[reportCallIssue]
            hidden_states=tuple(states) if keep_states else None,
            attentions=tuple(attentions) if keep_weights else None,
            cross_attentions=tuple(cross_attentions) if keep_weights and encoder_hidden_states is not None else None,
        )

    def check_length(self, input_ids: Tensor, past: int) -> None:
        """Raises `ValueError` for ids of another shape than (N, T), and for more than there are positions."""
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids have shape {tuple(input_ids.shape)}, expected (texts, tokens).")
        if torch.jit.is_tracing():
            return
        length, most = past + input_ids.shape[1], self.config.max_position_embeddings
        if length > most:
            raise ValueError(f"input_ids have {length} tokens, this text transformer takes at most {most}.")


def attention_bias(mask: Tensor | None, length: int, past: int, causal: bool, x: Tensor) -> Tensor | None:
    """0 where a token may look and the lowest number where not, to be added to scores; None where it may everywhere.

    `mask` (N, S) of what may be seen at all; the `length` tokens that ask stand behind `past` others.
    """
    allowed = None
    if causal and length > 1:
        place = torch.arange(past + length, device=x.device)
        allowed = place[None, :] <= place[past:, None]  # (T, S)
    if mask is not None:
        seen = mask[:, None, None, :].bool()  # (N, 1, 1, S)
        allowed = seen if allowed is None else allowed & seen
    if allowed is None:
        return None
    return torch.zeros((), dtype=x.dtype, device=x.device).masked_fill(~allowed, torch.finfo(x.dtype).min)


class WordHead(nn.Module):
    """BERT's head: what the next word may be, (N, T, D) → (N, T, V). Its matrix is that of the embedding."""

    def __init__(self, config: CvBlipTextConfig):
        super().__init__()
        width = config.hidden_size
        self.dense = nn.Linear(width, width)
        self.act = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.words = nn.Linear(width, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        return self.words(self.norm(self.act(self.dense(x)))) + self.bias


class CvBlipTextDecoder(CvBlipTextPreTrainedModel, GenerationMixin):
    """Writes a text word by word, looking at a picture, or at a question that was asked about one."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"head.words.weight": "text.embedding.weight"}

    def __init__(self, config: CvBlipTextConfig):
        super().__init__(config)
        self.text = CvBlipTextModel(config)
        self.head = WordHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.head.words

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.head.words = new_embeddings  # pyright: ignore[reportAttributeAccessIssue]

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """As `CvBlipTextModel`, causal, → logits (N, T, V), or of the last `logits_to_keep` tokens.

        `labels` (N, T) are the ids again, −100 where nothing is to be learnt: each token is asked for the next one.
        """
        wanted = self.config.use_cache if use_cache is None else use_cache
        if cache is None and wanted and labels is None and not self.training:
            cache = EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))
        output = self.text(
            input_ids,
            attention_mask,
            encoder_hidden_states,
            encoder_attention_mask,
            cache if wanted else None,
            causal=True,
            **kwargs,
        )
        logits = self.head(output.last_hidden_state[:, -logits_to_keep:])
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else next_word_loss(logits, labels, self.config.label_smoothing),
            logits=logits,
            cache=output.cache,  # pyright: ignore[reportCallIssue]
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            cross_attentions=output.cross_attentions,
        )


def next_word_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy of logits (N, T, V) at each token against the label (N, T) of the next, in float32 nats."""
    if labels.shape != logits.shape[:2]:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected {tuple(logits.shape[:2])}.")
    said, asked = logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten()
    return F.cross_entropy(said, asked, ignore_index=IGNORED, label_smoothing=label_smoothing)
