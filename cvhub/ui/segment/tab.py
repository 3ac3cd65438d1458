"""The Segment tab: its views, each in a file of its own."""

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.frame import Frame
from cvhub.ui.overlap import view as overlap
from cvhub.ui.segment.picture import PicturePart

NAME = "segment"


def warm_up() -> None:
    """Compute what visitors see first, before they come."""
    overlap.warm_up()


def build(frame: Frame) -> "SegmentTab":
    return SegmentTab(frame)


class SegmentTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="segment-parts"):
            with frame.add(gr.Tab, {"label": "part_picture"}, id="picture"):
                self.picture = PicturePart(frame)
            with frame.add(gr.Tab, {"label": "part_overlap"}, id=overlap.NAME) as self.part:
                self.overlap = overlap.build(frame)

    def connect(self, opened: Dependency) -> None:
        self.picture.connect(self.frame.tabs[NAME])
        self.overlap.connect(self.part.select)  # nothing is computed for who never looks
