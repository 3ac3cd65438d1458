"""What the Segment tab does when something is chosen. Each handler is an endpoint too, for `gradio_client`."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from cvhub.catalog import find_entry
from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.answering import locate, title_of
from cvhub.ui.checkpoint import take_checkpoint
from cvhub.ui.messages import translated
from cvhub.ui.readout import message, note
from cvhub.ui.segment import samples
from cvhub.ui.segment.asking import Progress, ask
from cvhub.ui.segment.drawing import figures, heat_figure, segment_rows, summary
from cvhub.ui.segment.paint import painter
from cvhub.ui.segment.reading import Thing, read, things_in, threshold_of
from cvhub.ui.segment.state import Question, Seen, SegmentSession, View
from cvhub.ui.segment.truth import decode_painting, find_truth, scene_in
from cvhub.ui.sharing import Offer
from cvhub.ui.strings import Say, speaker

if TYPE_CHECKING:
    from cvhub.evaluation.truth import Masks
    from cvhub.inference.segment import Segmentation

log = logging.getLogger(__name__)

Update = dict[str, Any]
Shown = tuple[str | Update, str | Update]  # figures and legend; the loss readout


def model_choices(session: SegmentSession, chosen: str | None) -> list[tuple[str, str]]:
    """(title, name) of every segmenter: the catalogue's, the visit's own, and what is chosen."""
    own = [name for name in dict.fromkeys([*session.visit.checkpoints, chosen or ""]) if name and not find_entry(name)]
    return [(entry.title, entry.name) for entry in samples.segmenters()] + [(name, name) for name in own]


def open_segment(session: SegmentSession, model: str | None) -> tuple[Update, Update, Update]:
    """The first sample and the net that knows what is in it, when the tab is seen first; later nothing."""
    if session.question is not None:
        return gr.skip(), gr.skip(), gr.skip()
    sample, first = samples.first_choice()
    model = model or first
    choices = gr.update(choices=model_choices(session, model), value=model)
    return gr.update(value=samples.sample_file(sample)), gr.update(value=sample), choices


def take_segment_sample(sample: str, model: str | None) -> tuple[str, str | None, str]:
    """The file of a sample, a net that knows what is in it, and the truth that it may have."""
    if sample not in samples.SAMPLES:
        raise gr.Error(f"sample is {sample!r}, expected one of {', '.join(samples.SAMPLES)}.")
    known = find_entry(model) if model else None
    fitting = samples.model_for(sample)
    chosen = fitting if fitting and (known or not model) else model
    return samples.sample_file(sample), chosen, "example"


def answer_segment(
    session: SegmentSession,
    picture: str | None,
    model: str | None,
    runtime: str,
    precision: str,
    tile: int,
    overlap: int,
    task: str,
    threshold: float,
    smallest: int,
    truth: str,
    language: str,
) -> Iterator[tuple[SegmentSession, Update, Update, str | Update, str | Update, str | Update, Update]]:
    """Ask the net about the picture, with progress where that takes tiles. A newer question ends this one.

    Gives the tasks and the threshold of the net, the figures, the loss readout, the canvas to paint on, the button
    that stops.
    """
    say = speaker(language)
    question = Question(picture, model or "", runtime, precision, int(tile), int(overlap))
    session.turn += 1
    turn = session.turn
    session.view = View(task, threshold, int(smallest), truth, language)
    stop, no_stop, same = gr.update(visible=True), gr.update(visible=False), gr.skip()
    try:
        if question != session.question or session.seen is None:
            prepare(session, question)
            name = locate(checked(question, say), session.visit, say)
            waiting = escape(say("segment_asking", title=title_of(question.model)))
            yield session, same, same, message(waiting), "", "", no_stop
            for step in ask(question, name):
                if session.turn != turn:
                    return
                if isinstance(step, Progress):
                    yield session, same, same, progress(step, say), "", "", stop
                else:
                    session.seen = step
        seen = session.seen
        assert seen is not None
        say = speaker(session.view.language)  # which may be another one by now, as all of the view may
        tasks, limit, view = choose_task(seen, session.view, say)
        yield session, tasks, limit, *show_view(session, view), painter(seen, say), no_stop
    except (CvhubError, ValueError) as error:
        session.question = session.seen = None
        yield session, same, same, message(escape(translated(str(error), language))), "", "", no_stop
    except Exception as error:  # the page would wait for ever
        log.exception("the picture could not be segmented")
        session.question = session.seen = None
        said = message(escape(say("segment_failed", kind=type(error).__name__)))
        yield session, same, same, said, "", "", no_stop


def prepare(session: SegmentSession, question: Question) -> None:
    """What was known of another picture or net goes."""
    other_picture = session.question is None or session.question.picture != question.picture
    if other_picture or (session.question and session.question.model != question.model):
        session.painted = None
    session.question, session.seen = question, None
    session.truths.clear()


def checked(question: Question, say: Say) -> str:
    """The model; CvhubError where there is nothing to ask."""
    if not question.model:
        raise CvhubError(say("segment_no_model"))
    if question.picture is None:
        raise CvhubError(say("no_picture"))
    return question.model


def progress(step: Progress, say: Say) -> str:
    told = escape(say("segment_progress", done=step.done, total=step.total))
    return f'{message(told)}<progress value="{step.done}" max="{step.total}" aria-label="{told}"></progress>'


def stop_segment(session: SegmentSession, language: str) -> tuple[SegmentSession, str, Update]:
    """End the question that is being answered; what its tiles said so far is dropped."""
    session.turn += 1
    session.question = session.seen = None
    return session, message(escape(speaker(language)("segment_stopped"))), gr.update(visible=False)


def choose_task(seen: Seen, view: View, say: Say) -> tuple[Update, Update, View]:
    """The tasks that the net can do, and the threshold of the one that is shown."""
    tasks = seen.segmenter.tasks
    task = view.task if view.task in tasks else "semantic"
    limit = threshold_of(seen, task)
    value = view.threshold if task == view.task and limit.key == seen.limit else limit.default
    seen.limit = limit.key
    choices = [(say(f"segment_task_{task}"), task) for task in tasks]
    threshold = gr.update(value=value, info=say(limit.key))
    return gr.update(choices=choices, value=task), threshold, replace(view, task=task, threshold=value)


def show_task(
    session: SegmentSession, task: str, threshold: float, smallest: int, truth: str, language: str
) -> tuple[Update, Update, str | Update, str | Update, str | Update]:
    """The kept answer read for another task, or in another language: no forward pass."""
    session.view = View(task, threshold, int(smallest), truth, language)
    if session.seen is None:
        return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
    say = speaker(language)
    tasks, limit, view = choose_task(session.seen, session.view, say)
    return tasks, limit, *show_view(session, view), painter(session.seen, say)


def show_segments(
    session: SegmentSession, task: str, threshold: float, smallest: int, truth: str, language: str
) -> Shown:
    """The kept answer at another threshold, or against another truth: no forward pass."""
    return show_view(session, View(task, threshold, int(smallest), truth, language))


def take_mask(
    session: SegmentSession, file: str | None, task: str, threshold: float, smallest: int, language: str
) -> Shown:
    """An uploaded mask is the truth."""
    session.uploaded = file
    session.truths.pop("upload", None)
    return show_view(session, View(task, threshold, int(smallest), "upload", language))


def take_painting(
    event: gr.EventData, session: SegmentSession, task: str, threshold: float, smallest: int, language: str
) -> Shown:
    """A painted mask is the truth."""
    if session.seen is None:
        return gr.skip(), gr.skip()
    try:
        session.painted = decode_painting(event.mask, len(session.seen.labels))
    except CvhubError as error:
        return message(escape(translated(str(error), language))), gr.skip()
    session.truths.pop("paint", None)
    return show_view(session, View(task, threshold, int(smallest), "paint", language))


def show_view(session: SegmentSession, view: View) -> Shown:
    """What the kept answer looks like under a view, unless a newer view was asked for meanwhile.

    A truth that doesn't fit is a sentence in place of the losses. While a net is still answering nothing is shown, but
    its answer will be under this view.
    """
    session.view = view
    seen = session.seen
    if seen is None:
        return gr.skip(), gr.skip()
    session.views += 1
    asked = session.views
    say = speaker(view.language)
    found = read(seen, view)
    ids, things = things_in(seen, found, view.task)
    masks, excuse = None, say(f"truth_none_{view.truth}")
    try:
        masks = find_truth(session, seen, view.truth, say)
    except CvhubError as error:
        excuse = translated(str(error), view.language)
    shown = compose(seen, found, ids, things, masks, excuse, view, synthetic_note(session, say))
    return shown if session.views == asked else (gr.skip(), gr.skip())


def compose(
    seen: Seen,
    found: "Segmentation",
    ids: np.ndarray,
    things: list[Thing],
    masks: "Masks | None",
    excuse: str,
    view: View,
    aside: str,
) -> tuple[str, str]:
    """Figures, and losses where there is a truth, else the sentence that says why there is none. HTML."""
    from cvhub.ui.segment.losses import hard_scores, soft_losses
    from cvhub.ui.segment.readout import levels_section, loss_figure, readout

    say = speaker(view.language)
    rows = segment_rows(found, things, view.task)
    if masks is None:
        title, alt, said = (say(f"segment_unsure{part}") for part in ("", "_alt", "_note"))
        head = summary(seen, things, None, None, aside, view.language)
        shown = head + figures(seen, found, rows, heat_figure(entropy(seen), title, alt, said), say)
        return shown, f'<section class="losses"><p class="facts">{escape(excuse)}</p></section>' + levels_section(
            seen, None, say
        )
    losses = soft_losses(seen, masks)
    scores = hard_scores(seen, found, ids, things, masks, view)
    near = losses.near_border, losses.border
    head = summary(seen, things, scores.matched + scores.missed, near, aside, view.language)
    return (
        head + figures(seen, found, rows, loss_figure(losses, say), say),
        readout(losses, scores, view, say) + levels_section(seen, losses, say),
    )


def entropy(seen: Seen) -> np.ndarray:
    """Of each pixel's probabilities, in nats, (h, w)."""
    p = seen.answer.probabilities()
    return -(p * np.log(np.maximum(p, 1e-12))).sum(0)


