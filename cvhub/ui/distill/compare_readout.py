"""A comparison as HTML: a card each, what the students pay, and where the two heads disagree. Pure functions."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cvhub.ui import numerals
from cvhub.ui.distill.terms import Term, terms_table
from cvhub.ui.loss_terms import log_probabilities
from cvhub.ui.pictures import heat_layer, picture_on
from cvhub.ui.readout import card, message
from cvhub.ui.readout import heat_layer as heat_html
from cvhub.ui.state import View
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from PIL import Image

    from cvhub.ui.distill.comparison import Comparison

WHOLE = (0.0, 0.0, 1.0, 1.0)


def comparison_html(
    comparison: "Comparison",
    image: "Image.Image",
    view: View,
    true_class: str,
    chosen: bool,
    groups: Sequence[tuple[str, Sequence[Term]]],
    say: Say,
) -> str:
    """`groups`: what each student pays."""
    session = comparison.session
    roles = [(teacher, "teacher") for teacher in comparison.teachers]
    roles += [(comparison.alone, "alone"), (comparison.taught, "taught")]
    cards = "".join(
        f'<div><p class="role">{escape(say(f"compare_role_{role}"))}</p>{card(session.answers[model], view, say)}</div>'
        for model, role in roles
    )
    title = say("compare_losses" if chosen else "compare_losses_guess", label=true_class)
    note = say("compare_note", temperature=f"{view.temperature:g}")
    return (
        picture_on("compare-view", image)
        + message(sentence(groups, say))
        + f'<div class="cards compared">{cards}</div>'
        + terms_table(title, groups, note, say)
        + heads_section(comparison, view, say)
    )


def sentence(groups: Sequence[tuple[str, Sequence[Term]]], say: Say) -> str:
    """Which student is nearer to what it is taught."""
    paid = [numerals.nats(sum(term.part for term in terms)) for _, terms in groups]
    return escape(say("compare_sentence", alone=paid[0], taught=paid[1]))


def heads_section(comparison: "Comparison", view: View, say: Say) -> str:
    """What the class head and the distillation head say, and where their tokens looked."""
    heads = comparison.heads
    if heads is None:
        return f'<p class="facts">{escape(say("compare_one_head"))}</p>'
    labels = comparison.session.answers[comparison.taught].labels
    both = {"class": heads.class_logits, "distillation": heads.distillation_logits}
    p = {name: np.exp(log_probabilities(z, view.temperature)) for name, z in both.items()}
    first = {name: labels[int(values.argmax())] for name, values in p.items()}
    same = first["class"] == first["distillation"]
    total = 0.5 * float(np.abs(p["class"] - p["distillation"]).sum())
    told = say(
        "compare_heads_agree" if same else "compare_heads_differ",
        **first,
        temperature=f"{view.temperature:g}",
        distance=numerals.percent(total),
    )
    maps = {"class": heads.class_attention, "distillation": heads.distillation_attention}
    figures = "".join(
        head_figure(name, labels, p[name], maps[name], comparison, say) for name in ("class", "distillation")
    )
    return (
        f'<section class="losses"><h2>{escape(say("compare_heads"))}</h2><p>{escape(told)}</p>'
        f'<div class="cards compared">{figures}</div><p class="facts">{escape(say("compare_heads_note"))}</p></section>'
    )


def head_figure(
    name: str, labels: list[str], p: np.ndarray, attention: np.ndarray, comparison: "Comparison", say: Say
) -> str:
    """One head: attention rollout of its token over the picture, and its likeliest classes."""
    alt = escape(say(f"compare_attention_{name}"))
    heat = heat_layer(attention / attention.max(), WHOLE, exact=False)
    colour = comparison.session.colours[comparison.taught]
    rows = "".join(
        f'<li><span class="label">{escape(labels[i])}</span><span class="number">{numerals.percent(float(p[i]))}</span>'
        f'<span class="track"><span class="fill" style="width:{100 * p[i]:.2f}%"></span></span></li>'
        for i in np.argsort(-p, kind="stable")[:5]
    )
    return (
        f'<article class="card" style="--series:var(--series-{colour})"><h2>{escape(say(f"compare_head_{name}"))}</h2>'
        f'<div class="heat-map" role="img" aria-label="{alt}">{heat_html(heat)}</div><p class="facts">{alt}</p>'
        f'<section class="meters"><ul>{rows}</ul></section></article>'
    )
