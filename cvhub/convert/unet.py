"""U-Net's checkpoints in segmentation_models_pytorch."""

from collections.abc import Iterator

from cvhub.convert import smp
from cvhub.convert.family import Family, Fields, Layout, Shapes
from cvhub.models.unet import CvUNetConfig


def _names(config: CvUNetConfig) -> Iterator[tuple[str, str]]:
    yield from smp.backbone_names(config.backbone, "unet.encoder", "encoder.")
    for i in range(len(config.decoder_widths)):
        for j in (1, 2):
            yield from smp.conv_names([(f"unet.decoder.{i}.convs.conv{j}", f"decoder.blocks.{i}.conv{j}")])
    yield "classifier", "segmentation_head.0"


def _read(config: Fields) -> Fields:
    smp.check(config, decoder_interpolation=("nearest", "bilinear"))
    return {
        "num_channels": config.get("in_channels", 3),
        "backbone": smp.encoder(config),
        "decoder_widths": list(config.get("decoder_channels", (256, 128, 64, 32, 16))),
        "upsampling": config.get("decoder_interpolation", "nearest"),
    }


def _sizes(config: CvUNetConfig, shapes: Shapes) -> Fields:
    return smp.head_sizes(shapes)


FAMILY = Family(
    name="unet",
    prefix="CvUNet",
    suffix="ForSemanticSegmentation",
    sizes=_sizes,
    layouts=(
        Layout(
            library="smp",
            architectures={"Unet": {"padding": True, "batch_norm": True, "head_kernel_size": 3, "dropout": 0.0}},
            names=_names,
            read=_read,
            write=smp.unwritten("smp"),
            processor=smp.own_size,
        ),
    ),
)
