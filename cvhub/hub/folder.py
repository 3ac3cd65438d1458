"""A complete folder of ours: what it holds, what of it travels, and the code that it brings along."""

import importlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from cvhub.errors import CvhubError
from cvhub.hub.download import PICKLES
from cvhub.json_file import read_json, shards_of
from cvhub.models import FAMILIES

# transformers' Trainer leaves its settings beside the weights it saves; they are of no use to others.
TRAINER_SETTINGS = "training_args.bin"


def check_folder(folder: Path) -> str:
    """The family of a complete folder of ours, whose weights are whole; raises `CvhubError` about any other."""
    if not folder.is_dir():
        raise CvhubError(f"There is no folder {folder}.")
    for file in sorted(folder.iterdir()):
        if file.suffix in PICKLES and file.name != TRAINER_SETTINGS:
            raise CvhubError(f"{file.name} in {folder} is a pickle, which could run code: only safetensors are pushed.")
    for name in ("config.json", "preprocessor_config.json"):
        _check_there(folder / name)
    config = read_json(folder / "config.json")
    if "text_config" in config:
        _check_there(folder / "tokenizer.json")
    model_type = str(config.get("model_type"))
    family = model_type.removeprefix("cvhub_")
    if family == model_type or family not in FAMILIES:
        raise CvhubError(
            f"{folder} holds a model of type {model_type!r}, not one of cvhub: `cvhub convert` makes it one."
        )
    _check_weights(folder)
    return family


def _check_weights(folder: Path) -> None:
    """There is every safetensors file that the index, if any, names, and each is whole."""
    index = folder / "model.safetensors.index.json"
    for name in shards_of(index) if index.is_file() else ["model.safetensors"]:
        _check_there(folder / name)
        try:
            with safe_open(folder / name, framework="numpy"):
                pass
        except SafetensorError:
            raise CvhubError(f"{name} in {folder} is not a whole safetensors file.") from None


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise CvhubError(f"{file.parent} has no {file.name}, so it is not a complete model of cvhub.")


def travels(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name != TRAINER_SETTINGS


def add_code(folder: Path, made: Path, family: str) -> dict[str, Path]:
    """Into `made`: the folder's two configs, pointing at the code that they need, and that code."""
    from cvhub.models.base import family_auto_map

    config_class = _config_class(folder, family)
    file, processor = config_class.processor
    processor_class = getattr(importlib.import_module(f"cvhub.models.{file}"), processor)
    parts = {
        "config.json": (config_class, family_auto_map(config_class.__module__)),
        "preprocessor_config.json": (processor_class, {"AutoImageProcessor": f"{file}.{processor}"}),
    }
    for name, (cls, auto_map) in parts.items():
        try:
            cls.from_pretrained(folder).save_pretrained(made)  # copies the code
        except Exception as error:  # transformers wraps a field's error in its own classes
            raise CvhubError(f"{name} in {folder}: {str(error).splitlines()[-1].strip()}"[:300]) from None
        config = read_json(folder / name) | {"auto_map": auto_map}
        (made / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return {file.name: file for file in made.iterdir()}


def _config_class(folder: Path, family: str) -> Any:
    """The family's config class; raises `CvhubError` when the folder's weights are not of classes of the family."""
    from cvhub.models.base import family_classes

    classes: list[Any] = family_classes(importlib.import_module(f"cvhub.models.{family}").__name__)
    saved = read_json(folder / "config.json").get("architectures")
    names = saved if isinstance(saved, list) else []  # several of heads that were trained together
    if not names or any(name not in [cls.__name__ for cls in classes] for name in names):
        raise CvhubError(f"architectures in config.json of {folder} is {saved!r}, expected a class of {family}.py.")
    return next(cls for cls in classes if "AutoConfig" in cls.auto_classes)
