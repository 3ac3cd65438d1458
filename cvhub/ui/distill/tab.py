"""The Distill tab: its views, each in a file of its own."""

from collections.abc import Callable, Iterable
from functools import partial

import gradio as gr
from gradio.events import Dependency

from cvhub.ui import answering
from cvhub.ui.distill import handlers
from cvhub.ui.distill.choices import ALONE, TAUGHT, TEACHERS
from cvhub.ui.distill.compare import ComparePart
from cvhub.ui.distill.lesson import LessonPart
from cvhub.ui.figures import STUDENT_FIGURES
from cvhub.ui.figures.part import FiguresPart
from cvhub.ui.frame import Frame
from cvhub.ui.sharing import Shelf

NAME = "distill"


def to_warm_up() -> Iterable[Callable[[], object]]:
    """To load what the first comparison asks, before somebody comes."""
    return [partial(answering.load, model) for model in (*TEACHERS, ALONE, TAUGHT)]


def build(frame: Frame) -> "DistillTab":
    return DistillTab(frame)


class DistillTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="distill-parts"):
            with frame.add(gr.Tab, {"label": "part_compare"}, id="compare"):
                self.compare = ComparePart(frame)
            with frame.add(gr.Tab, {"label": "part_lesson"}, id="lesson"):
                self.lesson = LessonPart(frame)
            with frame.add(gr.Tab, {"label": "part_results"}, id="results") as self.results_tab:
                self.results = FiguresPart(frame, STUDENT_FIGURES, "results")
        frame.shelves[NAME] = Shelf(self.lesson.mine, handlers.students, handlers.student_title)

    def connect(self, opened: Dependency) -> None:
        self.compare.connect(self.frame.remember_seen(self.frame.tabs[NAME]))
        self.lesson.connect(opened)
        self.results.connect(self.frame.remember_seen(self.results_tab))
