"""Choices that both views of the Distill tab offer, built alike; `view` begins their ids."""

import gradio as gr

from cvhub.ui.frame import Frame


def radio(frame: Frame, view: str, name: str, values: tuple[str, ...], value: str | None = None) -> gr.Radio:
    """One of a few words; the first unless `value` says."""
    return frame.add(
        gr.Radio,
        {
            "label": f"lesson_{name}",
            "choices": lambda say: [(say(f"lesson_{name}_{choice}"), choice) for choice in values],
        },
        value=value or values[0],
        elem_id=f"{view}-{name}",
    )


def slider(frame: Frame, view: str, name: str, low: float, high: float, step: float, value: float) -> gr.Slider:
    """A number, with a word on what it does in this view."""
    return frame.add(
        gr.Slider,
        {"label": f"lesson_{name}", "info": f"{view}_{name}_info"},
        minimum=low,
        maximum=high,
        step=step,
        value=value,
        buttons=[],
        elem_id=f"{view}-{name}",
    )
