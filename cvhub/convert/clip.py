"""CLIP's checkpoints in transformers, in open_clip (a folder with its config), and OpenAI's state dicts."""

import math
from collections.abc import Iterator
from typing import Any

from PIL import Image

from cvhub.convert.clip_tokenizer import make_tokenizer
from cvhub.convert.family import Family, Fields, Layout, NoForeignForm, Shapes, require, resize_then_crop
from cvhub.convert.renaming import Axes, Part, Transposed
from cvhub.models.clip import HEAD_WIDTH, VARIANTS, CvClipConfig, CvClipTextConfig
from cvhub.models.clip_resnet import STRIDE, CvClipResNetConfig
from cvhub.models.vit import CvViTConfig

Names = Iterator[tuple[Part, Part]]

OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
# Fields that transformers' two configs share with ours, by their names.
TEXT_FIELDS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "hidden_act", "layer_norm_eps"),
)
VISION_FIELDS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels"),
    *("image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout"),
)
# What makes our ViT CLIP's, beside its sizes.
TOWER: Fields = {"pre_norm": True, "fill_patches": False, "antialias_positions": False}
LEGACY_END = 2  # transformers' eos_token_id of nets that take the highest number for the end
# What open_clip's towers may say otherwise, and ours can't. None is what it takes where nothing is said.
OPEN_CLIP_ONLY: dict[str, tuple[Any, ...]] = {
    "act_kwargs": (None,), "attentional_pool": (False,), "block_type": (None, "default"), "embed_cls": (False,),
    "final_ln_after_pool": (False,), "hf_model_name": (None,), "ls_init_value": (None,), "no_causal_mask": (False,),
    "no_ln_pre": (False,), "norm_kwargs": (None,), "pos_embed_type": ("learnable",), "proj_bias": (False,),
    "proj_type": ("linear",), "qk_norm": (False,), "scale_attn": (False,), "scale_attn_inner": (False,),
    "scale_fc": (False,), "scale_heads": (False,), "scaled_cosine_attn": (False,), "timm_model_name": (None,),
}  # fmt: skip
# Parts of a block, ours and theirs.
BLOCK = (("attention.proj", "self_attn.out_proj"), ("norm1", "layer_norm1"), ("norm2", "layer_norm2"))
BLOCK += (("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"))
RESBLOCK = (
    *(("attention.qkv.weight", "attn.in_proj_weight"), ("attention.qkv.bias", "attn.in_proj_bias")),
    *(("attention.proj", "attn.out_proj"), ("norm1", "ln_1"), ("norm2", "ln_2")),
    *(("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")),
)


# --- Names -----------------------------------------------------------------------------------------------------------


def _vit_ends(patches: str, token: str, positions: str) -> Names:
    """What stands before the blocks, without our axis of the batch."""
    ours = "vision_model.embeddings"
    yield f"{ours}.patches.projection", patches
    yield Axes(f"{ours}.class_token", 3), Axes(token, 1)
    yield Axes(f"{ours}.positions", 3), Axes(positions, 2)


def _transformers_names(config: CvClipConfig) -> Names:
    text, vision = config.text_config, config.vision_config
    theirs = "vision_model.embeddings"
    parts = ("patch_embedding", "class_embedding", "position_embedding.weight")
    yield from _vit_ends(*(f"{theirs}.{part}" for part in parts))
    yield "vision_model.pre_norm", "vision_model.pre_layrnorm"
    yield "vision_model.norm", "vision_model.post_layernorm"
    yield "text_model.embedding", "text_model.embeddings.token_embedding"
    yield "text_model.positions", "text_model.embeddings.position_embedding.weight"
    yield "text_model.norm", "text_model.final_layer_norm"
    for tower, layers in (("vision_model", vision.num_hidden_layers), ("text_model", text.num_hidden_layers)):
        for i in range(layers):
            ours, theirs = f"{tower}.blocks.{i}", f"{tower}.encoder.layers.{i}"
            query, key, value = (f"{theirs}.self_attn.{part}_proj" for part in "qkv")
            yield f"{ours}.attention.qkv", (query, key, value)
            yield from ((f"{ours}.{our_part}", f"{theirs}.{their_part}") for our_part, their_part in BLOCK)
    for name in ("visual_projection", "text_projection", "logit_scale"):
        yield name, name


def _original_names(config: CvClipConfig) -> Names:
    """OpenAI's, which open_clip keeps."""
    if isinstance(config.vision_config, CvClipResNetConfig):
        yield from _resnet_names(config.vision_config)
    else:
        yield from _vit_ends("visual.conv1", "visual.class_embedding", "visual.positional_embedding")
        yield "vision_model.pre_norm", "visual.ln_pre"
        yield "vision_model.norm", "visual.ln_post"
        yield from _resblocks("vision_model", "visual.transformer", config.vision_config.num_hidden_layers)
        yield Transposed("visual_projection.weight"), Transposed("visual.proj")
    yield from _resblocks("text_model", "transformer", config.text_config.num_hidden_layers)
    yield "text_model.embedding", "token_embedding"
    yield "text_model.positions", "positional_embedding"
    yield "text_model.norm", "ln_final"
    yield Transposed("text_projection.weight"), Transposed("text_projection")
    yield "logit_scale", "logit_scale"
    if config.loss == "sigmoid":
        yield "logit_bias", "logit_bias"


