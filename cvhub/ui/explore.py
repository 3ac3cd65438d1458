"""The Explore tab: the papers' claims as figures, and any architecture as a tree."""

import gradio as gr
from gradio.events import Dependency

from cvhub.ui import explore_architecture, explore_figures
from cvhub.ui.explore_architecture import ArchitecturePart
from cvhub.ui.explore_figures import FiguresPart
from cvhub.ui.frame import Frame

NAME = "explore"
PARTS = {"figures": FiguresPart, "architecture": ArchitecturePart}


def build(frame: Frame) -> "ExploreTab":
    return ExploreTab(frame)


def warm_up() -> None:
    """Compute what visitors see first, before they come."""
    explore_figures.warm_up()
    explore_architecture.warm_up()


class ExploreTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.parts: dict[str, FiguresPart | ArchitecturePart] = {}
        self.opened = {name: gr.State(False) for name in PARTS}  # nothing is computed for a part that nobody sees
        with gr.Tabs(elem_id="explore-parts"):
            for name, part in PARTS.items():
                with frame.add(gr.Tab, {"label": f"part_{name}"}, id=name) as tab:
                    self.parts[name] = part(frame)
                frame.tabs[name] = tab

    def connect(self, opened: Dependency) -> None:
        for name, part in self.parts.items():
            seen = self.frame.tabs[name].select(
                lambda: True, None, self.opened[name], queue=False, show_progress="hidden", api_visibility="private"
            )
            part.connect(seen, self.opened[name])
