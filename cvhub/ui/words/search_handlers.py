"""What the view "Search" does: looks in an index for words, for a picture, for more like a result."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from cvhub.errors import CvhubError
from cvhub.inference.images import SUFFIXES
from cvhub.inference.picture_index import Hit, embed_words
from cvhub.inference.zero_shot import ZeroShot
from cvhub.ui.strings import Say, speaker
from cvhub.ui.words import nets
from cvhub.ui.words.prompts import in_language
from cvhub.ui.words.search_job import Searched
from cvhub.ui.words.search_readout import Found, Listed, found_html, name_of, progress_html
from cvhub.ui.words.search_sources import choose
from cvhub.ui.words.search_state import Liked, SearchSession, Subject
from cvhub.ui.words.telling import asking, failure

VIEW = "search-view"  # the element that shows the results
BY = ("words", "picture")
MOST_SHOWN = 60

Update = dict[str, Any]
Shown = tuple[SearchSession, str | Update, str | Update]  # the session, the results, what the net knows


@dataclass(frozen=True)
class Question:
    """What is looked for, `by` words or a picture, and in what kind of source."""

    picture: str | None
    source: str
    by: str
    words: str
    model: str | None
    top_k: int
    language: str

    @property
    def subject(self) -> Subject:
        """Without the language of what nobody has typed."""
        words = in_language(self.words, "en") or self.words
        return (self.by, (self.picture or "") if self.by == "picture" else words)


def find_pictures(
    session: SearchSession,
    picture: str | None,
    source: str,
    by: str,
    words: str,
    model: str | None,
    top_k: int | None,
    language: str,
) -> Iterator[Shown]:
    """The pictures nearest to what is looked for; before, how far their index is. A newer question ends this one."""
    say = speaker(language)
    asked = Question(picture, source, by, words or "", model, int(top_k or 1), language)
    session.turn += 1
    turn = session.turn
    known = escape(nets.knowledge(model, say))
    try:
        if model and model != session.model:
            yield session, asking(model, say), known
        for view in answer(session, asked, say):
            if session.turn != turn:
                return
            yield session, view, known
    except Exception as error:  # the page would wait for ever
        if session.turn == turn:
            yield session, failure(error, language), known
    finally:
        if session.turn == turn and session.job is not None:  # who asked has left
            session.job.stop()


def find_again(session: SearchSession, *asked: Any) -> Iterator[Shown]:
    """The results for other words, or in another language; nothing where nobody has asked yet."""
    if session.turn:
        yield from find_pictures(session, *asked)
    else:
        yield session, gr.skip(), gr.skip()


def answer(session: SearchSession, asked: Question, say: Say) -> Iterator[str]:
    """How far the index is, again and again, and at last the results."""
    chosen = choose(asked.source, session.files, session.place, session.split, say)
    net = nets.contrastive(asked.model, say)
    session.model = asked.model or ""
    for job in session.prepare(net, chosen, say):
        yield progress_html(job.done, job.total, say)
    searched = session.searched
    assert searched is not None
    found = look(session, net, searched, asked, say)
    listed = [Listed(name_of(searched, hit.place, say), hit, searched.thumbnail(hit.place)) for hit in found.hits]
    session.shown = (searched.key, asked.subject, [hit.place for hit in found.hits])
    yield found_html(found, listed, searched, net.image_runtime.reason, asked.language, say)


def look(session: SearchSession, net: ZeroShot, searched: Searched, asked: Question, say: Say) -> Found:
    """What is nearest, and how long both steps took: embedding what is looked for, and comparing it with all."""
    start = time.perf_counter()
    like, wanted = embed_subject(session, net, searched, asked, say)
    embedded = time.perf_counter()
    shown = min(asked.top_k, MOST_SHOWN)
    hits = searched.index.search(wanted, shown if like is None else shown + 1)
    compared = time.perf_counter()
    return Found(
        by=asked.by,
        words=asked.words.strip(),
        like=None if like is None else name_of(searched, like, say),
        hits=[hit for hit in hits if hit.place != like][:shown],
        embedding_milliseconds=1000 * (embedded - start),
        search_milliseconds=1000 * (compared - embedded),
    )


def embed_subject(
    session: SearchSession, net: ZeroShot, searched: Searched, asked: Question, say: Say
) -> tuple[str | int | None, np.ndarray]:
    """The place of the result that is to be resembled, None where it is none, and the embedding (E,) to look for."""
    liked = session.liked
    if liked is not None and liked[:2] == (searched.key, asked.subject):
        row = searched.rows.get(liked.place)
        if row is not None:
            return liked.place, searched.index.embeddings[row]
    session.liked = None
    if asked.by not in BY:
        raise CvhubError(f"by is {asked.by!r}, expected one of {', '.join(BY)}.")
    if asked.by == "words":
        return None, embed_words(net, asked.words)
    if asked.picture is None:
        raise CvhubError(say("no_picture"))
    return None, session.embed(net, [asked.picture])[0].embedding


def pick(session: SearchSession, event: gr.EventData) -> SearchSession:
    """A result was clicked: more like it is wanted from now on. What is no number of a result ends that."""
    label = str(event.label)
    session.liked = None
    if session.shown is not None and label.isdecimal() and int(label) < len(session.shown[2]):
        key, subject, places = session.shown
        session.liked = Liked(key, subject, places[int(label)])
    return session


# --- What is chosen ---


def take_files(session: SearchSession, files: list[str] | None) -> SearchSession:
    session.files = list(files or [])
    return session


def take_folder(session: SearchSession, files: list[str] | None) -> tuple[SearchSession, list[str]]:
    """A folder was uploaded: of its files those that are called pictures."""
    session.files = [file for file in files or [] if file.lower().endswith(SUFFIXES)]
    return session, session.files


def take_place(session: SearchSession, place: str | None, split: str | None) -> SearchSession:
    """A folder or data set is to be indexed, or looked through for what has changed."""
    session.place, session.split, session.searched = place or "", split or "", None
    return session


def show_source(source: str) -> list[Update]:
    """The choices that belong to a source: files, or a place."""
    return [gr.update(visible=source == kind) for kind in ("upload", "place")]


def show_by(by: str) -> list[Update]:
    return [gr.update(visible=by == kind) for kind in BY]


# --- For programs ---


def search_pictures(
    files: list[str] | None,
    source: str,
    place: str,
    split: str,
    by: str,
    words: str,
    picture: str | None,
    model: str | None,
    top_k: int,
) -> dict[str, Any]:
    """Finds the pictures that come nearest to words or to another picture.

    Args:
        files: The pictures to look in, files or https addresses, where source is "upload".
        source: Where to look; "drawings" (six that come along), "upload" (files) or "place" (a data set).
        place: A data set's Hub id, or on one's own machine a folder, where source is "place".
        split: Of the data set, where source is "place"; test unless given, else validation, else the only one.
        by: What to look for; "words" or "picture".
        words: What the pictures should show, where by is "words"; an emoji is looked for by its name.
        picture: A picture that they should resemble, a file or its https address, where by is "picture".
        model: A CLIP or BLIP of the catalogue, which list_models gives, or its Hub id; the default, drawings_clip,
            knows drawings and no photos.
        top_k: How many of the nearest.

    Returns:
        The nearest pictures, best first, each with its cosine; how many were compared, and which could not be read.
    """
    say = speaker("en")
    asked = Question(picture, source, by, words or "", model, int(top_k), "en")
    session = SearchSession(files=files or [], place=place or "", split=split or "")
    try:
        chosen = choose(source, session.files, session.place, session.split, say)
        net = nets.contrastive(model, say)
        for _ in session.prepare(net, chosen, say):
            pass
        assert session.searched is not None
        found = look(session, net, session.searched, asked, say)
        return told(model, session.searched, found.hits, say)
    except CvhubError as error:
        raise gr.Error(str(error)) from error
    finally:
        session.forget()


def told(model: str | None, searched: Searched, hits: Sequence[Hit], say: Say) -> dict[str, Any]:
    results = [{"name": name_of(searched, hit.place, say), "score": hit.score, "state": hit.state} for hit in hits]
    failed = [{"name": name_of(searched, place, say), "error": error} for place, error in searched.report.failed]
    return {"model": model, "pictures": len(searched.index.entries), "results": results, "failed": failed}
