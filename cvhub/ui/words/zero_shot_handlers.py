"""What the view "Zero-shot" does when something is chosen or typed. Each handler is an endpoint too."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.messages import translated
from cvhub.ui.pictures import heat_layer, picture_on, seen_part
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.state import Heat
from cvhub.ui.strings import Say, speaker
from cvhub.ui.words import nets
from cvhub.ui.words.prompts import TEMPLATES, lines, picture_name, templates
from cvhub.ui.words.state import WordsSession, keep
from cvhub.ui.words.telling import asking, failure
from cvhub.ui.words.zero_shot_readout import Named, named_html, similarities

if TYPE_CHECKING:
    from cvhub.inference.zero_shot import ZeroShot

VIEW = "zero-shot-view"  # the element that shows the answer
MOST_PICTURES = 12  # of the matrix

Update = dict[str, Any]
# The session, the style that holds pictures, the answer, what the net knows, the choice of a word.
Shown = tuple[WordsSession, str | Update, str | Update, str | Update, Update]


@dataclass(frozen=True)
class Question:
    """What is asked of a picture. `word`: whose heat map is wanted, "" for the likeliest label's."""

    picture: str | None
    model: str | None
    labels: list[str]
    templates: list[str]
    temperature: float
    word: str
    files: list[str]
    language: str


def name_picture(
    session: WordsSession,
    picture: str | None,
    model: str | None,
    labels: str,
    templates: str,
    temperature: float,
    word: str,
    files: list[str] | None,
    language: str,
) -> Iterator[Shown]:
    """What the net says of the picture among the labels, one a line: the probabilities at once, then the heat map.

    A newer question ends this one.
    """
    say = speaker(language)
    asked = Question(
        picture, model, lines(labels), lines(templates), temperature, (word or "").strip(), files or [], language
    )
    session.turn += 1
    turn = session.turn
    known = escape(nets.knowledge(model, say))
    try:
        if model and model != session.model:
            yield session, gr.skip(), asking(model, say), known, gr.skip()
        for style, view in answer(session, asked, say):
            if session.turn != turn:
                return
            yield session, style, view, known, word_choices(session, asked, say)
    except Exception as error:  # the page would wait for ever
        yield session, gr.skip(), failure(error, language), known, gr.skip()


def name_again(session: WordsSession, *asked: Any) -> Iterator[Shown]:
    """The answer to other words, or in another language; nothing where nobody has asked yet."""
    if session.turn:
        yield from name_picture(session, *asked)
    else:
        yield session, gr.skip(), gr.skip(), gr.skip(), gr.skip()


def answer(session: WordsSession, asked: Question, say: Say) -> Iterator[tuple[str | Update, str]]:
    """The style and the view, without the heat map and then with it."""
    if asked.picture is None:
        raise CvhubError(say("no_picture"))
    net = nets.contrastive(asked.model, say)
    check_extent(asked, say)
    named = compare(session, net, asked)
    session.model = asked.model or ""
    word = asked.word or named.likeliest
    rows = picture_rows(asked)
    images = np.stack([seen.embedding for seen in session.embed(net, rows)])
    cosines = images @ net.embed_labels(asked.labels, asked.templates).T
    matrices = similarities(cosines, [picture_name(file, say) for file in rows], asked.labels, say)
    style = pictures_style(session, rows)
    known = session.heats.get(heat_key(net, asked, word))
    yield style, named_html(named, word, known, matrices, asked.language, say)
    if known is None:
        heat: Heat | str
        try:
            heat = find_heat(session, net, asked, word)
        except CvhubError as error:  # of a word too long; what the labels got stands
            heat = translated(str(error), asked.language)
        yield gr.skip(), named_html(named, word, heat, matrices, asked.language, say)


def pictures_style(session: WordsSession, files: list[str]) -> str | Update:
    """The pictures for the browser to draw, where it hasn't them yet; the first one large."""
    small = session.style(VIEW, files)
    return picture_on(VIEW, answering.open_picture(files[0])) + small if small else gr.skip()


def check_extent(asked: Question, say: Say) -> None:
    """Raises CvhubError for more than can be compared while somebody types."""
    from cvhub.inference.zero_shot import REMEMBERED

    sentences = len(asked.labels) * len(asked.templates)
    if sentences > REMEMBERED:
        raise CvhubError(say("zero_shot_too_many", n=f"{sentences:,}", most=f"{REMEMBERED:,}"))
    if len(asked.files) > MOST_PICTURES:
        raise CvhubError(say("words_too_many_pictures", n=len(asked.files), most=MOST_PICTURES))


