"""Answers as HTML: the sentence, a card a model, its bars. Pure functions; whatever comes from outside is escaped."""

from html import escape

import numpy as np

from cvhub.catalog import find_entry
from cvhub.ui import numerals
from cvhub.ui.loss_terms import log_probabilities
from cvhub.ui.messages import reason, translated
from cvhub.ui.state import Answer, Facts, Heat, View
from cvhub.ui.strings import Say, speaker

TOP_K = 5
CLASS_ACTIVATION = "<i>M</i><sub>c</sub> = Σ<sub>k</sub> <i>w</i><sub>c,k</sub> <i>f</i><sub>k</sub>"
GRAD_CAM = "max(0, Σ<sub>k</sub> <i>α</i><sub>c,k</sub> <i>f</i><sub>k</sub>)"
# What an element with bars runs when it is loaded: a click on a bar tells server and scripts its class.
PICK_CLASS = """
element.addEventListener("click", (event) => {
  const bar = event.target.closest("button[data-class]");
  if (!bar) return;
  cvhub.picked = bar.dataset.class;
  trigger("click", { label: bar.dataset.class });
});
"""


def top_classes(answer: Answer, temperature: float, k: int = TOP_K) -> list[tuple[str, float]]:
    """The k likeliest classes of one answer, the likeliest first: (label, probability)."""
    if answer.logits is None:
        return []
    p = np.exp(log_probabilities(answer.logits, temperature))
    return [(answer.labels[i], float(p[i])) for i in np.argsort(-p, kind="stable")[:k]]


def heat_label(answer: Answer, view: View) -> str:
    """The class whose heat map this model's card shows."""
    return view.heat_class or top_classes(answer, view.temperature, 1)[0][0]


def results(answers: list[Answer], view: View) -> str:
    """The sentence about all models, then a card for each."""
    say = speaker(view.language)
    cards = "".join(card(answer, view, say) for answer in answers)
    return message(summary(answers, view, say)) + f'<div class="cards">{cards}</div>' + explanation(answers, say)


def explanation(answers: list[Answer], say: Say) -> str:
    """How to read the cards: the scale, the frame, and the formula of each kind of heat map among them."""
    kinds = {heat.exact for answer in answers for heat in answer.heats.values()}
    if not kinds:
        return ""
    notes = [say("note_bars")]
    if True in kinds:
        notes.append(say("note_exact", formula=f'<span class="formula">{CLASS_ACTIVATION}</span>'))
    if False in kinds:
        notes.append(say("note_grad", formula=f'<span class="formula">{GRAD_CAM}</span>'))
    return f'<p class="facts">{" ".join(notes)}</p>'


def note(sentence: str, denied: str = "") -> str:
    """A sentence beside the button that it answers, read aloud."""
    attribute = f' data-denied="{escape(denied)}"' if denied else ""
    return f'<span role="status"{attribute}>{escape(sentence)}</span>'


def message(inner: str) -> str:
    """The one line above the cards, read aloud when it changes."""
    return f'<p class="summary" role="status">{inner}</p>'


def waiting(say: Say) -> str:
    """What stands where something that is computed first will."""
    return message(escape(say("computing")))


def summary(answers: list[Answer], view: View, say: Say) -> str:
    """How far the models agree, and what the surest of them costs. HTML."""
    done = [answer for answer in answers if answer.answered]
    if any(not answer.answered and answer.error is None for answer in answers):
        return say("waiting", n=len(answers)) if len(answers) > 1 else say("waiting_one")
    if not done:
        return f"<strong>{say('failed_all')}</strong>"
    first = {answer.model: top_classes(answer, view.temperature, 1)[0] for answer in done}
    if len(done) == 1:
        label, p = first[done[0].model]
        line = say("one_says", title=escape(done[0].title), label=escape(label), percent=numerals.percent(p))
        return f"<strong>{line}</strong>"
    camps: dict[str, list[Answer]] = {}
    for answer in done:
        camps.setdefault(first[answer.model][0], []).append(answer)
    return f"<strong>{agreement(camps, len(done), say)}</strong> {surest(done, first, say)}"


def agreement(camps: dict[str, list[Answer]], n: int, say: Say) -> str:
    """One sentence from label → the models that put it first."""
    number = say("numerals").split()
    if len(camps) == 1:
        (label,) = camps
        return say("both_say", label=escape(label)) if n == 2 else say("all_say", n=number[n], label=escape(label))
    lead = ""
    if len(camps) == n:
        lead = say("two_disagree") if n == 2 else say("no_two_agree", n=number[n])
    parts = []
    for label, camp in sorted(camps.items(), key=lambda item: -len(item[1])):
        if len(camp) == 1:
            parts.append(say("title_says", title=escape(camp[0].title), label=escape(label)))
        else:
            parts.append(say("group_says", k=number[len(camp)], n=number[n], label=escape(label)))
    sentence = lead + say("joint").join(parts) + say("stop")
    return sentence[0].upper() + sentence[1:]


