"""The view "Search": many pictures, and those of them that are nearest to words or to another picture."""

from typing import Any

import gradio as gr

from cvhub.ui.frame import Frame, Seen
from cvhub.ui.public import is_public
from cvhub.ui.readout import PICK_CLASS, waiting
from cvhub.ui.strings import Say
from cvhub.ui.words import controls, nets, prompts
from cvhub.ui.words import search_handlers as handlers
from cvhub.ui.words.controls import ANEW, AT_ONCE
from cvhub.ui.words.search_sources import KINDS, MOST_MEGAPIXELS, MOST_PICTURES
from cvhub.ui.words.search_state import SearchSession

ID = "search"
TOP_K = 12


class SearchPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(SearchSession(), delete_callback=SearchSession.forget)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_source()
                self.build_subject()
                self.model, self.known = controls.net(frame, ID, "model", nets.CONTRASTIVE)
                self.top_k = controls.slider(frame, ID, "top_k", 1, handlers.MOST_SHOWN, 1, TOP_K)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.view = gr.HTML(
                    waiting(frame.say), js_on_load=PICK_CLASS, apply_default_css=False, elem_id=handlers.VIEW
                )
        self.api_button = gr.Button(visible=False)  # what /search_pictures hangs on: an endpoint for programs
        self.api_answer = gr.JSON(visible=False)

    def build_source(self) -> None:
        """Where to look: the drawings at once, files, or a folder or data set by its name."""
        add = self.frame.add
        self.source = add(
            gr.Radio,
            {"label": "search_source", "choices": source_choices},
            value=KINDS[0],
            elem_id=f"{ID}-source",
            elem_classes="switch",
        )
        with gr.Column(visible=False, elem_classes="inputs") as self.upload:
            self.files = controls.files(self.frame, ID)
            self.folder = add(
                gr.UploadButton, {"label": "search_folder"}, file_count="directory", size="sm", elem_id=f"{ID}-folder"
            )
            limits = {"pictures": f"{MOST_PICTURES:,}", "megapixels": f"{MOST_MEGAPIXELS:,}"}
            self.frame.add_html(
                lambda say: f'<p class="facts">{say("search_limits", **limits)}</p>', elem_id=f"{ID}-limits"
            )
        with gr.Column(visible=False, elem_classes="inputs") as self.place_group:
            place = "search_place_public" if is_public() else "search_place"
            self.place = add(gr.Textbox, {"label": place, "info": f"{place}_info"}, max_lines=1, elem_id=f"{ID}-place")
            self.split = add(
                gr.Textbox,
                {"label": "search_split", "info": "search_split_info"},
                max_lines=1,
                elem_id=f"{ID}-split",
            )
            self.update = add(gr.Button, {"value": "search_update"}, size="sm", elem_id=f"{ID}-update")

    def build_subject(self) -> None:
        """What to look for."""
        self.by = controls.switch(self.frame, ID, "by", handlers.BY, handlers.BY[0])
        words = prompts.caption(prompts.SAMPLES[0], "en")
        self.words = controls.text(self.frame, ID, "words", words, 1, 4)
        with gr.Column(visible=False, elem_classes="inputs") as self.picture_group:
            self.picture, self.sample = controls.picture(self.frame, ID)

    def connect(self, seen: Seen) -> None:
        """Nothing is indexed for who never looks."""
        language = self.frame.language
        asked = [self.picture, self.source, self.by, self.words, self.model, self.top_k, language]
        finding: dict[str, Any] = {
            "fn": handlers.find_pictures,
            "inputs": [self.session, *asked],
            "outputs": [self.session, self.view, self.known],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
        }
        again: dict[str, Any] = finding | {"fn": handlers.find_again}
        seen.event.then(**finding)
        gr.on([self.picture.input, self.by.input, self.model.input, self.top_k.input], **finding, **ANEW)
        self.words.change(**again, **ANEW)  # of a text's "input" only keys tell
        self.connect_source(finding)
        self.picture.clear(None, None, None, js="() => cvhub.removePicture()")
        self.picture.input(None, None, self.sample, js="() => null")
        self.sample.input(controls.take_sample, self.sample, self.picture, **AT_ONCE).then(**finding)
        self.by.input(handlers.show_by, self.by, [self.words, self.picture_group], **AT_ONCE)
        self.view.click(handlers.pick, self.session, self.session, **AT_ONCE).then(**finding)
        language.change(prompts.retell, [self.words, language], self.words, **AT_ONCE).then(**again)
        self.api_button.click(
            handlers.search_pictures,
            [
                *(self.files, self.source, self.place, self.split),
                *(self.by, self.words, self.picture, self.model, self.top_k),
            ],
            self.api_answer,
            api_name="search_pictures",
        )

    def connect_source(self, finding: dict[str, Any]) -> None:
        """Files are handed over when they come or go, since thousands are too many for every question; a place once it
        is typed whole."""
        placed = [self.update.click, self.place.submit, self.split.submit]
        files = [self.files.upload, self.files.clear, self.files.delete]
        self.source.input(handlers.show_source, self.source, [self.upload, self.place_group], **AT_ONCE).then(**finding)
        gr.on(files, handlers.take_files, [self.session, self.files], self.session, **AT_ONCE).then(**finding)
        self.folder.upload(
            handlers.take_folder, [self.session, self.folder], [self.session, self.files], **AT_ONCE
        ).then(**finding)
        place = [self.session, self.place, self.split]
        gr.on(placed, handlers.take_place, place, self.session, **AT_ONCE).then(**finding)


def source_choices(say: Say) -> list[tuple[str, str]]:
    """On a public page no folder is offered."""
    keys = {"place": "place_public"} if is_public() else {}
    return [(say(f"search_source_{keys.get(kind, kind)}"), kind) for kind in KINDS]
