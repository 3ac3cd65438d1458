"""Which nets the Words tab offers, what they know, and how they are loaded. Heavy imports wait for their first use."""

from typing import TYPE_CHECKING

from cvhub import catalog
from cvhub.errors import CvhubError
from cvhub.load import is_at_hand, task_of, tasks_of
from cvhub.ui import answering, numerals
from cvhub.ui.state import Session
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.catalog import Entry
    from cvhub.inference.writing import Writer
    from cvhub.inference.zero_shot import ZeroShot

CONTRASTIVE, CAPTIONS = "zero-shot-image-classification", "image-text-to-text"
BYTES = 4  # of a parameter as the Hub has it


def rows(task: str) -> "list[Entry]":
    """Those of the catalogue for a task; first those that come along."""
    fitting = [entry for entry in catalog.CATALOG if task in _tasks(entry)]
    return sorted(fitting, key=lambda entry: entry.source != "bundled")


def _tasks(entry: "Entry") -> list[str]:
    return tasks_of(catalog.CHECKPOINTS / entry.location) if entry.source == "bundled" else [entry.task]


def choices(task: str, other: str = "") -> list[tuple[str, str]]:
    """(title, name) of each, and of another that is named."""
    listed = [(entry.title, entry.name) for entry in rows(task)]
    return listed if not other or other in dict(listed).values() else [*listed, (other, other)]


def first(task: str) -> str | None:
    """The one that is asked before anything is chosen: one that need not be fetched, or none."""
    return next((entry.name for entry in rows(task) if entry.source == "bundled"), None)


def knowledge(model: str | None, say: Say) -> str:
    """What a net learned from, and what it costs to have it; "" of one that nothing is known of."""
    entry = catalog.find_entry(model or "")
    if entry is None:
        return ""
    if entry.source == "bundled":
        return say("words_drawings_english" if CAPTIONS in _tasks(entry) else "words_drawings")
    size = numerals.megabytes(BYTES * entry.parameters)
    fetched = "" if is_at_hand(entry) else " " + say("words_fetched", size=size)
    return say("words_photos") + fetched


def language_of(model: str | None, language: str) -> str:
    """In which a net is asked where the visitor has typed nothing: all but ours of names in both read English."""
    entry = catalog.find_entry(model or "")
    reads_both = entry is not None and entry.source == "bundled" and CAPTIONS not in _tasks(entry)
    return language if reads_both else "en"


def judges() -> list[str]:
    """The titles of those that have a head for whether a text fits: BLIPs that compare, too."""
    return [entry.title for entry in rows(CONTRASTIVE) if entry.family == "blip"]


def contrastive(model: str | None, say: Say) -> "ZeroShot":
    """A net that tells which texts belong to a picture, ready to answer."""
    from cvhub.inference.pool import default_pool

    return default_pool().zero_shot(_named(model, say))


def captioner(model: str | None, say: Say) -> "Writer":
    """A net that writes what a picture shows, ready to answer."""
    from cvhub.inference.pool import default_pool
    from cvhub.inference.writing import Writer

    net = default_pool().get(_named(model, say))
    if not isinstance(net, Writer) or net.task != CAPTIONS:
        raise CvhubError(f"{model} does {task_of(net.folder)}, expected a model for {CAPTIONS}.")
    return net


def _named(model: str | None, say: Say) -> str:
    if not model:
        raise CvhubError(say("words_no_model"))
    return answering.locate(model, Session(), say)
