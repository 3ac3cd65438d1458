"""The view "Loss": a batch of pictures and texts, its matrices, and the loss that teaches both towers."""

from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame, Seen
from cvhub.ui.readout import waiting
from cvhub.ui.words import controls, nets, prompts
from cvhub.ui.words import loss_handlers as handlers
from cvhub.ui.words.controls import AT_ONCE
from cvhub.ui.words.state import WordsSession

ID = "contrast"
TEMPERATURE = 0.07  # at which CLIP's training begins; a net that answers brings its own


class LossPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(WordsSession())
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.model, self.known = controls.net(frame, ID, "model", nets.CONTRASTIVE)
                low, high, step = handlers.COLDEST, handlers.HOTTEST, handlers.STEP
                self.temperature = controls.slider(frame, ID, "temperature", low, high, step, TEMPERATURE)
                self.texts = controls.text(frame, ID, "texts", prompts.captions("en"), 6, 12)
                self.files = controls.files(frame, ID)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.style = gr.HTML("", elem_classes="words-style")
                self.view = gr.HTML(
                    waiting(frame.say), apply_default_css=False, elem_id=handlers.VIEW, elem_classes="drawing"
                )
        self.api_button = gr.Button(visible=False)  # what /contrast hangs on: an endpoint for programs
        self.api_answer = gr.JSON(visible=False)

    def connect(self, seen: Seen) -> None:
        """Nothing is asked for who never looks."""
        language = self.frame.language
        asked = [self.files, self.texts, self.model, self.temperature]
        asking: dict[str, Any] = {
            "fn": handlers.contrast_batch,
            "inputs": [self.session, *asked, language],
            "outputs": [self.session, self.style, self.view, self.known, self.temperature],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
        }
        seen.event.then(**asking)
        chosen = [self.model.input, self.files.upload, self.files.clear, self.files.delete]
        again: dict[str, Any] = asking | {"fn": handlers.contrast_again}
        gr.on([*chosen, self.temperature.input], **asking, trigger_mode="always_last")
        self.texts.change(**again, trigger_mode="always_last")  # of a text's "input" only keys tell
        language.change(prompts.retell, [self.texts, language], self.texts, **AT_ONCE).then(**again)
        self.api_button.click(handlers.contrast, asked, self.api_answer, api_name="contrast")
