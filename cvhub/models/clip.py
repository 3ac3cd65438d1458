"""CLIP: Learning Transferable Visual Models From Natural Language Supervision, Radford et al. 2021, https://arxiv.org/abs/2103.00020

A classifier's classes are fixed before it is trained. CLIP learns from pictures and the sentences beside them instead:
one tower reads pictures, another texts, both end in the same space, and of a batch of N pairs each picture has to find
its text among the N, and each text its picture (figure 3). Afterwards any sentence is a class: a picture belongs to
that of "a photo of a {label}" whose embedding is nearest.

    pixels → image tower → linear → normalise ─┐
    (N, C, H, W)   (N, D)   (N, E)             ├─ e^t · I·Tᵀ (+ b) → logits (N, M)
    ids → text tower → linear → normalise ─────┘
    (M, L)   (M, D')  (M, E)

    text tower (section 2.4)
    ids → embedding + positions → blocks, causal → norm → the end token → (M, D')
    (M, L)    (M, L, D')

The image tower is a ViT with a norm before its blocks, a ResNet that pools by attention (clip_resnet.py), or, for small
nets, a MobileNetV2. With a sigmoid for a loss it is SigLIP's (Zhai et al. 2023, https://arxiv.org/abs/2303.15343).

N pictures, M texts, L tokens, C channels, H height, W width, D and D' the towers' widths, E dimensions of the space,
t the logarithm of the inverse temperature, b a bias.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .attention import CvTransformerPreTrainedModel, EncoderBlock, Mlp, SelfAttention
from .base import CvConfig, CvImageConfig
from .clip_resnet import CvClipResNetConfig, CvClipResNetModel
from .losses_contrastive import LOSSES
from .mobilenet_v2 import CvMobileNetV2Config, CvMobileNetV2Model
from .vit import CvViTConfig, CvViTModel

# model_type: the classes of a net that can serve as the image tower
TOWERS: dict[str, tuple[Any, Any]] = {
    config.model_type: (config, model)
    for config, model in (
        (CvViTConfig, CvViTModel),
        (CvClipResNetConfig, CvClipResNetModel),
        (CvMobileNetV2Config, CvMobileNetV2Model),
    )
}
# The nets of tables 19 and 20. name: (image tower, its layers, width, patch size, picture's side; E;
# text tower's width and layers). A ResNet's width is its stem's, and 32 times that its last map's.
VARIANTS = {
    "ViT-B/32": ("vit", 12, 768, 32, 224, 512, 512, 12),
    "ViT-B/16": ("vit", 12, 768, 16, 224, 512, 512, 12),
    "ViT-L/14": ("vit", 24, 1024, 14, 224, 768, 768, 12),
    "ViT-L/14@336px": ("vit", 24, 1024, 14, 336, 768, 768, 12),
    "RN50": ("resnet", (3, 4, 6, 3), 64, 0, 224, 1024, 512, 12),
    "RN101": ("resnet", (3, 4, 23, 3), 64, 0, 224, 512, 512, 12),
    "RN50x4": ("resnet", (4, 6, 10, 6), 80, 0, 288, 640, 640, 12),
    "RN50x16": ("resnet", (6, 8, 18, 8), 96, 0, 384, 768, 768, 12),
    "RN50x64": ("resnet", (3, 15, 36, 10), 128, 0, 448, 1024, 1024, 12),
}
HEAD_WIDTH = 64  # dimensions of an attention's head, in all of them
POOLINGS = ("end", "highest")


class CvClipTextConfig(CvConfig):
    """The defaults are those of ViT-B/32's text tower (section 2.4).

    - `max_position_embeddings`: most tokens a text may have, start and end included.
    - `pooling`: which token stands for the text, the first that is `eos_token_id` ("end"), or that with the highest
      number ("highest"), which is the same while the end token comes last in the vocabulary.
    - `initializer_range`: σ of the embeddings' start.
    """

    model_type = "cvhub_clip_text"
    auto_classes: ClassVar[tuple[str, ...]] = ()
    base_config_key = "text_config"

    vocab_size: int = 49408
    hidden_size: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    pooling: str = "end"
    eos_token_id: int = 49407
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is {self.pooling!r}, expected one of {POOLINGS}.")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} can't be shared by {self.num_attention_heads} heads.")
        super().__post_init__(**kwargs)


class CvClipConfig(CvImageConfig):
    """The defaults are ViT-B/32; `variant` gives the paper's other nets.

    - `vision_config`: of one of `TOWERS`, or its dict with a `model_type`; `text_config`: a `CvClipTextConfig` or dict.
    - `projection_dim`: E. A ResNet's attention gives out E dimensions itself.
    - `loss`: "softmax", CLIP's, or "sigmoid", SigLIP's, which adds a bias to all logits.
    - `logit_scale_init_value`: t at the start, ln 1/0.07; `logit_bias_init_value`: b at the start, −10 in SigLIP.
    """

    model_type = "cvhub_clip"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": CvClipTextConfig, "vision_config": CvImageConfig}
    counts: ClassVar[tuple[str, ...]] = ("projection_dim",)
    words: ClassVar[str] = "CLIPProcessor"

    vision_config: Any = None
    text_config: Any = None
    projection_dim: int = 512
    loss: str = "softmax"
    logit_scale_init_value: float | int = math.log(1 / 0.07)
    logit_bias_init_value: float | int = -10

    def __post_init__(self, **kwargs: Any) -> None:
        if self.vision_config is None:
            self.vision_config = vision_config(*VARIANTS["ViT-B/32"][:6])
        elif isinstance(self.vision_config, dict):
            self.vision_config = _tower_config(self.vision_config)
        if self.text_config is None or isinstance(self.text_config, dict):
            given = self.text_config or {}
            self.text_config = CvClipTextConfig(**{name: given[name] for name in given if name != "model_type"})
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}, expected one of {tuple(LOSSES)}.")
        tower = self.vision_config
        if isinstance(tower, CvClipResNetConfig) and tower.projection_dim != self.projection_dim:
            raise ValueError(f"projection_dim is {self.projection_dim}, but the tower's is {tower.projection_dim}.")
        self.num_channels = tower.num_channels
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> Self:
        """A row of `VARIANTS` by name; `fields` override it."""
        *vision, width, layers = VARIANTS[name]
        text = CvClipTextConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // HEAD_WIDTH,
            intermediate_size=4 * width,
        )
        row: dict[str, Any] = dict(vision_config=vision_config(*vision), text_config=text, projection_dim=vision[-1])
        return cls(**(row | fields))

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: what the image tower takes."""
        return self.vision_config.smallest_input


