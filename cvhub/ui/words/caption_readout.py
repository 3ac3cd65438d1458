"""A caption as HTML, word by word, and what it costs. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from cvhub.ui import numerals
from cvhub.ui.charts import track
from cvhub.ui.messages import reason
from cvhub.ui.readout import heat_layer, message
from cvhub.ui.state import Heat
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.words import Word

CAPTION_LOSS = (
    "<i>L</i> = −(1 ⁄ <i>T</i>) Σ<sub>t</sub> ln <i>p</i>(<i>w</i><sub>t</sub> | <i>w</i><sub>&lt;t</sub>, <i>i</i>)"
)


@dataclass(frozen=True)
class Written:
    """A caption as far as it is written.

    - `words`, and where the net looked for each; `tokens`: the probability of each token, the end among them.
    - `done`: whether nothing follows; `ended`: whether the net came to its end.
    """

    text: str
    words: "Sequence[Word]"
    heats: Sequence[Heat]
    tokens: Sequence[float]
    done: bool
    ended: bool


def written_html(written: Written, runtime: str, language: str, say: Say) -> str:
    items = "".join(_word(word, heat, say) for word, heat in zip(written.words, written.heats, strict=True))
    text = f'<strong dir="auto">{escape(written.text or "…")}</strong>'
    if not written.done:  # not to be read aloud at every word
        return f'<p class="summary">{text}</p><ol class="written">{items}</ol>'
    cut = "" if written.ended else f' <span class="aside">{escape(say("caption_cut", n=len(written.tokens)))}</span>'
    return (
        message(text + cut)
        + f'<p class="facts why">{escape(reason(runtime, language))}</p>'
        + f'<ol class="written" aria-label="{escape(say("caption_words"))}">{items}</ol>'
        + f'<p class="facts">{escape(say("caption_note"))}</p>'
        + caption_loss(written.tokens, say)
    )


def _word(word: "Word", heat: Heat, say: Say) -> str:
    alt = escape(say("caption_attention_alt", word=word.text))
    p = numerals.percent(word.probability)
    return (
        f'<li><div class="heat-map" role="img" aria-label="{alt}">{heat_layer(heat)}</div>'
        f'<b dir="auto">{escape(word.text)}</b><span class="number">{p}</span>{track(word.probability)}</li>'
    )


def caption_loss(tokens: Sequence[float], say: Say) -> str:
    """What the net would pay had it been taught this caption: the cross entropy of its own tokens."""
    total = -sum(math.log(max(p, 1e-300)) for p in tokens)
    mean = total / len(tokens)
    used = say(
        "caption_loss_used",
        total=numerals.nats(total),
        n=len(tokens),
        mean=numerals.nats(mean),
        sentence=numerals.probability(math.exp(-total)),
    )
    return (
        f'<section class="losses"><h2>{escape(say("caption_loss"))}</h2>'
        f'<p><span class="formula">{CAPTION_LOSS}</span></p><p class="facts">{escape(used)}</p></section>'
    )
