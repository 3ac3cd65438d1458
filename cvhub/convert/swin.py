"""Swin's checkpoints in timm, torchvision and transformers.

All three merge patches in the authors' order. They differ in their names, in whether a merging ends a stage or begins
one, and in how they shift windows on a map that these don't divide or that one of them covers along one axis: fields of
our config, which are set as a source's library computes. Written back, a net computes as the library does it.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import isqrt, prod
from typing import Any

from PIL import Image
from torch import Tensor

from cvhub.convert.family import (
    IMAGENET,
    Family,
    Fields,
    Layout,
    NoForeignForm,
    Shapes,
    differing,
    require,
    resize_then_crop,
)
from cvhub.convert.renaming import Part
from cvhub.convert.timm_arguments import AVERAGE, each, into, must_be, timm_reader
from cvhub.models.swin import CvSwinConfig
from cvhub.models.swin_windows import relative_positions

Names = Iterator[tuple[Part, Part]]

TIMM = {
    "swin_tiny_patch4_window7_224": "swin_tiny",
    "swin_small_patch4_window7_224": "swin_small",
    "swin_base_patch4_window7_224": "swin_base",
    "swin_base_patch4_window12_384": "swin_base_384",
    "swin_large_patch4_window7_224": "swin_large",
    "swin_large_patch4_window12_384": "swin_large_384",
}
TORCHVISION = {"swin_t": "swin_tiny", "swin_s": "swin_small", "swin_b": "swin_base"}
# Shorter side before the crop of 224, by which torchvision evaluates each net.
TORCHVISION_RESIZED = {"swin_t": 232, "swin_s": 246, "swin_b": 238}


def _architectures(names: dict[str, str], *more: str, **rest: Any) -> dict[str, Fields]:
    """What makes up each net, `more` fields of its variant, and the `rest`, which is the library's."""
    fields = ("embed_dim", "depths", "num_heads", "window_size", *more)
    variants = {theirs: CvSwinConfig.variant(ours) for theirs, ours in names.items()}
    return {theirs: {field: getattr(variant, field) for field in fields} | rest for theirs, variant in variants.items()}


# Stages, and blocks of each, that names are known for: more than any net has, since tensors tell how many theirs has.
MOST_STAGES, MOST_BLOCKS = 8, 64


def _blocks() -> Iterator[tuple[int, int]]:
    """Stage and block."""
    yield from product(range(MOST_STAGES), range(MOST_BLOCKS))


def _mergings() -> Iterator[tuple[str, int]]:
    """Our name, and the stage that it begins."""
    for stage in range(1, MOST_STAGES):
        yield f"swin.stages.{stage}.merging", stage


def _timm_names(config: CvSwinConfig) -> Names:
    yield "swin.patch_embedding.projection", "patch_embed.proj"
    yield "swin.patch_norm", "patch_embed.norm"
    for ours, stage in _mergings():
        yield f"{ours}.norm", f"layers.{stage}.downsample.norm"
        yield f"{ours}.reduction", f"layers.{stage}.downsample.reduction"
    for stage, block in _blocks():
        yield from _attention_names(f"swin.stages.{stage}.blocks.{block}", f"layers.{stage}.blocks.{block}")
        for layer in ("fc1", "fc2"):
            yield f"swin.stages.{stage}.blocks.{block}.mlp.{layer}", f"layers.{stage}.blocks.{block}.mlp.{layer}"
    yield "swin.norm", "norm"
    yield "classifier", "head.fc"


def _torchvision_names(config: CvSwinConfig) -> Names:
    """Patch embedding, stages and mergings are numbered through."""
    yield "swin.patch_embedding.projection", "features.0.0"
    yield "swin.patch_norm", "features.0.2"
    for ours, stage in _mergings():
        yield f"{ours}.norm", f"features.{2 * stage}.norm"
        yield f"{ours}.reduction", f"features.{2 * stage}.reduction"
    for stage, block in _blocks():
        ours, theirs = f"swin.stages.{stage}.blocks.{block}", f"features.{2 * stage + 1}.{block}"
        yield from _attention_names(ours, theirs)
        yield f"{ours}.mlp.fc1", f"{theirs}.mlp.0"
        yield f"{ours}.mlp.fc2", f"{theirs}.mlp.3"
    yield "swin.norm", "norm"
    yield "classifier", "head"


