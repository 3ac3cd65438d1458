"""The Hub tab: its views, each in a file of its own. It comes after all tabs whose models it takes or gives."""

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.frame import Frame
from cvhub.ui.hub.browse import BrowsePart
from cvhub.ui.hub.publish import PublishPart

NAME = "hub"


def build(frame: Frame) -> "HubTab":
    return HubTab(frame)


class HubTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="hub-parts"):
            with frame.add(gr.Tab, {"label": "part_browse"}, id="browse"):
                self.browse = BrowsePart(frame)
            with frame.add(gr.Tab, {"label": "part_publish"}, id="publish") as self.publish_tab:
                self.publish = PublishPart(frame, self.browse.session)

    def connect(self, opened: Dependency) -> None:
        self.browse.connect(self.frame.remember_seen(self.frame.tabs[NAME]))
        self.publish.connect(self.frame.remember_seen(self.publish_tab))
