"""What a lesson may be chosen to be. Nothing here imports what trains."""

import json

from cvhub.catalog import CATALOG, CHECKPOINTS, Entry
from cvhub.load import is_at_hand

TEACHERS = ("digits_resnet",)
ALONE, TAUGHT = "digits_vit", "digits_deit"
DEFAULT_TEACHERS = {"digits": ("digits_resnet",), "eurosat": ("eurosat_vgg",), "own": ("efficientnet_lite0",)}


def classifier_choices() -> list[tuple[str, str]]:
    """Title and name of each classifier of the catalogue that is at hand."""
    at_hand = [entry for entry in CATALOG if entry.task == "image-classification" and is_at_hand(entry)]
    return [(entry.title, entry.name) for entry in at_hand]


def taught_choices() -> list[tuple[str, str]]:
    """Of each DeiT at hand that a teacher has taught."""
    rows = {entry.name: entry for entry in CATALOG if entry.family == "deit"}
    return [(title, name) for title, name in classifier_choices() if name in rows and was_taught(rows[name])]


def was_taught(entry: Entry) -> bool:
    if entry.source != "bundled":
        return "distilled" in entry.name
    config = json.loads((CHECKPOINTS / entry.location / "config.json").read_text(encoding="utf-8"))
    return config.get("teacher", True) and config.get("distillation", "head") == "head"


def teacher_choices(data: str) -> list[tuple[str, str]]:
    """Title and name of each classifier at hand; first those that know the classes already."""
    classifiers = [entry for entry in CATALOG if entry.task == "image-classification" and is_at_hand(entry)]
    knowing = [entry for entry in classifiers if entry.dataset == data]
    others = [entry for entry in classifiers if entry.dataset != data and entry.dataset != "digits"]
    return [(entry.title, entry.name) for entry in (*knowing, *others)]
