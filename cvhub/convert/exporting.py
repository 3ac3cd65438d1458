"""A folder of ours written back in another library's layout."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cvhub.cache import write_file, write_folder, writing
from cvhub.convert import processor as processors
from cvhub.convert.checkpoint import read_weights
from cvhub.convert.family import Fields
from cvhub.convert.importing import families
from cvhub.convert.renaming import Part, rename
from cvhub.convert.words import load_tokenizer, name_processor
from cvhub.errors import CvhubError
from cvhub.json_file import read_json
from cvhub.models.pixels import PixelTransform

LIBRARIES = ("timm", "torchvision", "transformers")

Names = list[tuple[Part, Part]]
Tensors = dict[str, Tensor]


def export_checkpoint(source: Path, dest: Path, library: str) -> None:
    """Writes `source`, a folder of ours, to `dest` in the layout of another library, or nothing at all.

    `library` is "timm", "torchvision" or "transformers". `dest` becomes a folder; for torchvision a name that ends in
    .pth or .safetensors becomes that file. Raises `NoForeignForm` with the field's name where the library has no such
    net.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise CvhubError(f"{dest} exists and is not an empty folder.")
    config = _load_config(source)
    family = next(family for family in families() if f"cvhub_{family.name}" == config.model_type)
    layout = next((layout for layout in family.layouts if layout.library == library), None)
    if layout is None:
        known = [layout.library for layout in family.layouts if layout.library in LIBRARIES]
        raise CvhubError(f"{library!r} is no layout of {family.name}; expected one of {', '.join(known)}.")
    foreign = layout.write(config)
    names = list(layout.names(config))
    weights = read_weights(source)
    if family.tokenizer is None and not any(name.startswith("classifier.") for name in weights):
        raise CvhubError(f"{source.name} holds a net without a classifier: only classifiers are written for {library}.")
    weights = {name: tensor for name, tensor in weights.items() if name not in layout.lacking(config)}
    tensors, homeless = rename(weights, names)
    if homeless:
        raise CvhubError(f"{library} has no place for {', '.join(homeless[:3])}.")
    tensors = {name: tensor.contiguous() for name, tensor in (tensors | layout.constants(config)).items()}
    if library == "torchvision" and dest.suffix in (".pth", ".safetensors"):
        return _write_file(tensors, dest)
    transform = PixelTransform.from_folder(source)
    describe = {"timm": _describe_timm, "torchvision": _describe_torchvision, "transformers": _describe_transformers}

    def build(folder: Path) -> None:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for name, content in describe[library](config, foreign, transform, names, tensors).items():
            (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if config.words:
            load_tokenizer(source).save_pretrained(folder)
            name_processor(folder, config)

    with writing(dest):
        write_folder(dest, build)


def _write_file(tensors: Tensors, dest: Path) -> None:
    """One file, in one step."""

    def write(partial: Path) -> None:
        if dest.suffix == ".pth":
            torch.save(tensors, partial)
        else:
            save_file(tensors, partial, metadata={"format": "pt"})

    with writing(dest):
        write_file(dest, write)


def _describe_timm(
    config: Any, foreign: Fields, transform: PixelTransform, names: Names, tensors: Tensors
) -> dict[str, Fields]:
    """config.json as `timm.create_model("local-dir:…")` and timm's Hub repos have it."""
    # Those beside the net itself: an auxiliary head belongs to it.
    heads = [str(theirs) for ours, theirs in names if str(ours) in ("classifier", "distillation_classifier")]
    pretrained = processors.to_timm(transform) | {
        "num_classes": config.num_labels,
        "first_conv": names[0][1],
        "classifier": heads[0] if len(heads) == 1 else heads,
    }
    described = {
        "num_classes": config.num_labels,
        "num_features": tensors[f"{heads[0]}.weight"].shape[1],
        "global_pool": "avg",
        "pretrained_cfg": pretrained,
        "label_names": _labels(config),
    } | foreign
    if config.num_channels != 3:
        described["model_args"] = {"in_chans": config.num_channels} | foreign.get("model_args", {})
    return {"config.json": described}


def _describe_torchvision(
    config: Any, foreign: Fields, transform: PixelTransform, names: Names, tensors: Tensors
) -> dict[str, Fields]:
    """torchvision's checkpoints are bare state dicts: the name to give to `--arch` stands in a file beside them."""
    return {"torchvision.json": foreign | {"num_classes": config.num_labels, "categories": _labels(config)}}


def _describe_transformers(
    config: Any, foreign: Fields, transform: PixelTransform, names: Names, tensors: Tensors
) -> dict[str, Fields]:
    described = foreign | {"dtype": "float32"}
    if not config.words:  # its classes are named when it is asked
        labels = _labels(config)
        described["id2label"] = {str(index): label for index, label in enumerate(labels)}
        described["label2id"] = {label: index for index, label in enumerate(labels)}
    return {"config.json": described, "preprocessor_config.json": processors.to_transformers(transform)}


def _labels(config: Any) -> list[str]:
    return [config.id2label[index] for index in range(config.num_labels)]


def _load_config(source: Path) -> Any:
    from transformers import AutoConfig

    model_type = str(read_json(source / "config.json").get("model_type", ""))
    if not model_type.startswith("cvhub_"):
        raise CvhubError(f"{source} is not a folder of cvhub's: its model_type is {model_type!r}.")
    return AutoConfig.from_pretrained(source)
