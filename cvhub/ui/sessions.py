"""A visit's state in Gradio, without a description of the whole page in it."""

import logging
from types import SimpleNamespace
from typing import cast

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

log = logging.getLogger(__name__)


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
    """The states of all visits. Of too many, one leaves that holds nothing, as after a program's single question, or
    else the one that was used longest ago, with what it made."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LightState(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            if len(self.session_data) <= self.capacity:
                return
            others = [name for name in self.session_data if name != session_id]
            leaving = next((name for name in others if not self.session_data[name].state_data), others[0])
            state = self.session_data.pop(leaving)
            self.time_last_used.pop(leaving, None)
        forget(state)
        queue = self.blocks._queue
        if not queue.pending_event_ids_session.get(leaving):
            queue.pending_messages_per_session.pop(leaving, None)  # the two of them belong together
            queue.pending_event_ids_session.pop(leaving, None)  # which Gradio would keep for ever


def forget(state: SessionState) -> None:
    """What a visit made goes with it, as if it had ended."""
    for key, value in list(state.state_data.items()):
        block = state.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            try:
                block.delete_callback(value)
            except Exception:  # which is no fault of the visit that comes
                log.exception("a visit could not be forgotten")


def keep_light(demo: gr.Blocks) -> None:
    """Of a page that is being served: visits from now on have light states."""
    demo.app.state_holder = LightStates()
    demo.app.state_holder.set_blocks(demo)
