"""The page as a set of tools for language models, by the Model Context Protocol, where its package is installed."""

import importlib.util
import inspect
import re
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.utils import get_function_description


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


def join_lines(demo: gr.Blocks) -> None:
    """Gradio reads one line of a docstring for each argument, and puts a comma between those of what is returned."""
    for handler in demo.fns.values():
        if is_tool(handler.fn):
            told, _, returned = (inspect.getdoc(handler.fn) or "").partition("\nReturns:\n")
            arguments = re.sub(r"\n {8}(?=\S)", " ", told)  # continued
            handler.fn.__doc__ = f"{arguments}\nReturns:\n    {' '.join(returned.split())}"


def ask_for_what_is_needed(demo: gr.Blocks, endpoints: dict[str, Any]) -> None:
    """Changes what the protocol says of the arguments, which it takes from the page.

    A picture that is forgotten would be the sample that the page opens with, about which the answer would speak. What
    is for one case only, as the words "where by is" tell, may be left out. And where any name may be typed, those of
    the list aren't all that there are.
    """
    for handler in demo.fns.values():
        if not (handler.fn and is_tool(handler.fn)):
            continue
        _, told, _ = get_function_description(handler.fn)
        inputs = [block for block in handler.inputs if not isinstance(block, gr.State)]
        for argument, block in zip(endpoints[f"/{handler.api_name}"]["parameters"], inputs, strict=True):
            in_one_case = " where " in told[argument["parameter_name"]]
            if isinstance(block, gr.Image) or (in_one_case and not argument["parameter_has_default"]):
                nothing = "" if isinstance(block, gr.Textbox) else None
                argument |= {"parameter_has_default": in_one_case, "parameter_default": nothing}
            if isinstance(block, gr.Dropdown) and block.allow_custom_value:
                name = {"type": "string"}
                argument["type"] = {"type": "array", "items": name} if block.multiselect else name
