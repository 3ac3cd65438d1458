"""The Segment tab's view of a picture: what is on it, and what leads to what."""

from typing import Any

import gradio as gr

from cvhub.inference.runtime import offered_precisions
from cvhub.ui.answering import IN_LINE
from cvhub.ui.checkpoint import CheckpointInput
from cvhub.ui.frame import Frame, Texts
from cvhub.ui.picture_input import PictureInput
from cvhub.ui.segment import handlers, outgoing, samples
from cvhub.ui.segment.state import TRUTHS, SegmentSession
from cvhub.ui.sharing import Door, Shelf
from cvhub.ui.strings import Say

PAINTED = """
element.addEventListener("painted", ({ detail }) => trigger("input", { mask: detail }));
"""
TASKS = ("semantic", "instance", "panoptic")
DRAWN = ("areas", "contours")


class PicturePart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.session = gr.State(SegmentSession(), delete_callback=handlers.forget_segment)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_picture()
                self.build_choices()
                self.build_truth()
                self.build_advanced()
                self.checkpoint = CheckpointInput(self.frame, "segment-", "segment_hub_info")
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.build_results()
        self.frame.doors["segment"] = Door(
            ("semantic-segmentation", "panoptic-segmentation"),
            handlers.take_offer,
            (self.session,),
            (self.model,),
        )
        self.frame.shelves["segment"] = Shelf(self.session, lambda session: session.visit.checkpoints)

    def build_picture(self) -> None:
        add = self.frame.add
        self.picture = add(
            PictureInput,
            {"label": "segment_picture", "placeholder": "picture_placeholder", "alt_text": "segment_picture"},
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            show_label=False,
            buttons=[],
            elem_id="segment-picture",
            elem_classes="picture",
        )
        self.sample = add(
            gr.Radio,
            {"label": "segment_samples", "choices": sample_choices},
            value=None,
            elem_id="segment-samples",
            elem_classes="samples",
        )

    def build_choices(self) -> None:
        add = self.frame.add
        _, model = samples.first_choice()
        self.task = self.switch("task", TASKS, "panoptic")  # or semantic, where the net can't
        self.model = add(
            gr.Dropdown,
            {"label": "segment_model"},
            choices=handlers.model_choices(SegmentSession(), model),
            value=model,
            allow_custom_value=True,
            elem_id="segment-model",
        )
        self.opacity = self.slider("opacity", 0, 100, 5, 55)
        self.drawn = self.switch("drawn", DRAWN, "areas")
        self.threshold = self.slider("threshold", 0, 1, 0.01, 0.5)

    def switch(self, name: str, values: tuple[str, ...], value: str) -> gr.Radio:
        """A few choices in a row, of which one holds."""
        return self.frame.add(
            gr.Radio,
            {
                "label": f"segment_{name}",
                "choices": lambda say: [(say(f"segment_{name}_{one}"), one) for one in values],
            },
            value=value,
            elem_id=f"segment-{name}",
            elem_classes="switch",
        )

    def slider(self, name: str, low: float, high: float, step: float, value: float, info: str = "") -> gr.Slider:
        texts: Texts = {"label": f"segment_{name}"}
        if info:
            texts["info"] = info
        return self.frame.add(
            gr.Slider,
            texts,
            minimum=low,
            maximum=high,
            step=step,
            value=value,
            buttons=[],
            elem_id=f"segment-{name}",
        )

    def build_truth(self) -> None:
        self.truth = self.switch("truth", TRUTHS, "example")
        self.mask = self.frame.add(
            gr.File,
            {"label": "segment_mask_file"},
            file_types=[".png", ".tif", ".tiff"],
            height=140,
            visible=False,
            elem_id="segment-mask",
        )
        self.painter = gr.HTML(
            "", js_on_load=PAINTED, apply_default_css=False, visible=False, elem_id="segment-painter"
        )

    def build_advanced(self) -> None:
        add = self.frame.add
        with add(gr.Accordion, {"label": "segment_advanced"}, open=False, elem_id="segment-advanced"):
            self.tile = self.slider("tile", 128, 1024, 64, 512, "segment_tile_info")
            self.overlap = self.slider("overlap", 0, 256, 32, 64)
            self.smallest = self.slider("smallest", 0, 1000, 10, 0)
            self.runtime = add(
                gr.Radio,
                {"label": "runtime", "info": "runtime_info"},
                choices=[("auto", "auto"), ("OpenVINO", "openvino"), ("PyTorch", "torch")],
                value="auto",
                elem_id="segment-runtime",
            )
            self.precision = add(
                gr.Radio,
                {"label": "precision"},
                choices=list(offered_precisions()),
                value="auto",
                elem_id="segment-precision",
            )

    def build_results(self) -> None:
        add = self.frame.add
        self.waiting = gr.HTML("", elem_classes="waiting")
        self.results = gr.HTML("", apply_default_css=False, elem_id="segments")
        self.stop = add(gr.Button, {"value": "segment_stop"}, size="sm", visible=False, elem_id="segment-stop")
        self.losses = gr.HTML("", apply_default_css=False, elem_id="segment-losses")
        with gr.Row(elem_id="segment-out", elem_classes="out"):
            self.png_button = add(gr.Button, {"value": "save_mask"}, size="sm", elem_id="save-mask")
            self.coco_button = add(gr.Button, {"value": "save_coco"}, size="sm", elem_id="save-coco")
            self.csv_button = add(gr.Button, {"value": "save_objects"}, size="sm", elem_id="save-objects")
        self.outgoing = gr.Textbox(visible=False)
        self.api_button = gr.Button(visible=False)  # what /segment hangs on: an endpoint for programs
        self.api_threshold = gr.Number(None, visible=False)  # a slider would not take none
        self.api_answer = gr.JSON(visible=False)

    def connect(self, tab: gr.Tab) -> None:
        """What leads to what. `tab` is the tab that holds this view: seeing it asks the first question."""
        language = self.frame.language
        view = [self.task, self.threshold, self.smallest, self.truth, language]
        question = [self.picture, self.model, self.runtime, self.precision, self.tile, self.overlap]
        shown = [self.results, self.losses]
        asking: dict[str, Any] = {
            "fn": handlers.answer_segment,
            "inputs": [self.session, *question, *view],
            "outputs": [self.session, self.task, self.threshold, *shown, self.painter, self.stop],
            "show_progress": "minimal",
            "show_progress_on": [self.waiting],
        }
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        reading: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}

        tab.select(
            handlers.open_segment,
            [self.session, self.model],
            [self.picture, self.sample, self.model],
            api_visibility="undocumented",
            **at_once,
        ).then(**asking, api_name="answer_first_segment", api_visibility="undocumented")
        gr.on(
            [
                *(self.picture.input, self.model.input, self.runtime.input, self.precision.input),
                *(self.tile.release, self.overlap.release),
            ],
            **asking,
            js="(...values) => cvhub.withoutRemoved(values)",
            trigger_mode="always_last",
            api_name="answer_segment",
        )
        self.picture.clear(None, None, None, js="() => cvhub.removePicture()")
        self.picture.input(None, None, self.sample, js="() => null")
        self.sample.input(
            handlers.take_segment_sample,
            [self.sample, self.model],
            [self.picture, self.model, self.truth],
            **at_once,
        ).then(**asking, api_name="answer_segment_sample", api_visibility="undocumented")
        self.checkpoint.button.click(
            handlers.add_segmenter,
            [self.session, self.checkpoint.hub_id, self.checkpoint.files, self.model, language],
            [self.session, self.model, self.checkpoint.note],
        ).then(**asking, api_name="answer_segmenter", api_visibility="undocumented")
        gr.on(
            [self.task.input, language.change],
            handlers.show_task,
            [self.session, *view],
            [self.task, self.threshold, *shown, self.painter],
            api_name="show_task",
            **reading,
        )
        gr.on(
            [self.threshold.input, self.smallest.input, self.truth.input],
            handlers.show_segments,
            [self.session, *view],
            shown,
            api_name="show_segments",
            **reading,
        )
        self.stop.click(
            handlers.stop_segment, [self.session, language], [self.session, self.results, self.stop], **at_once
        )
        self.connect_truth(shown, reading, at_once)
        self.opacity.change(None, self.opacity, None, js="(percent) => cvhub.segments.opacity(percent)")
        self.drawn.change(None, self.drawn, None, js="(drawn) => cvhub.segments.contours(drawn)")
        self.connect_outgoing(at_once)

    def connect_truth(self, shown: list[Any], reading: dict[str, Any], at_once: dict[str, Any]) -> None:
        language = self.frame.language
        without_truth = [self.task, self.threshold, self.smallest, language]
        self.truth.change(
            handlers.show_truth_inputs, self.truth, [self.mask, self.painter], api_visibility="undocumented", **at_once
        )
        gr.on(
            [self.mask.upload, self.mask.clear],
            handlers.take_mask,
            [self.session, self.mask, *without_truth],
            shown,
            api_name="take_mask",
            **reading,
        )
        self.painter.input(
            handlers.take_painting, [self.session, *without_truth], shown, api_visibility="private", **reading
        )

    def connect_outgoing(self, at_once: dict[str, Any]) -> None:
        view = [self.session, self.task, self.threshold, self.smallest]
        text = "(text) => cvhub.save(text, '{}', '{}')"
        for button, export, leave in (
            (self.png_button, outgoing.export_mask, "(uri) => cvhub.segments.save(uri, 'cvhub-mask.png')"),
            (self.coco_button, outgoing.export_coco, text.format("cvhub-coco.json", "application/json")),
            (self.csv_button, outgoing.export_objects, text.format("cvhub-objects.csv", "text/csv")),
        ):
            button.click(export, view, self.outgoing, **at_once).then(None, self.outgoing, None, js=leave)
        self.api_button.click(
            outgoing.segment,
            [self.picture, self.model, self.task, self.api_threshold],
            self.api_answer,
            api_name="segment",
            **IN_LINE,
        )


def sample_choices(say: Say) -> list[tuple[str, str]]:
    return [(say(f"segment_sample_{sample}"), sample) for sample in samples.SAMPLES]