def _resblocks(ours: str, theirs: str, layers: int) -> Names:
    for i in range(layers):
        for our_part, their_part in RESBLOCK:
            yield f"{ours}.blocks.{i}.{our_part}", f"{theirs}.resblocks.{i}.{their_part}"


def _resnet_names(config: CvClipResNetConfig) -> Names:
    for i in range(3):
        yield f"vision_model.stem.{i}.conv", f"visual.conv{i + 1}"
        yield f"vision_model.stem.{i}.norm", f"visual.bn{i + 1}"
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            ours, theirs = f"vision_model.stages.{stage}.{block}", f"visual.layer{stage + 1}.{block}"
            for i in (1, 2, 3):
                yield f"{ours}.conv{i}.conv", f"{theirs}.conv{i}"
                yield f"{ours}.conv{i}.norm", f"{theirs}.bn{i}"
            yield f"{ours}.shortcut.conv", f"{theirs}.downsample.0"
            yield f"{ours}.shortcut.norm", f"{theirs}.downsample.1"
    yield "vision_model.pooling.positions", "visual.attnpool.positional_embedding"
    for our_part, their_part in (("query", "q"), ("key", "k"), ("value", "v"), ("projection", "c")):
        yield f"vision_model.pooling.{our_part}", f"visual.attnpool.{their_part}_proj"


# --- Configs ---------------------------------------------------------------------------------------------------------


def _read_transformers(config: Fields) -> Fields:
    """By transformers' own class, which knows what each of its versions has left out of a config.json."""
    from transformers import CLIPConfig

    theirs: Any = CLIPConfig.from_dict(config)
    text = {name: getattr(theirs.text_config, name) for name in TEXT_FIELDS}
    end = theirs.text_config.eos_token_id
    text |= {"pooling": "highest"} if end == LEGACY_END else {"eos_token_id": end}
    return {
        "vision_config": CvViTConfig(**{name: getattr(theirs.vision_config, name) for name in VISION_FIELDS}, **TOWER),
        "text_config": CvClipTextConfig(**text),
        "projection_dim": theirs.projection_dim,
        "logit_scale_init_value": theirs.logit_scale_init_value,
    }


def _write_transformers(config: CvClipConfig) -> Fields:
    vision, text = config.vision_config, config.text_config
    require(config, "transformers", loss="softmax")
    if not isinstance(vision, CvViTConfig):
        raise NoForeignForm("transformers", "vision_config.model_type", vision.model_type)
    require(vision, "transformers", pre_norm=True, pooling="cls", class_token=True, qkv_bias=True)
    end = LEGACY_END if text.pooling == "highest" else text.eos_token_id
    fields = {name: getattr(text, name) for name in TEXT_FIELDS}
    return {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": config.projection_dim,
        "logit_scale_init_value": config.logit_scale_init_value,
        "text_config": {"model_type": "clip_text_model", "eos_token_id": end, **fields},
        "vision_config": {"model_type": "clip_vision_model", **{name: getattr(vision, name) for name in VISION_FIELDS}},
    }


def _read_open_clip(config: Fields) -> Fields:
    """From `model_cfg` of an open_clip_config.json; of a bare file, whose name said it, there is none."""
    model = config.get("model_cfg")
    if not model:
        return {}
    _check_known(model, ("embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale", "init_logit_bias"))
    vision, text = dict(model["vision_cfg"]), dict(model["text_cfg"])
    for tower in (vision, text):
        for field, allowed in OPEN_CLIP_ONLY.items():
            if tower.get(field, allowed[0]) not in allowed:
                raise NoForeignForm("cvhub's CLIP", field, tower[field])
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    pooling = text.get("pool_type", "argmax")
    if pooling not in ("argmax", "eos") or vision.get("pool_type", "tok") != "tok":
        raise NoForeignForm("cvhub's CLIP", "pool_type", pooling if pooling != "argmax" else vision["pool_type"])
    width, heads = text.get("width", 512), text.get("heads", 8)
    ours = CvClipTextConfig(
        vocab_size=text.get("vocab_size", 49408),
        hidden_size=width,
        num_hidden_layers=text.get("layers", 12),
        num_attention_heads=heads,
        intermediate_size=int(width * text.get("mlp_ratio", 4.0)),
        max_position_embeddings=text.get("context_length", 77),
        hidden_act=activation,
        pooling="highest" if pooling == "argmax" else "end",
        eos_token_id=text.get("eos_id", 2) if pooling == "eos" else CvClipTextConfig.eos_token_id,
    )
    fields = {"vision_config": _open_clip_tower(vision, activation, model["embed_dim"]), "text_config": ours}
    fields |= {"projection_dim": model["embed_dim"]}
    if model.get("init_logit_bias") is not None:
        fields |= {"loss": "sigmoid", "logit_bias_init_value": model["init_logit_bias"]}
    return fields