def surest(done: list[Answer], first: dict[str, tuple[str, float]], say: Say) -> str:
    """Which model is the surest, and how its cost compares with the cheapest model's."""
    sure = max(done, key=lambda answer: first[answer.model][1])
    said = {"surest": escape(sure.title), "percent": numerals.percent(first[sure.model][1])}
    costs = {answer.model: answer.facts.multiply_adds for answer in done if answer.facts}
    if len(costs) < len(done):
        return say("surest_only", **said)
    cheapest = min(done, key=lambda answer: costs[answer.model])
    if cheapest is sure:
        return say("surest_cheapest", **said)
    ratio = numerals.ratio(costs[sure.model] / costs[cheapest.model])
    if ratio == numerals.ratio(1):
        return say("surest_only", **said)
    return say("surest", **said, ratio=ratio, cheapest=escape(cheapest.title))


def card(answer: Answer, view: View, say: Say) -> str:
    """One model: its name, what it costs, where it looked, and its likeliest classes."""
    if answer.error is not None:
        body = f'<p class="error">{escape(translated(answer.error, view.language))}</p>'
    elif not answer.answered:
        body = f'<p class="facts">{say("loading")}</p>' + blank_card()
    else:
        body = facts(answer, view, say) + heat_figure(answer, view, say) + bars(answer, view, say)
    return (
        f'<article class="card" style="--series:var(--series-{answer.colour})" data-model="{escape(answer.model)}">'
        f'<h2><span class="dot"></span>{escape(answer.title)}</h2>{body}</article>'
    )


def blank_card() -> str:
    """The shape of an answer that is not there yet."""
    row = '<li><span class="bar blank"><span class="track"></span></span></li>'
    return f'<div class="heat-map blank"></div><ol class="bars" aria-hidden="true">{row * TOP_K}</ol>'


def facts(answer: Answer, view: View, say: Say) -> str:
    """Two quiet lines: what an answer costs, and what computed it and why."""
    costs = [numerals.milliseconds(answer.milliseconds), *(cost_facts(answer.facts, say) if answer.facts else [])]
    runtime = {"torch": "PyTorch", "openvino": "OpenVINO"}.get(answer.runtime, answer.runtime)
    line = " · ".join(f"<span>{cost}</span>" for cost in costs)
    if (entry := find_entry(answer.model)) and entry.tested:
        n, share = f"{entry.tested:,}", numerals.percent(entry.metrics["accuracy"])
        line += f" · <span>{say('tested', percent=share, n=n)}</span>"
    why = reason(answer.reason, view.language)
    took = say("took", runtime=runtime, precision=answer.precision, reason=why)
    return f'<p class="facts costs">{line}</p><p class="facts why">{escape(took)}</p>'


def cost_facts(cost: Facts, say: Say) -> list[str]:
    return [
        say("parameters", n=numerals.count(cost.parameters)),
        say("multiply_adds", n=numerals.count(cost.multiply_adds)),
        say("memory", n=numerals.megabytes(cost.memory_bytes)),
    ]


def heat_figure(answer: Answer, view: View, say: Say) -> str:
    """The picture with the heat map of one class over the part the model is shown; its opacity is a CSS variable."""
    label = heat_label(answer, view)
    if label not in answer.labels:
        return f'<div class="heat-map blank"></div><p class="facts">{say("no_heat", label=escape(label))}</p>'
    heat = answer.heats.get(answer.labels.index(label))
    if heat is None:
        return '<div class="heat-map"></div>'
    alt = escape(say("heat_alt", title=answer.title, label=label))
    method = say("heat_exact") if heat.exact else say("heat_grad")
    caption = say("heat_of", method=method, label=escape(label))
    return f'<div class="heat-map" role="img" aria-label="{alt}">{heat_layer(heat)}</div><p class="facts">{caption}</p>'


def heat_layer(heat: Heat) -> str:
    left, top, width, height = (f"{100 * share:.2f}%" for share in heat.box)
    place = f"left:{left};top:{top};width:{width};height:{height}"
    return f'<div class="frame" style="{place}"><img class="heat" src="{heat.layer}" alt=""></div>'


def bars(answer: Answer, view: View, say: Say) -> str:
    """The likeliest classes as buttons with bars, on a scale from 0 to 100 % that all models share."""
    shown = heat_label(answer, view)
    rows = []
    for label, p in top_classes(answer, view.temperature):
        spoken = escape(say("bar_label", label=label, percent=numerals.percent(p)))
        rows.append(
            f'<li><button type="button" class="bar" data-class="{escape(label)}" aria-label="{spoken}"'
            f' aria-pressed="{"true" if label == shown else "false"}">'
            f'<span class="label">{escape(label)}</span><span class="percent">{numerals.percent(p)}</span>'
            f'<span class="track"><span class="fill" style="width:{100 * p:.2f}%"></span></span></button></li>'
        )
    return f'<ol class="bars" aria-label="{escape(say("bars_of", title=answer.title))}">{"".join(rows)}</ol>'
