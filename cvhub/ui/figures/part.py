"""A view of a tab that draws figures: pick one, change what it is computed for, look."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.figures.figure import Choice, Figure, Range
from cvhub.ui.frame import Frame, Seen
from cvhub.ui.messages import translated
from cvhub.ui.readout import message, waiting
from cvhub.ui.strings import Say, speaker
from cvhub.ui.turns import turn

log = logging.getLogger(__name__)

Value = int | str


class FiguresPart:
    """`name` is what the choice of a figure is called: its label's key, its id, and part of its endpoints' names."""

    def __init__(self, frame: Frame, figures: Sequence[Figure], name: str) -> None:
        self.frame, self.figures, self.name = frame, figures, name
        shown = figures[0].NAME
        self.controls: dict[str, list[gr.Slider | gr.Radio]] = {}
        self.groups: list[gr.Column] = []
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.figure = frame.add(
                    gr.Radio,
                    {"label": name, "choices": lambda say: figure_choices(figures, say)},
                    value=shown,
                    elem_id=name,
                    elem_classes="figure-choice",
                )
                for figure in figures:
                    with gr.Column(visible=shown == figure.NAME, elem_classes="controls") as group:
                        self.controls[figure.NAME] = [self.build_control(figure, one) for one in figure.CONTROLS]
                    self.groups.append(group)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.drawing = gr.HTML(
                    waiting(frame.say), apply_default_css=False, elem_id=f"{name}-drawing", elem_classes="drawing"
                )

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

    def connect(self, seen: Seen) -> None:
        language = self.frame.language
        every = [control for controls in self.controls.values() for control in controls]
        showing: dict[str, Any] = {
            "fn": shower(self.figures),
            "inputs": [seen.before, self.figure, language, *every],
            "outputs": self.drawing,
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "trigger_mode": "always_last",
            "api_visibility": "undocumented",
        }
        seen.event.then(**showing, api_name=f"open_{self.name}")
        language.change(**showing, api_name=f"show_{self.name}_again")
        self.figure.input(
            lambda figure: show_controls(self.figures, figure),
            self.figure,
            self.groups,
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="undocumented",
        ).then(**showing, api_name=f"show_{self.name}")
        for figure in self.figures:
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


def figure_choices(figures: Sequence[Figure], say: Say) -> list[tuple[str, str]]:
    return [(say(f"{figure.NAME}_title"), figure.NAME) for figure in figures]


def value_choices(say: Say, label: str, control: Choice) -> list[tuple[str, Value]]:
    return [(say(f"{label}_{value}") if isinstance(value, str) else str(value), value) for value in control.values]


def show_controls(figures: Sequence[Figure], figure: str) -> list[dict[str, Any]]:
    """The chosen figure's controls, and no other's."""
    return [gr.update(visible=figure == one.NAME) for one in figures]


def shower(figures: Sequence[Figure]) -> Callable[..., str]:
    """A handler that draws the one of `figures` that is chosen."""

    def show_figure(opened: bool, figure: str, language: str, *values: Value) -> str:
        """`values` are those of all figures' controls, in order. Nothing is drawn before the view was `opened`."""
        if not opened:
            return waiting(speaker(language))
        first = 0
        for one in figures:
            last = first + len(one.CONTROLS)
            if figure == one.NAME:
                return draw(one, language, *values[first:last])
            first = last
        raise gr.Error(f"figure is {figure!r}, expected one of {', '.join(one.NAME for one in figures)}.")

    return show_figure


def endpoint_of(figure: Figure) -> Callable[..., str]:
    """A handler that draws one figure: the controls by their names, then the language."""

    def handler(*values: Any) -> str:
        return draw(figure, values[-1], *values[:-1])

    names = [*(control.name for control in figure.CONTROLS), "language"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    handler.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    handler.__name__ = f"figure_{figure.NAME}"
    handler.__doc__ = described(figure)
    return handler


def described(figure: Figure) -> str:
    """What a program is told of a figure's endpoint."""
    say = speaker("en")
    lines = [f"Draws what a paper claims, from the nets themselves: {say(f'{figure.NAME}_title')}", "", "Args:"]
    for control in figure.CONTROLS:
        values = control.values if isinstance(control, Choice) else (f"{control.low} to {control.high}",)
        label = say(f"{figure.NAME}_{control.name}").replace(":", ",")
        lines.append(f"    {control.name}: {label}; {', '.join(map(str, values))}.")
    lines += ["    language: en or zh.", "", "Returns:", "    HTML: the title, a sentence on what to see, the charts."]
    return "\n".join(lines)


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


def to_warm_up(figures: Sequence[Figure]) -> Iterator[Callable[[], object]]:
    """To draw what is seen first, so that the first visitor doesn't wait for torch."""
    for figure in figures:
        yield partial(draw, figure, "en", *(control.value for control in figure.CONTROLS))