def vision_config(tower: str, layers: Any, width: int, patch_size: int, image_size: int, projection_dim: int) -> Any:
    """The config of a row of `VARIANTS`."""
    if tower == "resnet":
        heads = 32 * width // HEAD_WIDTH
        fields: dict[str, Any] = dict(depths=layers, width=width, num_attention_heads=heads, image_size=image_size)
        return CvClipResNetConfig(**fields, projection_dim=projection_dim)
    return CvViTConfig(
        image_size=image_size,
        patch_size=patch_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=4 * width,
        hidden_act="quick_gelu",
        layer_norm_eps=1e-5,
        pre_norm=True,
        fill_patches=False,
        antialias_positions=False,
    )


def _tower_config(fields: dict[str, Any]) -> Any:
    kind = fields.get("model_type")
    if kind not in TOWERS:
        raise ValueError(f"vision_config has model_type {kind!r}, expected one of {', '.join(TOWERS)}.")
    return TOWERS[kind][0](**{name: value for name, value in fields.items() if name != "model_type"})


class CvClipTextModel(CvTransformerPreTrainedModel):
    """The text tower; `pooler_output` is what its end token has gathered."""

    config_class = CvClipTextConfig
    config: CvClipTextConfig
    base_model_prefix = "text_model"
    main_input_name = "input_ids"
    input_modalities = ["text"]
    _no_split_modules: ClassVar[list[str]] = ["EncoderBlock"]

    def __init__(self, config: CvClipTextConfig):
        super().__init__(config)
        width = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.zeros(config.max_position_embeddings, width))
        self.blocks = nn.ModuleList(
            EncoderBlock(
                SelfAttention(config, width, config.num_attention_heads, causal=True),
                width,
                config.intermediate_size,
                config.hidden_act,
                config.layer_norm_eps,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embedding = value

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As the released code does: the smaller the more layers add up (section 2.4 takes it from GPT-2)."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, CvClipTextModel):
            width, layers = self.config.hidden_size, self.config.num_hidden_layers
            init.normal_(module.positions, std=self.config.initializer_range / 2)
            for part in module.blocks.modules():
                if isinstance(part, SelfAttention):
                    init.normal_(part.qkv.weight, std=width**-0.5)
                    init.normal_(part.proj.weight, std=(2 * layers * width) ** -0.5)
                elif isinstance(part, Mlp):
                    init.normal_(part.fc1.weight, std=(2 * width) ** -0.5)
                    init.normal_(part.fc2.weight, std=(2 * layers * width) ** -0.5)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """`input_ids` (M, L) → the tokens (M, L, D') and the end token's, (M, D').

        Padding has to stand behind the end token, as tokenizers have it: no token sees what is behind it, so that an
        `attention_mask` changes nothing, and one that masks a start is refused.
        """
        self.check_input_ids(input_ids, attention_mask)
        keep_weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        x = self.embedding(input_ids) + self.positions[: input_ids.shape[1]]
        states, attentions = [x], []
        for block in self.blocks:
            x, weights = block(x, keep_weights)
            attentions.append(weights)
            if keep_states:
                states.append(x)
        x = self.norm(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=self.pool(x, input_ids),
            hidden_states=tuple(states) if keep_states else None,
            attentions=tuple(attentions) if keep_weights else None,
        )

    def pool(self, x: Tensor, input_ids: Tensor) -> Tensor:
        """The end token's features: (M, L, D') → (M, D')."""
        marked = input_ids if self.config.pooling == "highest" else input_ids == self.config.eos_token_id
        end = marked.int().argmax(dim=1)[:, None, None].expand(-1, 1, x.shape[2])  # (M, 1, D')
        return x.gather(1, end)[:, 0]

    def check_input_ids(self, input_ids: Tensor, attention_mask: Tensor | None) -> None:
        """Raises `ValueError` unless `input_ids` are (M, L) with as many positions, and begin with what counts."""
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids have shape {tuple(input_ids.shape)}, expected (texts, tokens).")
        if torch.jit.is_tracing():  # sizes are tensors then, and a comparison would be frozen into the graph
            return
        most = self.config.max_position_embeddings
        if input_ids.shape[1] > most:
            raise ValueError(f"input_ids have {input_ids.shape[1]} tokens, this text tower takes at most {most}.")
        if attention_mask is not None and not attention_mask[:, :1].all():
            raise ValueError("attention_mask leaves out the first token of a text, expected padding behind texts.")


class CvClipPreTrainedModel(CvTransformerPreTrainedModel):
    config_class = CvClipConfig
    config: CvClipConfig
    base_model_prefix = "clip"
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]
    _no_split_modules: ClassVar[list[str]] = ["EncoderBlock", "Bottleneck"]


@dataclass
class CvClipOutput(ModelOutput):
    """Of N pictures and M texts: logits (N, M) and (M, N), the normalised embeddings (N, E) and (M, E), and the towers'
    own outputs."""

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    text_model_output: BaseModelOutputWithPooling | None = None
    vision_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """The towers' outputs as tuples too, as transformers' CLIP has it."""
        return tuple(part.to_tuple() if isinstance(part, ModelOutput) else part for part in self.values())


class CvClipModel(CvClipPreTrainedModel):
    """Both towers, and what each picture has to do with each text."""

    auto_classes = ("AutoModel", "AutoModelForZeroShotImageClassification")

    def __init__(self, config: CvClipConfig):
        super().__init__(config)
        text, vision, width = config.text_config, config.vision_config, config.projection_dim
        self.text_model = CvClipTextModel(text)
        self.vision_model = TOWERS[vision.model_type][1](vision)
        self.text_projection = nn.Linear(text.hidden_size, width, bias=False)
        self.visual_projection = make_projection(vision, width)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        self.logit_bias = None
        if config.loss == "sigmoid":
            self.logit_bias = nn.Parameter(torch.tensor(float(config.logit_bias_init_value)))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Projections keep their inputs' size."""
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, CvClipModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)
            if module.logit_bias is not None:
                init.constant_(module.logit_bias, self.config.logit_bias_init_value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> CvClipOutput:
        """`input_ids` (M, L), `pixel_values` (N, C, H, W) → logits (N, M) and (M, N), and the embeddings they are of.

        With `return_loss`, which takes N = M pairs in their order, also what the config's `loss` makes of them.
        """
        asked: dict[str, Any] = dict(output_attentions=output_attentions, output_hidden_states=output_hidden_states)
        text = self.text_model(input_ids, attention_mask, **asked)
        vision = self.vision_model(pixel_values, **asked)
        text_embeds = F.normalize(self.text_projection(text.pooler_output), dim=-1)
        image_embeds = F.normalize(self.visual_projection(vision.pooler_output), dim=-1)
        logits = self.logits(image_embeds, text_embeds)
        return CvClipOutput(
            loss=LOSSES[self.config.loss](logits) if return_loss else None,
            logits_per_image=logits,
            logits_per_text=logits.t(),
            text_embeds=text_embeds,
            image_embeds=image_embeds,
            text_model_output=text,
            vision_model_output=vision,
        )

    def logits(self, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """Normalised embeddings (N, E) and (M, E) → e^t · cosine (+ b), (N, M)."""
        logits = self.logit_scale.exp() * image_embeds @ text_embeds.t()
        return logits if self.logit_bias is None else logits + self.logit_bias

    @can_return_tuple
    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """`input_ids` (M, L) → the text tower's output, `pooler_output` projected to (M, E), not normalised."""
        output = self.text_model(input_ids, attention_mask, **kwargs)
        output.pooler_output = self.text_projection(output.pooler_output)
        return output

    @can_return_tuple
    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → the image tower's output, `pooler_output` projected to (N, E)."""
        output = self.vision_model(pixel_values, **kwargs)
        output.pooler_output = self.visual_projection(output.pooler_output)
        return output


def make_projection(vision: Any, projection_dim: int) -> nn.Module:
    """From what the image tower pools to E dimensions; of a ResNet's its attention does that."""
    if isinstance(vision, CvClipResNetConfig):
        return nn.Identity()
    width = vision.hidden_size if isinstance(vision, CvViTConfig) else vision.stage_channels[-1]
    return nn.Linear(width, projection_dim, bias=False)
