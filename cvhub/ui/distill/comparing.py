"""What the view "Compare" does: asks teachers and students about the picture, and works out what they pay."""

import logging
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.distill.compare_readout import comparison_html
from cvhub.ui.distill.comparison import Comparison
from cvhub.ui.distill.terms import Term
from cvhub.ui.messages import translated
from cvhub.ui.palette import assign_colours
from cvhub.ui.readout import message
from cvhub.ui.state import Answer, Session, View
from cvhub.ui.strings import Say, speaker

if TYPE_CHECKING:
    from cvhub.explain.heads import Heads

log = logging.getLogger(__name__)

Update = dict[str, Any]


@dataclass(frozen=True)
class Choices:
    """How the answers are to be shown. None of it needs a new forward pass."""

    true_class: str
    temperature: float
    weight: float
    loss: str
    combination: str
    language: str


def compare(
    comparison: Comparison,
    picture: str | None,
    teachers: list[str],
    alone: str,
    taught: str,
    *choices: Any,
) -> tuple[Comparison, str, Update]:
    """Asks all of them about the picture. The choice of a true class belonged to the picture before."""
    wanted = Choices(*choices)
    say = speaker(wanted.language)
    if comparison.session.picture not in (None, picture):
        wanted = replace(wanted, true_class="")
    try:
        asked = ask(picture, teachers or [], alone, taught, say)
        return asked, *draw(asked, wanted)
    except CvhubError as error:
        sentence = translated(str(error), wanted.language)
    except Exception as error:
        log.exception("the comparison could not be shown")
        sentence = say("unexpected_view", kind=type(error).__name__)
    return Comparison(), message(escape(sentence)), gr.skip()


def ask(picture: str | None, teachers: list[str], alone: str, taught: str, say: Say) -> Comparison:
    """Raises `CvhubError` where one can't answer, or their classes are not the same by name."""
    if picture is None:
        raise CvhubError(say("no_picture"))
    if not teachers:
        raise CvhubError(say("compare_no_teacher"))
    models = list(dict.fromkeys([*teachers, alone, taught]))
    colours = assign_colours(models, {}, models)
    session = Session(picture=picture, colours=colours)
    image = answering.open_picture(picture)
    for model in models:
        blank = Answer(model, answering.title_of(model), colours[model])
        session.answers[model] = answering.ask(blank, answering.locate(model, session, say), image, "auto", "auto")
    comparison = Comparison(session, tuple(teachers), alone, taught)
    for answer in session.answers.values():
        if answer.error is not None:
            raise CvhubError(f"{answer.model}: {answer.error}")
        columns_of(answer, comparison.labels)
    comparison.heads = two_heads(taught, image)
    return comparison


def two_heads(model: str, image: Any) -> "Heads | None":
    """None for a student that has one head."""
    import torch

    from cvhub.explain.heads import heads
    from cvhub.load import load_model, load_processor

    net = load_model(model)
    if net.config.to_dict().get("distillation") != "head":
        return None
    return heads(net, torch.from_numpy(load_processor(model)([image])))


def columns_of(answer: Answer, labels: list[str]) -> list[int]:
    from cvhub.evaluation.classes import match_classes

    try:
        return match_classes(labels, answer.labels)
    except CvhubError:
        raise CvhubError(f"{answer.title} does not know the first teacher's classes: choose others.") from None


def show(comparison: Comparison, *choices: Any) -> tuple[str | Update, Update]:
    """What was answered, under other choices."""
    if not comparison.teachers:
        return gr.skip(), gr.skip()
    return draw(comparison, Choices(*choices))


def draw(comparison: Comparison, wanted: Choices) -> tuple[str, Update]:
    say = speaker(wanted.language)
    labels = comparison.labels
    true_class = wanted.true_class if wanted.true_class in labels else ""
    shown_class = true_class or labels[int(np.argmax(mean_of(comparison)))]
    view = View(wanted.temperature, heat_class=shown_class, language=wanted.language)
    answering.add_heats(comparison.session, view, say)
    students = {"alone": comparison.alone, "taught": comparison.taught}
    groups = [
        (
            say(f"compare_group_{role}", title=answering.title_of(student)),
            terms(comparison, student, shown_class, wanted, say),
        )
        for role, student in students.items()
    ]
    image = answering.open_picture(str(comparison.session.picture))
    html = comparison_html(comparison, image, view, shown_class, bool(true_class), groups, say)
    choices = [(say("compare_true_teacher"), ""), *((label, label) for label in labels)]
    return html, gr.update(choices=choices, value=true_class)


def mean_of(comparison: Comparison) -> np.ndarray:
    """Of the teachers' probabilities (K,)."""
    return np.mean([softmax(z) for z in teacher_logits(comparison)], axis=0)


def teacher_logits(comparison: Comparison) -> np.ndarray:
    """(T, K), in the order of the first one's classes."""
    answers = [comparison.session.answers[teacher] for teacher in comparison.teachers]
    return np.stack([logits_of(answer, comparison.labels) for answer in answers])


def logits_of(answer: Answer, labels: list[str]) -> np.ndarray:
    assert answer.logits is not None
    return answer.logits[columns_of(answer, labels)]


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def terms(comparison: Comparison, student: str, true_class: str, wanted: Choices, say: Say) -> list[Term]:
    """What a student would pay for its answer to this picture."""
    from cvhub.ui.distill.paying import pay

    labels = comparison.labels
    answer = comparison.session.answers[student]
    of_class = of_teacher = logits_of(answer, labels)
    if student == comparison.taught and comparison.heads is not None:
        columns = columns_of(answer, labels)
        of_class, of_teacher = (
            comparison.heads.class_logits[columns],
            comparison.heads.distillation_logits[columns],
        )
    titles = [answering.title_of(teacher) for teacher in comparison.teachers]
    return pay(
        of_class, of_teacher, teacher_logits(comparison), labels.index(true_class), titles, labels,
        loss=wanted.loss, temperature=wanted.temperature, weight=wanted.weight, combination=wanted.combination, say=say,
    )  # fmt: skip
