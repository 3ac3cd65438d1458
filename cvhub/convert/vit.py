"""ViT's checkpoints in timm, torchvision and transformers. DeiT's differ in a token and a head (deit.py)."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PIL import Image

from cvhub.convert.family import (
    HALF,
    IMAGENET,
    Family,
    Fields,
    Layout,
    NoForeignForm,
    Shapes,
    differing,
    imagenet_224,
    require,
    resize_then_crop,
    write_architecture,
)
from cvhub.convert.renaming import Part
from cvhub.convert.timm_arguments import choice, into, must_be, one_side, timm_reader
from cvhub.models.vit import VARIANTS, CvViTConfig

Names = Iterator[tuple[Part, Part]]

# timm's names end in the patch size and the picture's side: variant → pairs of these.
TIMM_SIZES = {
    "tiny": ((16, 224), (16, 384)),
    "small": ((32, 224), (32, 384), (16, 224), (16, 384), (8, 224)),
    "base": ((32, 224), (32, 384), (16, 224), (16, 384), (8, 224)),
    "large": ((32, 224), (32, 384), (16, 224), (16, 384), (14, 224)),
    "huge": ((14, 224),),
}
# torchvision's name → (variant, patch size)
TORCHVISION = {
    "vit_b_16": ("base", 16),
    "vit_b_32": ("base", 32),
    "vit_l_16": ("large", 16),
    "vit_l_32": ("large", 32),
    "vit_h_14": ("huge", 14),
}
# Arguments of timm's VisionTransformer that we have fields for.
TIMM_FIELDS = {
    "img_size": "image_size",
    "patch_size": "patch_size",
    "embed_dim": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "qkv_bias": "qkv_bias",
}
# What "_gap_" in timm's names stands for. `fc_norm`: whether the norm comes after the mean, as it does unless said.
TIMM_GAP = {"class_token": False, "fc_norm": False}
TIMM_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu", "relu": "relu"}
TIMM_ACTIVATIONS |= {"silu": "silu", "swish": "silu"}
# Fields whose names and meanings transformers' config shares, with its defaults.
TRANSFORMERS_FIELDS = {
    "image_size": 224,
    "patch_size": 16,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
    "initializer_range": 0.02,
}


def row(variant: str, patch_size: int, side: int = 224, **rest: Any) -> Fields:
    """The fields of a named net."""
    layers, width, heads = VARIANTS[variant]
    fields = {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads}
    fields |= {"intermediate_size": 4 * width, "patch_size": patch_size, "image_size": side, "qkv_bias": True}
    return fields | rest


# CLIP's image towers as classifiers: (patch size, side) → variant.
TIMM_CLIP = {
    **{(16, side): "base" for side in (224, 384)},
    **{(32, side): "base" for side in (224, 256, 384, 448)},
    **{(14, side): "large" for side in (224, 336)},
}
TIMM_CLIP_HUGE = (224, 336, 378)
CLIP = {"pre_norm": True, "layer_norm_eps": 1e-5}
TIMM_QUICK = ("vit_base_patch16_clip_224", "vit_base_patch32_clip_224", "vit_large_patch14_clip_224")
TIMM_QUICK += ("vit_large_patch14_clip_336", "vit_huge_patch14_clip_224", "vit_huge_patch14_clip_378")
# What timm's names say where a config.json doesn't.
TIMM_FIXED = {"pre_norm": False, "layer_norm_eps": 1e-6, "hidden_act": "gelu"}

GAP = {"class_token": False, "pooling": "normed_mean"}
TIMM_ARCHITECTURES = {
    f"vit_{variant}_patch{patch}_{side}": row(variant, patch, side)
    for variant, sizes in TIMM_SIZES.items()
    for patch, side in sizes
} | {
    "vit_base_patch16_224_miil": row("base", 16, qkv_bias=False),
    "vit_base_patch16_gap_224": row("base", 16, num_attention_heads=16, **GAP),
    "vit_huge_patch14_gap_224": row("huge", 14, **GAP),
    "vit_huge_patch16_gap_448": row("huge", 16, 448, **GAP),
}
TIMM_ARCHITECTURES |= {
    f"vit_{variant}_patch{patch}_clip_{side}": row(variant, patch, side, **CLIP)
    for (patch, side), variant in TIMM_CLIP.items()
} | {f"vit_huge_patch14_clip_{side}": row("huge", 14, side, **CLIP) for side in TIMM_CLIP_HUGE}
TIMM_ARCHITECTURES |= {
    name.replace("clip", "clip_quickgelu"): TIMM_ARCHITECTURES[name] | {"hidden_act": "quick_gelu"}
    for name in TIMM_QUICK
}
TORCHVISION_ARCHITECTURES = {name: row(variant, patch) for name, (variant, patch) in TORCHVISION.items()}


# --- Names -----------------------------------------------------------------------------------------------------------


def timm_names(config: CvViTConfig, body: str = "vit") -> Names:
    """Of the net but its classifier; `body` is our name for it."""
    yield f"{body}.embeddings.patches.projection", "patch_embed.proj"
    if config.class_token:
        yield f"{body}.embeddings.class_token", "cls_token"
    yield f"{body}.embeddings.positions", "pos_embed"
    if config.pre_norm:
        yield f"{body}.pre_norm", "norm_pre"
    for i in range(config.num_hidden_layers):
        for ours, theirs in (("attention.qkv", "attn.qkv"), ("attention.proj", "attn.proj")):
            yield f"{body}.blocks.{i}.{ours}", f"blocks.{i}.{theirs}"
        for part in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
            yield f"{body}.blocks.{i}.{part}", f"blocks.{i}.{part}"
    yield f"{body}.norm", "fc_norm" if config.pooling == "mean" else "norm"


def transformers_names(config: CvViTConfig, body: str = "vit") -> Names:
    """Of the net but its classifier, as the files have them; the modules of today are called otherwise."""
    yield f"{body}.embeddings.patches.projection", f"{body}.embeddings.patch_embeddings.projection"
    yield f"{body}.embeddings.class_token", f"{body}.embeddings.cls_token"
    yield f"{body}.embeddings.positions", f"{body}.embeddings.position_embeddings"
    parts = (
        ("attention.proj", "attention.output.dense"),
        ("norm1", "layernorm_before"),
        ("norm2", "layernorm_after"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    )
    for i in range(config.num_hidden_layers):
        ours, theirs = f"{body}.blocks.{i}", f"{body}.encoder.layer.{i}"
        query, key, value = (f"{theirs}.attention.attention.{part}" for part in ("query", "key", "value"))
        yield f"{ours}.attention.qkv", (query, key, value)
        for our_part, their_part in parts:
            yield f"{ours}.{our_part}", f"{theirs}.{their_part}"
    yield f"{body}.norm", f"{body}.layernorm"


def _torchvision_names(config: CvViTConfig, fc1: str = "mlp.0", fc2: str = "mlp.3") -> Names:
    yield "vit.embeddings.patches.projection", "conv_proj"
    yield "vit.embeddings.class_token", "class_token"
    yield "vit.embeddings.positions", "encoder.pos_embedding"
    for i in range(config.num_hidden_layers):
        ours, theirs = f"vit.blocks.{i}", f"encoder.layers.encoder_layer_{i}"
        for leaf in ("weight", "bias"):
            yield f"{ours}.attention.qkv.{leaf}", f"{theirs}.self_attention.in_proj_{leaf}"
        yield f"{ours}.attention.proj", f"{theirs}.self_attention.out_proj"
        for our_part, their_part in (("norm1", "ln_1"), ("norm2", "ln_2"), ("mlp.fc1", fc1), ("mlp.fc2", fc2)):
            yield f"{ours}.{our_part}", f"{theirs}.{their_part}"
    yield "vit.norm", "encoder.ln"
    yield "classifier", "heads.head"


def _older_torchvision_names(config: CvViTConfig) -> Names:
    """Those of the files that torchvision still offers for download, and renames while it reads them."""
    return _torchvision_names(config, "mlp.linear_1", "mlp.linear_2")


def _timm_classifier_names(config: CvViTConfig) -> Names:
    yield from timm_names(config)
    yield "classifier", "head"


def _transformers_classifier_names(config: CvViTConfig) -> Names:
    yield from transformers_names(config)
    yield "classifier", "classifier"


# --- Configs of theirs to ours ---------------------------------------------------------------------------------------


_read_arguments = timm_reader(
    "ViT",
    {
        **{theirs: into(ours) for theirs, ours in TIMM_FIELDS.items()},
        "class_token": into("class_token"),
        "global_pool": must_be("token", "avg"),
        "fc_norm": must_be(True, False),
        "act_layer": choice("hidden_act", TIMM_ACTIVATIONS),
        "pos_embed": must_be("learn"),
        **dict.fromkeys(("proj_bias", "final_norm"), must_be(True)),
        **dict.fromkeys(("qk_norm", "scale_attn_norm", "scale_mlp_norm"), must_be(False)),
        "pre_norm": into("pre_norm"),
        **dict.fromkeys(("no_embed_class", "pool_include_prefix"), must_be(False)),
        "reg_tokens": must_be(0),
    },
    told=("mlp_ratio", "dynamic_img_size", "dynamic_img_pad"),
)


def read_timm(config: Fields) -> Fields:
    arguments = TIMM_GAP if "_gap_" in config.get("architecture", "") else {}
    arguments = arguments | (config.get("model_args") or {})
    fields = _read_arguments(config | {"model_args": arguments})
    pooling = arguments.get("global_pool") or config.get("global_pool") or "token"
    fc_norm = arguments.get("fc_norm")
    if pooling == "token" and fc_norm:
        raise NoForeignForm("cvhub's ViT", "fc_norm", fc_norm)
    return fields | {"pooling": "cls" if pooling == "token" else "normed_mean" if fc_norm is False else "mean"}


def read_transformers(config: Fields) -> Fields:
    fields = {name: one_side(config.get(name, default)) for name, default in TRANSFORMERS_FIELDS.items()}
    return fields | {
        "antialias_positions": False,
        "fill_patches": False,
        "dropout": config.get("hidden_dropout_prob", 0.0),
        "attention_dropout": config.get("attention_probs_dropout_prob", 0.0),
    }


def _torchvision_read(config: Fields) -> Fields:
    return {}


def sizes_of(body: str) -> Callable[[CvViTConfig, Shapes], Fields]:
    """What tensors' shapes tell; `body` is our name for the net without its classifier."""

    def sizes(config: CvViTConfig, shapes: Shapes) -> Fields:
        width, num_channels, patch_size, _ = shapes[f"{body}.embeddings.patches.projection.weight"]
        patches = shapes[f"{body}.embeddings.positions"][1] - config.num_prefix_tokens
        fields = {
            "num_channels": num_channels,
            "hidden_size": width,
            "patch_size": patch_size,
            "intermediate_size": shapes[f"{body}.blocks.0.mlp.fc1.weight"][0],
            "qkv_bias": f"{body}.blocks.0.attention.qkv.bias" in shapes,
        }
        rows, columns = config.grid
        if (rows * columns, patch_size) != (patches, config.patch_size):  # else the config knows better
            fields["image_size"] = math.isqrt(patches) * patch_size
        return fields

    return sizes


