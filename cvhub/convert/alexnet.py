"""AlexNet's checkpoints in torchvision. timm and transformers have no AlexNet."""

from collections.abc import Iterator

from PIL import Image

from cvhub.convert.family import IMAGENET, Family, Fields, Layout, Shapes, imagenet_224, require, write_architecture
from cvhub.models.alexnet import VARIANTS, CvAlexNetConfig

WIDTHS, GROUPS, RESPONSE_NORM = VARIANTS["alexnet_owt"]
ARCHITECTURES: dict[str, Fields] = {"alexnet": dict(widths=WIDTHS, groups=GROUPS, response_norm=RESPONSE_NORM)}


def _names(config: CvAlexNetConfig) -> Iterator[tuple[str, str]]:
    for i, place in enumerate((0, 3, 6, 8, 10), start=1):  # activations and poolings have numbers too
        yield f"alexnet.conv{i}.conv", f"features.{place}"
    yield "alexnet.fc6", "classifier.1"
    yield "alexnet.fc7", "classifier.4"
    yield "classifier", "classifier.6"


def _write(config: CvAlexNetConfig) -> Fields:
    require(config, "torchvision", activation="relu", pooling="overlapping", first_stride=4, output_stride=32)
    require(config, "torchvision", pooled_size=6, hidden_sizes=(4096, 4096))
    return write_architecture(config, "torchvision", ARCHITECTURES)


def _sizes(config: CvAlexNetConfig, shapes: Shapes) -> Fields:
    """Channels and widths from our tensors' shapes."""
    return {
        "num_channels": shapes["alexnet.conv1.conv.weight"][1],
        "widths": [shapes[f"alexnet.conv{i}.conv.weight"][0] for i in range(1, 6)],
        "hidden_sizes": [shapes[f"alexnet.{layer}.weight"][0] for layer in ("fc6", "fc7")],
    }


FAMILY = Family(
    name="alexnet",
    prefix="CvAlexNet",
    sizes=_sizes,
    layouts=(
        Layout(
            library="torchvision",
            architectures=ARCHITECTURES,
            names=_names,
            write=_write,
            processor=imagenet_224(Image.Resampling.BILINEAR, **IMAGENET),
        ),
    ),
)
