"""What the figures of the view "Overlap" share: panels in a grid, arrows, colours. Pure functions that make HTML.

Panels are drawn in pixels of the picture that the stage shows. A colour is the same measure's in all figures.
"""

import math
from html import escape

from cvhub.ui.charts import DASHES
from cvhub.ui.readout import message
from cvhub.ui.strings import Say

WIDTH, HEIGHT = 400, 300  # pixels of the picture, those of cvhub/explain/figures, where torch is imported
COLOURS = {
    "iou": 0,
    "soft_iou": 0,
    "giou": 1,
    "diou": 2,
    "ciou": 3,
    "dice": 4,
    "bce": 6,
    "bce_dice": 8,
    "focal": 7,
}
STROKES = {"giou": DASHES[1], "diou": DASHES[2], "ciou": DASHES[3], "bce_dice": DASHES[3], "focal": DASHES[2]}
STROKES |= {"dice": "9 9"}  # where it lies on another, such as IoU's, that is seen in the gaps
LONGEST, SHORTEST = 80.0, 2.0  # pixels of an arrow


def numbers(name: str, see: str) -> str:
    """What to see, the sentence that the shapes on the stage are described by."""
    return f'<div id="{name}-numbers">{message(escape(see))}</div>'


def grid(panels: str) -> str:
    return f'<ul class="measures">{panels}</ul>'


def notes(say: Say, note: str, source: str) -> str:
    told = say("figure_source", source=escape(source))
    return f'<p class="facts">{escape(note)}</p><p class="facts">{told}</p>'


def panel(kind: str, name: str, value: str, picture: str, facts: str, data: str = "") -> str:
    """One measure: its name and value, the picture, and what is said under it."""
    return (
        f'<li data-kind="{kind}" style="--series:var(--series-{COLOURS[kind]})" {data}>'
        f'<h3><span class="dot"></span>{escape(name)}<b class="now">{value}</b></h3>{picture}{facts}</li>'
    )


def drawing(shapes: str, alt: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">{shapes}</svg>'


def formula(written: str, used: str, unit: str = "") -> str:
    """A formula, and the numbers that it is made of here; both are HTML."""
    aside = f'<span class="aside">{escape(unit)}</span>' if unit else ""
    return f'<p><span class="formula">{written}{aside}</span><span class="used">= {used}</span></p>'


def arrow(x: float, y: float, across: float, down: float, long: float, kind: str) -> str:
    """From (x, y) against a gradient (across, down), `long` pixels for 0.1 per 100 px; none where it is next to 0."""
    steep = math.hypot(across, down)
    length = min(steep * 1000 * long, LONGEST)
    if length < SHORTEST:
        return ""
    ux, uy = -across / steep, -down / steep
    x1, y1 = x + length * ux, y + length * uy
    head = min(8.0, length)
    barbs = [(x1 - head * (ux - side * 0.7 * uy), y1 - head * (uy + side * 0.7 * ux)) for side in (1, -1)]
    (p, q), (r, s) = barbs
    point = f"L{x1:.1f} {y1:.1f}"
    return f'<path class="arrow {kind}" d="M{x:.1f} {y:.1f}{point}M{p:.1f} {q:.1f}{point}L{r:.1f} {s:.1f}"/>'
