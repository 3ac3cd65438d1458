"""The net of a recipe, and how it wants its pictures: new, or one that was trained before under a new head."""

import dataclasses
import importlib
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch

from cvhub.convert.importing import make_config
from cvhub.convert.named import DERIVED
from cvhub.convert.processor import FILTERS
from cvhub.convert.words import load_tokenizer
from cvhub.errors import CvhubError
from cvhub.json_file import read_json
from cvhub.load import load_model, load_processor, resolve
from cvhub.models import FAMILIES
from cvhub.models.backbone import CvBackboneMixin
from cvhub.models.base import family_classes
from cvhub.models.blip import CvBlipConfig
from cvhub.models.blip_pretraining import CvBlipForPreTraining
from cvhub.models.pixels import PixelTransform
from cvhub.training.recipe import Model, Picture, Recipe
from cvhub.training.vocabulary import make_tokenizer, token_fields

# The Auto class of a family's whole net.
WHOLE = (
    "AutoModelForImageClassification",
    "AutoModelForSemanticSegmentation",
    "AutoModelForUniversalSegmentation",
    "AutoModelForZeroShotImageClassification",
)
# More classes than any field may name.
MANY = 1000


def build_net(model: Model, labels: Sequence[str], seed: int, taught: bool = False) -> Any:
    """A classifier or a segmenter of these classes, in float32; `taught` means that a teacher trains it too.

    One that was trained before keeps its head too where its classes are the same by name; else the head starts anew.
    """
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    torch.manual_seed(seed)
    if not model.from_:
        net = whole_net(model.family)(make_family_config(model, taught, **names))
        if model.backbone_from:
            start_backbone(net, model.backbone_from)
        return net
    before = load_model(model.from_)
    same_head = [before.config.id2label[index] for index in range(before.config.num_labels)] == list(labels)
    fields = before.config.to_dict() | names
    fields |= told_of_teacher(type(before.config), taught) | _checked(model.config, type(before.config))
    net = type(before)(make_config(type(before.config), fields))
    source, target = (before, net) if same_head else (before.base_model, net.base_model)
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CvhubError(f"model.config doesn't fit the weights of {model.from_}: {reason}"[:300]) from None
    return net


def build_reading_net(model: Model, tokenizer: Any, seed: int) -> Any:
    """A net of pictures and texts, in float32, that reads what `tokenizer` makes; one trained before goes on."""
    torch.manual_seed(seed)
    if model.from_:
        return load_model(model.from_)
    config_class = _classes(model.family)["AutoConfig"]
    text = dict(model.config.get("text_config", {}))
    known = config_class.sub_configs["text_config"]().to_dict()
    told = {name: value for name, value in token_fields(tokenizer).items() if name in known}
    fields = dataclasses.replace(model, config={**model.config, "text_config": text | told})
    config = make_family_config(fields)
    net = CvBlipForPreTraining(config) if isinstance(config, CvBlipConfig) else whole_net(model.family)(config)
    if model.backbone_from:
        start_backbone(net, model.backbone_from)
    return net


def make_words(recipe: Recipe, texts: Sequence[str]) -> Any:
    """The tokenizer of a net that reads: of the texts, or that of the net which goes on being trained."""
    model = recipe.model
    if model.from_:
        return load_tokenizer(resolve(model.from_))
    config = make_family_config(model)
    most = config.text_config.max_position_embeddings
    return make_tokenizer(type(config).words, texts, recipe.words.vocabulary, most)


def whole_net(family: str) -> Any:
    """The family's class that answers, with all heads."""
    classes = _classes(family)
    return next(classes[auto] for auto in WHOLE if auto in classes)


def start_backbone(net: Any, model: str) -> None:
    """Gives a segmenter's backbone, or an image tower, the weights of a trained net, which may end in more layers."""
    tower = getattr(net, "vision_model", None)
    backbone: Any = tower or next(module for module in net.modules() if isinstance(module, CvBackboneMixin))
    trained = load_model(model)
    source = getattr(trained, "vision_model", trained.base_model)
    found = backbone.load_state_dict(source.state_dict(), strict=False)
    if found.missing_keys:
        raise CvhubError(f"model.backbone_from is {model!r}, which lacks {', '.join(found.missing_keys[:3])}.")


