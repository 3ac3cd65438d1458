"""Accuracy against cost: models that were tested on the same pictures, as points, a plot for each kind of cost."""

from html import escape

from cvhub.catalog import Entry, find_entry
from cvhub.evaluation.metrics import wilson_interval
from cvhub.ui.charts import Series, around, canvas, from_zero, legend
from cvhub.ui.state import Answer, View
from cvhub.ui.strings import speaker

Tested = tuple[Answer, Entry]


def accuracy_plots(answers: list[Answer], view: View) -> str:
    """HTML; empty unless two models or more have answered whose accuracy on one data set was measured."""
    say = speaker(view.language)
    known = comparable(answers)
    if len(known) < 2:
        return ""
    spans = {answer.model: span(entry) for answer, entry in known}
    lowest, highest = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
    up = around(say("accuracy_axis"), lowest, highest)
    plots, dots = "", []
    for cost, values in costs(known).items():
        across = from_zero(say(f"accuracy_{cost}"), max(values), steps=4)
        dots, whiskers = [], []
        for (answer, entry), value in zip(known, values, strict=True):
            point = (value, 100 * entry.metrics["accuracy"])
            dots.append(Series(answer.title, [point], answer.colour, dots=True, line=False))
            whiskers.append(Series(answer.title, [(value, end) for end in spans[answer.model]], answer.colour))
        alt = say("accuracy_alt", n=len(known), cost=across.title)
        plots += f"<li>{canvas(whiskers + dots, across, up, alt)}</li>"
    entry = known[0][1]
    note = say("accuracy_note", n=f"{entry.tested:,}", dataset=entry.dataset)
    return (
        f'<section class="losses"><h2>{say("accuracy_title")}</h2><div class="plot">{legend(dots)}'
        f'<ul class="plots">{plots}</ul></div><p class="facts">{escape(note)}</p></section>'
    )


def comparable(answers: list[Answer]) -> list[Tested]:
    """The answers of models that were tested on the data set of the first of them."""
    rows = [(answer, find_entry(answer.model)) for answer in answers if answer.facts]
    tested = [(answer, entry) for answer, entry in rows if entry and entry.tested]
    return [(answer, entry) for answer, entry in tested if entry.dataset == tested[0][1].dataset]


def span(entry: Entry) -> tuple[float, float]:
    """The 95 % interval of the accuracy, in percent."""
    low, high = wilson_interval(round(entry.metrics["accuracy"] * entry.tested), entry.tested)
    return 100 * low, 100 * high


def costs(known: list[Tested]) -> dict[str, list[float]]:
    """What each model costs, by kind; training where that is known of all."""
    facts = [answer.facts for answer, _ in known if answer.facts]
    kinds = {
        "parameters": [fact.parameters / 1e6 for fact in facts],
        "multiply_adds": [fact.multiply_adds / 1e6 for fact in facts],
        "milliseconds": [answer.milliseconds for answer, _ in known],
        "minutes": [entry.training_minutes for _, entry in known],
    }
    return {kind: values for kind, values in kinds.items() if all(values)}