# --- Our config to theirs --------------------------------------------------------------------------------------------


def fixed_by_name(fields: Fields) -> Fields:
    """Those of a named net's fields that timm's arguments can't change."""
    return {name: fields.get(name, value) for name, value in TIMM_FIXED.items()}


def write_timm(config: CvViTConfig, architectures: Mapping[str, Fields]) -> Fields:
    """The most similar net's name, and the arguments in which ours differs from it."""
    named = [name for name, fields in architectures.items() if not differing(config, fixed_by_name(fields))]
    if not named:
        require(config, "timm", **TIMM_FIXED)
    closest = min(named, key=lambda name: len(differing(config, architectures[name])))
    different = set(differing(config, architectures[closest]))
    arguments = {theirs: getattr(config, ours) for theirs, ours in TIMM_FIELDS.items() if ours in different}
    if config.image_size != 224:  # whatever the name says
        arguments["img_size"] = config.image_size
    if different & {"hidden_size", "intermediate_size"}:
        arguments["mlp_ratio"] = ratio = config.intermediate_size / config.hidden_size
        if int(config.hidden_size * ratio) != config.intermediate_size:
            raise NoForeignForm("timm", "intermediate_size", config.intermediate_size)
    pooling = "token" if config.pooling == "cls" else "avg"
    if pooling == "avg":
        arguments |= {"global_pool": pooling, "class_token": config.class_token, "fc_norm": config.pooling == "mean"}
    return {"architecture": closest, "global_pool": pooling, "model_args": arguments}


