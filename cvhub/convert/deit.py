"""DeiT's checkpoints in timm and transformers: ViT's (vit.py), with the distillation token and its head."""

from PIL import Image

from cvhub.convert.family import IMAGENET, Family, Fields, Layout, NoForeignForm, imagenet_224
from cvhub.convert.vit import (
    Names,
    read_timm,
    read_transformers,
    row,
    sizes_of,
    timm_names,
    timm_processor,
    transformers_names,
    write_timm,
    write_transformers,
)
from cvhub.models.deit import CvDeiTConfig

SIZES = (("tiny", 224), ("small", 224), ("base", 224), ("base", 384))
TIMM_ARCHITECTURES = {
    f"deit_{variant}{infix}_patch16_{side}": row(variant, 16, side, distillation=distillation)
    for infix, distillation in (("", "none"), ("_distilled", "head"))
    for variant, side in SIZES
}
# transformers' class of those that have the token. Without it the net is its ViT.
TRANSFORMERS_CLASSES = {"head": "DeiTForImageClassificationWithTeacher", "token": "DeiTForImageClassification"}


def _timm_names(config: CvDeiTConfig) -> Names:
    yield from timm_names(config, "deit")
    yield "classifier", "head"
    if config.distillation != "none":
        yield "deit.embeddings.distillation_token", "dist_token"
        yield "distillation_classifier", "head_dist"


def _transformers_names(config: CvDeiTConfig) -> Names:
    yield from transformers_names(config, "deit")
    yield "deit.embeddings.distillation_token", "deit.embeddings.distillation_token"
    if config.distillation == "head":
        yield "classifier", "cls_classifier"
        yield "distillation_classifier", "distillation_classifier"
    else:
        yield "classifier", "classifier"


def _read_transformers(config: Fields) -> Fields:
    """Only the class's name tells whether the distillation token is classified."""
    with_teacher = TRANSFORMERS_CLASSES["head"] in (config.get("architectures") or [])
    return read_transformers(config) | {"distillation": "head" if with_teacher else "token"}


def _write_timm(config: CvDeiTConfig) -> Fields:
    if config.distillation == "token":
        raise NoForeignForm("timm", "distillation", config.distillation)
    architectures = {
        name: fields for name, fields in TIMM_ARCHITECTURES.items() if fields["distillation"] == config.distillation
    }
    return write_timm(config, architectures)


def _write_transformers(config: CvDeiTConfig) -> Fields:
    if config.distillation not in TRANSFORMERS_CLASSES:
        raise NoForeignForm("transformers' DeiT", "distillation", config.distillation)
    return write_transformers(config, "deit", TRANSFORMERS_CLASSES[config.distillation])


FAMILY = Family(
    name="deit",
    prefix="CvDeiT",
    sizes=sizes_of("deit"),
    layouts=(
        Layout(
            library="timm",
            architectures=TIMM_ARCHITECTURES,
            names=_timm_names,
            read=read_timm,
            write=_write_timm,
            processor=timm_processor(IMAGENET),
        ),
        Layout(
            library="transformers",
            architectures={"deit": {}},
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=imagenet_224(Image.Resampling.BICUBIC, **IMAGENET),
        ),
    ),
)
