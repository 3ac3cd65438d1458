"""Choices that views of the Words tab offer alike; `view` begins their ids."""

from html import escape
from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame, Texts
from cvhub.ui.picture_input import PictureInput
from cvhub.ui.samples import sample_file
from cvhub.ui.strings import Say
from cvhub.ui.words import nets
from cvhub.ui.words.prompts import SAMPLES

# How handlers run that only pass on what is in the browser, and those whose newest question counts.
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ANEW: dict[str, Any] = {"js": "(...values) => cvhub.withoutRemoved(values)", "trigger_mode": "always_last"}


def picture(frame: Frame, view: str) -> tuple[PictureInput, gr.Radio]:
    """A picture, and samples to choose it from: drawings, and a photo."""
    image = frame.add(
        PictureInput,
        {"label": "picture", "placeholder": "picture_placeholder", "alt_text": "picture_alt"},
        value=sample_file(SAMPLES[0]),
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        show_label=False,
        buttons=[],
        elem_id=f"{view}-picture",
        elem_classes="words-picture",
    )
    sample = frame.add(
        gr.Radio,
        {"label": "words_samples", "choices": sample_choices},
        value=SAMPLES[0],
        elem_id=f"{view}-samples",
        elem_classes=["samples", "words-samples"],
    )
    return image, sample


def sample_choices(say: Say) -> list[tuple[str, str]]:
    return [(say(f"words_sample_{sample}"), sample) for sample in SAMPLES]


def take_sample(sample: str) -> str:
    """The file of a sample."""
    if sample not in SAMPLES:
        raise gr.Error(f"sample is {sample!r}, expected one of {', '.join(SAMPLES)}.")
    return sample_file(sample)


def net(frame: Frame, view: str, label: str, task: str) -> tuple[gr.Dropdown, gr.HTML]:
    """A net for a task, of the catalogue or the Hub, and a line on what it knows."""
    model = frame.add(
        gr.Dropdown,
        {"label": label},
        choices=nets.choices(task),
        value=nets.first(task),
        allow_custom_value=True,
        elem_id=f"{view}-model",
        elem_classes="words-model",
    )
    return model, gr.HTML(escape(nets.knowledge(nets.first(task), frame.say)), elem_classes="checkpoint-note")


def text(frame: Frame, view: str, name: str, value: str, lines: int, most: int) -> gr.Textbox:
    """A text to type, at least `lines` high and at most `most`."""
    return frame.add(
        gr.Textbox,
        {"label": f"{view.replace('-', '_')}_{name}", "info": f"{view.replace('-', '_')}_{name}_info"},
        value=value,
        lines=lines,
        max_lines=most,
        elem_id=f"{view}-{name.replace('_', '-')}",
    )


def switch(frame: Frame, view: str, name: str, values: tuple[str, ...], value: str) -> gr.Radio:
    """A few choices in a row, of which one holds."""
    key = f"{view.replace('-', '_')}_{name}"
    return frame.add(
        gr.Radio,
        {"label": key, "choices": lambda say: [(say(f"{key}_{one}"), one) for one in values]},
        value=value,
        elem_id=f"{view}-{name.replace('_', '-')}",
        elem_classes="switch",
    )


def slider(
    frame: Frame, view: str, name: str, low: float, high: float, step: float, value: float, visible: bool = True
) -> gr.Slider:
    key = f"{view.replace('-', '_')}_{name}"
    texts: Texts = {"label": key, "info": f"{key}_info"}
    return frame.add(
        gr.Slider,
        texts,
        minimum=low,
        maximum=high,
        step=step,
        value=value,
        visible=visible,
        buttons=[],
        elem_id=f"{view}-{name.replace('_', '-')}",
    )


def files(frame: Frame, view: str) -> gr.File:
    """Pictures, several at once."""
    key = view.replace("-", "_")
    return frame.add(
        gr.File,
        {"label": f"{key}_files"},
        file_count="multiple",
        file_types=["image"],
        height=140,
        elem_id=f"{view}-files",
    )
