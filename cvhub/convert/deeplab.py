"""DeepLabV3's and V3+'s checkpoints in torchvision, transformers and segmentation_models_pytorch."""

from collections.abc import Iterator
from typing import Any

from PIL import Image

from cvhub.convert import mobilenet_v2, resnet, smp
from cvhub.convert.family import HALF, IMAGENET, Family, Fields, Layout, Shapes, require, write_architecture
from cvhub.convert.renaming import Swapped
from cvhub.models.deeplab import CvDeepLabConfig
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config
from cvhub.models.resnet import CvResNetConfig

Names = Iterator[tuple[str, str]]


def _torchvision_fields(name: str) -> Fields:
    """Stride 8, and so twice the rates of stride 16; an auxiliary head on the third stage."""
    return {
        "backbone": CvResNetConfig(**resnet.TORCHVISION_ARCHITECTURES[name], output_stride=8),
        "atrous_rates": (12, 24, 36),
        "auxiliary_features": ("stage3",),
        "auxiliary_weights": (0.5,),
    }


BACKBONES = ("resnet50", "resnet101")
TORCHVISION_ARCHITECTURES = {f"deeplabv3_{name}": _torchvision_fields(name) for name in BACKBONES}
SMP_ARCHITECTURES: dict[str, Fields] = {
    "DeepLabV3": {"align_corners": True},
    "DeepLabV3Plus": {
        "low_level_feature": "stage1", "decoder_depth": 1, "separable": True, "align_corners": True
    },
}  # fmt: skip


def _aspp_names(config: CvDeepLabConfig, theirs: str) -> Names:
    """torchvision's ASPP, which segmentation_models_pytorch took over."""
    yield from smp.conv_names([("deeplab.aspp.branches.0", f"{theirs}.convs.0")])
    for i in range(1, len(config.atrous_rates) + 1):
        yield from _conv_names(f"deeplab.aspp.branches.{i}", f"{theirs}.convs.{i}", "1", config.aspp_separable)
    pooling = len(config.atrous_rates) + 1
    yield f"deeplab.aspp.branches.{pooling}.project.conv", f"{theirs}.convs.{pooling}.1"
    yield f"deeplab.aspp.branches.{pooling}.project.norm", f"{theirs}.convs.{pooling}.2"
    yield from smp.conv_names([("deeplab.aspp.project", f"{theirs}.project")])


def _conv_names(ours: str, theirs: str, norm: str, separable: bool) -> Names:
    """A convolution in a Sequential of theirs, where it has the number 0, a separable one two parts."""
    if separable:
        yield f"{ours}.depthwise", f"{theirs}.0.0"
        yield f"{ours}.pointwise.conv", f"{theirs}.0.1"
        yield f"{ours}.pointwise.norm", f"{theirs}.{norm}"
    else:
        yield from smp.conv_names([(ours, theirs)])


def _torchvision_names(config: CvDeepLabConfig) -> Names:
    yield from smp.backbone_names(config.backbone, "deeplab.backbone", "backbone.")
    yield from _aspp_names(config, "classifier.0")
    yield "deeplab.conv.conv", "classifier.1"
    yield "deeplab.conv.norm", "classifier.2"
    yield "classifier", "classifier.4"
    yield from smp.conv_names([("auxiliary.0.0", "aux_classifier")])
    yield "auxiliary.0.2", "aux_classifier.4"


def _smp_names(config: CvDeepLabConfig) -> Names:
    yield from smp.backbone_names(config.backbone, "deeplab.backbone", "encoder.")
    if config.low_level_feature is None:
        yield from _aspp_names(config, "decoder.aspp")
        yield "deeplab.conv.conv", "decoder.conv"
        yield "deeplab.conv.norm", "decoder.bn"
    else:
        yield from _aspp_names(config, "decoder.aspp.0")
        yield "deeplab.conv.depthwise", "decoder.aspp.1.0"
        yield "deeplab.conv.pointwise.conv", "decoder.aspp.1.1"
        yield "deeplab.conv.pointwise.norm", "decoder.aspp.2"
        yield from smp.conv_names([("deeplab.decoder.project", "decoder.block1")])
        yield from _conv_names("deeplab.decoder.convs.0", "decoder.block2", "1", separable=True)
    yield "classifier", "segmentation_head.0"


def _read_smp(config: Fields) -> Fields:
    smp.check(config, upsampling=(4, None))
    plus = config["_model_class"] == "DeepLabV3Plus"
    stride = config.get("encoder_output_stride", 16 if plus else 8)
    return {
        "num_channels": config.get("in_channels", 3),
        "backbone": smp.encoder(config, stride),
        "aspp_channels": config.get("decoder_channels", 256),
        "atrous_rates": list(config.get("decoder_atrous_rates", (12, 24, 36))),
        "aspp_separable": config.get("decoder_aspp_separable", plus),
        "dropout": config.get("decoder_aspp_dropout", 0.5),
    }


