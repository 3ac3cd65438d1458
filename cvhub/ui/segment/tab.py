"""The Segment tab: its views, each in a file of its own."""

from collections.abc import Callable, Iterable

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.figures import DENSE_FIGURES
from cvhub.ui.figures import part as figures_part
from cvhub.ui.figures.part import FiguresPart
from cvhub.ui.frame import Frame
from cvhub.ui.overlap import view as overlap
from cvhub.ui.segment.picture import PicturePart

NAME = "segment"


def to_warm_up() -> Iterable[Callable[[], object]]:
    """What visitors see first, to be computed before they come."""
    return [overlap.warm_up, *figures_part.to_warm_up(DENSE_FIGURES)]


def build(frame: Frame) -> "SegmentTab":
    return SegmentTab(frame)


class SegmentTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="segment-parts"):
            with frame.add(gr.Tab, {"label": "part_picture"}, id="picture"):
                self.picture = PicturePart(frame)
            with frame.add(gr.Tab, {"label": "part_overlap"}, id=overlap.NAME) as self.overlap_tab:
                self.overlap = overlap.build(frame)
            with frame.add(gr.Tab, {"label": "part_runs"}, id="runs") as self.runs_tab:
                self.runs = FiguresPart(frame, DENSE_FIGURES, "runs")

    def connect(self, opened: Dependency) -> None:
        self.picture.connect(self.frame.tabs[NAME])
        self.overlap.connect(self.overlap_tab.select)  # nothing is computed for who never looks
        self.runs.connect(self.frame.remember_seen(self.runs_tab))
