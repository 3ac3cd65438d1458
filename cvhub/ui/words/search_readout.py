"""The results of a search as HTML: a sentence, pictures with their scores, and what became of the index."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from cvhub.inference.indexing import IndexReport
from cvhub.inference.picture_index import Hit, spell_emoji
from cvhub.ui import numerals
from cvhub.ui.charts import track
from cvhub.ui.messages import reason, translated
from cvhub.ui.readout import message
from cvhub.ui.strings import Say
from cvhub.ui.words.prompts import LONGEST_NAME, picture_name
from cvhub.ui.words.search_job import Searched

SCORES = '<span class="formula"><i>s</i> = <i>E</i> <i>e</i></span>'
LONGEST_WORDS = 80  # letters of what was looked for
MOST_FAILURES = 20  # that are told by name
COUNTS = ("kept", "added", "changed", "removed")


@dataclass(frozen=True)
class Found:
    """What a search gave. `like`: the name of the result that is to be resembled, None where it is none."""

    by: str
    words: str
    like: str | None
    hits: Sequence[Hit]
    embedding_milliseconds: float
    search_milliseconds: float


@dataclass(frozen=True)
class Listed:
    """A result as it is shown; `picture` is a data URI, "" where it can't be opened any more."""

    name: str
    hit: Hit
    picture: str


def name_of(searched: Searched, place: str | int, say: Say) -> str:
    """A row by its number, a file of a folder by its way in there, another by its name."""
    if isinstance(place, int):
        return say("search_row", n=f"{place:,}")
    if searched.key[1].files:
        return printable(picture_name(str(Path(searched.index.origin, place)), say))
    return printable(place if len(place) <= LONGEST_NAME else f"…{place[-LONGEST_NAME:]}")


def printable(name: str) -> str:
    """A file's name may hold bytes that are no text."""
    return name.encode(errors="replace").decode()


def progress_html(done: int, total: int | None, say: Say) -> str:
    """How far an index is, not to be read aloud each time."""
    if not done:
        return f'<p class="summary">{escape(say("search_opening"))}</p>'
    if total is None:
        return f'<p class="summary">{escape(say("search_indexing_some", done=f"{done:,}"))}</p>'
    sentence = say("search_indexing", done=f"{done:,}", total=f"{total:,}")
    return f'<p class="summary">{escape(sentence)}</p>{track(min(done / total, 1))}'


def found_html(
    found: Found, listed: Sequence[Listed], searched: Searched, runtime: str, language: str, say: Say
) -> str:
    items = "".join(result(number, one, say) for number, one in enumerate(listed))
    return (
        lead(found, listed, say)
        + read_as(found, say)
        + cost(found, len(searched.index.entries), say)
        + f'<p class="facts why">{escape(reason(runtime, language))}</p>'
        + f'<ol class="found" aria-label="{escape(say("search_results"))}">{items}</ol>'
        + f'<p class="facts">{say("search_note", formula=SCORES)}</p>'
        + index_html(searched, language, say)
    )


def lead(found: Found, listed: Sequence[Listed], say: Say) -> str:
    """What is nearest; after a click on a result also the way back."""
    if not listed:
        return message(escape(say("search_nothing")))
    said = {"name": listed[0].name, "cosine": numerals.signed(listed[0].hit.score)}
    if found.like is not None:
        sentence = say("search_found_like", like=found.like, **said)
        back = f'<button type="button" class="back" data-class="back">{escape(say("search_back"))}</button>'
        return message(f'<strong dir="auto">{escape(sentence)}</strong>') + back
    if found.by == "picture":
        return message(f'<strong dir="auto">{escape(say("search_found_picture", **said))}</strong>')
    words = found.words if len(found.words) <= LONGEST_WORDS else f"{found.words[:LONGEST_WORDS]}…"
    return message(f'<strong dir="auto">{escape(say("search_found_words", words=words, **said))}</strong>')


def read_as(found: Found, say: Say) -> str:
    """What became of emoji among the words."""
    spelled = spell_emoji(found.words)
    if found.by != "words" or found.like is not None or spelled == found.words:
        return ""
    return f'<p class="facts">{escape(say("search_emoji", words=spelled))}</p>'


def cost(found: Found, pictures: int, say: Say) -> str:
    """The embedding of a result is there already."""
    told = say(
        "search_cost" if found.like is None else "search_cost_like",
        n=f"{pictures:,}",
        search=numerals.milliseconds(found.search_milliseconds),
        embedding=numerals.milliseconds(found.embedding_milliseconds),
    )
    return f'<p class="facts">{escape(told)}</p>'


def result(number: int, one: Listed, say: Say) -> str:
    """A button with the picture, its name and score, and what has become of the file since."""
    name, cosine = escape(one.name), escape(say("zero_shot_cosine", cosine=numerals.signed(one.hit.score)))
    drawn = f'<img src="{one.picture}" alt="{name}">' if one.picture else f'<span class="gone">{name}</span>'
    state = ""
    if one.hit.state != "same":
        state = f'<span class="state">{escape(say(f"search_{one.hit.state}"))}</span>'
    caption = f'<span class="name" dir="auto" aria-hidden="true">{name}</span>' if one.picture else ""
    more = escape(say("search_more", name=one.name))
    return (
        f'<li><button type="button" class="hit" data-class="{number}" title="{more}">'
        f'{drawn}{caption}<span class="number">{cosine}</span>{state}</button></li>'
    )


# --- The index ---


def index_html(searched: Searched, language: str, say: Say) -> str:
    report = searched.report
    counts = [say(f"search_{count}_count", n=f"{n:,}") for count in COUNTS if (n := getattr(report, count))]
    if report.failed:
        counts.append(say("search_failed_count", n=f"{len(report.failed):,}"))
    told = say(
        "search_index_told",
        n=f"{len(searched.index.entries):,}",
        counts=say("search_joint").join(counts),
        time=numerals.duration(searched.seconds),
    )
    return (
        f'<section class="losses"><h2>{escape(say("search_index"))}</h2><p class="facts">{escape(told)} '
        f"{escape(where(searched, language, say))}</p>{failures(searched, report, language, say)}</section>"
    )


def where(searched: Searched, language: str, say: Say) -> str:
    """Where the index lies, and why not where it would."""
    if searched.stays:
        return say("search_stays", folder=printable(str(searched.index.folder.absolute())))
    refused = f"{translated(searched.refused, language)} " if searched.refused else ""
    return printable(refused) + say("search_visits")


def failures(searched: Searched, report: IndexReport, language: str, say: Say) -> str:
    if not report.failed:
        return ""
    rows = "".join(
        failure(name_of(searched, place, say), printable(translated(error, language)))
        for place, error in report.failed[:MOST_FAILURES]
    )
    rest = len(report.failed) - MOST_FAILURES
    more = f'<p class="facts">{escape(say("search_more_failed", n=f"{rest:,}"))}</p>' if rest > 0 else ""
    return f'<h3 class="failed">{escape(say("search_failures"))}</h3><ul class="failed facts">{rows}</ul>{more}'


def failure(name: str, sentence: str) -> str:
    """Most sentences begin with the name."""
    return f'<li><b dir="auto">{escape(name)}</b> {escape(sentence.removeprefix(name).strip())}</li>'
