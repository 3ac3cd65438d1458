"""BLIP: Bootstrapping Language-Image Pre-training, Li et al. 2022, https://arxiv.org/abs/2201.12086

One picture encoder and one kind of text transformer (blip_text.py) serve three ends (figure 2). Contrast: picture and
text each end in a vector, as in CLIP. Matching: the text is read with the picture before its eyes, and judged whether
it fits. Writing: the same transformer, looking back only, says what the picture shows, word by word.

    pixels → ViT ─┬─ first token → linear → normalise ─┐
    (N, C, H, W)  │                                    ├─ e^t · I·Tᵀ → how near          (contrast)
    ids → text ───┼─ first token → linear → normalise ─┘
    (M, T)        │
                  ├─ cross attention of the text → first token → linear → fits or not    (matching)
                  └─ cross attention of the decoder → the next word                      (captions, answers)

N pictures, M texts, T tokens, C channels, H height, W width, t the logarithm of the inverse temperature.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .attention import CvTransformerPreTrainedModel
from .base import CvImageConfig
from .blip_text import CvBlipTextConfig, CvBlipTextDecoder, CvBlipTextModel
from .losses_contrastive import softmax_loss
from .mobilenet_v2 import CvMobileNetV2Config, CvMobileNetV2Model
from .vit import CvViTConfig, CvViTModel


class MapTokens(CvMobileNetV2Model):
    """The encoder of a small net: every place of a MobileNetV2's last map is a token, behind their mean."""

    auto_classes = ()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → tokens (N, 1 + H'·W', D) and their mean (N, D)."""
        places = self.feature_maps(pixel_values)[-1].flatten(2).transpose(1, 2)  # (N, H'·W', D)
        mean = places.mean(dim=1)
        return BaseModelOutputWithPooling(torch.cat([mean[:, None], places], dim=1), mean)


# model_type: the classes of a net that can read the picture
TOWERS: dict[str, tuple[Any, Any]] = {
    CvViTConfig.model_type: (CvViTConfig, CvViTModel),
    CvMobileNetV2Config.model_type: (CvMobileNetV2Config, MapTokens),
}
# The decoder's matrix of words is that of its embedding.
TIED = {"text_decoder.head.words.weight": "text_decoder.text.embedding.weight"}


class CvBlipConfig(CvImageConfig):
    """The defaults are the paper's with a ViT-B/16, at 384 pixels.

    - `vision_config`: a `CvViTConfig`, or, for small nets, a `CvMobileNetV2Config`, or its dict; `text_config`: a
      `CvBlipTextConfig` or its dict, of encoder and decoder alike. The width of the picture's tokens follows from the
      first.
    - `projection_dim`: dimensions in which picture and text are compared; `logit_scale_init_value`: t, ln 1/0.07.
    """

    model_type = "cvhub_blip"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": CvBlipTextConfig, "vision_config": CvImageConfig}
    counts: ClassVar[tuple[str, ...]] = ("projection_dim",)
    words: ClassVar[str] = "BlipProcessor"

    vision_config: Any = None
    text_config: Any = None
    projection_dim: int = 256
    tie_word_embeddings: bool = True
    logit_scale_init_value: float | int = math.log(1 / 0.07)

    def __post_init__(self, **kwargs: Any) -> None:
        if self.vision_config is None:
            self.vision_config = {"image_size": 384, "fill_patches": False, "antialias_positions": False}
        if isinstance(self.vision_config, dict):
            kind = self.vision_config.get("model_type", CvViTConfig.model_type)
            if kind not in TOWERS:
                raise ValueError(f"vision_config has model_type {kind!r}, expected one of {', '.join(TOWERS)}.")
            self.vision_config = TOWERS[kind][0](**_own(self.vision_config))
        if self.text_config is None or isinstance(self.text_config, dict):
            self.text_config = CvBlipTextConfig(**_own(self.text_config or {}))
        self.text_config.encoder_hidden_size = self.vision_width
        self.num_channels = self.vision_config.num_channels
        super().__post_init__(**kwargs)

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: what the picture's encoder takes."""
        return self.vision_config.smallest_input

    @property
    def vision_width(self) -> int:
        """D of the picture's tokens."""
        vision = self.vision_config
        return vision.hidden_size if isinstance(vision, CvViTConfig) else vision.stage_channels[-1]


def _own(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "model_type"}


def picture_encoder(config: CvBlipConfig) -> Any:
    """What gives the picture's tokens (N, S, D), the first of which stands for all."""
    return TOWERS[config.vision_config.model_type][1](config.vision_config)