def _transformers_names(config: CvDeepLabConfig) -> Iterator[tuple[Any, str]]:
    head, parts = "segmentation_head", {"branches.0": "conv_aspp", "branches.1.project": "conv_pool"}
    for ours, theirs in smp.below(mobilenet_v2.transformers_names(config.backbone), "deeplab.backbone", ""):
        if not ours.startswith("deeplab.backbone.head"):
            yield ours, theirs
    for ours, theirs in parts.items():
        yield f"deeplab.aspp.{ours}.conv", f"{head}.{theirs}.convolution"
        yield f"deeplab.aspp.{ours}.norm", f"{head}.{theirs}.normalization"
    yield "deeplab.aspp.project.norm", f"{head}.conv_projection.normalization"
    # They concatenate the picture's mean first.
    yield Swapped("deeplab.aspp.project.conv.weight"), f"{head}.conv_projection.convolution.weight"
    yield "classifier", f"{head}.classifier.convolution"


def _read_transformers(config: Fields) -> Fields:
    num_channels = config.get("num_channels", 3)
    backbone: Fields = mobilenet_v2.read_transformers(config) | {"head_channels": 0, "num_channels": num_channels}
    return {
        "num_channels": num_channels,
        "backbone": CvMobileNetV2Config(**backbone),
        "dropout": config.get("classifier_dropout_prob", 0.8),
        "ignore_index": config.get("semantic_loss_ignore_index", 255),
    }


def _sizes(config: CvDeepLabConfig, shapes: Shapes) -> Fields:
    """One logit tells two classes apart; a source without an auxiliary head has none."""
    heads: Fields = {} if "auxiliary.0.2.weight" in shapes else {"auxiliary_features": (), "auxiliary_weights": ()}
    num_channels = shapes["deeplab.backbone.stem.conv.weight"][1]
    if num_channels != config.num_channels:
        fields = config.backbone.to_dict() | {"num_channels": num_channels}
        heads |= {"num_channels": num_channels, "backbone": fields}
    return heads | smp.head_sizes(shapes)


def _write_torchvision(config: CvDeepLabConfig) -> Fields:
    backbones = {name: resnet.TORCHVISION_ARCHITECTURES[name] | {"output_stride": 8} for name in BACKBONES}
    found = write_architecture(config.backbone, "torchvision", backbones)
    expected: Fields = dict(atrous_rates=(12, 24, 36), aspp_channels=256, aspp_separable=False, aspp_conv=True)
    expected |= dict(low_level_feature=None, separable=False, align_corners=False, batch_norm_eps=1e-5, upsample=True)
    heads = ("stage3",) if config.auxiliary_features else ()
    require(config, "torchvision", **expected, auxiliary_features=heads)
    return {"architecture": f"deeplabv3_{found['architecture']}"}


def _voc_processor(architecture: str) -> Fields:
    """torchvision's evaluation: a shorter side of 520 pixels."""
    square = {"height": 520, "width": 520}
    return {
        "size": {"shortest_edge": 520},
        "crop_size": square,
        "resample": Image.Resampling.BILINEAR,
        "do_resize": True,
        "do_center_crop": False,
        **IMAGENET,
    }


def _mobile_processor(architecture: str) -> Fields:
    """google/deeplabv3_mobilenet_v2_1.0_513's."""
    return _voc_processor(architecture) | {"size": {"height": 513, "width": 513}} | HALF


FAMILY = Family(
    name="deeplab",
    prefix="CvDeepLab",
    suffix="ForSemanticSegmentation",
    sizes=_sizes,
    layouts=(
        Layout(
            library="torchvision",
            architectures=TORCHVISION_ARCHITECTURES,
            names=_torchvision_names,
            write=_write_torchvision,
            processor=_voc_processor,
        ),
        Layout(
            library="transformers",
            architectures={
                "MobileNetV2ForSemanticSegmentation": {"atrous_rates": (), "aspp_conv": False, "upsample": False}
            },
            names=_transformers_names,
            read=_read_transformers,
            write=smp.unwritten("transformers"),
            processor=_mobile_processor,
            unused=("mobilenet_v2.conv_1x1.",),
        ),
        Layout(
            library="smp",
            architectures=SMP_ARCHITECTURES,
            names=_smp_names,
            read=_read_smp,
            write=smp.unwritten("smp"),
            processor=smp.own_size,
        ),
    ),
)
