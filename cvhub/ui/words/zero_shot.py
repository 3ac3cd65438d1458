"""The view "Zero-shot": a picture, labels in any words, and which of them a net finds in it."""

from typing import Any

import gradio as gr

from cvhub.ui.answering import IN_LINE
from cvhub.ui.frame import Frame, Seen
from cvhub.ui.readout import PICK_CLASS, waiting
from cvhub.ui.words import controls, nets, prompts
from cvhub.ui.words import zero_shot_handlers as handlers
from cvhub.ui.words.controls import ANEW, AT_ONCE
from cvhub.ui.words.state import WordsSession

ID = "zero-shot"
KINDS = tuple(prompts.TEMPLATES)


class ZeroShotPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(WordsSession())
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.picture, self.sample = controls.picture(frame, ID)
                self.model, self.known = controls.net(frame, ID, "model", nets.CONTRASTIVE)
                self.build_choices()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.style = gr.HTML("", elem_classes="words-style")
                self.view = gr.HTML(
                    waiting(frame.say), js_on_load=PICK_CLASS, apply_default_css=False, elem_id=handlers.VIEW
                )
        self.api_button = gr.Button(visible=False)  # what /zero_shot hangs on: an endpoint for programs
        self.api_answer = gr.JSON(visible=False)

    def build_choices(self) -> None:
        self.labels = controls.text(self.frame, ID, "labels", prompts.labels("en"), 4, 10)
        self.kind = controls.switch(self.frame, ID, "templates_kind", KINDS, KINDS[0])
        self.templates = controls.text(self.frame, ID, "templates", prompts.templates(KINDS[0], "en"), 1, 6)
        self.temperature = controls.slider(self.frame, ID, "temperature", 0.1, 10, 0.1, 1)
        self.word = self.frame.add(
            gr.Dropdown,
            {
                "label": "zero_shot_word",
                "info": "zero_shot_word_info",
                "choices": lambda say: [handlers.likeliest(say)],  # the labels come with the first answer
            },
            value="",
            allow_custom_value=True,
            elem_id=f"{ID}-word",
            elem_classes="words-model",
        )
        self.files = controls.files(self.frame, ID)

    def connect(self, seen: Seen) -> None:
        """Nothing is asked for who never looks."""
        language = self.frame.language
        texts = [self.labels, self.templates]
        asked = [self.picture, self.model, *texts, self.temperature, self.word, self.files, language]
        asking: dict[str, Any] = {
            "fn": handlers.name_picture,
            "inputs": [self.session, *asked],
            "outputs": [self.session, self.style, self.view, self.known, self.word],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
            **IN_LINE,
        }
        seen.event.then(**asking)
        again: dict[str, Any] = asking | {"fn": handlers.name_again}
        files = [self.files.upload, self.files.clear, self.files.delete]
        # A bar's word is chosen in the page, before anything is asked, so that none is lost while an answer is awaited.
        self.view.click(None, None, self.word, js="() => cvhub.picked")
        chosen = [self.picture.input, self.temperature.input, self.word.input, self.view.click]
        chosen.append(self.model.change)  # which another tab may have chosen
        gr.on([*chosen, *files], **asking, **ANEW)
        # A text's "input" tells of keys alone: not of what is pasted, deleted, or composed as Chinese is.
        gr.on([self.labels.change, self.templates.change], **again, **ANEW)
        self.picture.clear(None, None, None, js="() => cvhub.removePicture()")
        self.picture.input(None, None, self.sample, js="() => null")
        self.sample.input(controls.take_sample, self.sample, self.picture, **AT_ONCE).then(**asking)
        self.kind.input(handlers.take_templates, [self.kind, language], self.templates, **AT_ONCE)
        self.templates.change(handlers.kind_of, self.templates, self.kind, **AT_ONCE)
        language.change(prompts.retell_both, [*texts, language], texts, **AT_ONCE).then(**again)
        self.api_button.click(
            handlers.zero_shot,
            [self.picture, self.model, *texts, self.temperature],
            self.api_answer,
            api_name="zero_shot",
            **IN_LINE,
        )
