"""What a MODEL is, as far as that is known without its weights: its files, config and card, and their layout."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvhub.catalog import CHECKPOINTS, TASKS, Entry, find_entry
from cvhub.errors import CvhubError
from cvhub.load import resolve, tasks_of
from cvhub.models import FAMILIES

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo


@dataclass(frozen=True)
class Look:
    """What is known of a model.

    - `library`: whose layout it has: `cvhub`, `timm`, `smp`, `transformers`, `open_clip`; "" where nobody's.
    - `architecture`: as that library names it, of ours the family; `problem`: why it can't be loaded here, a sentence.
    - `tasks`: what it does, as the catalogue calls it; [] of features, or where that isn't known.
    - `files`: name → bytes; `config`: that of the architecture, {} where there is none; `card`: README.md, Markdown.
    - `repo`: its Hub id, "" of what is no repo; `gated`: whether one has to ask its owner for it.
    """

    model: str
    library: str
    architecture: str
    tasks: tuple[str, ...]
    files: dict[str, int]
    config: dict[str, Any]
    card: str
    parameters: int | None = None
    repo: str = ""
    gated: bool = False
    problem: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    @property
    def is_own(self) -> bool:
        return self.library == "cvhub"


def look(model: str) -> Look:
    """At a name of the catalogue, or a Hub id whose small files are fetched; `CvhubError` says why there is nothing."""
    entry = find_entry(model)
    if entry is None:
        return look_on_hub(model)
    if entry.source == "hub":
        return look_on_hub(entry.location, entry)
    return look_into(CHECKPOINTS / entry.location if entry.source == "bundled" else resolve(model), model, entry)


def look_into(folder: Path, model: str, entry: Entry | None = None) -> Look:
    """At a folder on this machine, which `model` names."""
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    files = {name: size for name, size in files.items() if not name.startswith(".")}
    weights = [folder / name for name in files if name.endswith(".safetensors")]
    counted = entry.parameters if entry else sum(map(count_numbers, weights))
    return Look(model, *recognise(folder), files, config_of(folder), card_of(folder), counted)


def look_on_hub(repo_id: str, entry: Entry | None = None) -> Look:
    """At a repo of the Hub, whose weights are not fetched."""
    from cvhub.hub.download import check_files, fetch_description

    folder, info = fetch_description(repo_id)
    if info is None:  # what the cache has of it
        return replace(look_into(folder, entry.name if entry else repo_id, entry), repo=repo_id)
    files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    library, architecture, tasks, problem = "", "", (), ""
    try:
        library, architecture, tasks = recognise(folder)
        check_files(repo_id, list(files))
    except CvhubError as error:
        problem = str(error)
    return Look(
        entry.name if entry else repo_id,
        library,
        architecture,
        (entry.task,) if entry else tasks,
        files,
        config_of(folder),
        card_of(folder),
        entry.parameters if entry else numbers_in(info),
        repo_id,
        bool(info.gated),
        problem,
    )


def recognise(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """Library, architecture and tasks by a folder's configs; raises `CvhubError` about what can't be loaded here."""
    from cvhub.convert.checkpoint import read_description
    from cvhub.convert.importing import find_layouts, is_own

    if is_own(folder):
        family = str(config_of(folder)["model_type"]).removeprefix("cvhub_")
        if family not in FAMILIES:
            raise CvhubError(f"{folder.name} is of the family {family!r}, which this version of cvhub doesn't know.")
        return "cvhub", family, tuple(tasks_of(folder))
    described = read_description(folder)
    family, layout = next(find_layouts(described.architecture, described.library))
    name = family.prefix + layout.suffixes.get(described.architecture, family.suffix)
    tasks = tuple(task for end, (task, _) in TASKS.items() if name.endswith(end))
    return described.library, described.architecture, tasks


def config_of(folder: Path) -> dict[str, Any]:
    """config.json, or open_clip's, as it is; {} where it can't be read."""
    for name in ("config.json", "open_clip_config.json"):
        if (folder / name).is_file():
            try:
                config = json.loads((folder / name).read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                return {}
            return config if isinstance(config, dict) else {}
    return {}


def card_of(folder: Path) -> str:
    file = folder / "README.md"
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def count_numbers(weights: Path) -> int:
    """How many numbers a safetensors file holds, by its header alone, but for counters of steps."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        parts = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (not a dict)
        return sum(math.prod(part.get_shape()) for part in parts.values() if part.get_dtype() != "I64")


def numbers_in(info: "ModelInfo") -> int | None:
    """How many numbers the Hub counts in a repo's safetensors files."""
    return info.safetensors.total if info.safetensors else None
