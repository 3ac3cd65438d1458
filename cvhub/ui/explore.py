"""The Explore tab: the papers' claims as figures, and any architecture as a tree."""

import gradio as gr
from gradio.events import Dependency

from cvhub.ui import explore_figures
from cvhub.ui.explore_figures import FiguresPart
from cvhub.ui.frame import Frame

NAME = "explore"


def build(frame: Frame) -> "ExploreTab":
    return ExploreTab(frame)


def warm_up() -> None:
    """Compute what visitors see first, before they come."""
    explore_figures.warm_up()


class ExploreTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.opened = gr.State(False)  # until it is, nothing here is computed
        self.figures = FiguresPart(frame)

    def connect(self, opened: Dependency) -> None:
        select = self.frame.tabs[NAME].select(
            lambda: True, None, self.opened, queue=False, show_progress="hidden", api_visibility="private"
        )
        self.figures.connect(select, self.opened)
