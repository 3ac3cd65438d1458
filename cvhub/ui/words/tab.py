"""The Words tab: its views, each in a file of its own."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from cvhub.ui.frame import Frame
from cvhub.ui.sharing import Door, Offer
from cvhub.ui.strings import speaker
from cvhub.ui.words import nets
from cvhub.ui.words.caption import CaptionPart
from cvhub.ui.words.loss import LossPart
from cvhub.ui.words.search import SearchPart
from cvhub.ui.words.zero_shot import ZeroShotPart

NAME = "words"

Update = dict[str, Any]


def to_warm_up() -> Iterator[Callable[[], object]]:
    """To load what is asked first, before somebody comes."""
    say = speaker("en")
    for task, load in ((nets.CONTRASTIVE, nets.contrastive), (nets.CAPTIONS, nets.captioner)):
        if model := nets.first(task):
            yield partial(load, model, say)


def build(frame: Frame) -> "WordsTab":
    return WordsTab(frame)


class WordsTab:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        with gr.Tabs(elem_id="words-parts") as self.parts:
            with frame.add(gr.Tab, {"label": "part_zero_shot"}, id="zero-shot"):
                self.zero_shot = ZeroShotPart(frame)
            with frame.add(gr.Tab, {"label": "part_search"}, id="search") as self.search_tab:
                self.search = SearchPart(frame)
            with frame.add(gr.Tab, {"label": "part_caption"}, id="caption") as self.caption_tab:
                self.caption = CaptionPart(frame)
            with frame.add(gr.Tab, {"label": "part_contrast"}, id="contrast") as self.loss_tab:
                self.loss = LossPart(frame)
        frame.doors[NAME] = Door(
            (nets.CONTRASTIVE, nets.CAPTIONS), take_offer, (), (self.parts, self.zero_shot.model, self.caption.model)
        )

    def connect(self, opened: Dependency) -> None:
        self.zero_shot.connect(self.frame.remember_seen(self.frame.tabs[NAME]))
        self.search.connect(self.frame.remember_seen(self.search_tab))
        self.caption.connect(self.frame.remember_seen(self.caption_tab))
        self.loss.connect(self.frame.remember_seen(self.loss_tab))


def take_offer(offer: Offer) -> tuple[Update, Update, Update]:
    """A net that another tab has found is chosen in the view of what it does."""
    task = next(task for task in offer.tasks if task in (nets.CONTRASTIVE, nets.CAPTIONS))
    chosen = gr.update(choices=nets.choices(task, offer.model), value=offer.model)
    if task == nets.CONTRASTIVE:
        return gr.update(selected="zero-shot"), chosen, gr.skip()
    return gr.update(selected="caption"), gr.skip(), chosen
