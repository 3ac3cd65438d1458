"""The canvas on which a visitor paints what is true, as HTML; segment.js lets it be painted on."""

import json
from html import escape

import numpy as np
from PIL import Image

from cvhub.ui.pictures import encoded
from cvhub.ui.segment.drawing import colour_of, css_colour, picture_uri
from cvhub.ui.segment.reading import classes_in
from cvhub.ui.segment.state import Seen
from cvhub.ui.strings import Say

PAINT_SIDE = 480  # pixels of the canvas's longer side at most
BRUSH = 24  # CSS pixels


def painter(seen: Seen, say: Say) -> str:
    """A brush for each class, the canvas over the picture, and the prediction to begin with."""
    factor = min(1.0, PAINT_SIDE / max(seen.size))
    width, height = (max(1, round(side * factor)) for side in reversed(seen.size))
    classes = [{"name": label, "colour": colour_of(k)} for k, label in enumerate(seen.labels)]
    unpainted = "paint_background" if seen.segmenter.has_background else "paint_unknown"
    first = int(seen.segmenter.has_background) + 1
    brushes = "".join(brush(k + 1, label, k + 1 == first) for k, label in enumerate(seen.labels))
    eraser = brush(0, say("paint_eraser"), False)
    return (
        f'<mask-painter data-key="{seen.key}" data-classes="{escape(json.dumps(classes, ensure_ascii=False))}">'
        f'<fieldset class="brushes"><legend>{escape(say("paint_brush"))}</legend>{brushes}{eraser}</fieldset>'
        f'<label class="size"><span>{escape(say("paint_size"))}</span>'
        f'<input type="range" min="2" max="80" value="{BRUSH}"></label>'
        f'<div class="stage" style="aspect-ratio:{width}/{height}"><img src="{picture_uri(seen)}" alt="">'
        f'<canvas width="{width}" height="{height}" tabindex="0" role="application" '
        f'aria-label="{escape(say("paint_canvas"))}"></canvas><i class="cursor"></i></div>'
        f'<div class="buttons"><button type="button" data-start="{prediction_uri(seen, (width, height))}">'
        f"{escape(say('paint_start'))}</button>"
        f'<button type="button" data-clear>{escape(say("paint_clear"))}</button></div>'
        f'<p class="facts">{escape(say("paint_how"))} {escape(say(unpainted))}</p></mask-painter>'
    )


def brush(value: int, name: str, chosen: bool) -> str:
    colour = f' style="--series:{css_colour(colour_of(value - 1))}"' if value else ""
    return (
        f'<label><input type="radio" name="segment-brush" value="{value}"{" checked" if chosen else ""}>'
        f'<span class="dot"{colour}></span>{escape(name)}</label>'
    )


def prediction_uri(seen: Seen, size: tuple[int, int]) -> str:
    """The likeliest classes as the canvas hands masks over: red is class + 1, 0 where nothing is painted."""
    classes = classes_in(seen, seen.segmenter.read_again(seen.answer, "semantic"))
    unpainted = 0 if seen.segmenter.has_background else len(seen.labels)
    painted = np.where(classes == unpainted, 0, classes + 1).astype(np.uint8)
    small = np.asarray(Image.fromarray(painted).resize(size, Image.Resampling.NEAREST))
    return encoded(Image.fromarray(np.stack([small, small * 0, small * 0], axis=2)), "png")
