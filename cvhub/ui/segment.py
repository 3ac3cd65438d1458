"""The Segment tab: its views, each in a file of its own."""

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.frame import Frame
from cvhub.ui.segment_picture import PicturePart

NAME = "segment"


def build(frame: Frame) -> "SegmentTab":
    return SegmentTab(frame)


class SegmentTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="segment-parts"), frame.add(gr.Tab, {"label": "part_picture"}, id="picture"):
            self.picture = PicturePart(frame)
            # The view "Overlap" joins here: overlap.build(frame) within a tab of its own.

    def connect(self, opened: Dependency) -> None:
        self.picture.connect(self.frame.tabs[NAME])
