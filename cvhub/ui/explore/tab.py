"""The Explore tab: the papers' claims as figures, and any architecture as a tree."""

from collections.abc import Callable, Iterable

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.explore import architecture
from cvhub.ui.explore.architecture import ArchitecturePart
from cvhub.ui.figures import FIGURES
from cvhub.ui.figures import part as figures_part
from cvhub.ui.figures.part import FiguresPart
from cvhub.ui.frame import Frame

NAME = "explore"
PARTS = {"figures": lambda frame, _: FiguresPart(frame, FIGURES, "claims"), architecture.NAME: ArchitecturePart}


def build(frame: Frame) -> "ExploreTab":
    return ExploreTab(frame)


def to_warm_up() -> Iterable[Callable[[], object]]:
    """What visitors see first, to be computed before they come."""
    return [*figures_part.to_warm_up(FIGURES), architecture.warm_up]


class ExploreTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.parts: dict[str, FiguresPart | ArchitecturePart] = {}
        with gr.Tabs(elem_id="explore-parts") as parts:
            for name, build_part in PARTS.items():
                with frame.add(gr.Tab, {"label": f"part_{name}"}, id=name) as tab:
                    self.parts[name] = build_part(frame, parts)
                frame.tabs[name] = tab

    def connect(self, opened: Dependency) -> None:
        for name, part in self.parts.items():
            part.connect(self.frame.remember_seen(self.frame.tabs[name]))
