"""The view "Overlap" of the tab Segment: two boxes to drag, and what each measure and its loss make of them."""

import logging
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from cvhub.errors import CvhubError
from cvhub.ui import overlap_boxes
from cvhub.ui.frame import Frame
from cvhub.ui.messages import translated
from cvhub.ui.overlap_boxes import FIRST, HEIGHT, STARTS, WIDTH, Box
from cvhub.ui.readout import message, waiting
from cvhub.ui.strings import Say, speaker

log = logging.getLogger(__name__)

NAME = "overlap"
HERE = Path(__file__).parent
STAGE, DRAG, PLAY = ((HERE / f"overlap_{name}").read_text("utf-8") for name in ("stage.html", "stage.js", "play.js"))
RATES = (0.01, 0.1)
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}


def build(frame: Frame) -> "OverlapView":
    return OverlapView(frame)


def warm_up() -> None:
    """Compute what visitors see first, before they come."""
    show_boxes(boxes_stage(speaker("en"), *STARTS[FIRST]), "en")


class OverlapView:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_boxes()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.boxes_readout = gr.HTML(
                    waiting(frame.say), js_on_load=PLAY, apply_default_css=False, elem_id="overlap-boxes"
                )

    def build_boxes(self) -> None:
        add = self.frame.add
        add_heading(self.frame, "boxes")
        self.boxes = gr.HTML(
            boxes_stage(self.frame.say, *STARTS[FIRST]),
            html_template=STAGE,
            js_on_load=DRAG,
            apply_default_css=False,
            elem_id="boxes-stage",
            elem_classes="stage-frame",
        )
        self.frame.add_html(lambda say: f'<p class="facts">{escape(say("overlap_keys"))}</p>', elem_id="boxes-keys")
        self.start = add(
            gr.Radio, {"label": "boxes_start", "choices": start_choices}, value=FIRST, elem_id="boxes-start"
        )
        low, high = RATES
        self.rate = add(
            gr.Slider,
            {"label": "boxes_rate", "info": "boxes_rate_info"},
            minimum=low,
            maximum=high,
            step=0.01,
            value=0.03,
            buttons=[],
            elem_id="boxes-rate",
        )
        self.play = add(gr.Button, {"value": "boxes_play"}, variant="primary", size="sm", elem_id="boxes-play")

    def connect(self, opened: Dependency) -> None:
        """`opened` is the event in which the view comes to be seen, the language known."""
        language = self.frame.language
        again: dict[str, Any] = {
            "fn": speak_boxes,
            "inputs": [self.boxes, language],
            "outputs": [self.boxes, self.boxes_readout],
        }
        opened.then(**again, api_name="open_boxes", api_visibility="private", **AT_ONCE)
        language.change(**again, api_name="speak_boxes", api_visibility="private", **AT_ONCE)
        self.boxes.input(
            show_boxes,
            [self.boxes, language],
            self.boxes_readout,
            api_name="overlap_boxes",
            api_visibility="undocumented",
            **AT_ONCE,
        )
        self.boxes.input(None, None, self.start, js="() => null")
        self.start.input(
            start_boxes,
            [self.start, language],
            [self.boxes, self.boxes_readout],
            api_name="start_boxes",
            api_visibility="private",
            **AT_ONCE,
        )
        self.play.click(
            play_boxes,
            [self.boxes, self.rate, language],
            self.boxes_readout,
            show_progress="minimal",
            show_progress_on=[self.waiting],
            trigger_mode="once",
            api_name="overlap_descent",
            api_visibility="undocumented",
        )


def add_heading(frame: Frame, name: str) -> None:
    frame.add_html(lambda say: f"<h2>{escape(say(f'{name}_title'))}</h2>", elem_id=f"{name}-title")


def start_choices(say: Say) -> list[tuple[str, str]]:
    return [(say(f"boxes_start_{start}"), start) for start in STARTS]


def boxes_stage(say: Say, a: Box, b: Box) -> dict[str, Any]:
    """What overlap_stage.html draws: the shapes, and what is said of them."""
    said = {key: say(f"boxes_{key}", width=WIDTH, height=HEIGHT) for key in ("stage", "kind", "a", "b")}
    shapes = [{"name": "b", "at": list(b)}, {"name": "a", "at": list(a)}]
    return {"width": WIDTH, "height": HEIGHT, "shapes": shapes, "said": said, "numbers": "overlap-boxes-numbers"}


def read_boxes(stage: dict[str, Any]) -> tuple[Box, Box]:
    """A and B as the visitor left them."""
    at = {shape["name"]: tuple(float(number) for number in shape["at"]) for shape in stage["shapes"]}
    for name, box in at.items():
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT):
            raise gr.Error(f"box {name} is {box}, expected (x0, y0, x1, y1) within {WIDTH} × {HEIGHT} pixels.")
    return at["a"], at["b"]


def show_boxes(stage: dict[str, Any], language: str) -> str:
    """The measures of the boxes on the stage, as HTML."""
    return drawn(language, overlap_boxes.boxes_readout, *read_boxes(stage))


def speak_boxes(stage: dict[str, Any], language: str) -> tuple[dict[str, Any], str]:
    """The same boxes, told in a language."""
    return boxes_stage(speaker(language), *read_boxes(stage)), show_boxes(stage, language)


def start_boxes(start: str, language: str) -> tuple[dict[str, Any], str]:
    """The boxes of a start, one of STARTS, and their measures."""
    stage = boxes_stage(speaker(language), *STARTS[start])
    return stage, show_boxes(stage, language)


def play_boxes(stage: dict[str, Any], rate: float, language: str) -> str:
    """Descent from the boxes on the stage, to be played by the browser."""
    return drawn(language, overlap_boxes.played_readout, *read_boxes(stage), rate)


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