class CvBlipPreTrainedModel(CvTransformerPreTrainedModel):
    config_class = CvBlipConfig
    config: CvBlipConfig
    base_model_prefix = "blip"
    input_modalities = ["image", "text"]
    _no_split_modules: ClassVar[list[str]] = ["EncoderBlock", "TextBlock", "Embeddings"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Of what is neither the ViT's nor the text transformer's, as BERT starts."""
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.02)
            init.zeros_(module.bias)
        elif isinstance(module, CvBlipForImageTextRetrieval):
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)


class CvBlipModel(CvBlipPreTrainedModel):
    """What all heads share, the picture's encoder."""

    auto_classes = ("AutoModel",)
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^text_", r"^visual_projection\.", r"^match", r"^logit"]

    def __init__(self, config: CvBlipConfig):
        super().__init__(config)
        self.vision_model = picture_encoder(config)
        self.post_init()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → the picture's tokens (N, S, D) and the first of them, (N, D)."""
        return self.vision_model(pixel_values, **kwargs)


@dataclass
class CvBlipMatchingOutput(ModelOutput):
    """Of N pictures and M texts: `logits_per_image` (N, M), e^t times the cosines of `image_embeds` and `text_embeds`.

    `itm_score` (N, 2), "doesn't fit" and "fits", is about pairs: where N = M, or where one picture or one text is given
    and stands for all. Else it is None. `loss` is the contrastive one.
    """

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    itm_score: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None


class CvBlipForImageTextRetrieval(CvBlipPreTrainedModel):
    """Contrast and matching: which texts are near a picture, and whether one fits."""

    auto_classes = ("AutoModelForZeroShotImageClassification",)
    main_input_name = "input_ids"
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^text_decoder\."]

    def __init__(self, config: CvBlipConfig):
        super().__init__(config)
        text = config.text_config
        self.vision_model = picture_encoder(config)
        self.text_encoder = CvBlipTextModel(text)
        self.visual_projection = nn.Linear(config.vision_width, config.projection_dim)
        self.text_projection = nn.Linear(text.hidden_size, config.projection_dim)
        self.matching = nn.Linear(text.hidden_size, 2)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_encoder.set_input_embeddings(value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        return_loss: bool | None = None,
        **kwargs: Any,
    ) -> CvBlipMatchingOutput:
        """`input_ids` (M, T), `pixel_values` (N, C, H, W) → what `CvBlipMatchingOutput` says."""
        image = self.vision_model(pixel_values)
        image_embeds = F.normalize(self.visual_projection(image.pooler_output), dim=-1)
        text = self.text_encoder(input_ids, attention_mask)
        text_embeds = F.normalize(self.text_projection(text.pooler_output), dim=-1)
        logits = self.logit_scale.exp() * image_embeds @ text_embeds.t()
        return CvBlipMatchingOutput(
            loss=softmax_loss(logits) if return_loss else None,
            logits_per_image=logits,
            logits_per_text=logits.t(),
            itm_score=self.match(image.last_hidden_state, input_ids, attention_mask),
            text_embeds=text_embeds,
            image_embeds=image_embeds,
        )

    def match(self, tokens: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor | None:
        """Pictures' tokens (N, S, D) and texts (M, T), in pairs → (N, 2), and None where they make none."""
        pictures, texts = tokens.shape[0], input_ids.shape[0]
        if pictures != texts and 1 not in (pictures, texts):
            return None
        pairs = max(pictures, texts)
        if attention_mask is not None:
            attention_mask = attention_mask.expand(pairs, -1)
        read = self.text_encoder(input_ids.expand(pairs, -1), attention_mask, tokens.expand(pairs, -1, -1))
        return self.matching(read.pooler_output)

    @can_return_tuple
    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """`input_ids` (M, T) → the texts' tokens, and (M, E), not normalised. Without a mask, padding is not seen."""
        if attention_mask is None:
            attention_mask = input_ids != self.config.text_config.pad_token_id
        output = self.text_encoder(input_ids, attention_mask)
        return BaseModelOutputWithPooling(
            last_hidden_state=output.last_hidden_state, pooler_output=self.text_projection(output.pooler_output)
        )

    @can_return_tuple
    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → the pictures' tokens, and (N, E), not normalised."""
        output = self.vision_model(pixel_values)
        return BaseModelOutputWithPooling(
            last_hidden_state=output.last_hidden_state, pooler_output=self.visual_projection(output.pooler_output)
        )


@dataclass
class CvBlipWriterOutput(ModelOutput):
    """Logits (N, T, V) of what is written, its loss, and the picture's tokens (N, S, D) that were looked at."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    image_embeds: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


class CvBlipForConditionalGeneration(CvBlipPreTrainedModel, GenerationMixin):
    """Says what a picture shows, or goes on with what was begun."""

    auto_classes = ("AutoModelForImageTextToText",)
    _tied_weights_keys: ClassVar[dict[str, str]] = TIED
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        *(r"^text_encoder\.", r"^text_projection\.", r"^visual_projection\.", r"^match", r"^logit"),
    ]

    def __init__(self, config: CvBlipConfig):
        super().__init__(config)
        self.vision_model = picture_encoder(config)
        self.text_decoder = CvBlipTextDecoder(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_decoder.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> CvBlipWriterOutput:
        """`pixel_values` (N, C, H, W), `input_ids` (N, T) → logits (N, T, V) and, with labels (N, T), the loss."""
        tokens = self.vision_model(pixel_values).last_hidden_state
        output = self.text_decoder(
            input_ids, attention_mask, tokens, labels=labels, use_cache=False, output_attentions=output_attentions
        )
        return CvBlipWriterOutput(
            loss=output.loss,
            logits=output.logits,
            image_embeds=tokens,
            attentions=output.attentions,
            cross_attentions=output.cross_attentions,
        )

    @torch.no_grad()
    def generate(
        self, pixel_values: Tensor, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """`pixel_values` (N, C, H, W) → ids (N, T), from the start token to the end token; as transformers' `generate`.

        `input_ids`, texts that begin it, end in a token that is left out, as tokenizers add one.
        """
        text = self.config.text_config
        tokens = self.vision_model(pixel_values).last_hidden_state
        if input_ids is None:
            begun = torch.full((len(pixel_values), 1), text.bos_token_id, device=tokens.device)
        else:
            begun = torch.cat([torch.full_like(input_ids[:, :1], text.bos_token_id), input_ids[:, 1:-1]], dim=1)
        return write(
            self.text_decoder, begun, tokens, None if attention_mask is None else attention_mask[:, :-1], kwargs
        )


class CvBlipForQuestionAnswering(CvBlipPreTrainedModel, GenerationMixin):
    """Reads a question about a picture, and writes the answer."""

    auto_classes = ("AutoModelForVisualQuestionAnswering",)
    _tied_weights_keys: ClassVar[dict[str, str]] = TIED

    def __init__(self, config: CvBlipConfig):
        super().__init__(config)
        self.vision_model = picture_encoder(config)
        self.text_encoder = CvBlipTextModel(config.text_config)
        answers = copy.deepcopy(config.text_config)
        answers.encoder_hidden_size = answers.hidden_size  # it looks at the question, which has looked at the picture
        self.text_decoder = CvBlipTextDecoder(answers)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_decoder.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> CvBlipWriterOutput:
        """Questions (N, T), pictures (N, C, H, W) and answers (N, T') → logits (N, T', V) and, with labels, the loss.

        Where `decoder_input_ids` aren't given, the labels are the answers.
        """
        answers = labels if decoder_input_ids is None else decoder_input_ids
        if answers is None:
            raise ValueError("There are neither decoder_input_ids nor labels: `generate` writes the answer itself.")
        tokens = self.vision_model(pixel_values).last_hidden_state
        question = self.text_encoder(input_ids, attention_mask, tokens).last_hidden_state
        output = self.text_decoder(
            answers, decoder_attention_mask, question, attention_mask, labels=labels, use_cache=False
        )
        return CvBlipWriterOutput(loss=output.loss, logits=output.logits, image_embeds=tokens)

    @torch.no_grad()
    def generate(
        self, input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """Questions (N, T) and pictures (N, C, H, W) → the answers' ids (N, T'); as transformers' `generate`."""
        tokens = self.vision_model(pixel_values).last_hidden_state
        question = self.text_encoder(input_ids, attention_mask, tokens).last_hidden_state
        begun = torch.full((len(question), 1), self.config.text_config.bos_token_id, device=question.device)
        return write(self.text_decoder, begun, question, None, kwargs)


def write(decoder: Any, begun: Tensor, memory: Tensor, attention_mask: Tensor | None, settings: dict[str, Any]) -> Any:
    """What the decoder writes after `begun` (N, T), looking at `memory` (N, S, D); `settings` are transformers'."""
    text = decoder.config
    return decoder.generate(
        input_ids=begun,
        attention_mask=attention_mask,
        encoder_hidden_states=memory,
        encoder_attention_mask=torch.ones(memory.shape[:2], dtype=torch.long, device=memory.device),
        **({"eos_token_id": text.sep_token_id, "pad_token_id": text.pad_token_id} | settings),
    )
