"""What the view "Publish" of the Hub tab does: lists what a visit made, shows what would be pushed, pushes it."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.hub.account import token_of
from cvhub.ui.hub.browse_handlers import file_name
from cvhub.ui.hub.browse_readout import card_text, file_table, titled
from cvhub.ui.hub.state import HubSession
from cvhub.ui.hub.telling import failure, told
from cvhub.ui.readout import note
from cvhub.ui.sharing import Shelf
from cvhub.ui.strings import Say, speaker

WAYS = ("upload", "proposal")

Update = dict[str, Any]


class Made:
    """What a visit made in the tabs whose `shelves` these are; handlers get the values of their components last.

    A choice is `TAB:NAME`: what is behind it is looked up anew each time, and never a path that a browser sends.
    """

    def __init__(self, shelves: Mapping[str, Shelf]) -> None:
        self.shelves = shelves

    def folders(self, values: tuple[Any, ...]) -> dict[str, Path]:
        return {
            f"{tab}:{name}": folder
            for (tab, shelf), value in zip(self.shelves.items(), values, strict=True)
            for name, folder in shelf.models(value).items()
        }

    def choices(self, values: tuple[Any, ...], say: Say) -> list[tuple[str, str]]:
        """(title, choice) of each."""
        return [(self.title(choice, say), choice) for choice in self.folders(values)]

    def title(self, choice: str, say: Say) -> str:
        tab, _, name = choice.partition(":")
        return say("hub_made", title=self.shelves[tab].title(name, say), tab=say(f"tab_{tab}"))

    def offer(
        self,
        visitor: gr.OAuthToken | None,
        session: HubSession,
        what: str | None,
        repo: str,
        language: str,
        *values: Any,
    ) -> tuple[HubSession, Update, str, str]:
        """What can be pushed by now, the repo that is suggested for it, and in whose name."""
        say = speaker(language)
        choices = self.choices(values, say)
        names = [choice for _, choice in choices]
        what = what if what in names else (names[-1] if names else None)
        try:
            from cvhub.hub.account import user_of

            user = user_of(token_of(visitor, say))
            account = note(say("hub_signed_in", user=user))
            if what and (not repo or repo == session.suggested):
                repo = session.suggested = f"{user}/{file_name(what.partition(':')[2])}"
        except Exception as error:
            account = note(told(error, language))
        return session, gr.update(choices=choices, value=what), repo, account

    def folder(self, what: str | None, values: tuple[Any, ...], say: Say) -> Path:
        """The folder of ours for a choice; one that is foreign yet is converted into itself."""
        from cvhub.cache import cache_in
        from cvhub.load import resolve

        folders = self.folders(values)
        if what not in folders:
            raise CvhubError(say("hub_nothing_made"))
        with cache_in(folders[what] / "cache"):
            return resolve(str(folders[what]))

    def preview(self, session: HubSession, what: str | None, repo: str, language: str, *values: Any) -> tuple[str, str]:
        """The files that would be pushed, and the card that the repo would have."""
        from cvhub.hub.complete import complete

        say = speaker(language)
        try:
            folder = self.folder(what, values, say)
            name = (repo or "").strip() or file_name(str(what).partition(":")[2])
            with complete(folder, name) as files:
                sizes = {file: path.stat().st_size for file, path in sorted(files.items())}
                card = files["README.md"].read_text(encoding="utf-8")
            head = titled(self.title(str(what), say), escape(say("hub_would_push")))
            return head + file_table(sizes, say), card_text(card)
        except Exception as error:
            return failure(error, language), ""

    def push(
        self,
        visitor: gr.OAuthToken | None,
        session: HubSession,
        what: str | None,
        repo: str,
        way: str,
        private: bool,
        language: str,
        *values: Any,
    ) -> str:
        """Pushes in the visitor's name, and says where it is now."""
        from cvhub.hub.push import push

        say = speaker(language)
        try:
            folder, token = self.folder(what, values, say), token_of(visitor, say)
            url = push(folder, (repo or "").strip(), bool(private), token=token, pull_request=way == "proposal")
            link = f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(url)}</a>'
            said = say("hub_proposed" if way == "proposal" else "hub_pushed")
            return f'<span role="status">{escape(said)} {link}</span>'
        except Exception as error:
            return note(told(error, language))


def show_way(way: str) -> Update:
    """A repo that is there is as private as it is."""
    return gr.update(visible=way == "upload")
