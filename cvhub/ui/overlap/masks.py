"""Two masks as HTML: a panel a loss with its formula, the numbers in it, and where each pixel is pulled."""

import json
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvhub.ui import numerals
from cvhub.ui.overlap.descent import Way, chart, empty, ends
from cvhub.ui.overlap.panels import arrow, drawing, formula, grid, notes, numbers, panel
from cvhub.ui.pictures import encoded
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.figures.masks import Descent, Slope, Terms

Disc = tuple[float, ...]

NAME = "masks"
FORMULAS = {
    "soft_iou": "1 − Σ p t ⁄ (Σ p + Σ t − Σ p t)",
    "dice": "1 − 2 Σ p t ⁄ (Σ p + Σ t)",
    "bce": "−<sup>1</sup>⁄<sub>N</sub> Σ [t ln p + (1 − t) ln(1 − p)]",
    "bce_dice": "BCE + Dice",
    "focal": "−<sup>1</sup>⁄<sub>N</sub> Σ (1 − p<sub>t</sub>)<sup>2</sup> ln p<sub>t</sub>",
}
STARTS: dict[str, tuple[Disc, Disc]] = {  # A and B
    "half": ((150, 150, 70), (240, 150, 70)),
    "apart": ((95, 150, 60), (305, 150, 60)),
    "small": ((170, 150, 90), (235, 170, 18)),
}
FIRST = "half"
LONG = 6  # pixels of an arrow for a gradient of 0.1 per 100 px


def masks_readout(say: Say, a: Disc, b: Disc, sureness: float) -> str:
    """All losses of prediction A for truth B, and where each pulls which pixel."""
    from cvhub.explain.figures.masks import slopes, terms, truth

    found, parts, inside = slopes(a, b, sureness), terms(a, b, sureness), truth(b)
    panels = "".join(loss_panel(say, kind, a, b, found, parts, inside) for kind in FORMULAS)
    shares = {kind: numerals.percent(found[kind].of_object(inside)) for kind in ("bce", "dice")}
    steep = {f"{kind}_steep": numerals.signed(steepest(found[kind]), 2) for kind in ("bce", "dice")}
    met = np.hypot(a[0] - b[0], a[1] - b[1]) < a[2] + b[2]
    see = say("masks_see_meet" if met else "masks_see_apart", **shares, **steep)
    return numbers(NAME, see) + grid(panels + empty(say)) + masks_notes(say)


def played_readout(say: Say, a: Disc, b: Disc, sureness: float, rate: float) -> str:
    """The panels with what becomes of the prediction, for play.js to play, and how IoU grew."""
    from cvhub.explain.figures.masks import EVERY, STEPS, descend

    found = descend(a, b, sureness, rate)
    panels = "".join(played_panel(say, kind, b, found[kind]) for kind in FORMULAS)
    ways = {kind: Way(say(f"masks_{kind}"), found[kind].ious.tolist(), still=False) for kind in FORMULAS}
    see = say("masks_see_played", steps=STEPS, ends=ends(say, ways))
    return numbers(NAME, see) + grid(panels + chart(say, ways, EVERY)) + masks_notes(say)


def masks_notes(say: Say) -> str:
    return notes(say, say("masks_note"), say("masks_source"))


def loss_panel(
    say: Say, kind: str, a: Disc, b: Disc, found: "dict[str, Slope]", parts: "Terms", inside: np.ndarray
) -> str:
    slope, name = found[kind], say(f"masks_{kind}")
    share, steep = numerals.percent(slope.of_object(inside)), numerals.signed(steepest(slope), 2)
    shapes = circle(b, "truth") + circle(a, "moving") + arrows(a, slope)
    picture = pull_map(slope) + drawing(shapes, say("masks_alt", name=name, share=share))
    pulled = f'<p class="facts">{escape(say("masks_pull", share=share, steep=steep))}</p>'
    facts = formula(FORMULAS[kind], used(kind, found, parts)) + pulled
    return panel(kind, name, numerals.signed(slope.loss), f'<div class="map">{picture}</div>', facts)


def played_panel(say: Say, kind: str, b: Disc, way: "Descent") -> str:
    """p by step: one layer as high as all frames, of which one is seen."""
    name, count = say(f"masks_{kind}"), len(way.losses)
    alt = say("masks_played_alt", name=name, iou=numerals.signed(way.ious[-1]))
    frames = (
        f'<span class="rise" style="{mask(np.concatenate(way.probabilities))};mask-size:100% {100 * count}%"></span>'
    )
    values = [numerals.signed(loss) for loss in way.losses]
    picture = f'<div class="map">{frames}{drawing(circle(b, "truth"), alt)}</div>'
    return panel(kind, name, values[0], picture, "", f"data-frames='{count}' data-values='{json.dumps(values)}'")


def steepest(slope: "Slope") -> float:
    """The greatest |∂L/∂z| of a pixel, times the number of pixels: 1 where BCE is sure and wrong."""
    return float(np.abs(slope.pixels).max() * slope.pixels.size)


def used(kind: str, found: "dict[str, Slope]", parts: "Terms") -> str:
    """The formula with the numbers in it."""
    common, predicted, true = (f"{n:,.1f}" for n in (parts.intersection, parts.predicted, parts.true))
    if kind == "soft_iou":
        return f"1 − {common} ⁄ ({predicted} + {true} − {common})"
    if kind == "dice":
        return f"1 − 2 × {common} ⁄ ({predicted} + {true})"
    if kind == "bce_dice":
        return f"{numerals.signed(found['bce'].loss)} + {numerals.signed(found['dice'].loss)}"
    within, outside = parts.bce if kind == "bce" else parts.focal
    return f"({within:,.1f} + {outside:,.1f}) ⁄ {parts.pixels:,}"


def pull_map(slope: "Slope") -> str:
    """Two layers, coloured by CSS: pixels that should rise and pixels that should fall, the fuller the steeper."""
    most = max(float(np.abs(slope.pixels).max()), np.finfo(float).tiny)
    layers = (("rise", -slope.pixels), ("fall", slope.pixels))
    return "".join(f'<span class="{name}" style="{mask(values / most)}"></span>' for name, values in layers)


def mask(values: np.ndarray) -> str:
    """(H, W) as the opacity of an element, what is below 0 as 0."""
    opacity = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    picture = Image.merge("LA", (Image.new("L", opacity.shape[::-1]), Image.fromarray(opacity)))
    return f"mask-image:url({encoded(picture, 'png')})"


def circle(disc: Disc, kind: str) -> str:
    x, y, radius = disc
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def arrows(a: Disc, slope: "Slope") -> str:
    """−∂L/∂ of the centre, and of the radius from four places of the rim."""
    x, y, radius = a
    across, down, wider = slope.disc
    rim = [(side * radius, 0.0, side * wider, 0.0) for side in (1, -1)]
    rim += [(0.0, side * radius, 0.0, side * wider) for side in (1, -1)]
    sides = "".join(arrow(x + dx, y + dy, gx, gy, LONG, "side") for dx, dy, gx, gy in rim)
    return sides + arrow(x, y, across, down, LONG, "centre")