def _attention_names(ours: str, theirs: str) -> Names:
    """What timm and torchvision call alike."""
    yield f"{ours}.norm1", f"{theirs}.norm1"
    yield f"{ours}.attention.qkv", f"{theirs}.attn.qkv"
    yield f"{ours}.attention.proj", f"{theirs}.attn.proj"
    yield f"{ours}.attention.relative_position_bias", f"{theirs}.attn.relative_position_bias_table"
    yield f"{ours}.norm2", f"{theirs}.norm2"


def _transformers_names(config: CvSwinConfig) -> Names:
    yield "swin.patch_embedding.projection", "swin.embeddings.patch_embeddings.projection"
    yield "swin.patch_norm", "swin.embeddings.norm"
    for ours, stage in _mergings():
        yield f"{ours}.norm", f"swin.encoder.layers.{stage - 1}.downsample.norm"
        yield f"{ours}.reduction", f"swin.encoder.layers.{stage - 1}.downsample.reduction"
    for stage, block in _blocks():
        ours, theirs = f"swin.stages.{stage}.blocks.{block}", f"swin.encoder.layers.{stage}.blocks.{block}"
        attention = f"{theirs}.attention.self"
        yield f"{ours}.norm1", f"{theirs}.layernorm_before"
        yield f"{ours}.attention.qkv", (f"{attention}.query", f"{attention}.key", f"{attention}.value")
        yield f"{ours}.attention.proj", f"{theirs}.attention.output.dense"
        yield f"{ours}.attention.relative_position_bias", f"{attention}.relative_position_bias_table"
        yield f"{ours}.norm2", f"{theirs}.layernorm_after"
        yield f"{ours}.mlp.fc1", f"{theirs}.intermediate.dense"
        yield f"{ours}.mlp.fc2", f"{theirs}.output.dense"
    yield "swin.norm", "swin.layernorm"
    yield "classifier", "classifier"


_read_timm = timm_reader(
    "Swin",
    {
        **{name: into(name) for name in ("embed_dim", "mlp_ratio", "window_size", "patch_size")},
        **{name: each(name) for name in ("depths", "num_heads")},
        "global_pool": AVERAGE,
        "always_partition": must_be(False),
        "qkv_bias": must_be(True),
        "norm_layer": must_be("layernorm"),
    },
    told=("img_size", "strict_img_size", "dynamic_img_size"),  # ours takes any size
)


def _read_transformers(config: Fields) -> Fields:
    fixed = (("hidden_act", "gelu"), ("use_absolute_embeddings", False), ("qkv_bias", True), ("layer_norm_eps", 1e-5))
    for field, only in fixed:
        if config.get(field, only) != only:
            raise NoForeignForm("cvhub's Swin", field, config[field])
    return {
        "depths": config.get("depths", [2, 2, 6, 2]),
        "num_heads": config.get("num_heads", [3, 6, 12, 24]),
        "embed_dim": config.get("embed_dim", 96),
        "mlp_ratio": config.get("mlp_ratio", 4.0),
        "drop_path_rate": config.get("drop_path_rate", 0.1),
        "dropout": config.get("hidden_dropout_prob", 0.0),
        "attention_dropout": config.get("attention_probs_dropout_prob", 0.0),
        "initializer_range": config.get("initializer_range", 0.02),
        "shift_axes_apart": False,
    }


def _closest(config: CvSwinConfig, architectures: dict[str, Fields]) -> tuple[str, list[str]]:
    """The most similar net's name, and the fields in which ours differs from it."""
    differences = {name: differing(config, fields) for name, fields in architectures.items()}
    closest = min(differences, key=lambda name: len(differences[name]))
    return closest, differences[closest]


def _write_timm(config: CvSwinConfig) -> Fields:
    """The most similar net's name, and the arguments in which ours differs from it.

    timm cuts windows down to the maps of the size that a net is made for: those must be as large.
    """
    closest, different = _closest(config, _architectures(TIMM, "patch_size", "mlp_ratio"))
    arguments = {field: getattr(config, field) for field in different}
    if {"window_size", "patch_size", "depths"} & set(different):
        arguments["img_size"] = config.window_size * prod(config.stage_strides)
    return {"architecture": closest, "model_args": arguments} if arguments else {"architecture": closest}


