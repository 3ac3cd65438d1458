"""ResNet's checkpoints in timm, torchvision and transformers."""

from collections.abc import Iterator

from PIL import Image

from cvhub.convert.family import (
    IMAGENET,
    Family,
    Fields,
    Layout,
    NoForeignForm,
    Shapes,
    imagenet_224,
    require,
    write_architecture,
)
from cvhub.convert.timm_arguments import AVERAGE, OUTPUT_STRIDE, must_be, timm_reader
from cvhub.models.resnet import EXPANSION, VARIANTS, CvResNetConfig

TORCHVISION = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
)  # fmt: skip
# Rows of timm's that neither paper nor torchvision has.
TIMM_ONLY = {
    "resnet26": ("bottleneck", (2, 2, 2, 2), 1, 64),
    "resnet200": ("bottleneck", (3, 24, 36, 3), 1, 64),
    "resnext101_32x16d": ("bottleneck", (3, 4, 23, 3), 32, 16),
    "resnext101_32x32d": ("bottleneck", (3, 4, 23, 3), 32, 32),
}


def _fields(row: tuple[str, tuple[int, ...], int, int]) -> Fields:
    block, depths, groups, width_per_group = row
    stride: Fields = {"stride_in_1x1": False} if block == "bottleneck" else {}
    return dict(block=block, depths=depths, groups=groups, width_per_group=width_per_group) | stride


TIMM_ARCHITECTURES = {name: _fields(row) for name, row in (VARIANTS | TIMM_ONLY).items()}
TORCHVISION_ARCHITECTURES = {name: TIMM_ARCHITECTURES[name] for name in TORCHVISION}


def _blocks(config: CvResNetConfig) -> Iterator[tuple[int, int, range]]:
    """Stage, block and the numbers of its convolutions, from 1."""
    convolutions = range(1, 3 if config.block == "basic" else 4)
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            yield stage, block, convolutions


def torchvision_names(config: CvResNetConfig) -> Iterator[tuple[str, str]]:
    yield "resnet.stem.conv", "conv1"
    yield "resnet.stem.norm", "bn1"
    for stage, block, convolutions in _blocks(config):
        ours, theirs = f"resnet.stages.{stage}.{block}", f"layer{stage + 1}.{block}"
        for i in convolutions:
            yield f"{ours}.conv{i}.conv", f"{theirs}.conv{i}"
            yield f"{ours}.conv{i}.norm", f"{theirs}.bn{i}"
        yield f"{ours}.shortcut.conv", f"{theirs}.downsample.0"
        yield f"{ours}.shortcut.norm", f"{theirs}.downsample.1"
    yield "classifier", "fc"


def _transformers_names(config: CvResNetConfig) -> Iterator[tuple[str, str]]:
    parts = (("conv", "convolution"), ("norm", "normalization"))
    for our_part, their_part in parts:
        yield f"resnet.stem.{our_part}", f"resnet.embedder.embedder.{their_part}"
    for stage, block, convolutions in _blocks(config):
        ours, theirs = f"resnet.stages.{stage}.{block}", f"resnet.encoder.stages.{stage}.layers.{block}"
        for our_part, their_part in parts:
            for i in convolutions:
                yield f"{ours}.conv{i}.{our_part}", f"{theirs}.layer.{i - 1}.{their_part}"
            yield f"{ours}.shortcut.{our_part}", f"{theirs}.shortcut.{their_part}"
    yield "classifier", "classifier.1"


_read_timm = timm_reader(
    "ResNet",
    {
        "output_stride": OUTPUT_STRIDE,
        "global_pool": AVERAGE,
        "act_layer": must_be("relu"),
        "stem_type": must_be(""),
        "replace_stem_pool": must_be(False),
        "block_reduce_first": must_be(1),
        "down_kernel_size": must_be(1),
        "avg_down": must_be(False),
    },
    told=("cardinality", "base_width", "stem_width", "channels"),
)


def _read_transformers(config: Fields) -> Fields:
    if config.get("hidden_act", "relu") != "relu":
        raise NoForeignForm("cvhub's ResNet", "hidden_act", config["hidden_act"])
    block = config.get("layer_type", "bottleneck")
    sizes = config.get("hidden_sizes", [256, 512, 1024, 2048])
    return {
        "block": block,
        "depths": config.get("depths", [3, 4, 6, 3]),
        "widths": [size // EXPANSION[block] for size in sizes],
        "stride_in_1x1": config.get("downsample_in_bottleneck", False),
        "first_stage_stride": 2 if config.get("downsample_in_first_stage", False) else 1,
    }


def _require_plain(config: CvResNetConfig, library: str) -> None:
    require(config, library, stem="imagenet", shortcut="B", output_stride=32)


def _write_named(config: CvResNetConfig, library: str, architectures: dict[str, Fields]) -> Fields:
    """The library's name for a net of the paper's widths."""
    _require_plain(config, library)
    require(config, library, stem_width=64, widths=(64, 128, 256, 512), first_stage_stride=1)
    if config.block == "bottleneck":
        require(config, library, stride_in_1x1=False)
    return write_architecture(config, library, architectures)


def _write_transformers(config: CvResNetConfig) -> Fields:
    _require_plain(config, "transformers")
    require(config, "transformers", groups=1, width_per_group=64)
    return {
        "model_type": "resnet",
        "architectures": ["ResNetForImageClassification"],
        "num_channels": config.num_channels,
        "embedding_size": config.stem_width,
        "hidden_sizes": config.stage_channels[1:],
        "depths": list(config.depths),
        "layer_type": config.block,
        "hidden_act": "relu",
        "downsample_in_first_stage": config.first_stage_stride == 2,
        "downsample_in_bottleneck": config.stride_in_1x1,
    }


def _sizes(config: CvResNetConfig, shapes: Shapes) -> Fields:
    """Channels, widths and groups from our tensors' shapes."""
    stem_width, num_channels = shapes["resnet.stem.conv.weight"][:2]
    last = "conv2" if config.block == "basic" else "conv3"
    widths = [
        shapes[f"resnet.stages.{stage}.0.{last}.conv.weight"][0] // EXPANSION[config.block]
        for stage in range(len(config.depths))
    ]
    fields = {
        "num_channels": num_channels,
        "stem_width": stem_width,
        "widths": widths,
    }
    if config.block == "bottleneck":
        middle, middle_of_a_group = shapes["resnet.stages.0.0.conv2.conv.weight"][:2]
        groups = middle // middle_of_a_group
        fields |= {"groups": groups, "width_per_group": middle * 64 // (widths[0] * groups)}
    return fields


_TORCHVISION_PROCESSOR = imagenet_224(Image.Resampling.BILINEAR, **IMAGENET)

FAMILY = Family(
    name="resnet",
    prefix="CvResNet",
    sizes=_sizes,
    layouts=(
        Layout(
            library="torchvision",
            architectures=TORCHVISION_ARCHITECTURES,
            names=torchvision_names,
            write=lambda config: _write_named(config, "torchvision", TORCHVISION_ARCHITECTURES),
            processor=_TORCHVISION_PROCESSOR,
        ),
        Layout(
            library="timm",
            architectures=TIMM_ARCHITECTURES,
            names=torchvision_names,
            read=_read_timm,
            write=lambda config: _write_named(config, "timm", TIMM_ARCHITECTURES),
            processor=imagenet_224(Image.Resampling.BICUBIC, **IMAGENET),
        ),
        Layout(
            library="transformers",
            architectures={"resnet": {}},
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=_TORCHVISION_PROCESSOR,
        ),
    ),
)
