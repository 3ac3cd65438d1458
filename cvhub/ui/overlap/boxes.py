"""Two boxes as HTML: a panel a measure with its formula, the numbers in it, and arrows where its loss would move A."""

import json
import math
from html import escape
from typing import TYPE_CHECKING

from cvhub.ui import numerals
from cvhub.ui.overlap.descent import Way, chart, empty, ends
from cvhub.ui.overlap.panels import arrow, drawing, formula, grid, notes, numbers, panel
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.figures.boxes import Descent, Pull, Terms

Box = tuple[float, ...]

NAME = "boxes"
NAMES = {"iou": "IoU", "giou": "GIoU", "diou": "DIoU", "ciou": "CIoU", "dice": "Dice"}
FORMULAS = {
    "iou": "|A ∩ B| ⁄ |A ∪ B|",
    "giou": "IoU − (|C| − |A ∪ B|) ⁄ |C|",
    "diou": "IoU − ρ<sup>2</sup> ⁄ c<sup>2</sup>",
    "ciou": "IoU − ρ<sup>2</sup> ⁄ c<sup>2</sup> − α v",
    "dice": "2 |A ∩ B| ⁄ (|A| + |B|)",
}
GRADIENT = "∂L ⁄ ∂(x<sub>0</sub>, y<sub>0</sub>, x<sub>1</sub>, y<sub>1</sub>)"
SHIFT = 170 * (1 - math.sqrt(0.5))
STARTS: dict[str, tuple[Box, Box]] = {  # A and B; the three in the middle share a third of what they cover
    "apart": ((30, 40, 130, 120), (250, 150, 370, 260)),
    "beside": ((50, 100, 250, 200), (150, 100, 350, 200)),
    "corner": ((90, 40, 260, 210), (90 + SHIFT, 40 + SHIFT, 260 + SHIFT, 210 + SHIFT)),
    "crossed": ((90, 95, 310, 205), (145, 40, 255, 260)),
    "within": ((70, 70, 150, 130), (50, 40, 350, 260)),
}
FIRST = "apart"
LONG = 40  # pixels of an arrow for a gradient of 0.1 per 100 px


def boxes_readout(say: Say, a: Box, b: Box) -> str:
    """All measures of A and B, and where each loss would move A."""
    from cvhub.explain.figures.boxes import pulls, terms

    found, parts = pulls(a, b), terms(a, b)
    panels = "".join(still_panel(say, kind, a, b, found[kind], parts, found["iou"].agreement) for kind in NAMES)
    return numbers(NAME, seen(say, found, parts)) + grid(panels + empty(say)) + boxes_notes(say)


def played_readout(say: Say, a: Box, b: Box, rate: float) -> str:
    """The panels with A's way by each loss, for play.js to play, and how IoU grew."""
    from cvhub.explain.figures.boxes import STEPS, descend

    found = descend(a, b, rate)
    panels = "".join(played_panel(say, kind, a, b, found[kind]) for kind in NAMES)
    ways = {kind: Way(NAMES[kind], way.ious.tolist(), not way.moved) for kind, way in found.items()}
    see = say("boxes_see_played", steps=STEPS, ends=ends(say, ways))
    return numbers(NAME, see) + grid(panels + chart(say, ways, every=1)) + boxes_notes(say)


def boxes_notes(say: Say) -> str:
    return notes(say, say("boxes_note", length=LONG), say("boxes_source"))


def seen(say: Say, found: "dict[str, Pull]", parts: "Terms") -> str:
    """What to see in the boxes as they lie."""
    values = {kind: numerals.signed(pull.agreement) for kind, pull in found.items()}
    iou, apart = found["iou"].agreement, f"{math.sqrt(parts.apart):.0f}"
    if parts.intersection == 0:
        return say("boxes_see_apart", **values)
    if iou == 1:
        return say("boxes_see_equal")
    if parts.intersection in (parts.predicted, parts.true):
        return say("boxes_see_within", apart=apart, **values)
    return say(
        "boxes_see_overlap",
        apart=apart,
        empty=numerals.signed(iou - found["giou"].agreement),
        distance=numerals.signed(iou - found["diou"].agreement),
        shape=numerals.signed(found["diou"].agreement - found["ciou"].agreement),
        **values,
    )


