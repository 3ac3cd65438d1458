"""What the lower half of the view "Caption" does: judges a sentence that a visitor types."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.strings import Say, speaker
from cvhub.ui.words import nets
from cvhub.ui.words.match_readout import Matched, matched_html
from cvhub.ui.words.prompts import caption, picture_name
from cvhub.ui.words.state import WordsSession
from cvhub.ui.words.telling import asking, failure

if TYPE_CHECKING:
    from cvhub.inference.zero_shot import ZeroShot

VIEW = "match-view"  # the element that shows the judgement

Update = dict[str, Any]


@dataclass
class MatchSession(WordsSession):
    """Also what the matching head read of the last picture: net, file and tokens (1, S, D)."""

    seen: tuple[str, str, np.ndarray] | None = None


# The session, the style that holds pictures, the judgement, what the net knows.
Shown = tuple[MatchSession, str | Update, str | Update, str | Update]


def judge_sentence(
    session: MatchSession, picture: str | None, model: str | None, sentence: str, language: str
) -> Iterator[Shown]:
    """How well a sentence goes with the picture: in the eyes of a head that reads both, and among other pairs."""
    say = speaker(language)
    session.turn += 1
    known = escape(nets.knowledge(model, say))
    try:
        if picture is None:
            raise CvhubError(say("no_picture"))
        if not (sentence or "").strip():
            raise CvhubError(say("match_no_sentence"))
        if model and model != session.model:
            yield session, gr.skip(), asking(model, say), known
        net = nets.contrastive(model, say)
        matched, files = judge(session, net, picture, sentence.strip(), nets.language_of(model, language), say)
        session.model = model or ""
        yield session, session.style(VIEW, files) or gr.skip(), matched_html(matched, say), known
    except Exception as error:  # the page would wait for ever
        yield session, gr.skip(), failure(error, language), known


def judge(
    session: MatchSession, net: "ZeroShot", picture: str, sentence: str, language: str, say: Say
) -> tuple[Matched, list[str]]:
    """The pair among the sample drawings with their captions in a language, and the files of the pictures."""
    from cvhub.explain.contrast import contrast

    others = [sample for sample in DRAWINGS if sample_file(sample) != picture]
    files = [picture, *map(sample_file, others)]
    texts = [sentence, *(caption(sample, language) for sample in others)]
    images = np.stack([seen.embedding for seen in session.embed(net, files)])
    found = contrast(images, net.embed_texts(texts), 1 / net.scale)
    names = [picture_name(file, say) for file in files]
    fits, judges = fitting(session, net, picture, sentence), ", ".join(nets.judges())
    return Matched(found, names, texts, fits, judges, 1 / net.scale), files


def fitting(session: MatchSession, net: "ZeroShot", picture: str, sentence: str) -> float | None:
    """What the matching head says, of a net that has one. The picture is looked at once."""
    from cvhub.inference.matching import can_match, match, picture_tokens

    if not can_match(net):
        return None
    if session.seen is None or session.seen[:2] != (net.name, picture):
        session.seen = (net.name, picture, picture_tokens(net, answering.open_picture(picture)))
    return match(net, session.seen[2], sentence)


def judge_again(session: MatchSession, *asked: Any) -> Iterator[Shown]:
    """The judgement of other words, or in another language; nothing where nobody has asked yet."""
    if session.turn:
        yield from judge_sentence(session, *asked)
    else:
        yield session, gr.skip(), gr.skip(), gr.skip()


def take_caption(sample: str, language: str) -> str:
    """The sentence that goes with a sample."""
    return caption(sample, language)