def _write_torchvision(config: CvSwinConfig) -> Fields:
    """The most similar net's name, and the arguments of torchvision's SwinTransformer: it takes any widths."""
    require(config, "torchvision", num_channels=3)
    return {
        "architecture": _closest(config, _architectures(TORCHVISION))[0],
        "patch_size": [config.patch_size] * 2,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": [config.window_size] * 2,
        "mlp_ratio": config.mlp_ratio,
    }


def _write_transformers(config: CvSwinConfig) -> Fields:
    """`image_size` is the one at which a window covers the last map, as it was for all the authors' nets."""
    stride = prod(config.stage_strides)
    return {
        "model_type": "swin",
        "architectures": ["SwinForImageClassification"],
        "image_size": config.window_size * stride,
        "patch_size": config.patch_size,
        "num_channels": config.num_channels,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": config.window_size,
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": True,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "drop_path_rate": config.drop_path_rate,
        "hidden_act": "gelu",
        "use_absolute_embeddings": False,
        "initializer_range": config.initializer_range,
        "layer_norm_eps": 1e-5,
        "encoder_stride": stride,
    }


def _sizes(config: CvSwinConfig, shapes: Shapes) -> Fields:
    """Channels, blocks, heads, windows and the MLPs' widths from our tensors' shapes."""
    embed_dim, num_channels, patch_size, _ = shapes["swin.patch_embedding.projection.weight"]
    blocks = Counter(int(name.split(".")[2]) for name in shapes if name.endswith(".relative_position_bias"))
    first = [f"swin.stages.{stage}.blocks.0" for stage in range(len(blocks))]
    tables = [shapes[f"{block}.attention.relative_position_bias"] for block in first]
    return {
        "num_channels": num_channels,
        "patch_size": patch_size,
        "embed_dim": embed_dim,
        "depths": [blocks[stage] for stage in range(len(blocks))],
        "num_heads": [heads for _, heads in tables],
        "window_size": (isqrt(tables[0][0]) + 1) // 2,  # the table has (2M − 1)² rows
        "mlp_ratio": _mlp_ratio(config.mlp_ratio, [shapes[f"{block}.mlp.fc1.weight"] for block in first]),
    }


def _mlp_ratio(expected: float, widths: list[tuple[int, ...]]) -> float:
    """α from an MLP's (hidden width, C) of each stage: the expected one where it gives them all, which are rounded."""
    if all(int(channels * expected) == hidden for hidden, channels in widths):
        return expected
    hidden, channels = widths[-1]  # the widest, and so the least rounded
    return hidden / channels


def _position_indices(config: CvSwinConfig) -> dict[str, Tensor]:
    """Which row of the bias table belongs to which pair of positions: torchvision's files say so in every block."""
    index = relative_positions(config.window_size).flatten()
    return {
        f"features.{2 * stage + 1}.{block}.attn.relative_position_index": index.clone()
        for stage, depth in enumerate(config.depths)
        for block in range(depth)
    }


def _timm_processor(architecture: str) -> Fields:
    side = int(architecture.rpartition("_")[2])
    resized = side if side == 384 else int(side / 0.9)
    return resize_then_crop(resized, side, Image.Resampling.BICUBIC, **IMAGENET)


def _torchvision_processor(architecture: str) -> Fields:
    return resize_then_crop(TORCHVISION_RESIZED[architecture], 224, Image.Resampling.BICUBIC, **IMAGENET)


def _transformers_processor(architecture: str) -> Fields:
    """The whole picture, whatever its shape, becomes a square."""
    square = {"height": 224, "width": 224}
    fields = {"size": square, "crop_size": square, "do_center_crop": False, "resample": Image.Resampling.BICUBIC}
    return fields | IMAGENET


FAMILY = Family(
    name="swin",
    prefix="CvSwin",
    sizes=_sizes,
    layouts=(
        Layout(
            library="timm",
            architectures=_architectures(TIMM, "drop_path_rate", fill_before_shift=False),
            names=_timm_names,
            read=_read_timm,
            write=_write_timm,
            processor=_timm_processor,
            leftovers=("relative_position_index", "attn_mask"),
        ),
        Layout(
            library="torchvision",
            architectures=_architectures(TORCHVISION, "drop_path_rate"),
            names=_torchvision_names,
            write=_write_torchvision,
            processor=_torchvision_processor,
            constants=_position_indices,
        ),
        Layout(
            library="transformers",
            architectures={"swin": {}},
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=_transformers_processor,
            leftovers=("relative_position_index",),
        ),
    ),
)