def write_transformers(config: CvViTConfig, model_type: str, architecture: str) -> Fields:
    require(config, "transformers", pooling="cls", pre_norm=False)
    return {
        "model_type": model_type,
        "architectures": [architecture],
        "num_channels": config.num_channels,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        **{name: getattr(config, name) for name in TRANSFORMERS_FIELDS},
    }


def _write_torchvision(config: CvViTConfig) -> Fields:
    """A name, and the arguments of torchvision's VisionTransformer: it takes any widths and sizes."""
    require(
        config,
        "torchvision",
        pooling="cls",
        pre_norm=False,
        layer_norm_eps=1e-6,
        hidden_act="gelu",
        qkv_bias=True,
        num_channels=3,
    )
    if len(set(config.sides)) > 1 or config.sides[0] % config.patch_size:
        raise NoForeignForm("torchvision", "image_size", config.image_size)
    depths = ("num_hidden_layers", "num_attention_heads")
    rows = {name: {field: fields[field] for field in depths} for name, fields in TORCHVISION_ARCHITECTURES.items()}
    return write_architecture(config, "torchvision", rows) | {
        "image_size": config.sides[0],
        "patch_size": config.patch_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "hidden_dim": config.hidden_size,
        "mlp_dim": config.intermediate_size,
    }


