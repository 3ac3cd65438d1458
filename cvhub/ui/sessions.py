"""A visit's state in Gradio, without a description of the whole page in it."""

from types import SimpleNamespace
from typing import cast

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class LightState(SessionState):
    """What components of a visit hold.

    Gradio begins each one, and each call of an endpoint is one, by describing every component of the page, for links
    that lead back to a state. That takes longer than an answer, in the one thread that serves all visitors, and this
    page has links of its own. What a visit changes is described all the same.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        nothing_to_describe = SimpleNamespace(default_config=blocks.default_config, blocks=())
        super().__init__(cast(gr.Blocks, nothing_to_describe))


class LightStates(StateHolder):
    """The states of all visits, the oldest of which leaves when there are too many."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LightState(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        oldest = next(iter(self.session_data), session_id)
        super().update(session_id)
        queue = self.blocks._queue
        if oldest not in self.session_data and not queue.pending_event_ids_session.get(oldest):
            queue.pending_messages_per_session.pop(oldest, None)  # the two of them belong together
            queue.pending_event_ids_session.pop(oldest, None)  # which Gradio would keep for ever


def keep_light(demo: gr.Blocks) -> None:
    """Of a page that is being served: visits from now on have light states."""
    demo.app.state_holder = LightStates()
    demo.app.state_holder.set_blocks(demo)
