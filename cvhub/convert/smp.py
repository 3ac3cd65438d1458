"""What the nets of segmentation_models_pytorch share: their config, and encoders that are torchvision's nets."""

from collections.abc import Iterable, Iterator
from typing import Any

from cvhub.convert import mobilenet_v2, resnet
from cvhub.convert.family import IMAGENET, Fields, NoForeignForm, Shapes
from cvhub.models.backbone import CvConvNetConfig
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config
from cvhub.models.resnet import CvResNetConfig

Names = Iterator[tuple[str, str]]

# What a net of theirs may say otherwise, and ours can't; dilated first blocks are their way to an output stride.
ONLY = {
    "encoder_depth": (5,),
    "decoder_use_norm": ("batchnorm", True),
    "decoder_attention_type": (None,),
    "activation": (None, "identity"),
    "aux_params": (None,),
}


def check(config: Fields, **only: tuple[Any, ...]) -> None:
    """Raises `NoForeignForm` where their config asks for what our net hasn't."""
    for field, allowed in (ONLY | only).items():
        if config.get(field, allowed[0]) not in allowed:
            raise NoForeignForm("cvhub", field, config[field])


def encoder(config: Fields, output_stride: int = 32) -> CvConvNetConfig:
    """Our backbone for their `encoder_name`."""
    name = str(config.get("encoder_name", "resnet34"))
    shared: Fields = {
        "num_channels": config.get("in_channels", 3), "output_stride": output_stride, "dilate_first_block": True
    }  # fmt: skip
    if name == "mobilenet_v2":
        return CvMobileNetV2Config(**shared)
    if name not in resnet.TIMM_ARCHITECTURES:
        raise NoForeignForm("cvhub", "encoder_name", name)
    return CvResNetConfig(**resnet.TIMM_ARCHITECTURES[name], **shared)


def backbone_names(backbone: Any, ours: str, theirs: str) -> Names:
    """Pairs of names of a backbone in torchvision's layout, ours below `ours`, theirs below `theirs`."""
    family = resnet if backbone.model_type == CvResNetConfig.model_type else mobilenet_v2
    return below(family.torchvision_names(backbone), ours, theirs)


def below(names: Iterable[tuple[str, str]], ours: str, theirs: str) -> Names:
    """A classifier's pairs of names without its classifier: our family's name becomes `ours`, `theirs` stands first."""
    for our_name, their_name in names:
        family, _, rest = our_name.partition(".")
        if family != "classifier":
            yield f"{ours}.{rest}", f"{theirs}{their_name}"


def conv_names(pairs: Iterable[tuple[str, str]]) -> Names:
    """Of a convolution and its normalisation, which their Sequentials number 0 and 1."""
    for ours, theirs in pairs:
        yield f"{ours}.conv", f"{theirs}.0"
        yield f"{ours}.norm", f"{theirs}.1"


def head_sizes(shapes: Shapes) -> Fields:
    """The classes that the last convolution tells; one logit tells two apart."""
    return {"num_labels": 2, "single_logit": True} if shapes["classifier.weight"][0] == 1 else {}


def own_size(architecture: str) -> Fields:
    """Pictures as they are, normalised by ImageNet's mean and deviation."""
    return {"do_resize": False, "do_center_crop": False} | IMAGENET


def unwritten(library: str) -> Any:
    """`write` of a layout that is read only."""

    def write(config: Any) -> Fields:
        raise NoForeignForm(library, "model_type", config.model_type)

    return write
