"""What the Classify tab does when something is chosen. Each handler is an endpoint too, for `gradio_client`."""

import dataclasses
import logging
from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from cvhub.catalog import CATALOG, find_entry
from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.answering import HUB_ID, add_heats, ask_missing, browser_shows, open_picture, title_of
from cvhub.ui.checkpoint import take_checkpoint
from cvhub.ui.classify import export, link
from cvhub.ui.classify.accuracy import accuracy_plots
from cvhub.ui.classify.loss_readout import loss_table
from cvhub.ui.messages import translated
from cvhub.ui.palette import assign_colours
from cvhub.ui.pictures import picture_style
from cvhub.ui.readout import message, note, results, top_classes
from cvhub.ui.samples import SAMPLES, sample_file
from cvhub.ui.sharing import Offer
from cvhub.ui.state import Answer, Session, View
from cvhub.ui.strings import Say, speaker

log = logging.getLogger(__name__)

Update = dict[str, Any]
Shown = tuple[str | Update, str | Update]  # cards, loss readout
Lists = tuple[Update, Update]  # of classes: whose heat maps, and the true one


def model_choices(session: Session, models: list[str]) -> list[tuple[str, str]]:
    """(title, name) of all that a visitor can choose: the catalogue, the visit's own checkpoints, what is chosen."""
    catalogue = [(entry.title, entry.name) for entry in CATALOG if entry.task == "image-classification"]
    own = [name for name in dict.fromkeys([*session.checkpoints, *models]) if not find_entry(name)]
    return catalogue + [(name, name) for name in own]


def open_link(request: gr.Request) -> tuple[str, str, Update, float, int, str, str, float]:
    """The choices that the page's address asks for."""
    asked = link.parse(dict(request.query_params))
    sample, models = asked.sample or SAMPLES[0], list(asked.models)
    return (
        sample_file(sample),
        sample,
        gr.update(choices=model_choices(Session(), models), value=models),
        asked.temperature,
        asked.opacity,
        asked.heat_class,
        asked.true_class,
        asked.epsilon,
    )


def take_sample(sample: str, models: list[str], session: Session) -> tuple[str, Update]:
    """The file of a sample, and models that know what is in it: others than those for the other kind of sample."""
    others = {name for one in SAMPLES for name in link.models_for(one)} - set(link.models_for(sample))
    if models and not set(models) <= others:
        return sample_file(sample), gr.skip()
    wanted = list(link.models_for(sample))
    return sample_file(sample), gr.update(choices=model_choices(session, wanted), value=wanted)


def answer(
    session: Session,
    picture: str | None,
    models: list[str],
    runtime: str,
    precision: str,
    temperature: float,
    heat_class: str,
    true_class: str,
    epsilon: float,
    language: str,
    asked: float = 0,
) -> Iterator[tuple[Session, str | Update, *Shown, *Lists]]:
    """Ask the chosen models about the picture; what is known is shown at once, the rest as it comes.

    A new picture takes back the choice of classes, which belonged to the old one. A newer question ends this one; a
    newer view, such as a class picked while a model loads or this waited in line, is what the rest is shown under.
    """
    say = speaker(language)
    session.look(View(temperature, heat_class or "", true_class or "", epsilon, language, asked))
    lists: Lists = (gr.skip(), gr.skip())
    if session.picture not in (None, picture):
        session.view = dataclasses.replace(session.view, heat_class="", true_class="")
        lists = (gr.update(value=""), gr.update(value=""))
    prepare(session, picture, models or [], runtime, precision)
    turn = session.turn
    try:
        image = open_for(session, say)
        replace = not browser_shows(str(session.picture))
        style: str | Update = picture_style(image, list(session.answers.values()), replace)
        for _ in ask_missing(session, image, say):
            if session.turn != turn:
                return
            yield session, style, *show_newest(session, image), *lists
            style, lists = gr.skip(), (gr.skip(), gr.skip())
        if session.turn == turn:
            yield session, style, *show_newest(session, image), *lists
    except CvhubError as error:
        session.answers.clear()
        yield session, gr.skip(), *blank(translated(str(error), language)), *lists
    except Exception as error:  # the page would wait for ever
        log.exception("the answers could not be shown")
        session.answers.clear()
        yield session, gr.skip(), *blank(say("unexpected_view", kind=type(error).__name__)), *lists


def prepare(session: Session, picture: str | None, models: list[str], runtime: str, precision: str) -> None:
    """Make room for each chosen model's answer; those given to this very question are kept."""
    asked = (picture, runtime, precision)
    same = asked == (session.picture, session.runtime, session.precision)
    kept = session.answers if same else {}
    session.picture, session.runtime, session.precision = asked
    session.turn += 1
    session.colours = assign_colours(models, session.colours, [entry.name for entry in CATALOG])
    session.answers = {
        model: kept.get(model) or Answer(model, title_of(model), session.colours[model]) for model in models
    }


def open_for(session: Session, say: Say) -> Image.Image:
    """The session's picture; CvhubError where there is nothing to answer."""
    if session.picture is None:
        raise CvhubError(say("no_picture"))
    if not session.answers:
        raise CvhubError(say("no_models"))
    if len(session.answers) > link.MAX_MODELS:
        raise CvhubError(say("too_many_models", n=len(session.answers), limit=link.MAX_MODELS))
    return open_picture(session.picture)


def show_newest(session: Session, image: Image.Image) -> Shown:
    """What the session's answers look like under the view that was asked for last."""
    view = session.view
    add_heats(session, view, speaker(view.language), image)
    return show_view(session, view)


