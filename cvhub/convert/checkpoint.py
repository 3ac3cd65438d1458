"""Reads a foreign checkpoint from disk: its tensors, config and preprocessing, and nothing that could run code."""

import pickle
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cvhub.convert.family import Fields
from cvhub.errors import CvhubError
from cvhub.hub.download import PICKLES
from cvhub.json_file import read_json, shards_of

OPEN_CLIP = "open_clip_config.json"
TELLING = ("Segmentation", "ForConditionalGeneration", "ForImageTextRetrieval", "ForQuestionAnswering")
PARALLEL = "module."  # before each name of what DataParallel saved


@dataclass
class Checkpoint:
    """`library` and `architecture` as the source names them; `config` and `processor` are its JSON files' content,
    `folder` where these and a tokenizer are."""

    library: str
    architecture: str
    tensors: dict[str, Tensor]
    config: Fields = field(default_factory=dict)
    processor: Fields | None = None
    folder: Path | None = None


def read_folder(folder: Path) -> Checkpoint:
    """A folder in one of the layouts that `read_description` knows, with its tensors."""
    checkpoint = read_description(folder)
    checkpoint.tensors = read_weights(folder)
    return checkpoint


def read_description(folder: Path) -> Checkpoint:
    """A folder in the layout of timm (`architecture` in config.json), segmentation_models_pytorch (`_model_class`) or
    transformers (`model_type`, or the class where that says more), or of open_clip (open_clip_config.json), but for its
    tensors."""
    config_file = folder / "config.json"
    if not config_file.is_file():
        if (own := folder / OPEN_CLIP).is_file():
            config = read_json(own)
            return Checkpoint("open_clip", "CLIP", {}, config, config.get("preprocess_cfg"), folder)
        raise CvhubError(f"{folder.name} has no config.json, which would name its architecture or model_type.")
    config = read_json(config_file)
    if architecture := config.get("architecture"):
        return Checkpoint("timm", str(architecture), {}, config, config.get("pretrained_cfg", config))
    if architecture := config.get("_model_class"):
        return Checkpoint("smp", str(architecture), {}, config)
    if architecture := telling_class(config) or config.get("model_type"):
        return Checkpoint("transformers", str(architecture), {}, config, read_preprocessing(folder), folder)
    raise CvhubError(
        f"config.json of {folder.name} has neither an architecture (timm) nor a model_type (transformers)."
    )


def read_preprocessing(folder: Path) -> Fields | None:
    """How a folder of transformers' says that pictures are prepared, in a file of its own or in the processor's."""
    for name, part in (("preprocessor_config.json", ""), ("processor_config.json", "image_processor")):
        if (folder / name).is_file():
            fields = read_json(folder / name)
            if fields := (fields.get(part) if part else fields):
                return fields
    return None


def telling_class(config: Fields) -> str | None:
    """transformers' class of a config whose model_type has several ends, and may be a classifier's as well."""
    names = [str(name) for name in config.get("architectures") or []]
    return next((name for name in names if name.endswith(TELLING)), None)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder's safetensors files, one or several with an index."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files: Iterable[Path] = [folder / name for name in shards_of(index)]
    elif (single := folder / "model.safetensors").is_file():
        files = [single]
    else:
        files = sorted(file for file in folder.glob("*.safetensors") if file.is_file())[:1]
    if not files:
        pickles = [file.name for file in folder.iterdir() if file.suffix in PICKLES] if folder.is_dir() else []
        told = ""
        if pickles:
            told = f", only {pickles[0]}, a pickle, which is never loaded from a folder or repo: save it as safetensors"
        raise CvhubError(f"{folder.name} has no safetensors weights{told}.")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_safetensors(file)
    return tensors


def read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise CvhubError(f"There is no file {file}.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CvhubError(f"{file.name} is not a whole safetensors file ({_first_line(error)}).") from None


def read_file(file: Path) -> dict[str, Tensor]:
    """A weights file that a user points at: safetensors, or a pickle of nothing but tensors."""
    if file.suffix == ".safetensors":
        return read_safetensors(file)
    if file.suffix not in PICKLES:
        raise CvhubError(f"{file.name} is neither a .safetensors nor a .pth file.")
    if _is_program(file):
        raise CvhubError(
            f"{file.name} is a TorchScript program, expected its weights: save its state_dict() by torch.save."
        )
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CvhubError(f"{file.name} is damaged or holds more than tensors, which could run code: refused.") from None
    except Exception:  # its unpickler takes for granted what a damaged file doesn't have
        raise CvhubError(f"{file.name} is not a PyTorch checkpoint, or is damaged or cut short.") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CvhubError(f"{file.name} is not a state dict: a mapping of names to tensors was expected.")
    names = [str(name) for name in content]
    if all(name.startswith(PARALLEL) for name in names):
        names = [name.removeprefix(PARALLEL) for name in names]
    return dict(zip(names, content.values(), strict=True))


def _is_program(file: Path) -> bool:
    """Whether torch.jit.save wrote it, whose archives hold code, as OpenAI distributes CLIP: it could run."""
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            parts = [name.partition("/")[2] for name in archive.namelist()]
    except zipfile.BadZipFile:  # damaged, which torch will say
        return False
    return "constants.pkl" in parts and any(part.startswith("code/") for part in parts)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120] or type(error).__name__
