"""The page as a set of tools for language models, by the Model Context Protocol, where its package is installed."""

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr


def has_protocol() -> bool:
    """Whether `gradio[mcp]` is installed, which the extra `mcp` of pyproject.toml brings."""
    return importlib.util.find_spec("mcp") is not None


def is_tool(function: Callable[..., Any] | None) -> bool:
    """Whether a handler is meant for programs: its docstring says what each argument is.

    The others need a visit, whose picture and answers they show; a model that calls a tool has none.
    """
    return "\nArgs:\n" in (inspect.getdoc(function) or "")


def leave_only_tools(demo: gr.Blocks) -> None:
    """Hides the other handlers from the list of what can be called, and so from the protocol."""
    for handler in demo.fns.values():
        if handler.api_visibility == "public" and not is_tool(handler.fn):
            handler.api_visibility = "undocumented"
