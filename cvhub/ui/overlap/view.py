"""The view "Overlap" of the tab Segment: boxes and masks to drag, what each measure and its loss make of them, and what
becomes of losses as the object shrinks. Each thing it does is a function in overlap/handlers.py."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame
from cvhub.ui.overlap import boxes, handlers, imbalance, masks
from cvhub.ui.overlap.handlers import STARTS, stage
from cvhub.ui.readout import waiting
from cvhub.ui.strings import Say

NAME = "overlap"
Opens = Callable[..., Any]  # a listener of Gradio: a tab's `select`, an event's `then`
HERE = Path(__file__).parent
STAGE, DRAG, PLAY = ((HERE / name).read_text("utf-8") for name in ("stage.html", "stage.js", "play.js"))
BOXES_RATE, MASKS_RATE, SURENESS, DOUBT = 0.03, 0.2, 4, 5  # what is shown first
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}


def build(frame: Frame) -> "OverlapView":
    return OverlapView(frame)


def warm_up() -> None:
    """Compute what visitors see first, before they come."""
    handlers.start_boxes(boxes.FIRST, "en")
    handlers.start_masks(masks.FIRST, SURENESS, "en")
    handlers.show_imbalance(imbalance.FOUND[0], DOUBT, "en")


class OverlapView:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.waiting: dict[str, gr.HTML] = {}  # where a visitor's place in the queue is shown, by figure
        with gr.Row(elem_classes="thirds staged"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.boxes, self.boxes_start = self.build_stage("boxes", boxes.FIRST)
                self.boxes_rate = self.build_slider("boxes_rate", 0.01, 0.1, 0.01, BOXES_RATE)
                self.boxes_play = self.build_play("boxes")
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.boxes_readout = self.build_readout("boxes", js_on_load=PLAY)
        with gr.Row(elem_classes="thirds staged next"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.masks, self.masks_start = self.build_stage("masks", masks.FIRST)
                self.sureness = self.build_slider("masks_sureness", 1, 8, 0.5, SURENESS)
                self.masks_rate = self.build_slider("masks_rate", 0.05, 0.5, 0.05, MASKS_RATE)
                self.masks_play = self.build_play("masks")
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.masks_readout = self.build_readout("masks", js_on_load=PLAY)
        with gr.Row(elem_classes="thirds next"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.add_heading("imbalance")
                self.found = frame.add(
                    gr.Radio,
                    {"label": "imbalance_found"},
                    choices=[(str(share), share) for share in imbalance.FOUND],
                    value=imbalance.FOUND[0],
                    elem_id="imbalance-found",
                )
                self.doubt = self.build_slider("imbalance_doubt", 1, 20, 1, DOUBT)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.imbalance_readout = self.build_readout("imbalance")

    def build_stage(self, figure: str, first: str) -> tuple[gr.HTML, gr.Radio]:
        """Where a figure's shapes are dragged, and where they may start."""
        self.add_heading(figure)
        staged = gr.HTML(
            stage(self.frame.say, figure, *STARTS[figure][first]),
            html_template=STAGE,
            js_on_load=DRAG,
            apply_default_css=False,
            elem_id=f"{figure}-stage",
            elem_classes="stage-frame",
        )
        self.frame.add_html(lambda say: f'<p class="facts">{escape(say("overlap_keys"))}</p>', elem_id=f"{figure}-keys")
        start = self.frame.add(
            gr.Radio,
            {"label": f"{figure}_start", "choices": lambda say: start_choices(say, figure)},
            value=first,
            elem_id=f"{figure}-start",
            elem_classes="starts",
        )
        return staged, start

    def build_slider(self, name: str, low: float, high: float, step: float, value: float) -> gr.Slider:
        return self.frame.add(
            gr.Slider,
            {"label": name, "info": f"{name}_info"},
            minimum=low,
            maximum=high,
            step=step,
            value=value,
            buttons=[],
            elem_id=name.replace("_", "-"),
        )

    def build_play(self, figure: str) -> gr.Button:
        arguments: dict[str, Any] = {"variant": "primary", "size": "sm", "elem_id": f"{figure}-play"}
        return self.frame.add(gr.Button, {"value": f"{figure}_play"}, elem_classes="play", **arguments)

    def build_readout(self, figure: str, js_on_load: str | None = None) -> gr.HTML:
        self.waiting[figure] = gr.HTML("", elem_classes="waiting")
        return gr.HTML(
            waiting(self.frame.say), js_on_load=js_on_load, apply_default_css=False, elem_id=f"{figure}-readout"
        )

    def add_heading(self, figure: str) -> None:
        self.frame.add_html(lambda say: f"<h2>{escape(say(f'{figure}_title'))}</h2>", elem_id=f"{figure}-title")

    def connect(self, opens: Opens) -> None:
        """What leads to what. `opens` listens to the event in which the view comes to be seen, the language known."""
        language = self.frame.language
        self.connect_figure(opens, "boxes", self.boxes, self.boxes_start, [language], self.boxes_readout)
        masks = [self.sureness, language]
        self.connect_figure(opens, "masks", self.masks, self.masks_start, masks, self.masks_readout)
        self.sureness.input(
            handlers.show_masks,
            [self.masks, *masks],
            self.masks_readout,
            api_name="overlap_sureness",
            api_visibility="private",
            **AT_ONCE,
        )
        playing: dict[str, Any] = {"show_progress": "minimal", "trigger_mode": "once", "api_visibility": "undocumented"}
        self.boxes_play.click(
            handlers.play_boxes,
            [self.boxes, self.boxes_rate, language],
            self.boxes_readout,
            show_progress_on=self.waiting["boxes"],
            api_name="overlap_boxes_descent",
            **playing,
        )
        self.masks_play.click(
            handlers.play_masks,
            [self.masks, self.sureness, self.masks_rate, language],
            self.masks_readout,
            show_progress_on=self.waiting["masks"],
            api_name="overlap_masks_descent",
            **playing,
        )
        imbalance: dict[str, Any] = {
            "fn": handlers.show_imbalance,
            "inputs": [self.found, self.doubt, language],
            "outputs": self.imbalance_readout,
        }
        opens(**imbalance, api_name="open_imbalance", api_visibility="private", **AT_ONCE)
        changes = [self.found.input, self.doubt.input, language.change]
        gr.on(changes, **imbalance, api_name="overlap_imbalance", api_visibility="undocumented", **AT_ONCE)

    def connect_figure(
        self, opens: Opens, figure: str, staged: gr.HTML, start: gr.Radio, knobs: list[Any], readout: gr.HTML
    ) -> None:
        """The shapes of a figure and its readout: opened, told in another language, dragged, put to a start."""
        functions = vars(handlers)
        again: dict[str, Any] = {"fn": functions[f"speak_{figure}"], "inputs": [staged, *knobs]}
        again |= {"outputs": [staged, readout], "api_visibility": "private"} | AT_ONCE
        opens(**again, api_name=f"open_{figure}")
        self.frame.language.change(**again, api_name=f"speak_{figure}")
        staged.input(
            functions[f"show_{figure}"],
            [staged, *knobs],
            readout,
            api_name=f"overlap_{figure}",
            api_visibility="undocumented",
            **AT_ONCE,
        )
        staged.input(None, None, start, js="() => null")
        start.input(
            functions[f"start_{figure}"],
            [start, *knobs],
            [staged, readout],
            api_name=f"start_{figure}",
            api_visibility="private",
            **AT_ONCE,
        )


def start_choices(say: Say, figure: str) -> list[tuple[str, str]]:
    return [(say(f"{figure}_start_{start}"), start) for start in STARTS[figure]]
