"""What a lesson may be chosen to be. Nothing here imports what trains."""

from cvhub.catalog import CATALOG, find_entry
from cvhub.load import is_at_hand

TEACHERS = ("eurosat_vgg", "eurosat_swin")
ALONE, TAUGHT = "eurosat_vit", "eurosat_deit"
DEFAULT_TEACHERS = {"digits": ("digits_resnet",), "eurosat": ("eurosat_vgg",), "own": ("efficientnet_lite0",)}


def classifier_choices() -> list[tuple[str, str]]:
    """Title and name of each classifier of the catalogue that is at hand."""
    at_hand = [entry for entry in CATALOG if entry.task == "image-classification" and is_at_hand(entry)]
    return [(entry.title, entry.name) for entry in at_hand]


def taught_choices() -> list[tuple[str, str]]:
    """Of each DeiT that is at hand."""
    return [(title, name) for title, name in classifier_choices() if (row := find_entry(name)) and row.family == "deit"]


def teacher_choices(data: str) -> list[tuple[str, str]]:
    """Title and name of each classifier at hand; first those that know the classes already."""
    classifiers = [entry for entry in CATALOG if entry.task == "image-classification" and is_at_hand(entry)]
    knowing = [entry for entry in classifiers if entry.dataset == data]
    others = [entry for entry in classifiers if entry.dataset != data and entry.dataset != "digits"]
    return [(entry.title, entry.name) for entry in (*knowing, *others)]