def compare(session: WordsSession, net: "ZeroShot", asked: Question) -> Named:
    """The picture, which is embedded once, with the labels, of which those that are new are."""
    assert asked.picture is not None
    (seen,) = session.embed(net, [asked.picture])
    start = time.perf_counter()
    texts = net.embed_labels(asked.labels, asked.templates)
    milliseconds = 1000 * (time.perf_counter() - start)
    cosines = texts @ seen.embedding
    return Named(
        title=answering.title_of(asked.model or ""),
        labels=asked.labels,
        cosines=cosines,
        probabilities=net.scores(net.scale * cosines + net.bias, asked.temperature),
        competing=net.choose,
        temperature=asked.temperature,
        scale=net.scale,
        bias=net.bias,
        sentences=len(asked.labels) * len(asked.templates),
        picture_milliseconds=seen.milliseconds,
        texts_milliseconds=milliseconds,
        runtime=net.image_runtime.reason,
    )


def picture_rows(asked: Question) -> list[str]:
    """The files of the matrix: the picture, then those that were added, else the sample drawings."""
    others = asked.files or [sample_file(sample) for sample in DRAWINGS]
    return list(dict.fromkeys([asked.picture or "", *others]))


def heat_key(net: "ZeroShot", asked: Question, word: str) -> tuple[str, ...]:
    return (net.name, asked.picture or "", word, *asked.templates)


def find_heat(session: WordsSession, net: "ZeroShot", asked: Question, word: str) -> Heat:
    from cvhub.explain.words import word_heat
    from cvhub.inference.passes import turn

    image = answering.open_picture(asked.picture or "")
    (text,) = net.embed_labels([word], asked.templates)
    with turn:
        heat = heat_layer(word_heat(net, image, text), seen_part(net.processor, image), exact=False)
    keep(session.heats, heat_key(net, asked, word), heat)
    return heat


def likeliest(say: Say) -> tuple[str, str]:
    """The choice of a heat map that names no label."""
    return say("zero_shot_word_likeliest"), ""


def word_choices(session: WordsSession, asked: Question, say: Say) -> Update:
    """The labels to choose a heat map of, where they are new."""
    if session.offered == [*asked.labels, asked.language]:
        return gr.skip()
    session.offered = [*asked.labels, asked.language]
    choices = [likeliest(say), *((label, label) for label in asked.labels)]
    return gr.update(choices=choices, value=asked.word)


def take_templates(kind: str | None, language: str) -> str | Update:
    """The templates of a kind, one a line."""
    return templates(kind, language) if kind else gr.skip()


def kind_of(text: str) -> str | None:
    """The kind that templates are of, None of a visitor's own."""
    return next((kind for kind, texts in TEMPLATES.items() if lines(text) in map(list, texts.values())), None)


def zero_shot(
    picture: str | None, model: str | None, labels: str, templates: str, temperature: float
) -> dict[str, Any]:
    """Says which of any labels a picture shows.

    Args:
        picture: The picture: a file, its https address, or a data URI (data:image/png;base64,…).
        model: A CLIP or BLIP of the catalogue, which list_models gives, or its Hub id; the default, drawings_clip,
            knows drawings and no photos.
        labels: The labels, one a line, in any words.
        templates: Sentences, one a line, with {} where the label goes; embeddings are averaged over them.
        temperature: What logits are divided by; 1 leaves the model's own probabilities.

    Returns:
        {"model", "predictions": [{"label", "score", "cosine"}]}, the likeliest label first.
    """
    say = speaker("en")
    asked = Question(picture, model, lines(labels), lines(templates), temperature, "", [], "en")
    try:
        if picture is None:
            raise CvhubError(say("no_picture"))
        check_extent(asked, say)
        named = compare(WordsSession(), nets.contrastive(model, say), asked)
    except CvhubError as error:
        raise gr.Error(str(error)) from error
    return {"model": model, "predictions": predictions(named)}


def predictions(named: Named) -> Sequence[dict[str, Any]]:
    order = np.argsort(-named.probabilities, kind="stable").tolist()
    return [
        {"label": named.labels[i], "score": float(named.probabilities[i]), "cosine": float(named.cosines[i])}
        for i in order
    ]