def show_view(session: Session, view: View) -> Shown:
    """What the session's answers look like under a view."""
    answers = list(session.answers.values())
    readouts = loss_table(answers, view) + accuracy_plots(answers, view)
    return results(answers, view), readouts


def blank(sentence: str) -> Shown:
    """One sentence where the answers would stand."""
    return message(escape(sentence)), ""


def list_classes(session: Session, language: str) -> Lists:
    """The choices of the two lists of classes, for who opens one: there may be thousands, which few look at."""
    say = speaker(language)
    classes = [(label, label) for label in dict.fromkeys(each for one in session.answered() for each in one.labels)]
    heat, true = (say("heat_class_own"), ""), (say("true_class_mean"), "")
    return gr.update(choices=[heat, *classes]), gr.update(choices=[true, *classes])


def show(
    session: Session,
    temperature: float,
    heat_class: str,
    true_class: str,
    epsilon: float,
    language: str,
    asked: float = 0,
) -> Shown:
    """The kept answers under another temperature, class, ε or language: no forward pass. Nothing, where a newer view
    was asked for before this one was drawn."""
    view = View(temperature, heat_class or "", true_class or "", epsilon, language, asked)
    session.look(view)
    if session.answers and session.view is view:
        add_heats(session, view, speaker(language))
        shown = show_view(session, view)
        if session.view is view:
            return shown
    return gr.skip(), gr.skip()


def add_checkpoint(
    session: Session, hub_id: str, files: list[str] | None, models: list[str], language: str
) -> tuple[Session, Update, str]:
    """Let a checkpoint join the models: a Hub id, or one .safetensors file with its config.json.

    It is fetched and converted when it is asked, like any other model, and a failure stands in its own card.
    """
    say = speaker(language)
    try:
        name = take_checkpoint(session, hub_id, files, say)
    except CvhubError as error:
        return session, gr.skip(), note(str(error))
    update, said = join_models(session, name, models, say)
    return session, update, note(said)


def join_models(session: Session, name: str, models: list[str], say: Say) -> tuple[Update, str]:
    """The list of models with a new one, which is chosen too unless enough are, and the sentence that says so."""
    full = len(models) >= link.MAX_MODELS
    chosen = models if full or name in models else [*models, name]
    choices = model_choices(session, [*chosen, name])
    return gr.update(choices=choices, value=chosen), say("checkpoint_full" if full else "checkpoint_added", name=name)


def take_offer(offer: Offer, session: Session, models: list[str]) -> tuple[Update]:
    """A model that another tab has found joins the models; where nine are chosen, in place of the last."""
    others = [model for model in models or [] if model != offer.model][: link.MAX_MODELS - 1]
    chosen = [*others, offer.model]
    return (gr.update(choices=model_choices(session, chosen), value=chosen),)


def forget(session: Session) -> None:
    """A visit ended: its uploaded checkpoints go, and all that was made of them."""
    for folder in session.checkpoints.values():
        answering.forget(str(folder))


def export_csv(
    session: Session, temperature: float, heat_class: str, true_class: str, epsilon: float, language: str
) -> str:
    """All that is shown, as CSV: a row a model and class."""
    view = View(temperature, heat_class or "", true_class or "", epsilon, language)
    return export.as_csv(list(session.answers.values()), view)


def export_json(
    session: Session, temperature: float, heat_class: str, true_class: str, epsilon: float, language: str
) -> str:
    """All that is shown, as JSON."""
    view = View(temperature, heat_class or "", true_class or "", epsilon, language)
    return export.as_json(list(session.answers.values()), view)


def compose_link(
    sample: str | None,
    models: list[str],
    temperature: float,
    opacity: int,
    heat_class: str,
    true_class: str,
    epsilon: float,
    language: str,
) -> tuple[str, str]:
    """The query string of a link to this view, and the sentence that says it was copied.

    An uploaded checkpoint lives in this visit only, so it is left out.
    """
    say = speaker(language)
    public = tuple(model for model in models if find_entry(model) or HUB_ID.fullmatch(model))
    view = link.Link(sample, public, temperature, opacity, heat_class or "", true_class or "", epsilon, language)
    said = say("link_copied" if sample else "link_copied_upload")
    return link.compose(view), note(said, denied=say("link_denied"))


def classify(image: str, models: list[str], temperature: float, top_k: float) -> dict[str, Any]:
    """Names what is in a picture, by one to nine models.

    Args:
        image: The picture: a file, its https address, or a data URI (data:image/png;base64,…).
        models: Names of the catalogue, which list_models gives, or Hub ids of classifiers.
        temperature: What logits are divided by; 1 leaves a model's own probabilities.
        top_k: How many of the likeliest classes.

    Returns:
        {"models": [{"model", "runtime", "precision", "milliseconds", "predictions": [{"label", "score"}]}]}; a model
        that failed has "error", one sentence, instead.
    """
    say = speaker("en")
    session = Session()
    prepare(session, image, models, "auto", "auto")
    try:
        opened = open_for(session, say)
    except CvhubError as error:
        raise gr.Error(str(error), print_exception=False) from error
    for _ in ask_missing(session, opened, say):
        pass
    return {"models": [api_answer(given, temperature, int(top_k)) for given in session.answers.values()]}


def api_answer(given: Answer, temperature: float, top_k: int) -> dict[str, Any]:
    if not given.answered:
        return {"model": given.model, "error": given.error}
    predictions = [{"label": label, "score": score} for label, score in top_classes(given, temperature, top_k)]
    return {
        "model": given.model,
        "runtime": given.runtime,
        "precision": given.precision,
        "milliseconds": given.milliseconds,
        "predictions": predictions,
    }
