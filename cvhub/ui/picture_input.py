"""The picture input. (Gradio writes a .pyi file next to a component's class; hence a file of its own.)"""

from typing import Any

import gradio as gr


class PictureInput(gr.Image):
    """An image input that hands over the uploaded file as it is; opening it, with its limits, is inference's work."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None
