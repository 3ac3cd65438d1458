"""MobileNetV1's checkpoints in timm and transformers."""

from collections.abc import Iterator

from PIL import Image

from cvhub.convert.family import (
    HALF,
    Family,
    Fields,
    Layout,
    NoForeignForm,
    Shapes,
    block_names,
    imagenet_224,
    require,
    write_architecture,
)
from cvhub.convert.timm_arguments import AVERAGE, OUTPUT_STRIDE, PADDING, choice, into, must_be, timm_reader
from cvhub.models.layers import ACTIVATIONS
from cvhub.models.mobilenet_v1 import MOBILENET_V1_ROWS, CvMobileNetV1Config

# timm's `mobilenetv1_100h` has a further 1×1 convolution, which is not this paper's.
TIMM_ARCHITECTURES = {
    "mobilenetv1_100": {"width_multiplier": 1.0, "activation": "relu6"},
    "mobilenetv1_125": {"width_multiplier": 1.25, "activation": "relu6"},
}
Names = Iterator[tuple[str, str]]


def _timm_names(config: CvMobileNetV1Config) -> Names:
    yield "mobilenet_v1.stem.conv", "conv_stem"
    yield "mobilenet_v1.stem.norm", "bn1"
    theirs = [f"blocks.{row}.{i}" for row, (_, n, _) in enumerate(config.rows) for i in range(n)]
    for ours, block in zip(block_names(config), theirs, strict=True):
        for i, (part, convolution) in enumerate((("depthwise", "conv_dw"), ("pointwise", "conv_pw")), start=1):
            yield f"{ours}.{part}.conv", f"{block}.{convolution}"
            yield f"{ours}.{part}.norm", f"{block}.bn{i}"
    yield "classifier", "classifier"


def _transformers_names(config: CvMobileNetV1Config) -> Names:
    """Its `layer` counts convolutions: those of a block have the numbers 2i and 2i + 1."""
    modules = [("mobilenet_v1.stem", "mobilenet_v1.conv_stem")]
    for i, ours in enumerate(block_names(config)):
        modules.append((f"{ours}.depthwise", f"mobilenet_v1.layer.{2 * i}"))
        modules.append((f"{ours}.pointwise", f"mobilenet_v1.layer.{2 * i + 1}"))
    for ours, theirs in modules:
        yield f"{ours}.conv", f"{theirs}.convolution"
        yield f"{ours}.norm", f"{theirs}.normalization"
    yield "classifier", "classifier"


_read_timm = timm_reader(
    "MobileNetV1",
    {
        "output_stride": OUTPUT_STRIDE,
        "global_pool": AVERAGE,
        "pad_type": PADDING,
        "bn_eps": into("batch_norm_eps"),
        "act_layer": choice("activation", {name: name for name in ACTIVATIONS}),
        "fix_stem_head": must_be(False),
        "head_conv": must_be(False),
    },
)


def _read_transformers(config: Fields) -> Fields:
    activation = config.get("hidden_act", "relu6")
    if activation not in ACTIVATIONS:
        raise NoForeignForm("cvhub's MobileNetV1", "hidden_act", activation)
    return {
        "width_multiplier": config.get("depth_multiplier", 1.0),
        "min_channels": config.get("min_depth", 8),
        "activation": activation,
        "padding": "same" if config.get("tf_padding", True) else "symmetric",
        "batch_norm_eps": config.get("layer_norm_eps", 1e-3),
        "dropout": config.get("classifier_dropout_prob", 0.999),
    }


def _write_timm(config: CvMobileNetV1Config) -> Fields:
    plain = {"stem_channels": 32, "padding": "symmetric", "batch_norm_eps": 1e-5, "output_stride": 32}
    require(config, "timm", rows=MOBILENET_V1_ROWS, **plain)
    if config.stem_width != int(32 * config.width_multiplier):  # the narrowest layer
        raise NoForeignForm("timm", "min_channels", config.min_channels)
    return write_architecture(config, "timm", TIMM_ARCHITECTURES)


def _write_transformers(config: CvMobileNetV1Config) -> Fields:
    require(config, "transformers", rows=MOBILENET_V1_ROWS, stem_channels=32, output_stride=32)
    return {
        "model_type": "mobilenet_v1",
        "architectures": ["MobileNetV1ForImageClassification"],
        "num_channels": config.num_channels,
        "depth_multiplier": config.width_multiplier,
        "min_depth": config.min_channels,
        "hidden_act": config.activation,
        "tf_padding": config.padding == "same",
        "layer_norm_eps": config.batch_norm_eps,
        "classifier_dropout_prob": config.dropout,
    }


def _sizes(config: CvMobileNetV1Config, shapes: Shapes) -> Fields:
    """Channels from our tensors' shapes; where α explains them it stays, else the rows spell them out."""
    stem_width, num_channels = shapes["mobilenet_v1.stem.conv.weight"][:2]
    fields: Fields = {"num_channels": num_channels}
    widths = [shapes[f"{block}.pointwise.conv.weight"][0] for block in block_names(config)]
    blocks = [block for stage in config.stages for block in stage]
    if [stem_width, *widths] == [config.stem_width, *(block.out_channels for block in blocks)]:
        return fields
    rows = [(width, 1, block.stride) for width, block in zip(widths, blocks, strict=True)]
    return fields | {"rows": rows, "width_multiplier": 1.0, "min_channels": 1, "stem_channels": stem_width}


FAMILY = Family(
    name="mobilenet_v1",
    prefix="CvMobileNetV1",
    sizes=_sizes,
    layouts=(
        Layout(
            library="timm",
            architectures=TIMM_ARCHITECTURES,
            names=_timm_names,
            read=_read_timm,
            write=_write_timm,
            processor=imagenet_224(Image.Resampling.BICUBIC, **HALF),
        ),
        Layout(
            library="transformers",
            architectures={"mobilenet_v1": {}},
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=imagenet_224(Image.Resampling.BILINEAR, **HALF),
        ),
    ),
)
