"""GoogLeNet's checkpoints in torchvision; neither timm nor transformers has the net."""

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
)
from cvhub.models.googlenet import VARIANTS, CvGoogLeNetConfig

# The official weights came from TensorFlow, whose pixels they want. No tensor tells.
TORCHVISION_ARCHITECTURES = {"googlenet": VARIANTS["googlenet_bn"] | {"transform_input": True}}
AUXILIARY = ("4a", "4d")
# What torchvision's class has no argument for.
FIXED = (
    "rows", "stem_channels", "stem_kernel", "stem_stride", "pools", "third_kernel", "normalization", "batch_norm_eps",
    "auxiliary_channels", "auxiliary_features", "num_channels", "output_stride",
)  # fmt: skip


def _convolutions(config: CvGoogLeNetConfig) -> Iterator[tuple[str, str]]:
    yield "googlenet.stem", "conv1"
    yield "googlenet.conv2.0", "conv2"
    yield "googlenet.conv2.1", "conv3"
    for name, *_ in config.rows:
        ours, theirs = f"googlenet.inception.{name}", f"inception{name}"
        yield f"{ours}.branch1x1", f"{theirs}.branch1"
        for i in (0, 1):
            yield f"{ours}.branch3x3.{i}", f"{theirs}.branch2.{i}"
            yield f"{ours}.branch5x5.{i}", f"{theirs}.branch3.{i}"
        yield f"{ours}.branch_pool.1", f"{theirs}.branch4.1"
    for i, name in enumerate(AUXILIARY, start=1):
        yield f"auxiliary.{name}.conv", f"aux{i}.conv"


def _names(config: CvGoogLeNetConfig) -> Iterator[tuple[str, str]]:
    for ours, theirs in _convolutions(config):
        yield f"{ours}.conv", f"{theirs}.conv"
        yield f"{ours}.norm", f"{theirs}.bn"
    for i, name in enumerate(AUXILIARY, start=1):
        yield f"auxiliary.{name}.hidden", f"aux{i}.fc1"
        yield f"auxiliary.{name}.classifier", f"aux{i}.fc2"
    yield "classifier", "fc"


def _write(config: CvGoogLeNetConfig) -> Fields:
    """`transform_input` and `aux_logits` are arguments of torchvision's class."""
    only = CvGoogLeNetConfig.variant("googlenet_bn")
    require(config, "torchvision", **{field: getattr(only, field) for field in FIXED})
    if tuple(config.auxiliary_after) not in ((), AUXILIARY):
        raise NoForeignForm("torchvision", "auxiliary_after", config.auxiliary_after)
    return {
        "architecture": "googlenet",
        "transform_input": config.transform_input,
        "aux_logits": bool(config.auxiliary_after),
    }


def _sizes(config: CvGoogLeNetConfig, shapes: Shapes) -> Fields:
    """Channels, the third branch's kernel and whether there are auxiliary classifiers from tensors' shapes."""
    return {
        "num_channels": shapes["googlenet.stem.conv.weight"][1],
        "third_kernel": shapes["googlenet.inception.3a.branch5x5.1.conv.weight"][-1],
        "auxiliary_after": AUXILIARY if any(name.startswith("auxiliary.") for name in shapes) else (),
    }


FAMILY = Family(
    name="googlenet",
    prefix="CvGoogLeNet",
    sizes=_sizes,
    layouts=(
        Layout(
            library="torchvision",
            architectures=TORCHVISION_ARCHITECTURES,
            names=_names,
            write=_write,
            processor=imagenet_224(Image.Resampling.BILINEAR, **IMAGENET),
        ),
    ),
)
