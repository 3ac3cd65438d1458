"""The view "Compare": one picture, its teachers, and a student that had none beside one that had."""

from typing import Any

import gradio as gr

from cvhub.training.recipe import COMBINATIONS, LOSSES
from cvhub.ui.distill import comparing
from cvhub.ui.distill.choices import ALONE, TAUGHT, TEACHERS, classifier_choices, taught_choices
from cvhub.ui.distill.comparison import Comparison
from cvhub.ui.distill.controls import radio, slider
from cvhub.ui.frame import Frame, Seen
from cvhub.ui.picture_input import PictureInput
from cvhub.ui.readout import waiting
from cvhub.ui.samples import DIGIT, sample_file


class ComparePart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(Comparison())
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_picture()
                self.build_choices()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.waiting = gr.HTML("", elem_classes="waiting")
                self.view = gr.HTML(
                    waiting(frame.say), apply_default_css=False, elem_id="compare-view", elem_classes="drawing"
                )

    def build_picture(self) -> None:
        self.picture = self.frame.add(
            PictureInput,
            {"label": "picture", "placeholder": "picture_placeholder", "alt_text": "picture_alt"},
            value=sample_file(DIGIT),
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            show_label=False,
            buttons=[],
            elem_id="compare-picture",
        )

    def build_choices(self) -> None:
        add = self.frame.add
        self.teachers = add(
            gr.Dropdown,
            {"label": "compare_teachers"},
            choices=classifier_choices(),
            value=list(TEACHERS),
            multiselect=True,
            max_choices=2,
            elem_id="compare-teachers",
        )
        self.alone = add(
            gr.Dropdown, {"label": "compare_alone"}, choices=classifier_choices(), value=ALONE, elem_id="compare-alone"
        )
        self.taught = add(
            gr.Dropdown,
            {"label": "compare_taught", "info": "compare_taught_info"},
            choices=taught_choices(),
            value=TAUGHT,
            elem_id="compare-taught",
        )
        self.true_class = add(
            gr.Dropdown,
            {"label": "compare_true", "info": "compare_true_info"},
            choices=[(self.frame.say("compare_true_teacher"), "")],
            value="",
            allow_custom_value=True,
            elem_id="compare-true",
        )
        self.temperature = slider(self.frame, "compare", "temperature", 1, 10, 0.5, 3)
        self.weight = slider(self.frame, "compare", "weight", 0, 1, 0.05, 0.5)
        self.loss = radio(self.frame, "compare", "loss", LOSSES, "soft")
        self.combination = radio(self.frame, "compare", "combination", COMBINATIONS, COMBINATIONS[0])

    def connect(self, seen: Seen) -> None:
        """Nothing is asked for who never looks."""
        asked = [self.picture, self.teachers, self.alone, self.taught]
        shown = [self.true_class, self.temperature, self.weight, self.loss, self.combination, self.frame.language]
        asking: dict[str, Any] = {
            "fn": comparing.compare,
            "inputs": [self.session, *asked, *shown],
            "outputs": [self.session, self.view, self.true_class],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
            "api_visibility": "private",
        }
        seen.event.then(**asking)
        gr.on([control.input for control in asked], **asking, trigger_mode="always_last")
        gr.on(
            [*(control.input for control in shown[:-1]), self.frame.language.change],
            comparing.show,
            [self.session, *shown],
            [self.view, self.true_class],
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
