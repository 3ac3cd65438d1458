"""The view "Models": the catalogue and any repo of the Hub, what each is, and the ways from there."""

from functools import partial
from typing import Any

import gradio as gr

from cvhub.catalog import DEFAULT_MODEL
from cvhub.ui.frame import Frame, Seen
from cvhub.ui.hub import browse_handlers as handlers
from cvhub.ui.hub.browse_readout import KINDS
from cvhub.ui.hub.state import HubSession
from cvhub.ui.readout import PICK_CLASS, waiting
from cvhub.ui.sharing import Shelf

AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class BrowsePart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.doors = dict(frame.doors)
        self.session = gr.State(HubSession(), delete_callback=HubSession.forget)
        self.model = gr.State(DEFAULT_MODEL)  # the one to look at
        frame.shelves["hub"] = Shelf(self.session, lambda session: session.converted)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_choices()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.build_results()

    def build_choices(self) -> None:
        add = self.frame.add
        with gr.Row(elem_id="hub-look"):
            self.hub_id = add(
                gr.Textbox, {"label": "hub_any", "info": "hub_any_info"}, max_lines=1, scale=1, elem_id="hub-any"
            )
            self.look = add(gr.Button, {"value": "hub_look"}, size="sm", elem_id="hub-look-button")
        self.id_note = gr.HTML("", elem_classes="checkpoint-note")
        self.kind = add(
            gr.Radio,
            {"label": "hub_kind", "choices": lambda say: [(say(f"hub_kind_{kind}"), kind) for kind in KINDS]},
            value="all",
            elem_id="hub-kind",
            elem_classes="switch",
        )
        self.list = gr.HTML("", js_on_load=PICK_CLASS, apply_default_css=False, elem_id="hub-list")

    def build_results(self) -> None:
        add = self.frame.add
        self.waiting = gr.HTML("", elem_classes="waiting")
        self.view = gr.HTML(waiting(self.frame.say), apply_default_css=False, elem_id="hub-view")
        with gr.Row(elem_id="hub-out", elem_classes="out"):
            self.open_buttons = [
                add(gr.Button, {"value": f"hub_open_{tab}"}, size="sm", visible=False, elem_id=f"hub-open-{tab}")
                for tab in self.doors
            ]
            self.pack = add(gr.Button, {"value": "hub_convert"}, size="sm", visible=False, elem_id="hub-pack")
            self.download = add(
                gr.DownloadButton, {"label": "hub_download"}, size="sm", visible=False, elem_id="hub-download"
            )
        self.note = gr.HTML("", elem_id="hub-note", elem_classes="checkpoint-note")
        self.parts = gr.HTML("", apply_default_css=False, elem_id="hub-files")
        self.card = gr.Markdown("", elem_id="hub-card", elem_classes="model-card")

    def connect(self, seen: Seen) -> None:
        """Nothing is looked at for who never looks."""
        language, doors = self.frame.language, list(self.doors.values())
        chosen = [self.model, self.kind, language]
        shown = [self.list, self.view, self.parts, self.card, self.pack, self.download, self.note, *self.open_buttons]
        looking: dict[str, Any] = {
            "fn": partial(handlers.look_at, doors),
            "inputs": [self.session, *chosen],
            "outputs": [self.session, *shown],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "trigger_mode": "always_last",  # else a look is lost that is asked for while another goes on
            "api_visibility": "private",
        }
        opening: dict[str, Any] = looking | {"fn": partial(handlers.look_first, doors)}
        seen.event.then(**opening)
        self.list.click(handlers.pick, None, self.model, **AT_ONCE).then(**looking)
        gr.on(
            [self.look.click, self.hub_id.submit],
            handlers.take_hub_id,
            [self.hub_id, self.model, language],
            [self.model, self.id_note],
            **AT_ONCE,
        ).then(**opening)
        self.kind.input(handlers.show_list, [self.kind, self.model, language], self.list, **AT_ONCE)
        language.change(partial(handlers.show, doors), [self.session, *chosen], shown, **AT_ONCE)
        self.pack.click(
            handlers.make_archive,
            [self.session, language],
            [self.session, self.download, self.note],
            show_progress="minimal",
            show_progress_on=[self.waiting],
            api_visibility="private",
        )
        for button, (tab, door) in zip(self.open_buttons, self.doors.items(), strict=True):
            handed = button.click(
                partial(handlers.hand_over, door, tab),
                [self.session, *door.inputs],
                [self.frame.bar, *door.outputs],
                **AT_ONCE,
            )
            if door.asking:
                handed.then(**door.asking)
        gr.api(handlers.describe_model, api_name="describe_model")
        gr.api(handlers.list_models, api_name="list_models")
