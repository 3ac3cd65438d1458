"""The loss readout: each loss with its formula, and beside each value the numbers that went into it."""

from dataclasses import dataclass
from html import escape

import numpy as np

from cvhub.ui import numerals
from cvhub.ui.loss_terms import LossTerms, loss_terms, mean_probabilities
from cvhub.ui.state import Answer, View
from cvhub.ui.strings import Say, speaker

CROSS_ENTROPY = "−ln <i>p</i><sub>y</sub>"
SMOOTHED = "(1 − ε)(−ln <i>p</i><sub>y</sub>) + ε <sup>1</sup>⁄<sub>K</sub> Σ<sub>k</sub> −ln <i>p</i><sub>k</sub>"
DIVERGENCE = (
    "Σ<sub>k</sub> <i>m</i><sub>k</sub> ln(<i>m</i><sub>k</sub> ⁄ <i>p</i><sub>k</sub>)"
    " = −Σ <i>m</i> ln <i>p</i> − H(<i>m</i>)"
)
PROBABILITY = "<i>p</i><sub>y</sub> = softmax(<i>z</i> ⁄ τ)<sub>y</sub>"


@dataclass(frozen=True)
class Readout:
    """The losses of all answers against one true class."""

    true_class: str
    chosen: bool  # by the visitor; else it is the first class of the models' mean
    terms: dict[str, LossTerms | None]  # by model; None where the class is not among the model's own


def comparable(answers: list[Answer]) -> list[Answer]:
    """The answers whose classes are those of the first: only their probabilities can be averaged."""
    return [answer for answer in answers if answer.labels == answers[0].labels]


def soft_target(answers: list[Answer], temperature: float) -> np.ndarray:
    """m (K,): the mean of the probabilities of all models that share the first model's classes."""
    logits = [answer.logits for answer in comparable(answers) if answer.logits is not None]
    return mean_probabilities(logits, temperature)


def read_losses(answers: list[Answer], view: View) -> Readout | None:
    """All losses, or None while no model has answered."""
    answers = [answer for answer in answers if answer.answered]
    if not answers:
        return None
    mean = soft_target(answers, view.temperature)
    sharing = comparable(answers)
    true_class = view.true_class or answers[0].labels[int(mean.argmax())]
    terms: dict[str, LossTerms | None] = {}
    for answer in answers:
        target = mean if answer in sharing and len(sharing) > 1 else None
        terms[answer.model] = answer_terms(answer, true_class, view, target)
    return Readout(true_class, bool(view.true_class), terms)


def answer_terms(answer: Answer, true_class: str, view: View, target: np.ndarray | None) -> LossTerms | None:
    if answer.logits is None or true_class not in answer.labels:
        return None
    return loss_terms(answer.logits, answer.labels.index(true_class), view.temperature, view.epsilon, target)


def loss_table(answers: list[Answer], view: View) -> str:
    """The readout as HTML; empty while no model has answered."""
    readout = read_losses(answers, view)
    if readout is None:
        return ""
    say = speaker(view.language)
    columns = [
        (say("loss_p"), PROBABILITY),
        (say("loss_ce"), CROSS_ENTROPY),
        (say("loss_smooth", epsilon=f"{view.epsilon:g}"), SMOOTHED),
        (say("loss_kl"), DIVERGENCE),
    ]
    head = "".join(f'<th scope="col">{name}<span class="formula">{formula}</span></th>' for name, formula in columns)
    rows = "".join(
        loss_row(answer, readout.terms[answer.model], columns, view.epsilon, say)
        for answer in answers
        if answer.answered
    )
    note = "" if readout.chosen else f' <span class="aside">{say("loss_mean_note")}</span>'
    return (
        f'<section class="losses"><h2>{say("loss_title", label=escape(readout.true_class))}{note}</h2>'
        f'<table aria-label="{escape(say("loss_caption"))}">'
        f'<thead><tr><th scope="col">{say("loss_model")}</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="facts">{say("loss_note", temperature=f"{view.temperature:g}")}</p></section>'
    )


def loss_row(answer: Answer, terms: LossTerms | None, columns: list[tuple[str, str]], epsilon: float, say: Say) -> str:
    """One model's losses. Each cell carries its column's head, which a narrow page shows in place of the table's."""
    name = (
        f'<th scope="row" style="--series:var(--series-{answer.colour})">'
        f'<span class="dot"></span>{escape(answer.title)}</th>'
    )
    if terms is None:
        return f'<tr>{name}<td colspan="4" class="aside">{say("loss_missing")}</td></tr>'
    if terms.divergence is None or terms.target_cross_entropy is None or terms.target_entropy is None:
        divergence = ("–", say("loss_kl_alone"))
    else:
        used = f"{numerals.nats(terms.target_cross_entropy)} − {numerals.nats(terms.target_entropy)}"
        divergence = (numerals.nats(terms.divergence), used)
    mixed = f"{1 - epsilon:g} × {numerals.nats(terms.cross_entropy)} + {epsilon:g} × {numerals.nats(terms.uniform)}"
    cells = [
        (numerals.probability(terms.p_true), ""),
        (numerals.nats(terms.cross_entropy), f"−ln {numerals.probability(terms.p_true)}"),
        (numerals.nats(terms.smoothed), mixed),
        divergence,
    ]
    heads = (f'<span class="narrow">{title}<span class="formula">{formula}</span></span>' for title, formula in columns)
    values = (f'<b>{value}</b><span class="used">{used}</span>' for value, used in cells)
    return f"<tr>{name}{''.join(f'<td>{head}{value}</td>' for head, value in zip(heads, values, strict=True))}</tr>"