def synthetic_note(session: SegmentSession, say: Say) -> str:
    """That the picture is synthetic, where it is."""
    picture = session.question.picture if session.question else None
    return say("segment_synthetic") if picture and scene_in(Path(picture)) else ""


def show_truth_inputs(truth: str) -> tuple[Update, Update]:
    """What the chosen kind of truth needs: a file, or a canvas."""
    return gr.update(visible=truth == "upload"), gr.update(visible=truth == "paint")


def add_segmenter(
    session: SegmentSession, hub_id: str, files: list[str] | None, model: str | None, language: str
) -> tuple[SegmentSession, Update, str]:
    """Let a checkpoint be the model: a Hub id, or one .safetensors file with its config.json."""
    say = speaker(language)
    try:
        name = take_checkpoint(session.visit, hub_id, files, say)
    except CvhubError as error:
        return session, gr.skip(), note(str(error))
    update = gr.update(choices=model_choices(session, name), value=name)
    return session, update, note(say("checkpoint_added", name=name))


def take_offer(offer: Offer, session: SegmentSession) -> tuple[Update]:
    """A net that another tab has found is the one to ask; it is asked when the tab is seen."""
    return (gr.update(choices=model_choices(session, offer.model), value=offer.model),)


def forget_segment(session: SegmentSession) -> None:
    """A visit ended: its uploaded checkpoints go, and all that was kept of its picture."""
    session.turn += 1
    session.seen = session.question = session.painted = None
    session.truths.clear()
    for folder in session.visit.checkpoints.values():
        answering.forget(str(folder))
