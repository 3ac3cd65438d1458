"""What the view "Models" of the Hub tab does: looks at a model, hands it over, makes an archive of it."""

import re
from collections.abc import Sequence
from typing import Any

import gradio as gr

from cvhub import catalog
from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.checkpoint import checked_hub_id
from cvhub.ui.hub.browse_readout import KINDS, card_text, model_head, model_list, model_parts
from cvhub.ui.hub.state import HubSession
from cvhub.ui.hub.telling import failure, told
from cvhub.ui.readout import note
from cvhub.ui.sharing import Door, Offer
from cvhub.ui.state import Session
from cvhub.ui.strings import Say, speaker

MOST_BYTES = 1_000_000_000  # of weights that are converted for a download

Update = dict[str, Any]
# The list, the model, its files, its card, the button that packs it, the archive, the note on that, and a button a tab.
Shown = tuple[Any, ...]


def show_list(kind: str, model: str, language: str) -> str:
    """The catalogue, or what of it is of a kind."""
    return model_list(kind, model, speaker(language))


def pick(event: gr.EventData) -> str:
    """A row of the list was clicked."""
    return event.label


def take_hub_id(hub_id: str, model: str, language: str) -> tuple[str, str]:
    """The Hub id that was typed is the one to look at; else the model before, and a sentence."""
    try:
        return checked_hub_id((hub_id or "").strip(), speaker(language)), ""
    except CvhubError as error:
        return model, note(str(error))


def look_at(doors: Sequence[Door], session: HubSession, model: str, kind: str, language: str) -> tuple[Any, ...]:
    """Finds out what a model is, of whose weights nothing is fetched, and shows it."""
    from cvhub.look import look

    session.turn += 1
    turn, session.seen, session.packed, failed = session.turn, None, False, ""
    try:
        seen = look(answering.locate(model, Session(), speaker(language)))
    except Exception as error:
        seen, failed = None, failure(error, language)
    if session.turn != turn:  # a newer look has begun
        return session, *(gr.skip() for _ in range(7 + len(doors)))
    session.seen = seen
    if seen is None:
        return session, *show_nothing(doors, failed, model, kind, language)
    return session, *show(doors, session, model, kind, language)


def look_first(doors: Sequence[Door], session: HubSession, model: str, kind: str, language: str) -> tuple[Any, ...]:
    """The tab is seen: what was looked at stays."""
    if session.seen is not None and session.seen.model == model:
        return session, *show(doors, session, model, kind, language)
    return look_at(doors, session, model, kind, language)


def show(doors: Sequence[Door], session: HubSession, model: str, kind: str, language: str) -> Shown:
    """What was looked at, in a language."""
    say, seen = speaker(language), session.seen
    if seen is None:
        return (show_list(kind, model, language), *(gr.skip() for _ in range(6 + len(doors))))
    made = "hub_pack" if seen.is_own else "hub_convert"
    buttons = (gr.update(visible=not seen.problem and door.fits(offer_of(session))) for door in doors)
    download, said = (gr.skip(), gr.skip()) if session.packed else (gr.update(visible=False), "")
    return (
        show_list(kind, model, language),
        model_head(seen, language, say),
        model_parts(seen, say),
        card_text(seen.card),
        gr.update(value=say(made), visible=not seen.problem),
        download,
        said,
        *buttons,
    )


def show_nothing(doors: Sequence[Door], html: str, model: str, kind: str, language: str) -> Shown:
    hidden = gr.update(visible=False)
    return show_list(kind, model, language), html, "", "", hidden, hidden, "", *(hidden for _ in doors)


def offer_of(session: HubSession) -> Offer:
    """The model that is looked at, for another tab."""
    assert session.seen is not None
    return Offer(session.seen.model, session.seen.tasks)


def hand_over(door: Door, tab: str, session: HubSession, *values: Any) -> tuple[Any, ...]:
    """The model that is looked at goes into a tab, which is then seen."""
    if session.seen is None or session.seen.problem or not door.fits(offer_of(session)):
        return gr.skip(), *(gr.skip() for _ in door.outputs)
    return gr.update(selected=tab), *door.take(offer_of(session), *values)


def make_archive(session: HubSession, language: str) -> tuple[HubSession, Update, str]:
    """The model that is looked at, as a whole folder of cvhub with the code that it needs, zipped."""
    say = speaker(language)
    try:
        if session.seen is None or session.seen.problem:
            raise CvhubError(say("hub_nothing"))
        archive = pack(session, say)
        session.packed = True
        return session, gr.update(value=archive, visible=True), note(say("hub_packed"))
    except Exception as error:
        return session, gr.update(visible=False), note(told(error, language))


def pack(session: HubSession, say: Say) -> str:
    from cvhub.hub.complete import write_archive
    from cvhub.hub.download import is_wanted
    from cvhub.load import resolve

    seen = session.seen
    assert seen is not None
    size = sum(size for name, size in seen.files.items() if is_wanted(name))
    if size > MOST_BYTES:
        raise CvhubError(say("hub_too_large", size=f"{size / 1e9:.1f}", limit=f"{MOST_BYTES / 1e9:g}"))
    folder = resolve(seen.model)
    archive = session.archive(file_name(seen.model))
    write_archive(folder, archive)
    session.converted[seen.model] = folder
    return str(archive)


def file_name(model: str) -> str:
    """What a folder or repo is called that holds a model: no other characters than Hub ids have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model.rpartition("/")[2]).strip("-.") or "model"


def describe_model(model: str) -> dict[str, Any]:
    """Says what a model is without fetching its weights.

    Args:
        model: A name of the catalogue, such as resnet18, or a Hub id, such as timm/resnet18.a1_in1k.

    Returns:
        Its library, architecture, tasks, parameters and licence, its files with their bytes, its config and card, and
        under "problem" the reason where it can't be loaded here.
    """
    from cvhub.look import look

    try:
        seen = look(answering.locate(model, Session(), speaker("en")))
    except CvhubError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return {
        "model": seen.model,
        "repo": seen.repo,
        "library": seen.library,
        "architecture": seen.architecture,
        "tasks": list(seen.tasks),
        "parameters": seen.parameters,
        "files": seen.files,
        "config": seen.config,
        "card": seen.card,
        "problem": seen.problem,
    }


def list_models(kind: str = "all") -> list[dict[str, Any]]:
    """Lists the models that have names here.

    Args:
        kind: Which of them: "all", or those that "classify" pictures, "segment" them, or know "words".

    Returns:
        Of each its name, title, family, task, data set, parameters, licence and measured metrics.
    """
    if kind not in KINDS:
        raise gr.Error(f"kind is {kind!r}, expected one of {', '.join(KINDS)}.", print_exception=False)
    fields = ("name", "title", "family", "task", "dataset", "parameters", "licence", "metrics")
    rows = [entry for entry in catalog.CATALOG if kind == "all" or entry.task in KINDS[kind]]
    return [{field: getattr(entry, field) for field in fields} for entry in rows]
