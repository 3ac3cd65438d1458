"""The part of the Explore tab that draws the papers' claims: pick a figure, change what it is computed for, look."""

import inspect
import logging
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from cvhub.errors import CvhubError
from cvhub.ui.figures import FIGURES
from cvhub.ui.figures.figure import Choice, Figure, Range
from cvhub.ui.frame import Frame
from cvhub.ui.messages import translated
from cvhub.ui.readout import message, waiting
from cvhub.ui.strings import Say, speaker
from cvhub.ui.turns import turn

log = logging.getLogger(__name__)

Value = int | str
FIRST = FIGURES[0].NAME


class FiguresPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.controls: dict[str, list[gr.Slider | gr.Radio]] = {}
        self.groups: list[gr.Column] = []
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.figure = frame.add(
                    gr.Radio, {"label": "figure", "choices": figure_choices}, value=FIRST, elem_id="figure"
                )
                for figure in FIGURES:
                    with gr.Column(visible=figure.NAME == FIRST, elem_classes="controls") as group:
                        self.controls[figure.NAME] = [self.build_control(figure, one) for one in figure.CONTROLS]
                    self.groups.append(group)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.drawing = gr.HTML(waiting(frame.say), apply_default_css=False, elem_id="drawing")

    def build_control(self, figure: Figure, control: Choice | Range) -> gr.Slider | gr.Radio:
        label = f"{figure.NAME}_{control.name}"
        if isinstance(control, Range):
            low, high = control.low, control.high
            return self.frame.add(
                gr.Slider,
                {"label": label},
                minimum=low,
                maximum=high,
                step=control.step,
                value=control.value,
                precision=0,
                buttons=[],
                elem_id=label,
            )
        return self.frame.add(
            gr.Radio,
            {"label": label, "choices": lambda say: value_choices(say, label, control)},
            value=control.value,
            elem_id=label,
        )

    def connect(self, select: Dependency, opened: gr.State) -> None:
        """`select` is the event in which the part comes to be seen; `opened` remembers that it was."""
        language = self.frame.language
        every = [control for controls in self.controls.values() for control in controls]
        showing: dict[str, Any] = {
            "fn": show_figure,
            "inputs": [opened, self.figure, language, *every],
            "outputs": self.drawing,
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "trigger_mode": "always_last",
            "api_visibility": "undocumented",
        }
        select.then(**showing, api_name="open_figures")
        language.change(**showing, api_name="show_figure_again")
        self.figure.input(
            show_controls,
            self.figure,
            self.groups,
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="undocumented",
        ).then(**showing, api_name="show_figure")
        for figure in FIGURES:
            controls = self.controls[figure.NAME]
            endpoint: dict[str, Any] = {
                "fn": endpoint_of(figure),
                "inputs": [*controls, language],
                "outputs": self.drawing,
                "show_progress": "minimal",
                "show_progress_on": [self.waiting],
                "trigger_mode": "always_last",
                "api_name": f"figure_{figure.NAME}",
            }
            gr.on([control.input for control in controls], **endpoint)


def figure_choices(say: Say) -> list[tuple[str, str]]:
    return [(say(f"{figure.NAME}_title"), figure.NAME) for figure in FIGURES]


def value_choices(say: Say, label: str, control: Choice) -> list[tuple[str, Value]]:
    return [(say(f"{label}_{value}") if isinstance(value, str) else str(value), value) for value in control.values]


def show_controls(figure: str) -> list[dict[str, Any]]:
    """The chosen figure's controls, and no other's."""
    return [gr.update(visible=figure == one.NAME) for one in FIGURES]


def show_figure(opened: bool, figure: str, language: str, *values: Value) -> str:
    """The chosen figure; `values` are those of all figures' controls, in order."""
    if not opened:
        return waiting(speaker(language))
    first = 0
    for one in FIGURES:
        last = first + len(one.CONTROLS)
        if figure == one.NAME:
            return draw(one, language, *values[first:last])
        first = last
    raise gr.Error(f"figure is {figure!r}, expected one of {', '.join(one.NAME for one in FIGURES)}.")


def endpoint_of(figure: Figure) -> Callable[..., str]:
    """A handler that draws one figure: the controls by their names, then the language."""

    def handler(*values: Any) -> str:
        return draw(figure, values[-1], *values[:-1])

    names = [*(control.name for control in figure.CONTROLS), "language"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    handler.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    handler.__doc__ = f"The figure {figure.NAME!r} of the Explore tab, as HTML."
    return handler


def draw(figure: Figure, language: str, *values: Value) -> str:
    """A figure as HTML: its title, what to see in it, the charts, the paper. A failure is a sentence."""
    say = speaker(language)
    title = f"<h2>{escape(say(f'{figure.NAME}_title'))}</h2>"
    try:
        with turn():
            drawing = figure.draw(say, *values)
    except CvhubError as error:
        return title + message(escape(translated(str(error), language)))
    except Exception as error:
        log.exception("the figure %s could not be drawn", figure.NAME)
        return title + message(escape(say("figure_failed", kind=type(error).__name__)))
    paper = f'<a href="{figure.PAPER}" target="_blank" rel="noopener">{escape(say(f"{figure.NAME}_source"))}</a>'
    source = f'<p class="facts">{say("figure_source", source=paper)}</p>'
    return f"{title}{message(escape(drawing.see))}{drawing.charts}{source}"


def warm_up() -> None:
    """Draw what is seen first, so that the first visitor doesn't wait for torch."""
    for figure in FIGURES:
        draw(figure, "en", *(control.value for control in figure.CONTROLS))