def _open_clip_tower(vision: Fields, activation: str, projection_dim: int) -> Any:
    layers, width, head = vision.get("layers", 12), vision.get("width", 768), vision.get("head_width", HEAD_WIDTH)
    side = vision.get("image_size", 224)
    if isinstance(layers, list):
        fields: Fields = {"depths": layers, "width": width, "num_attention_heads": 32 * width // head}
        return CvClipResNetConfig(**fields, image_size=side, projection_dim=projection_dim)
    return CvViTConfig(
        image_size=side,
        patch_size=vision.get("patch_size", 16),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // head,
        intermediate_size=int(width * vision.get("mlp_ratio", 4.0)),
        hidden_act=activation,
        layer_norm_eps=1e-5,
        **TOWER,
    )


def _check_known(fields: Fields, known: tuple[str, ...]) -> None:
    for name, value in fields.items():
        if name not in known and value not in (None, False):
            raise NoForeignForm("cvhub's CLIP", name, value)


def _cannot_write(library: str) -> Any:
    def write(config: CvClipConfig) -> Fields:
        raise NoForeignForm(library, "model_type", config.model_type)

    return write


def _sizes(config: CvClipConfig, shapes: Shapes) -> Fields:
    """What tensors' shapes tell, of both towers; where they are wider than the config says, so of their heads."""
    text, vision = config.text_config, config.vision_config
    vocabulary, width = shapes["text_model.embedding.weight"]
    words = text.to_dict() | heads(text, width)
    words |= {"vocab_size": vocabulary, "hidden_size": width}
    words |= {"max_position_embeddings": shapes["text_model.positions"][0]}
    words |= {"intermediate_size": shapes["text_model.blocks.0.mlp.fc1.weight"][0]}
    sees = vision.to_dict()
    if isinstance(vision, CvClipResNetConfig):
        cells, width = shapes["vision_model.pooling.positions"]
        projection = shapes["vision_model.pooling.projection.weight"][0]
        sees |= heads(vision, width) | {"image_size": math.isqrt(cells - 1) * STRIDE, "projection_dim": projection}
        half, channels, *_ = shapes["vision_model.stem.0.conv.weight"]
        sees |= {"width": 2 * half, "num_channels": channels}
    else:
        width, channels, patch, _ = shapes["vision_model.embeddings.patches.projection.weight"]
        projection = shapes["text_projection.weight"][0]
        sees |= heads(vision, width) | {"hidden_size": width, "num_channels": channels, "patch_size": patch}
        sees |= {"image_size": math.isqrt(shapes["vision_model.embeddings.positions"][1] - 1) * patch}
        sees |= {"intermediate_size": shapes["vision_model.blocks.0.mlp.fc1.weight"][0]}
    return {"text_config": words, "vision_config": sees, "projection_dim": projection}


def heads(tower: Any, width: int) -> Fields:
    """Of a transformer that is wider than its config says: in all nets of CLIP's and BLIP's they have 64 dimensions."""
    return {} if width == tower.hidden_size else {"num_attention_heads": max(1, width // HEAD_WIDTH)}


# --- The layouts -----------------------------------------------------------------------------------------------------


def _processor(architecture: str) -> Fields:
    return resize_then_crop(224, 224, Image.Resampling.BICUBIC, **OPENAI)


def _row(name: str, activation: str = "quick_gelu") -> Fields:
    """The fields of a named net."""
    config = CvClipConfig.variant(name)
    config.text_config.hidden_act = activation
    config.text_config.pooling = "highest"
    if isinstance(config.vision_config, CvViTConfig):
        config.vision_config.hidden_act = activation
    return {name: getattr(config, name) for name in ("vision_config", "text_config", "projection_dim")}


def _open_clip_name(name: str) -> str:
    return name.replace("/", "-").replace("@336px", "-336")


FAMILY = Family(
    name="clip",
    prefix="CvClip",
    suffix="Model",
    tokenizer=make_tokenizer,
    sizes=_sizes,
    layouts=(
        Layout(
            library="transformers",
            architectures={"clip": {}},
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=_processor,
            leftovers=("position_ids",),
        ),
        Layout(
            library="openai",
            architectures={name: _row(name) for name in VARIANTS},
            names=_original_names,
            write=_cannot_write("openai"),
            processor=_processor,
            unused=("input_resolution", "context_length", "vocab_size"),
        ),
        Layout(
            library="open_clip",
            architectures={
                "CLIP": {},
                **{_open_clip_name(name): _row(name, "gelu") for name in VARIANTS},
                **{f"{_open_clip_name(name)}-quickgelu": _row(name) for name in VARIANTS},
            },
            names=_original_names,
            read=_read_open_clip,
            write=_cannot_write("open_clip"),
            processor=_processor,
        ),
    ),
)
