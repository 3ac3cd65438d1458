"""The view "Caption": what a net writes of a picture, word by word, and how well a typed sentence fits."""

from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame, Seen
from cvhub.ui.readout import waiting
from cvhub.ui.words import caption_handlers, controls, match_handlers, nets, prompts
from cvhub.ui.words.caption_handlers import METHODS, CaptionSession
from cvhub.ui.words.controls import ANEW, AT_ONCE
from cvhub.ui.words.match_handlers import MatchSession

ID, MATCH_ID = "caption", "match"
BEAMS, TOP_P = 4, 0.9


class CaptionPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(CaptionSession())
        self.match_session = gr.State(MatchSession())
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.picture, self.sample = controls.picture(frame, ID)
                self.model, self.known = controls.net(frame, ID, "model", nets.CAPTIONS)
                self.build_writing()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting, self.style, self.view = self.build_view(caption_handlers.VIEW)
        with gr.Row(elem_classes="thirds next"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                sentence = prompts.caption(prompts.SAMPLES[0], "en")
                self.sentence = controls.text(frame, MATCH_ID, "sentence", sentence, 2, 6)
                self.matcher, self.matcher_known = controls.net(frame, MATCH_ID, "match_model", nets.CONTRASTIVE)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.match_waiting, self.match_style, self.match_view = self.build_view(match_handlers.VIEW)
        self.api_button = gr.Button(visible=False)  # what /caption hangs on: an endpoint for programs
        self.api_answer = gr.JSON(visible=False)

    def build_writing(self) -> None:
        self.method = controls.switch(self.frame, ID, "method", METHODS, METHODS[0])
        self.beams = controls.slider(self.frame, ID, "beams", 2, 8, 1, BEAMS, visible=False)
        self.top_p = controls.slider(self.frame, ID, "top_p", 0.05, 1, 0.05, TOP_P, visible=False)
        self.seed = controls.slider(self.frame, ID, "seed", 0, 99, 1, 0, visible=False)

    def build_view(self, name: str) -> tuple[gr.HTML, gr.HTML, gr.HTML]:
        """Where a place in the queue is shown, the style that holds pictures, and the answer."""
        return (
            gr.HTML("", elem_classes="waiting"),
            gr.HTML("", elem_classes="words-style"),
            gr.HTML(waiting(self.frame.say), apply_default_css=False, elem_id=name, elem_classes="drawing"),
        )

    def connect(self, seen: Seen) -> None:
        """Nothing is written or judged for who never looks."""
        language = self.frame.language
        settings = [self.method, self.beams, self.top_p, self.seed]
        writing: dict[str, Any] = {
            "fn": caption_handlers.write_caption,
            "inputs": [self.session, self.picture, self.model, *settings, language],
            "outputs": [self.session, self.style, self.view, self.known],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
        }
        judging: dict[str, Any] = {
            "fn": match_handlers.judge_sentence,
            "inputs": [self.match_session, self.picture, self.matcher, self.sentence, language],
            "outputs": [self.match_session, self.match_style, self.match_view, self.matcher_known],
            "show_progress": "minimal",
            "show_progress_on": [self.match_waiting],
            "api_visibility": "private",
        }
        first: dict[str, Any] = writing | {"fn": caption_handlers.write_first}
        seen.event.then(**first).then(**judging)
        chosen = [self.method.input, self.beams.release, self.top_p.release, self.seed.release]
        chosen.append(self.model.change)  # which another tab may have chosen
        gr.on([self.picture.input, *chosen], **writing, **ANEW)
        again: dict[str, Any] = judging | {"fn": match_handlers.judge_again}
        gr.on([self.picture.input, self.matcher.input], **judging, **ANEW)
        self.sentence.change(**again, **ANEW)  # of a text's "input" only keys tell
        self.picture.clear(None, None, None, js="() => cvhub.removePicture()")
        self.picture.input(None, None, self.sample, js="() => null")
        taken = self.sample.input(controls.take_sample, self.sample, self.picture, **AT_ONCE)
        taken.then(**writing)
        taken.then(match_handlers.take_caption, [self.sample, language], self.sentence, **AT_ONCE).then(**judging)
        self.method.input(caption_handlers.show_settings, self.method, [self.beams, self.top_p, self.seed], **AT_ONCE)
        language.change(
            caption_handlers.speak_caption,
            [self.session, self.model, language],
            [self.view, self.known],
            **AT_ONCE,
        )
        language.change(prompts.retell, [self.sentence, language], self.sentence, **AT_ONCE).then(**again)
        self.api_button.click(
            caption_handlers.caption_picture,
            [self.picture, self.model, *settings],
            self.api_answer,
            api_name="caption",
        )
