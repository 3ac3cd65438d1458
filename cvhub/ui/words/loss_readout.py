"""What a batch of pictures and texts costs, as HTML: the loss with its terms, and the matrices that it is made of."""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cvhub.ui import numerals
from cvhub.ui.distill.terms import Term, terms_table
from cvhub.ui.readout import message
from cvhub.ui.strings import Say
from cvhub.ui.words.matrix import Margin, between, matrix

if TYPE_CHECKING:
    from cvhub.explain.contrast import Contrast

OF_PICTURES = (
    "<i>L</i><sub>I</sub> = −(1 ⁄ <i>N</i>) Σ<sub>i</sub> ln "
    "[exp(<i>c</i><sub>ii</sub> ⁄ τ) ⁄ Σ<sub>j</sub> exp(<i>c</i><sub>ij</sub> ⁄ τ)]"
)
OF_TEXTS = (
    "<i>L</i><sub>T</sub> = −(1 ⁄ <i>N</i>) Σ<sub>j</sub> ln "
    "[exp(<i>c</i><sub>jj</sub> ⁄ τ) ⁄ Σ<sub>i</sub> exp(<i>c</i><sub>ij</sub> ⁄ τ)]"
)


def contrast_html(
    contrast: "Contrast",
    pictures: Sequence[str],
    texts: Sequence[str],
    temperature: float,
    learned: float,
    by_this_loss: bool,
    say: Say,
) -> str:
    """`learned`: the net's own temperature, which it found by this loss or by another."""
    n = len(texts)
    lead = say("contrast_costs", n=n, loss=numerals.nats(contrast.loss))
    aside = say("contrast_chance", n=n, loss=numerals.nats(math.log(n)))
    if len(set(texts)) < n:
        aside += " " + say("contrast_twice")
    note = say("contrast_note", n=n, temperature=f"{temperature:g}", learned=f"{learned:.3g}")
    if not by_this_loss:
        note += " " + say("contrast_other_loss")
    return (
        message(f"<strong>{escape(lead)}</strong> {escape(aside)}")
        + terms_table(say("contrast_losses", temperature=f"{temperature:g}"), [("", terms(contrast, say))], note, say)
        + f'<section class="losses">{matrices(contrast, pictures, texts, say)}'
        f'<p class="facts">{escape(say("contrast_matrix_note"))}</p></section>'
    )


def terms(contrast: "Contrast", say: Say) -> list[Term]:
    """Both halves of the symmetric loss."""
    halves = (
        ("of_texts", OF_PICTURES, float(contrast.picture_losses.mean())),
        ("of_pictures", OF_TEXTS, float(contrast.text_losses.mean())),
    )
    return [Term(say(f"contrast_{name}"), formula, loss, 0.5, 0.5 * loss) for name, formula, loss in halves]


def matrices(contrast: "Contrast", pictures: Sequence[str], texts: Sequence[str], say: Say) -> str:
    """The cosines, and what they become where rows or columns share one whole."""
    pays = "−ln p"
    rows, columns = contrast.among_texts, contrast.among_pictures
    named = (pictures, texts)
    cosines = matrix(say("contrast_cosines"), contrast.cosines, between(contrast.cosines), *named, paired=True)
    beside, under = Margin(pays, written(contrast.picture_losses)), Margin(pays, written(contrast.text_losses))
    return (
        f'{cosines}<div class="softmaxed">'
        + matrix(say("contrast_rows"), rows, rows, *named, paired=True, beside=beside, level=3)
        + matrix(say("contrast_columns"), columns, columns, *named, paired=True, under=under, level=3)
        + "</div>"
    )


def written(losses: np.ndarray) -> list[str]:
    return [f"{loss:.2f}" for loss in losses.tolist()]
