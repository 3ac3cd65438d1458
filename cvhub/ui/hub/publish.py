"""The view "Publish": a model of this visit goes to the Hub, after its card and files have been seen."""

from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame, Seen
from cvhub.ui.hub import publish_handlers as handlers
from cvhub.ui.hub.account import can_sign_in
from cvhub.ui.hub.browse import AT_ONCE
from cvhub.ui.readout import waiting


class PublishPart:
    """`session`: of the tab."""

    def __init__(self, frame: Frame, session: gr.State) -> None:
        self.frame, self.session = frame, session
        self.shelves = dict(frame.shelves)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_choices()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.view = gr.HTML(waiting(frame.say), apply_default_css=False, elem_id="publish-view")
                self.card = gr.Markdown("", elem_id="publish-card", elem_classes="model-card")

    def build_choices(self) -> None:
        add = self.frame.add
        self.what = add(gr.Dropdown, {"label": "hub_what", "info": "hub_what_info"}, choices=[], elem_id="publish-what")
        self.repo = add(gr.Textbox, {"label": "hub_repo", "info": "hub_repo_info"}, max_lines=1, elem_id="publish-repo")
        self.way = add(
            gr.Radio,
            {"label": "hub_way", "choices": lambda say: [(say(f"hub_way_{way}"), way) for way in handlers.WAYS]},
            value=handlers.WAYS[0],
            elem_id="publish-way",
            elem_classes="switch",
        )
        self.private = add(gr.Checkbox, {"label": "hub_private"}, value=True, elem_id="publish-private")
        self.account = gr.HTML("", elem_id="publish-account", elem_classes="checkpoint-note")
        if can_sign_in():
            gr.LoginButton(size="sm", elem_id="publish-login")
        self.push = add(gr.Button, {"value": "hub_push"}, size="sm", variant="primary", elem_id="publish-push")
        self.note = gr.HTML("", elem_id="publish-note", elem_classes="checkpoint-note")

    def connect(self, seen: Seen) -> None:
        language = self.frame.language
        kept = [shelf.component for shelf in self.shelves.values()]
        made = handlers.Made(self.shelves)
        previewing: dict[str, Any] = {
            "fn": made.preview,
            "inputs": [self.session, self.what, self.repo, language, *kept],
            "outputs": [self.view, self.card],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
        }
        offering: dict[str, Any] = {
            "fn": made.offer,
            "inputs": [self.session, self.what, self.repo, language, *kept],
            "outputs": [self.session, self.what, self.repo, self.account],
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        seen.event.then(**offering).then(**previewing)
        language.change(**offering).then(**previewing)
        self.what.input(**offering).then(**previewing)
        gr.on([self.repo.submit, self.repo.blur], **previewing)
        self.way.input(handlers.show_way, self.way, self.private, **AT_ONCE)
        self.push.click(
            made.push,
            [self.session, self.what, self.repo, self.way, self.private, language, *kept],
            self.note,
            show_progress="minimal",
            show_progress_on=[self.note],
            api_visibility="private",
        )
