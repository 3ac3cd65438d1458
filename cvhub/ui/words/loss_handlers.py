"""What the view "Loss" does: a batch of pictures and texts, and what it costs at a temperature."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from cvhub.errors import CvhubError
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.strings import Say, speaker
from cvhub.ui.words import nets
from cvhub.ui.words.loss_readout import contrast_html
from cvhub.ui.words.prompts import lines, picture_name
from cvhub.ui.words.state import WordsSession
from cvhub.ui.words.telling import asking, failure

if TYPE_CHECKING:
    from cvhub.explain.contrast import Contrast
    from cvhub.inference.zero_shot import ZeroShot

VIEW = "contrast-view"  # the element that shows the loss
MOST_PAIRS = 12
COLDEST, HOTTEST, STEP = 0.005, 1.0, 0.005  # of the slider

Update = dict[str, Any]
# The session, the style that holds pictures, the loss, what the net knows, the temperature.
Shown = tuple[WordsSession, str | Update, str | Update, str | Update, Update]


def contrast_batch(
    session: WordsSession, files: list[str] | None, texts: str, model: str | None, temperature: float, language: str
) -> Iterator[Shown]:
    """The loss of the pictures, which are the sample drawings where none are given, with the texts, one a line.

    Another net is asked at its own temperature first.
    """
    say = speaker(language)
    session.turn += 1
    known = escape(nets.knowledge(model, say))
    try:
        batch, written = pairs(files or [], lines(texts), say)
        slider = gr.skip()
        if model and model != session.model:
            yield session, gr.skip(), asking(model, say), known, gr.skip()
            temperature = own_temperature(nets.contrastive(model, say))
            session.model, slider = model, gr.update(value=temperature)
        net = nets.contrastive(model, say)
        found = measure(session, net, batch, written, temperature)
        names = [picture_name(file, say) for file in batch]
        view = contrast_html(found, names, written, temperature, 1 / net.scale, net.choose, say)
        yield session, session.style(VIEW, batch) or gr.skip(), view, known, slider
    except Exception as error:  # the page would wait for ever
        yield session, gr.skip(), failure(error, language), known, gr.skip()


def own_temperature(net: "ZeroShot") -> float:
    """What the net learned, where the slider can stand."""
    return float(np.clip(round(1 / net.scale / STEP) * STEP, COLDEST, HOTTEST))


def pairs(files: list[str], texts: list[str], say: Say) -> tuple[list[str], list[str]]:
    """As many pictures as texts; raises CvhubError where that is not so."""
    batch = files or [sample_file(sample) for sample in DRAWINGS]
    if len(batch) > MOST_PAIRS:
        raise CvhubError(say("words_too_many_pictures", n=len(batch), most=MOST_PAIRS))
    if len(batch) < 2:
        raise CvhubError(say("contrast_one"))
    if len(batch) != len(texts):
        raise CvhubError(f"There are {len(batch)} pictures and {len(texts)} texts, expected as many of each.")
    return batch, texts


def measure(
    session: WordsSession, net: "ZeroShot", files: list[str], texts: list[str], temperature: float
) -> "Contrast":
    from cvhub.explain.contrast import contrast

    images = np.stack([seen.embedding for seen in session.embed(net, files)])
    return contrast(images, net.embed_texts(texts), temperature)


def contrast_again(session: WordsSession, *asked: Any) -> Iterator[Shown]:
    """The loss of other texts, or in another language; nothing where nobody has asked yet."""
    if session.turn:
        yield from contrast_batch(session, *asked)
    else:
        yield session, gr.skip(), gr.skip(), gr.skip(), gr.skip()


def contrast(files: list[str] | None, texts: str, model: str | None, temperature: float) -> dict[str, Any]:
    """Computes the contrastive loss of a batch of pictures and texts.

    Args:
        files: The pictures, files or https addresses, of which the first belongs to the first text, and so on.
        texts: The texts, one a line.
        model: A CLIP or BLIP of the catalogue, which list_models gives, or its Hub id; the default, drawings_clip,
            knows drawings and no photos.
        temperature: What cosines are divided by, such as 0.05; what a model learned is 1 / exp(logit_scale).

    Returns:
        {"model", "loss", "picture_losses", "text_losses", "cosines"}; losses in nats, cosines with a picture a row.
    """
    say = speaker("en")
    try:
        batch, written = pairs(files or [], lines(texts), say)
        found = measure(WordsSession(), nets.contrastive(model, say), batch, written, temperature)
    except CvhubError as error:
        raise gr.Error(str(error)) from error
    return {
        "model": model,
        "loss": found.loss,
        "picture_losses": found.picture_losses.tolist(),
        "text_losses": found.text_losses.tolist(),
        "cosines": found.cosines.tolist(),
    }