def make_family_config(model: Model, taught: bool = False, **more: Any) -> Any:
    """The config that `[model]` describes; `more` are fields that a recipe doesn't set."""
    config_class = _classes(model.family)["AutoConfig"]
    fields = told_of_teacher(config_class, taught) | _checked(model.config, config_class) | more
    if model.backbone_from:
        before = read_json(resolve(model.backbone_from) / "config.json")
        before = before.get("vision_config", before)
        own = {name: value for name, value in before.items() if name not in DERIVED}
        field = backbone_field(config_class)
        fields[field] = own | fields.get(field, {})
    if not model.variant:
        return make_config(config_class, fields)
    variants = getattr(importlib.import_module(f"cvhub.models.{model.family}"), "VARIANTS", None)
    if variants is None:
        raise CvhubError(f"model.variant is {model.variant!r}, but {model.family} has none; model.config sets fields.")
    if model.variant not in variants:
        known = ", ".join(variants)
        raise CvhubError(f"model.variant is {model.variant!r}, expected one of {known}."[:300])
    return make_config(config_class, fields, model.variant)


def backbone_field(config_class: Any) -> str:
    """Where a config has that of its backbone, or of its image tower."""
    return "vision_config" if "vision_config" in config_class.sub_configs else "backbone"


def check_model(model: Model) -> None:
    """Raises `CvhubError` for what `[model]` can't say, as far as that doesn't depend on the data or other weights."""
    if model.from_:
        if model.config:
            before = read_json(resolve(model.from_) / "config.json")
            _checked(model.config, _classes(before["model_type"].removeprefix("cvhub_"))["AutoConfig"])
    elif model.backbone_from:
        _checked(model.config, _classes(model.family)["AutoConfig"])
    else:
        make_family_config(model, num_labels=MANY)


def told_of_teacher(config_class: Any, taught: bool) -> dict[str, Any]:
    """What a config with a head for a teacher says: in a run that has labels only, they train all that answers."""
    return {"teacher": taught} if "teacher" in config_class().to_dict() else {}


def picture_transform(recipe: Recipe) -> PixelTransform:
    """How a picture becomes the net's numbers at inference."""
    picture, model = recipe.picture, recipe.model
    given: dict[str, Any] = {
        key: list(values) for key, values in (("image_mean", picture.mean), ("image_std", picture.std)) if values
    }
    if picture.resample:
        if picture.resample not in FILTERS:
            raise CvhubError(f"picture.resample is {picture.resample!r}, expected one of {', '.join(FILTERS)}.")
        given["resample"] = int(FILTERS[picture.resample])
    if model.from_:
        start = load_processor(model.from_)
        num_channels = len(start.image_mean)
    elif picture.size:
        num_channels = _num_channels(model)
        start = PixelTransform.default({"image_size": picture.size, "num_channels": num_channels})
        start = dataclasses.replace(start, size={"shortest_edge": picture.size})
    else:
        raise CvhubError("picture.size is 0, expected the pixels a side that the net is trained for.")
    if any(len(values) != num_channels for values in (picture.mean, picture.std) if values):
        raise CvhubError(f"picture.mean and picture.std need {num_channels} values each, one for each channel.")
    if recipe.data.target:
        return dataclasses.replace(start, **given, do_resize=False, do_center_crop=False)
    return dataclasses.replace(start, **given, **_sizes(picture, start))


def _num_channels(model: Model) -> int:
    """What a net of `[model]` sees, before its classes are known: other fields may speak of them.

    U-Net takes a backbone with `padding` only.
    """
    names = ("num_channels", "backbone", "padding", "vision_config")
    fields = {name: value for name, value in model.config.items() if name in names}
    return make_family_config(dataclasses.replace(model, config=fields)).num_channels


def _sizes(picture: Picture, start: PixelTransform) -> dict[str, Any]:
    side = picture.size or min(start.crop_size.values())
    if not picture.size and not picture.crop:
        return {"crop_size": dict(start.crop_size), "do_center_crop": True}
    crop = picture.crop or min(start.crop_size.values()) / min(start.size.values())
    return {
        "size": {"shortest_edge": math.floor(side / crop)},
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
    }


def _checked(fields: Mapping[str, Any], config_class: Any) -> dict[str, Any]:
    known = config_class().to_dict()
    for name in fields:
        if name not in known:
            near = get_close_matches(name, known, 3)
            hint = f": did you mean {' or '.join(near)}?" if near else "."
            raise CvhubError(f"{config_class.__name__} has no field {name!r}{hint}")
    return dict(fields)


def _classes(family: str) -> dict[str, Any]:
    """Auto class → the family's class."""
    if family not in FAMILIES:
        raise CvhubError(f"model.family is {family!r}, expected one of {', '.join(FAMILIES)}.")
    module = importlib.import_module(f"cvhub.models.{family}")
    return {auto: cls for cls in family_classes(module.__name__) for auto in getattr(cls, "auto_classes", ())}
