"""The Classify tab: what is on it, and what leads to what. Each thing it does is a function in handlers.py."""

from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from cvhub.inference.runtime import offered_precisions
from cvhub.ui.answering import IN_LINE
from cvhub.ui.checkpoint import CheckpointInput
from cvhub.ui.classify import handlers, link
from cvhub.ui.classify.own_classes import OwnClasses
from cvhub.ui.frame import Frame
from cvhub.ui.picture_input import PictureInput
from cvhub.ui.pictures import picture_style
from cvhub.ui.readout import PICK_CLASS, results
from cvhub.ui.samples import SAMPLES, sample_file
from cvhub.ui.sharing import Door, Shelf
from cvhub.ui.state import Answer, Session, View

NAME = "classify"

# What a page shows until its first answer: the cards of the models that are about to be asked.
EXPECTED = [Answer(name, handlers.title_of(name), place) for place, name in enumerate(link.DEFAULT_MODELS)]


def build(frame: Frame) -> "ClassifyTab":
    return ClassifyTab(frame)


class ClassifyTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(Session(), delete_callback=handlers.forget)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_picture()
                self.build_choices()
                self.checkpoint = CheckpointInput(self.frame, "", "hub_id_info")
                self.own_classes = OwnClasses(frame)
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.build_results()
        frame.doors[NAME] = Door(
            ("image-classification",),
            handlers.take_offer,
            (self.session, self.models),
            (self.models,),
            asking=self.asking | {"api_visibility": "private"},
        )
        frame.shelves[NAME] = Shelf(self.session, lambda session: session.checkpoints)

    def build_picture(self) -> None:
        add = self.frame.add
        self.picture = add(
            PictureInput,
            {"label": "picture", "placeholder": "picture_placeholder", "alt_text": "picture_alt"},
            value=sample_file(SAMPLES[0]),
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            show_label=False,
            buttons=[],
            elem_id="picture",
        )
        self.style = gr.HTML(picture_style(None, EXPECTED, replace=False), elem_id="style")
        self.sample = add(
            gr.Radio,
            {
                "label": "samples",
                "choices": lambda say: [(say(f"sample_{sample}"), sample) for sample in SAMPLES],
            },
            value=SAMPLES[0],
            elem_id="samples",
            elem_classes="samples",
        )

    def build_choices(self) -> None:
        add = self.frame.add
        defaults = list(link.DEFAULT_MODELS)
        self.models = add(
            gr.Dropdown,
            {"label": "models"},
            choices=handlers.model_choices(Session(), defaults),
            value=defaults,
            multiselect=True,
            max_choices=link.MAX_MODELS,
            allow_custom_value=True,
            elem_id="models",
        )
        low, high = link.TEMPERATURES
        self.temperature = add(
            gr.Slider,
            {"label": "temperature", "info": "temperature_info"},
            minimum=low,
            maximum=high,
            step=0.1,
            value=1.0,
            buttons=[],
            elem_id="temperature",
        )
        self.opacity = add(
            gr.Slider, {"label": "opacity"}, minimum=0, maximum=100, step=5, value=60, buttons=[], elem_id="opacity"
        )
        self.heat_class = self.class_list("heat_class", "heat_class_own", elem_id="heat-class")
        self.true_class = self.class_list("true_class", "true_class_mean", elem_id="true-class")
        with add(gr.Accordion, {"label": "advanced"}, open=False, elem_id="advanced"):
            self.runtime = add(
                gr.Radio,
                {"label": "runtime", "info": "runtime_info"},
                choices=[("auto", "auto"), ("OpenVINO", "openvino"), ("PyTorch", "torch")],
                value="auto",
                elem_id="runtime",
            )
            self.precision = add(
                gr.Radio, {"label": "precision"}, choices=list(offered_precisions()), value="auto", elem_id="precision"
            )
            low, high = link.EPSILONS
            self.epsilon = add(
                gr.Slider,
                {"label": "epsilon"},
                minimum=low,
                maximum=high,
                step=0.05,
                value=0.1,
                buttons=[],
                elem_id="epsilon",
            )

    def class_list(self, name: str, first: str, elem_id: str) -> gr.Dropdown:
        """A list of classes; its choices come when it is opened."""
        return self.frame.add(
            gr.Dropdown,
            {"label": name, "info": f"{name}_info"},
            choices=[(self.frame.say(first), "")],
            value="",
            allow_custom_value=True,
            elem_id=elem_id,
        )

    def build_results(self) -> None:
        add = self.frame.add
        self.waiting = gr.HTML("", elem_id="waiting")  # where a visitor's place in the queue is shown
        self.results = gr.HTML(
            results(EXPECTED, View()), js_on_load=PICK_CLASS, apply_default_css=False, elem_id="results"
        )
        self.losses = gr.HTML("", apply_default_css=False, elem_id="losses")
        with gr.Row(elem_id="out"):
            self.csv_button = add(gr.Button, {"value": "save_csv"}, size="sm", elem_id="save-csv")
            self.json_button = add(gr.Button, {"value": "save_json"}, size="sm", elem_id="save-json")
            self.link_button = add(gr.Button, {"value": "copy_link"}, size="sm", elem_id="copy-link")
            self.note = gr.HTML("", elem_id="note")
        self.asked = gr.Number(0, visible=False)  # when a view is asked for, which the page's script fills in
        self.outgoing = gr.Textbox(visible=False)  # text on its way to a file or the clipboard
        self.api_button = gr.Button(visible=False)  # what /classify hangs on: an endpoint for programs
        self.top_k = gr.Number(5, precision=0, visible=False)
        self.api_answer = gr.JSON(visible=False)

    @property
    def view(self) -> list[Component]:
        """How the answers are to be shown."""
        return [self.temperature, self.heat_class, self.true_class, self.epsilon, self.frame.language]

    @property
    def shown(self) -> list[Component]:
        """What `handlers.Shown` fills."""
        return [self.results, self.losses]

    @property
    def asking(self) -> dict[str, Any]:
        """The event in which the chosen models are asked."""
        return {
            "fn": handlers.answer,
            "inputs": [self.session, self.picture, self.models, self.runtime, self.precision, *self.view, self.asked],
            "outputs": [self.session, self.style, *self.shown, self.heat_class, self.true_class],
            "js": "(...values) => cvhub.stamped(values)",
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            **IN_LINE,
        }

    def connect(self, opened: Dependency) -> None:
        """What leads to what. `opened` is the event in which a page opens, its language known."""
        frame, view, shown, asking = self.frame, self.view, self.shown, self.asking
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        with_picture: dict[str, Any] = asking | {"js": "(...values) => cvhub.withoutRemoved(cvhub.stamped(values))"}

        opened.then(
            handlers.open_link,
            None,
            [
                *(self.picture, self.sample, self.models, self.temperature, self.opacity),
                *(self.heat_class, self.true_class, self.epsilon),
            ],
            api_visibility="undocumented",
            **at_once,
        ).then(**asking, api_name="answer_link", api_visibility="undocumented")
        gr.on(
            [
                *(self.picture.input, self.models.input, self.runtime.input, self.precision.input),
                self.models.key_up,  # what Enter adds and Backspace takes away comes without an "input"
            ],
            **with_picture,
            trigger_mode="always_last",
            api_name="answer",
        )
        self.picture.clear(None, None, None, js="() => cvhub.removePicture()")
        self.picture.input(None, None, self.sample, js="() => null")
        self.sample.input(
            handlers.take_sample, [self.sample, self.models, self.session], [self.picture, self.models], **at_once
        ).then(**asking, api_name="answer_sample", api_visibility="undocumented")
        # A bar's class is chosen in the page, before anything is asked: whatever is asked next is asked about it.
        self.results.click(None, None, self.heat_class, js="() => cvhub.picked")
        gr.on(
            [
                *(self.temperature.input, self.heat_class.input, self.true_class.input, self.epsilon.input),
                *(self.results.click, frame.language.change),
            ],
            handlers.show,
            [self.session, *view, self.asked],
            shown,
            js="(...values) => cvhub.stamped(values)",
            trigger_mode="always_last",
            api_name="show",
            **at_once,
        )
        gr.on(
            [self.heat_class.focus, self.true_class.focus, frame.language.change],
            handlers.list_classes,
            [self.session, frame.language],
            [self.heat_class, self.true_class],
            api_visibility="private",
            **at_once,
        )
        self.opacity.change(None, self.opacity, None, js="(percent) => cvhub.fade(percent)")
        self.checkpoint.button.click(
            handlers.add_checkpoint,
            [self.session, self.checkpoint.hub_id, self.checkpoint.files, self.models, frame.language],
            [self.session, self.models, self.checkpoint.note],
        ).then(**asking, api_name="answer_checkpoint", api_visibility="undocumented")
        self.own_classes.connect(self.session, self.models, asking)
        self.connect_outgoing(view, at_once)

    def connect_outgoing(self, view: list[Component], at_once: dict[str, Any]) -> None:
        for button, export, name, kind in (
            (self.csv_button, handlers.export_csv, "cvhub.csv", "text/csv"),
            (self.json_button, handlers.export_json, "cvhub.json", "application/json"),
        ):
            button.click(export, [self.session, *view], self.outgoing, **at_once).then(
                None, self.outgoing, None, js=f"(text) => cvhub.save(text, '{name}', '{kind}')"
            )
        temperature, heat_class, true_class, epsilon, language = view
        self.link_button.click(
            handlers.compose_link,
            [self.sample, self.models, temperature, self.opacity, heat_class, true_class, epsilon, language],
            [self.outgoing, self.note],
            **at_once,
        ).then(None, self.outgoing, None, js="(query) => cvhub.copyLink(query)")
        self.api_button.click(
            handlers.classify,
            [self.picture, self.models, self.temperature, self.top_k],
            self.api_answer,
            api_name="classify",
            **IN_LINE,
        )
