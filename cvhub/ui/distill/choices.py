"""What a lesson may be chosen to be. Nothing here imports what trains."""

from cvhub.catalog import CATALOG
from cvhub.load import is_at_hand

DATA = ("digits", "eurosat", "own")
STUDENT_SIZES = ("small", "medium", "large")
SECONDS = (20, 600)
DEFAULT_TEACHERS = {"digits": ("digits_resnet",), "eurosat": ("eurosat_vgg",), "own": ("efficientnet_lite0",)}


def teacher_choices(data: str) -> list[tuple[str, str]]:
    """Title and name of each classifier at hand; first those that know the classes already."""
    classifiers = [entry for entry in CATALOG if entry.task == "image-classification" and is_at_hand(entry)]
    knowing = [entry for entry in classifiers if entry.dataset == data]
    others = [entry for entry in classifiers if entry.dataset != data and entry.dataset != "digits"]
    return [(entry.title, entry.name) for entry in (*knowing, *others)]
