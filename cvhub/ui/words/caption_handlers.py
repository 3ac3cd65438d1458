"""What the view "Caption" does: writes what a picture shows while you watch. What judges sentences is in match_*.py."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.pictures import heat_layer, picture_on, seen_part
from cvhub.ui.state import Box, Heat
from cvhub.ui.strings import speaker
from cvhub.ui.words import nets
from cvhub.ui.words.caption_readout import Written, written_html
from cvhub.ui.words.matrix import between
from cvhub.ui.words.telling import asking, failure

if TYPE_CHECKING:
    from PIL import Image

    from cvhub.explain.words import Word
    from cvhub.inference.writing import Step, Writer

VIEW = "caption-view"  # the element that shows the caption
METHODS = ("greedy", "beams", "nucleus")

Update = dict[str, Any]


@dataclass
class CaptionSession:
    """What one visit has had written. `turn` counts the questions, so that a newer one silences those before it."""

    written: Written | None = None
    runtime: str = ""
    model: str = ""
    picture: str = ""  # that the browser has
    turn: int = 0


# The session, the style that holds the picture, the caption, what the net knows.
Shown = tuple[CaptionSession, str | Update, str | Update, str | Update]


def write_caption(
    session: CaptionSession,
    picture: str | None,
    model: str | None,
    method: str,
    beams: int,
    top_p: float,
    seed: int,
    language: str,
) -> Iterator[Shown]:
    """The caption as it comes; beam search knows it only at its end. A newer question ends this one."""
    say = speaker(language)
    session.turn += 1
    turn = session.turn
    known = escape(nets.knowledge(model, say))
    try:
        if picture is None:
            raise CvhubError(say("no_picture"))
        if model and model != session.model:
            yield session, gr.skip(), asking(model, say), known
        writer = nets.captioner(model, say)
        image = answering.open_picture(picture)
        session.model, session.runtime = model or "", writer.reason
        style = picture_on(VIEW, image) if session.picture != picture else gr.skip()
        session.picture = picture
        steps = choose_steps(writer, image, method, int(beams), top_p, int(seed or 0))
        for written in watch(steps, seen_part(writer.processor, image)):
            if session.turn != turn:
                return
            session.written = written
            yield session, style, written_html(written, session.runtime, language, say), known
            style = gr.skip()
    except Exception as error:  # the page would wait for ever
        session.written = None
        yield session, gr.skip(), failure(error, language), known


def write_first(session: CaptionSession, *asked: Any) -> Iterator[Shown]:
    """The caption when the view is seen first; later what was written stays."""
    if session.written is None:
        yield from write_caption(session, *asked)
    else:
        yield session, gr.skip(), gr.skip(), gr.skip()


def choose_steps(
    writer: "Writer", image: "Image.Image", method: str, beams: int, top_p: float, seed: int
) -> "Iterable[Step]":
    if method not in METHODS:
        raise CvhubError(f"method is {method!r}, expected one of {', '.join(METHODS)}.")
    if method == "beams":
        return writer.best_beam(image, beams)
    return writer.steps(image, top_p if method == "nucleus" else None, seed)


def watch(steps: "Iterable[Step]", box: Box) -> Iterator[Written]:
    """The caption after each token, at last as it stays. Of steps that are all there only that."""
    from cvhub.explain.words import words_of

    known: list[Step] = []
    heats: list[Heat] = []
    at_once = isinstance(steps, list)
    for step in steps:
        known.append(step)
        words = words_of(known)
        heats = heats[: max(len(words) - 1, 0)]  # the last word may have grown
        heats += [attention_layer(word, box) for word in words[len(heats) :]]
        if not at_once:
            yield written_so_far(known, words, heats, done=False)
    yield written_so_far(known, words_of(known), heats, done=True)


def attention_layer(word: "Word", box: Box) -> Heat:
    return heat_layer(between(word.attention), box, exact=False)


def written_so_far(steps: "list[Step]", words: "list[Word]", heats: list[Heat], done: bool) -> Written:
    return Written(steps[-1].text, words, heats, [step.probability for step in steps], done, steps[-1].ends)


def speak_caption(session: CaptionSession, model: str | None, language: str) -> tuple[str | Update, str]:
    """The caption told in another language, and what the net knows."""
    say = speaker(language)
    known = escape(nets.knowledge(model, say))
    if session.written is None:
        return gr.skip(), known
    return written_html(session.written, session.runtime, language, say), known


def show_settings(method: str) -> list[Update]:
    """The settings of a method: how many beams, how much of the probability, which chance, and another try."""
    return [gr.update(visible=method == wanted) for wanted in ("beams", "nucleus", "nucleus")]


def caption_picture(
    picture: str | None, model: str | None, method: str, beams: int, top_p: float, seed: int
) -> dict[str, Any]:
    """Writes what a picture shows.

    Args:
        picture: The picture: a file, its https address, or a data URI (data:image/png;base64,…).
        model: A captioner of the catalogue, which list_models gives, or its Hub id; the default, drawings_blip,
            knows drawings and no photos.
        method: How words are chosen; "greedy", "beams" or "nucleus".
        beams: How many texts are followed side by side, where method is "beams".
        top_p: The probability that the words chosen among have together, where method is "nucleus".
        seed: Of the choice, where method is "nucleus".

    Returns:
        {"model", "caption", "words": [{"text", "probability"}], "loss"}: "loss" is the tokens' mean −ln p in nats.
    """
    from cvhub.explain.words import words_of

    say = speaker("en")
    try:
        if picture is None:
            raise CvhubError(say("no_picture"))
        image = answering.open_picture(picture)
        steps = list(choose_steps(nets.captioner(model, say), image, method, int(beams), top_p, int(seed)))
    except CvhubError as error:
        raise gr.Error(str(error)) from error
    words = [{"text": word.text, "probability": word.probability} for word in words_of(steps)]
    loss = -sum(math.log(max(step.probability, 1e-300)) for step in steps) / len(steps)
    return {"model": model, "caption": steps[-1].text, "words": words, "loss": loss}