def still_panel(say: Say, kind: str, a: Box, b: Box, pull: "Pull", parts: "Terms", iou: float) -> str:
    """A measure of the boxes as they lie."""
    gradient = f"({', '.join(numerals.signed(100 * g) for g in pull.gradient)})"
    told = say("boxes_still") if pull.still else gradient
    shapes = helper(kind, a, b) + rectangle(b, "truth") + rectangle(a, "moving") + arrows(a, pull)
    picture = drawing(shapes, say("boxes_alt", name=NAMES[kind], gradient=told))
    facts = formula(FORMULAS[kind], used(kind, parts, iou)) + formula(GRADIENT, escape(told), say("boxes_gradient"))
    return panel(kind, NAMES[kind], numerals.signed(pull.agreement), picture, facts)


def played_panel(say: Say, kind: str, a: Box, b: Box, way: "Descent") -> str:
    """A's way by one loss; its frames are the panel's data."""
    centres = (way.boxes[:, :2] + way.boxes[:, 2:]) / 2
    trail = f'<polyline class="trail" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in centres)}"/>'
    shapes = rectangle(a, "began") + rectangle(b, "truth") + trail + rectangle(a, "moving")
    picture = drawing(shapes, say("boxes_played_alt", name=NAMES[kind], iou=numerals.signed(way.ious[-1])))
    agreements = [numerals.signed(1 - loss) for loss in way.losses]
    frames = json.dumps(way.boxes.round(1).tolist(), separators=(",", ":"))
    data = f"data-boxes='{frames}' data-values='{json.dumps(agreements)}'"
    return panel(kind, NAMES[kind], agreements[0], picture, "", data)


def used(kind: str, parts: "Terms", iou: float) -> str:
    """The formula with the terms' numbers in it."""
    areas = {name: numerals.pixels(getattr(parts, name)) for name in ("intersection", "union", "around", "apart")}
    distance = numerals.signed(parts.apart / parts.diagonal)
    start = numerals.signed(iou)
    return {
        "iou": f"{areas['intersection']} ⁄ {areas['union']}",
        "giou": f"{start} − ({areas['around']} − {areas['union']}) ⁄ {areas['around']}",
        "diou": f"{start} − {areas['apart']} ⁄ {numerals.pixels(parts.diagonal)}",
        "ciou": f"{start} − {distance} − {numerals.signed(parts.alpha)} × {numerals.signed(parts.v)}",
        "dice": f"2 × {areas['intersection']} ⁄ ({numerals.pixels(parts.predicted)} + {numerals.pixels(parts.true)})",
    }[kind]


# --- Shapes -----------------------------------------------------------------------------------------------------------


def rectangle(box: Box, kind: str) -> str:
    x0, y0, x1, y1 = box
    return f'<rect class="{kind}" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"/>'


def helper(kind: str, a: Box, b: Box) -> str:
    """What a measure looks at: the intersection, the box around both, or the centres and that box's diagonal."""
    low = [max(p, q) for p, q in zip(a[:2], b[:2], strict=True)]
    high = [min(p, q) for p, q in zip(a[2:], b[2:], strict=True)]
    met = low[0] < high[0] and low[1] < high[1]
    if kind in ("iou", "dice"):
        return rectangle((*low, *high), "common") if met else ""
    x0, y0, x1, y1 = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    around = rectangle((x0, y0, x1, y1), "around")
    if kind == "giou":
        return around
    centres = "L".join(f"{(box[0] + box[2]) / 2:.1f} {(box[1] + box[3]) / 2:.1f}" for box in (a, b))
    diagonal = f'<path class="diagonal" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
    return f'{around}{diagonal}<path class="apart" d="M{centres}"/>'


def arrows(a: Box, pull: "Pull") -> str:
    """−∂L/∂ of each side, from the middle of the side, and of the centre."""
    x0, y0, x1, y1 = a
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top, right, bottom = pull.gradient
    sides = [(x0, y, left, 0.0), (x, y0, 0.0, top), (x1, y, right, 0.0), (x, y1, 0.0, bottom)]
    drawn = "".join(arrow(*side, LONG, "side") for side in sides)
    return drawn + arrow(x, y, *pull.centre, LONG, "centre")
