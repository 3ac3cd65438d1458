"""A student's loss as a table: each term with its formula, value, weight and part, and the sum of the parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cvhub.ui import numerals
from cvhub.ui.strings import Say

LABELS = "CE(<i>z</i><sub>cls</sub>, <i>y</i>)"
TEACHER = {
    "hard": "CE(<i>z</i><sub>dist</sub>, argmax <i>z</i><sub>t</sub>)",
    "soft": "τ² KL(<i>z</i><sub>t</sub> ⁄ τ ‖ <i>z</i><sub>dist</sub> ⁄ τ)",
}
COLUMNS = ("term", "formula", "value", "weight", "part")


@dataclass(frozen=True)
class Term:
    """`formula` is HTML; what a term adds to the sum is its part, in nats."""

    name: str
    formula: str
    value: float
    weight: float
    part: float


def terms_table(title: str, groups: Sequence[tuple[str, Sequence[Term]]], note: str, say: Say) -> str:
    """`groups`: a name, "" where there is but one, and the terms of a sum."""
    columns = [say(f"terms_{name}") for name in COLUMNS]
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    bodies = "".join(_group(name, terms, columns, say) for name, terms in groups)
    return (
        f'<section class="losses"><h2>{escape(title)}</h2><table aria-label="{escape(title)}">'
        f'<thead><tr>{head}</tr></thead>{bodies}</table><p class="facts">{escape(note)}</p></section>'
    )


def _group(name: str, terms: Sequence[Term], columns: list[str], say: Say) -> str:
    head = f'<tr class="group"><th colspan="5" scope="rowgroup">{escape(name)}</th></tr>' if name else ""
    total = sum(term.part for term in terms)
    last = _row(say("terms_sum"), {columns[4]: f"<b>{numerals.nats(total)}</b>"}, columns)
    return f"<tbody>{head}{''.join(_term(term, columns) for term in terms)}{last}</tbody>"


def _term(term: Term, columns: list[str]) -> str:
    values = (
        f'<span class="formula">{term.formula}</span>',
        numerals.nats(term.value),
        f"{term.weight:.2f}",
        f"<b>{numerals.nats(term.part)}</b>",
    )
    return _row(term.name, dict(zip(columns[1:], values, strict=True)), columns)


def _row(name: str, values: dict[str, str], columns: list[str]) -> str:
    """A cell carries its column's head, for pages that are narrow; there an empty one is left out."""
    cells = "".join(
        f'<td><span class="narrow">{escape(column)}</span>{values[column]}</td>' if column in values else "<td></td>"
        for column in columns[1:]
    )
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
