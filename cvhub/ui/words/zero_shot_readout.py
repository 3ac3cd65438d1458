"""What a net makes of a picture and any labels, as HTML. Pure functions; whatever was typed is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from cvhub.ui import numerals
from cvhub.ui.messages import reason
from cvhub.ui.readout import GRAD_CAM, heat_layer, message
from cvhub.ui.state import Heat
from cvhub.ui.strings import Say
from cvhub.ui.words.matrix import between, matrix

MOST_BARS = 10
MOST_COLUMNS = 8
CHOICE = "<i>p</i><sub>k</sub> = exp(<i>z</i><sub>k</sub> ⁄ τ) ⁄ Σ<sub>j</sub> exp(<i>z</i><sub>j</sub> ⁄ τ)"
QUESTIONS = "<i>p</i><sub>k</sub> = 1 ⁄ (1 + exp(−<i>z</i><sub>k</sub> ⁄ τ))"


@dataclass(frozen=True)
class Named:
    """What a net says of one picture.

    - `cosines`, `probabilities` (K,): of the labels, at `temperature`; `competing`: whether they share one whole.
    - `scale`, `bias`: a logit is scale · cosine + bias. `sentences`: how many texts were compared.
    - milliseconds for the picture, when it was seen first, and for the texts, this time; `runtime`: what ran and why.
    """

    title: str
    labels: Sequence[str]
    cosines: np.ndarray
    probabilities: np.ndarray
    competing: bool
    temperature: float
    scale: float
    bias: float
    sentences: int
    picture_milliseconds: float
    texts_milliseconds: float
    runtime: str

    @property
    def likeliest(self) -> str:
        return self.labels[int(self.probabilities.argmax())]


def named_html(named: Named, word: str, heat: Heat | str | None, matrices: str, language: str, say: Say) -> str:
    """`word`: whose `heat` map is shown, which may be still to come, or a sentence on why there is none."""
    best = numerals.percent(float(named.probabilities.max()))
    sentence = say("one_says", title=named.title, label=named.likeliest, percent=best)
    return (
        message(f'<strong dir="auto">{escape(sentence)}</strong>')
        + facts(named, language, say)
        + f'<div class="named">{heat_figure(word, heat, say)}<div>{bars(named, word, say)}</div></div>'
        + explanation(named, say)
        + matrices
    )


def facts(named: Named, language: str, say: Say) -> str:
    """What the answer cost: the picture once, of the texts those that are new."""
    told = say(
        "zero_shot_cost",
        picture=numerals.milliseconds(named.picture_milliseconds),
        texts=numerals.milliseconds(named.texts_milliseconds),
        n=f"{named.sentences:,}",
    )
    return f'<p class="facts">{escape(told)}</p><p class="facts why">{escape(reason(named.runtime, language))}</p>'


def heat_figure(word: str, heat: Heat | str | None, say: Say) -> str:
    alt, told = say("zero_shot_heat_alt", word=word), say("zero_shot_heat", word=word)
    if isinstance(heat, str):
        alt = told = heat
    layer = heat_layer(heat) if isinstance(heat, Heat) else ""
    return (
        f'<figure class="card"><div class="heat-map" role="img" aria-label="{escape(alt)}">{layer}</div>'
        f'<figcaption class="facts" dir="auto">{escape(told)}</figcaption></figure>'
    )


def bars(named: Named, word: str, say: Say) -> str:
    """The likeliest labels as buttons, each with its cosine; what the others have together is a sentence."""
    order = np.argsort(-named.probabilities, kind="stable").tolist()
    rows = "".join(_bar(named, index, word, say) for index in order[:MOST_BARS])
    rest = order[MOST_BARS:]
    said = ""
    if rest and named.competing:
        share = numerals.percent(float(named.probabilities[rest].sum()))
        said = f'<p class="facts">{escape(say("zero_shot_rest", n=f"{len(rest):,}", percent=share))}</p>'
    return f'<ol class="bars" aria-label="{escape(say("zero_shot_bars"))}">{rows}</ol>{said}'


def _bar(named: Named, index: int, word: str, say: Say) -> str:
    label, p = named.labels[index], float(named.probabilities[index])
    spoken = escape(say("bar_label", label=label, percent=numerals.percent(p)))
    cosine = say("zero_shot_cosine", cosine=numerals.signed(float(named.cosines[index])))
    return (
        f'<li><button type="button" class="bar" data-class="{escape(label)}" aria-label="{spoken}"'
        f' aria-pressed="{"true" if label == word else "false"}" title="{escape(label)}">'
        f'<span class="label" dir="auto">{escape(label)}</span>'
        f'<span class="percent"><span class="aside">{escape(cosine)}</span>{numerals.percent(p)}</span>'
        f'<span class="track"><span class="fill" style="width:{100 * p:.2f}%"></span></span></button></li>'
    )


def explanation(named: Named, say: Say) -> str:
    choice = f'<span class="formula">{CHOICE if named.competing else QUESTIONS}</span>'
    told = say(
        "zero_shot_note",
        choice=choice,
        scale=numerals.three_digits(named.scale),
        bias=f" {'−' if named.bias < 0 else '+'} {numerals.three_digits(abs(named.bias))}" if named.bias else "",
        temperature=f"{named.temperature:g}",
    )
    grad = say("zero_shot_note_heat", formula=f'<span class="formula">{GRAD_CAM}</span>')
    return f'<p class="facts">{told} {grad}</p>'


def similarities(cosines: np.ndarray, pictures: Sequence[str], labels: Sequence[str], say: Say) -> str:
    """Cosines (N, K) of several pictures and the labels; of many labels those that are nearest to a picture."""
    shown: list[int] = sorted(np.argsort(-cosines.max(axis=0), kind="stable")[:MOST_COLUMNS].tolist())
    note = say("zero_shot_matrix_note")
    if len(shown) < len(labels):
        note += " " + say("zero_shot_matrix_cut", shown=len(shown), n=f"{len(labels):,}")
    part = cosines[:, shown]
    table = matrix(say("zero_shot_matrix"), part, between(part), pictures, [labels[index] for index in shown])
    return f'<section class="losses">{table}<p class="facts">{escape(note)}</p></section>'
