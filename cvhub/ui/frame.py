"""The frame that all tabs share: header, language switch, light and dark, and what re-labels every component."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from cvhub.ui.sharing import Door, Shelf
from cvhub.ui.strings import LANGUAGES, Say, speaker

Component = TypeVar("Component", bound=Block)
Texts = dict[str, str | Callable[[Say], Any]]

THEME_BUTTON = '<button type="button" id="theme-switch" aria-label="{label}" title="{label}">◐</button>'
TITLE = '<h1>cvhub</h1><p class="tagline">{tagline}</p>'


class Seen(NamedTuple):
    """The event in which a tab comes to be seen, and whether it was before."""

    event: Dependency
    before: gr.State


class Frame:
    """Built once inside the page's `gr.Blocks`; a tab builds its components through `add`.

    `doors` and `shelves`, by tab, are what a tab has for those after it: see `sharing.py`.
    """

    def __init__(self) -> None:
        self.say = speaker("en")  # what components say until the page knows better
        self.tabs: dict[str, gr.Tab] = {}
        self.doors: dict[str, Door] = {}
        self.shelves: dict[str, Shelf] = {}
        self._labelled: list[tuple[Block, Texts]] = []
        with gr.Row(elem_id="header"):
            self.add_html(lambda say: TITLE.format(tagline=say("tagline")), elem_id="title")
            self.language = self.add(
                gr.Radio,
                {"label": "language"},
                choices=[(title, code) for code, title in LANGUAGES.items()],
                value="en",
                container=False,
                elem_id="language",
            )
            self.add_html(lambda say: THEME_BUTTON.format(label=say("switch_theme")), elem_id="theme")

    @cached_property
    def bar(self) -> gr.Tabs:
        """What holds the tabs, built where it is first entered: Gradio's page can't show one without a tab."""
        return gr.Tabs(elem_id="tabs")

    def add(self, kind: Callable[..., Component], texts: Texts, **arguments: Any) -> Component:
        """Build a component whose `texts` follow the language: property → key of the strings, or function of `say`."""
        component = kind(**_spoken(texts, self.say), **arguments)
        self._labelled.append((component, texts))
        return component

    def add_tab(self, name: str) -> gr.Tab:
        """A tab labelled with the string `tab_NAME`; what is built in its context is its content."""
        self.tabs[name] = self.add(gr.Tab, {"label": f"tab_{name}"}, id=name)
        return self.tabs[name]

    def add_html(self, html: Callable[[Say], str], elem_id: str) -> gr.HTML:
        """A piece of HTML that follows the language."""
        return self.add(gr.HTML, {"value": html}, apply_default_css=False, elem_id=elem_id)

    def connect(self, demo: gr.Blocks) -> Dependency:
        """Wire the language switch, after all components are built. Returns the event in which a page opens."""
        self.language.change(
            self.set_language,
            self.language,
            [component for component, _ in self._labelled],
            js="(language) => cvhub.speak(language)",
            queue=False,
            show_progress="hidden",
            api_name="set_language",
            api_visibility="undocumented",
        )
        return demo.load(
            read_language,
            None,
            self.language,
            queue=False,
            show_progress="hidden",
            api_name="read_language",
            api_visibility="undocumented",
        )

    def remember_seen(self, tab: gr.Tab) -> Seen:
        """For what is computed once its tab is seen, and not for who never looks."""
        opened = gr.State(False)
        return Seen(
            tab.select(lambda: True, None, opened, queue=False, show_progress="hidden", api_visibility="private"),
            opened,
        )

    def set_language(self, language: str) -> list[dict[str, Any]]:
        """What each labelled component says in this language."""
        say = speaker(language)
        return [gr.update(**_spoken(texts, say)) for _, texts in self._labelled]


def _spoken(texts: Texts, say: Say) -> dict[str, Any]:
    return {name: say(text) if isinstance(text, str) else text(say) for name, text in texts.items()}


def read_language(request: gr.Request) -> str:
    """The language that the link asks for; else the one the browser prefers, where the page speaks it."""
    asked = request.query_params.get("lang", "")
    preferred = request.headers.get("accept-language", "")[:2]
    return next((code for code in (asked, preferred) if code in LANGUAGES), "en")
