"""Preprocessing as timm and transformers write it, to and from the fields of `PixelTransform`."""

import math
from typing import Any

from PIL import Image

from cvhub.convert.family import Fields
from cvhub.models.pixels import PixelTransform

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def from_timm(pretrained: Fields, default: Fields) -> Fields:
    """From timm's `pretrained_cfg`; what it leaves out is `default`'s."""
    if "input_size" not in pretrained:
        return default
    _, height, width = pretrained["input_size"]
    ratio = pretrained.get("crop_pct") or 0.875
    size = {"height": math.floor(height / ratio), "width": math.floor(width / ratio)}
    if pretrained.get("crop_mode", "center") == "center" and height == width:
        size = {"shortest_edge": size["height"]}
    return {
        "size": size,
        "crop_size": {"height": height, "width": width},
        "resample": FILTERS.get(pretrained.get("interpolation", "bicubic"), Image.Resampling.BICUBIC),
        "image_mean": list(pretrained.get("mean", default["image_mean"])),
        "image_std": list(pretrained.get("std", default["image_std"])),
    }


def from_open_clip(preprocess: Fields, default: Fields) -> Fields:
    """From `preprocess_cfg` of an open_clip_config.json, at the default's size."""
    fields = default | {"resample": FILTERS[preprocess.get("interpolation", "bicubic")]}
    fields |= {f"image_{name}": list(preprocess[name]) for name in ("mean", "std") if name in preprocess}
    if preprocess.get("resize_mode", "shortest") == "squash":
        fields |= {"size": fields["crop_size"]}
    return fields


def to_timm(transform: PixelTransform) -> Fields:
    """The part of timm's `pretrained_cfg` that says how to preprocess."""
    crop = transform.crop_size
    resized = transform.size.get("shortest_edge", transform.size.get("height", crop["height"]))
    return {
        "input_size": [len(transform.image_mean), crop["height"], crop["width"]],
        "interpolation": next(name for name, number in FILTERS.items() if number == transform.resample),
        "crop_pct": _ratio(crop["height"], resized),
        "crop_mode": "center" if "shortest_edge" in transform.size else "squash",
        "mean": list(transform.image_mean),
        "std": list(transform.image_std),
    }


def _ratio(crop: int, resized: int) -> float:
    """The share for which timm's ⌊crop / share⌋ is `resized`, despite floating point."""
    ratio = crop / resized
    return ratio if math.floor(crop / ratio) == resized else crop / (resized + 0.5)


def from_transformers(config: Fields, default: Fields) -> Fields:
    """From a `preprocessor_config.json` of transformers; what it leaves out is `default`'s."""
    fields = default | {key: config[key] for key in default if config.get(key) is not None}
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    size = config.get("size", default["size"])
    if kind.startswith("ConvNext"):
        return fields | _convnext_sizes(size, config.get("crop_pct") or 224 / 256)
    size = _sides(size, "height" if kind.startswith(("ViT", "DeiT")) else "shortest_edge")
    crop = _sides(config["crop_size"], "height") if config.get("crop_size") else None
    fields |= {"size": size, "do_center_crop": config.get("do_center_crop", crop is not None)}
    if crop is None:
        side = size.get("shortest_edge")
        crop = {"height": side, "width": side} if side else {"height": size["height"], "width": size["width"]}
    switches = ("do_resize", "do_rescale", "do_normalize", "rescale_factor")
    return fields | {"crop_size": crop} | {key: config[key] for key in switches if config.get(key) is not None}


def _convnext_sizes(size: Any, ratio: float) -> Fields:
    """ConvNextImageProcessor, which ResNet's checkpoints use: below 384 px resize and crop, from there on squash."""
    side = _sides(size, "shortest_edge").get("shortest_edge", 224)
    square = {"height": side, "width": side}
    if side < 384:
        return {"size": {"shortest_edge": int(side / ratio)}, "crop_size": square}
    return {"size": square, "crop_size": square, "do_center_crop": False}


def _sides(size: Any, single: str) -> dict[str, int]:
    """A size as transformers has written it over the years: a number, a pair or a mapping."""
    if isinstance(size, dict):
        return {side: length for side, length in size.items() if length is not None}
    if isinstance(size, (list, tuple)):
        return {"height": size[0], "width": size[1]}
    return {"height": size, "width": size} if single == "height" else {single: size}


def to_transformers(transform: PixelTransform) -> Fields:
    """A `preprocessor_config.json` that a processor of transformers reads; BitImageProcessor resizes, then crops."""
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": transform.do_resize,
        "size": dict(transform.size),
        "resample": int(transform.resample),
        "do_center_crop": transform.do_center_crop,
        "crop_size": dict(transform.crop_size),
        "do_rescale": transform.do_rescale,
        "rescale_factor": transform.rescale_factor,
        "do_normalize": transform.do_normalize,
        "image_mean": list(transform.image_mean),
        "image_std": list(transform.image_std),
    }
