"""How well a typed sentence goes with a picture, as HTML. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from cvhub.ui import numerals
from cvhub.ui.distill.terms import Term, terms_table
from cvhub.ui.readout import message
from cvhub.ui.strings import Say
from cvhub.ui.words.matrix import between, matrix

if TYPE_CHECKING:
    from cvhub.explain.contrast import Contrast

OF_TEXTS = "−ln <i>p</i>(<i>t</i> | <i>i</i>)"
OF_PICTURES = "−ln <i>p</i>(<i>i</i> | <i>t</i>)"
FITS = "−ln <i>p</i>(1 | <i>i</i>, <i>t</i>)"


@dataclass(frozen=True)
class Matched:
    """How well a sentence goes with a picture.

    - `contrast`: of a batch whose first pair they are; `pictures`, `texts`: what its pairs are called.
    - `fits`: what the head that judges pairs says, None of a net without one; `others`: nets that have one.
    - `temperature`: the net's own.
    """

    contrast: "Contrast"
    pictures: Sequence[str]
    texts: Sequence[str]
    fits: float | None
    others: str
    temperature: float


def matched_html(matched: Matched, say: Say) -> str:
    contrast, n = matched.contrast, len(matched.texts)
    chosen = {
        "text": numerals.percent(float(contrast.among_texts[0, 0])),
        "picture": numerals.percent(float(contrast.among_pictures[0, 0])),
    }
    lead, aside = say("match_chosen", n=n, **chosen), say("match_alone", others=matched.others)
    if matched.fits is not None:
        lead, aside = say("match_fits", percent=numerals.percent(matched.fits)), lead
    table = terms_table(
        say("match_losses"),
        loss_groups(matched, say),
        say("match_note", n=n, temperature=f"{matched.temperature:.3g}", loss=numerals.nats(contrast.loss)),
        say,
    )
    cosines = matrix(
        say("match_matrix"), contrast.cosines, between(contrast.cosines), matched.pictures, matched.texts, paired=True
    )
    return (
        message(f"<strong>{escape(lead)}</strong> {escape(aside)}")
        + table
        + f'<section class="losses">{cosines}<p class="facts">{escape(say("match_matrix_note"))}</p></section>'
    )


def loss_groups(matched: Matched, say: Say) -> list[tuple[str, list[Term]]]:
    """What the pair costs: by contrast, and where there is such a head by matching."""
    halves = [
        Term(say(f"contrast_{name}"), formula, loss, 0.5, 0.5 * loss)
        for name, formula, loss in (
            ("of_texts", OF_TEXTS, float(matched.contrast.picture_losses[0])),
            ("of_pictures", OF_PICTURES, float(matched.contrast.text_losses[0])),
        )
    ]
    groups = [(say("match_contrast", n=len(matched.texts)), halves)]
    if matched.fits is not None:
        loss = -math.log(max(matched.fits, 1e-300))
        groups.append((say("match_matching"), [Term(say("match_fits_term"), FITS, loss, 1, loss)]))
    return groups
