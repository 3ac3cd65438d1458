"""VGG's checkpoints in timm and torchvision.

Both number the layers of the convolutional part alike. timm writes the linear layers as convolutions, of 7×7 and 1×1
cells; ours and torchvision's are the same numbers, flat.
"""

from collections.abc import Callable, Iterator

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
from cvhub.convert.renaming import Part, Reshaped
from cvhub.convert.timm_arguments import AVERAGE, must_be, timm_reader
from cvhub.models.vgg import VARIANTS, CvVggConfig

Names = Iterator[tuple[Part, Part]]

ARCHITECTURES: dict[str, Fields] = {
    name: dict(kernel_sizes=kernel_sizes, batch_norm=batch_norm)
    for name, (kernel_sizes, batch_norm) in VARIANTS.items()
    if "1x1" not in name  # of the paper's nets the one that no library has
}


def _features(config: CvVggConfig) -> Iterator[tuple[str, str]]:
    """Convolutions and norms; activations and poolings have numbers too."""
    place = 0
    for stage, kernel_sizes in enumerate(config.kernel_sizes):
        for layer in range(len(kernel_sizes)):
            parts = ("conv", "norm") if config.batch_norm else ("conv",)
            for i, part in enumerate(parts):
                yield f"vgg.stages.{stage}.layers.{layer}.{part}", f"features.{place + i}"
            place += len(parts) + 1
        place += 1


def _torchvision_names(config: CvVggConfig) -> Names:
    yield from _features(config)
    yield "vgg.fc6", "classifier.0"
    yield "vgg.fc7", "classifier.3"
    yield "classifier", "classifier.6"


def _timm_names(config: CvVggConfig) -> Names:
    yield from _features(config)
    for ours, theirs, cells in (("vgg.fc6", "pre_logits.fc1", config.pooled_size), ("vgg.fc7", "pre_logits.fc2", 1)):
        yield Reshaped(f"{ours}.weight", (-1,)), Reshaped(f"{theirs}.weight", (-1, cells, cells))
        yield f"{ours}.bias", f"{theirs}.bias"
    yield "classifier", "head.fc"


def _write(library: str, dense: bool) -> Callable[[CvVggConfig], Fields]:
    """Of the widths timm lets one choose, that of fc6 as a share of fc7's."""

    def write(config: CvVggConfig) -> Fields:
        require(config, library, widths=(64, 128, 256, 512, 512), pooled_size=7, dense=dense, output_stride=32)
        fields = write_architecture(config, library, ARCHITECTURES)
        fc6, fc7 = config.hidden_sizes
        if (fc6, fc7) == (4096, 4096):
            return fields
        if library == "timm" and fc7 == 4096:
            return fields | {"model_args": {"mlp_ratio": fc6 / fc7}}
        raise NoForeignForm(library, "hidden_sizes", config.hidden_sizes)

    return write


def _write_timm(config: CvVggConfig) -> Fields:
    return _write("timm", dense=True)(config) | {"num_features": config.widths[-1]}


_read_timm = timm_reader(
    "VGG",
    {"output_stride": must_be(32), "global_pool": AVERAGE, "act_layer": must_be("relu")},
    told=("mlp_ratio",),
)


def _sizes(config: CvVggConfig, shapes: Shapes) -> Fields:
    """Channels and widths from our tensors' shapes."""
    stages = range(len(config.kernel_sizes))
    return {
        "num_channels": shapes["vgg.stages.0.layers.0.conv.weight"][1],
        "widths": [shapes[f"vgg.stages.{stage}.layers.0.conv.weight"][0] for stage in stages],
        "hidden_sizes": [shapes[f"vgg.{layer}.weight"][0] for layer in ("fc6", "fc7")],
    }


_PROCESSOR = imagenet_224(Image.Resampling.BILINEAR, **IMAGENET)

FAMILY = Family(
    name="vgg",
    prefix="CvVgg",
    sizes=_sizes,
    layouts=(
        Layout(
            library="torchvision",
            architectures=ARCHITECTURES,
            names=_torchvision_names,
            read=lambda config: {"dense": False},
            write=_write("torchvision", dense=False),
            processor=_PROCESSOR,
        ),
        Layout(
            library="timm",
            architectures=ARCHITECTURES,
            names=_timm_names,
            read=lambda config: _read_timm(config) | {"dense": True},
            write=_write_timm,
            processor=_PROCESSOR,
        ),
    ),
)