# --- The layouts -----------------------------------------------------------------------------------------------------


def timm_processor(normalisation: Fields) -> Callable[[str], Fields]:
    """timm's crop for ViTs: nine tenths at 224 pixels, all of it at 384."""

    def processor(architecture: str) -> Fields:
        if architecture.endswith("384"):
            return resize_then_crop(384, 384, Image.Resampling.BICUBIC, **normalisation)
        return resize_then_crop(248, 224, Image.Resampling.BICUBIC, **normalisation)

    return processor


def _squash(architecture: str) -> Fields:
    """transformers' ViTImageProcessor: both sides to 224 pixels."""
    square = {"height": 224, "width": 224}
    return {"size": square, "crop_size": square, "resample": Image.Resampling.BILINEAR, **HALF}


_TORCHVISION_PROCESSOR = imagenet_224(Image.Resampling.BILINEAR, **IMAGENET)

FAMILY = Family(
    name="vit",
    prefix="CvViT",
    sizes=sizes_of("vit"),
    layouts=(
        Layout(
            library="timm",
            architectures=TIMM_ARCHITECTURES,
            names=_timm_classifier_names,
            read=read_timm,
            write=lambda config: write_timm(config, TIMM_ARCHITECTURES),
            processor=timm_processor(HALF),
        ),
        Layout(
            library="torchvision",
            architectures=TORCHVISION_ARCHITECTURES,
            names=_torchvision_names,
            read=_torchvision_read,
            write=_write_torchvision,
            processor=_TORCHVISION_PROCESSOR,
        ),
        Layout(
            library="torchvision 0.12",
            architectures=TORCHVISION_ARCHITECTURES,
            names=_older_torchvision_names,
            read=_torchvision_read,
            write=_write_torchvision,
            processor=_TORCHVISION_PROCESSOR,
        ),
        Layout(
            library="transformers",
            architectures={"vit": {}},
            names=_transformers_classifier_names,
            read=read_transformers,
            write=lambda config: write_transformers(config, "vit", "ViTForImageClassification"),
            processor=_squash,
        ),
    ),
)
