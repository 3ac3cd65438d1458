"""What the view "Overlap" does: shapes on a stage, as the visitor left them, to HTML. No component is built here."""

import logging
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.messages import translated
from cvhub.ui.overlap import boxes, imbalance, masks
from cvhub.ui.overlap.panels import HEIGHT, WIDTH
from cvhub.ui.readout import message
from cvhub.ui.strings import Say, speaker

log = logging.getLogger(__name__)

Shape = tuple[float, ...]
Stage = dict[str, Any]

STARTS: Mapping[str, Mapping[str, tuple[Shape, Shape]]] = {figure.NAME: figure.STARTS for figure in (boxes, masks)}


def stage(say: Say, figure: str, a: Shape, b: Shape) -> Stage:
    """What stage.html draws: the shapes, of which the last lies on top, and what is said of them."""
    said = {key: say(f"{figure}_{key}", width=WIDTH, height=HEIGHT) for key in ("stage", "kind", "a", "b")}
    shapes = [{"name": "b", "at": list(b)}, {"name": "a", "at": list(a)}]
    return {"width": WIDTH, "height": HEIGHT, "shapes": shapes, "said": said, "numbers": f"{figure}-numbers"}


def start(figure: str, name: str, language: str) -> Stage:
    """The stage with the shapes of one of the figure's starts."""
    if name not in STARTS[figure]:
        raise gr.Error(f"start is {name!r}, expected one of {', '.join(STARTS[figure])}.")
    return stage(speaker(language), figure, *STARTS[figure][name])


def read(figure: str, staged: Stage) -> tuple[Shape, Shape]:
    """A and B as the visitor left them: boxes (x0, y0, x1, y1) or discs (cx, cy, r), in pixels."""
    shapes = {shape["name"]: tuple(float(number) for number in shape["at"]) for shape in staged["shapes"]}
    fits = is_box if figure == "boxes" else is_disc
    for name in ("a", "b"):
        if not fits(shapes[name]):
            raise gr.Error(f"shape {name} is {shapes[name]}, which is none within {WIDTH} × {HEIGHT} pixels.")
    return shapes["a"], shapes["b"]


def is_box(shape: Shape) -> bool:
    return len(shape) == 4 and 0 <= shape[0] < shape[2] <= WIDTH and 0 <= shape[1] < shape[3] <= HEIGHT


def is_disc(shape: Shape) -> bool:
    return len(shape) == 3 and 0 <= shape[0] <= WIDTH and 0 <= shape[1] <= HEIGHT and 0 < shape[2] <= HEIGHT


def show_boxes(staged: Stage, language: str) -> str:
    """Every measure of the two boxes, as HTML."""
    return drawn(language, boxes.boxes_readout, *read("boxes", staged))


def play_boxes(staged: Stage, rate: float, language: str) -> str:
    """Descent on each loss from the two boxes, as HTML that the browser plays."""
    return drawn(language, boxes.played_readout, *read("boxes", staged), rate)


def show_masks(staged: Stage, sureness: float, language: str) -> str:
    """Every loss of the two masks, as HTML."""
    return drawn(language, masks.masks_readout, *read("masks", staged), sureness)


def play_masks(staged: Stage, sureness: float, rate: float, language: str) -> str:
    """Descent on each loss from the predicted mask, pixel by pixel, as HTML that the browser plays."""
    return drawn(language, masks.played_readout, *read("masks", staged), sureness, rate)


def show_imbalance(found: int, doubt: float, language: str) -> str:
    """BCE against Dice as the object shrinks, as HTML."""
    return drawn(language, imbalance.imbalance_readout, int(found), round(doubt))


def speak_boxes(staged: Stage, language: str) -> tuple[Stage, str]:
    """The same boxes, told in a language."""
    return stage(speaker(language), "boxes", *read("boxes", staged)), show_boxes(staged, language)


def speak_masks(staged: Stage, sureness: float, language: str) -> tuple[Stage, str]:
    """The same masks, told in a language."""
    return stage(speaker(language), "masks", *read("masks", staged)), show_masks(staged, sureness, language)


def start_boxes(name: str, language: str) -> tuple[Stage, str]:
    staged = start("boxes", name, language)
    return staged, show_boxes(staged, language)


def start_masks(name: str, sureness: float, language: str) -> tuple[Stage, str]:
    staged = start("masks", name, language)
    return staged, show_masks(staged, sureness, language)


def drawn(language: str, draw: Callable[..., str], *values: Any) -> str:
    """What a figure draws; a failure is a sentence."""
    say = speaker(language)
    try:
        return draw(say, *values)
    except CvhubError as error:
        return message(escape(translated(str(error), language)))
    except Exception as error:
        log.exception("the overlap could not be shown")
        return message(escape(say("overlap_failed", kind=type(error).__name__)))
