"""What the page offers to programs: each endpoint described, each argument typed and explained."""

import inspect
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_function_description

from cvhub.ui import app, tools
from cvhub.ui.figures import DENSE_FIGURES, FIGURES, STUDENT_FIGURES

FIGURE_TOOLS = {f"figure_{figure.NAME}" for figure in (*FIGURES, *DENSE_FIGURES, *STUDENT_FIGURES)}
TOOLS = {"classify", "segment", "zero_shot", "search_pictures", "caption", "contrast", "architecture"}
TOOLS |= {"describe_model", "list_models"}


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    return app.build()


def public(page: gr.Blocks) -> dict[str, Any]:
    """Name → function of the endpoints that are listed."""
    return {str(one.api_name): one.fn for one in page.fns.values() if one.fn and one.api_visibility == "public"}


def test_every_endpoint_has_a_docstring(page: gr.Blocks) -> None:
    assert [name for name, function in public(page).items() if not inspect.getdoc(function)] == []


def test_tools_are_those_that_need_no_visit(page: gr.Blocks) -> None:
    assert {name for name, function in public(page).items() if tools.is_tool(function)} == TOOLS | FIGURE_TOOLS
    of_visits = [one for one in page.fns.values() if any(isinstance(block, gr.State) for block in one.inputs)]
    assert [one.api_name for one in of_visits if tools.is_tool(one.fn)] == []


@pytest.mark.parametrize("name", sorted(TOOLS | FIGURE_TOOLS))
def test_a_tool_says_what_it_does_takes_and_returns(page: gr.Blocks, name: str) -> None:
    does, takes, returns = get_function_description(public(page)[name])
    assert len(does) > 20
    assert does.endswith((".", "?")) or name in FIGURE_TOOLS
    assert returns
    assert [argument for argument, told in takes.items() if len(told) < 8] == []
    listed = page.get_api_info()["named_endpoints"][f"/{name}"]["parameters"]
    assert [argument["parameter_name"] for argument in listed] == list(takes)
    assert [argument["parameter_name"] for argument in listed if argument["type"] in ({}, {"type": "any"})] == []


def test_where_the_protocol_is_spoken_only_tools_are_listed() -> None:
    page = app.build()
    tools.leave_only_tools(page)
    assert set(public(page)) == TOOLS | FIGURE_TOOLS
    assert set(page.get_api_info()["named_endpoints"]) == {f"/{name}" for name in TOOLS | FIGURE_TOOLS}


def test_what_a_tool_says_is_whole(page: gr.Blocks) -> None:
    tools.join_lines(page)
    _, takes, _ = get_function_description(public(page)["caption"])
    assert takes["model"].endswith("the default, drawings_blip, knows drawings and no photos.")
    for name in sorted(TOOLS | FIGURE_TOOLS):
        _, takes, returns = get_function_description(public(page)[name])
        assert [argument for argument, told in takes.items() if not told.endswith((".", "…)."))] == [], name
        assert len(returns) == 1, name  # else Gradio puts commas between its lines


def test_a_language_model_has_to_name_a_picture_and_may_name_any_model(page: gr.Blocks) -> None:
    endpoints = page.get_api_info()["named_endpoints"]
    tools.ask_for_what_is_needed(page, endpoints)
    for endpoint, picture, models in (("/classify", "image", "models"), ("/caption", "picture", "model")):
        told = {argument["parameter_name"]: argument for argument in endpoints[endpoint]["parameters"]}
        assert not told[picture]["parameter_has_default"]
        assert "enum" not in str(told[models]["type"])
        assert told[models]["parameter_has_default"]
    assert all(argument["parameter_has_default"] for argument in endpoints["/search_pictures"]["parameters"])
    assert page.get_api_info()["named_endpoints"]["/classify"]["parameters"][0]["parameter_has_default"]
