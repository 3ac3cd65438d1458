"""What the view "Train it here" does: starts, stops and watches a job. The drawing is in lesson_readout.py."""

import atexit
import functools
import logging
import shutil
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.distill.choices import DEFAULT_TEACHERS, teacher_choices
from cvhub.ui.distill.lesson_readout import flips, progress
from cvhub.ui.messages import translated
from cvhub.ui.readout import message, note
from cvhub.ui.strings import Say, speaker

if TYPE_CHECKING:
    from cvhub.training.data import Pictures
    from cvhub.training.jobs import Jobs, Status

ARCHIVE = "cvhub-student"
NO_NAME = "nobody"  # all that call without a page are one visitor
UNSEEN = ""  # what was drawn last, when nothing was

log = logging.getLogger(__name__)

Update = dict[str, Any]
# The drawing, what was drawn, the timer, and five buttons.
Shown = tuple[Any, ...]


@functools.cache
def jobs() -> "Jobs":
    """The server's. Its folder outlives it, so that a run may go on in the next."""
    from cvhub.cache import cache_dir
    from cvhub.training.jobs import Jobs

    made = Jobs(cache_dir() / "jobs")
    atexit.register(made.close)
    return made


@functools.cache
def archives() -> tempfile.TemporaryDirectory:
    """Where students are packed: Gradio hands out files of the system's temporary folder, not of the user's cache."""
    return tempfile.TemporaryDirectory(prefix="cvhub-students-")


def nothing_yet(say: Say) -> str:
    return message(escape(say("lesson_empty")))


def attach(mine: str, language: str, request: gr.Request) -> tuple[str, *Shown]:
    """A page opens: the run that its link names is shown, else the one that this browser started."""
    name = request.query_params.get("run", "") or mine
    return name, *show_again(name, mine, UNSEEN, language)


def poll(name: str, mine: str, shown: str, language: str) -> Shown:
    """How far the run is. Whoever started it is still there; others only look on."""
    say = speaker(language)
    if not name:
        return show_nothing(nothing_yet(say), UNSEEN)
    try:
        status = jobs().status(name, owner=name == mine)
        return show(status, name == mine, shown, language)
    except CvhubError as error:
        return show_nothing(message(escape(translated(str(error), language))), UNSEEN)
    except Exception as error:  # the timer would go on failing
        log.exception("the run could not be shown")
        return show_nothing(message(escape(say("unexpected_view", kind=type(error).__name__))), UNSEEN)


def show_again(name: str, mine: str, shown: str, language: str) -> Shown:
    """Whatever was drawn last."""
    return poll(name, mine, UNSEEN, language)


def show(status: "Status", owner: bool, shown: str, language: str) -> Shown:
    """The drawing, unless it is what is there already, and the buttons that make sense now, and to whom."""
    say, job = speaker(language), status.job
    last = [rows[-1]["seconds"] for rows in status.rows.values() if rows]
    drawn = f"{job.name} {job.state} {status.place} {job.stage} {last} {language}"
    alive = job.state in ("waiting", "running")
    has_student = any(task in status.rows for task in ("taught", "alone"))
    buttons = (
        gr.update(interactive=not (owner and alive)),
        gr.update(visible=owner and alive),
        gr.update(visible=owner and job.state in ("stopped", "failed")),
        gr.update(visible=owner and not alive and has_student),
        gr.update(visible=True),
    )
    if drawn == shown:
        return gr.skip(), shown, gr.update(active=alive), *buttons
    return progress(status, say, language) + flipped(status, say), drawn, gr.update(active=alive), *buttons


def show_nothing(html: str, drawn: str) -> Shown:
    hidden = gr.update(visible=False)
    return html, drawn, gr.update(active=False), gr.update(interactive=True), hidden, hidden, hidden, hidden


def flipped(status: "Status", say: Say) -> str:
    """Held out pictures that one student names rightly and the other wrongly; nothing before both have answered."""
    name = status.job.name
    alone, taught = (jobs().answers(name, task) for task in ("alone", "taught"))
    if alone is None or taught is None:
        return ""
    return flips(*held_out(name), alone, taught, say)


@functools.lru_cache(maxsize=8)
def held_out(name: str) -> tuple[list[str], "Pictures", Any]:
    """The classes' names, the pictures that a run holds out, decoded as they are asked for, and their classes."""
    import json
    from dataclasses import replace

    from cvhub.training.data import load_pictures
    from cvhub.training.recipe_file import read_recipe

    task = json.loads((jobs().folder(name) / "alone.json").read_text(encoding="utf-8"))
    recipe = read_recipe(task["recipe"])
    mode = "L" if recipe.model.config["num_channels"] == 1 else "RGB"
    pictures = load_pictures(replace(recipe.data, memory_mb=0), mode)  # few are shown, and this is the server
    assert pictures.held_out is not None
    return pictures.labels, pictures.held_out, pictures.held_out.targets


def choose_data(data: str) -> tuple[Update, Update]:
    """Other pictures: an upload is asked for, and other teachers know them."""
    choices = teacher_choices(data)
    return gr.update(visible=data == "own"), gr.update(choices=choices, value=list(DEFAULT_TEACHERS[data]))


def start(
    visitor: str,
    mine: str,
    language: str,
    data: str,
    archive: str | None,
    teachers: list[str],
    student: str,
    loss: str,
    temperature: float,
    weight: float,
    combination: str,
    seconds: float,
) -> tuple[Any, ...]:
    """Queues a lesson; the browser keeps its name. A `visitor`, one browser in all its tabs, has one at a time."""
    from cvhub.training.archive import unpack
    from cvhub.training.lesson import Lesson, plan

    say = speaker(language)
    hidden = gr.update(visible=False)
    folder = None
    try:
        lesson = Lesson(
            data=data,
            teachers=tuple(checked_teacher(model, data, say) for model in teachers or []),
            student=student,
            loss=loss,
            temperature=temperature,
            weight=weight,
            combination=combination,
            seconds=int(seconds),
        )
        folder = jobs().new_folder()
        if data == "own":
            if not archive:
                raise CvhubError(say("lesson_no_archive"))
            lesson = lesson.of_classes(unpack(Path(archive), folder / "pictures"))
        about = {"teachers": list(lesson.teachers), "seconds": lesson.seconds, "loss": loss, "temperature": temperature}
        name = jobs().start(folder, plan(lesson, folder), about | {"weight": weight}, visitor or NO_NAME)
        return name, name, "", hidden, *poll(name, name, UNSEEN, language)
    except CvhubError as error:
        sentence = translated(str(error), language)
    except Exception as error:
        log.exception("a lesson could not be started")
        sentence = say("unexpected", kind=type(error).__name__)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return mine, gr.skip(), note(sentence), gr.skip(), *(gr.skip() for _ in range(8))


def checked_teacher(model: str, data: str, say: Say) -> str:
    """A name that came from the browser: of the catalogue, and at hand."""
    if model not in {name for _, name in teacher_choices(data)}:
        raise CvhubError(say("unknown_model", name=str(model)[:80]))
    return model


def stop(name: str, mine: str, shown: str, language: str) -> tuple[Any, ...]:
    if name == mine:
        jobs().stop(name)
    return "", *poll(name, mine, shown, language)


def resume(name: str, mine: str, shown: str, language: str) -> tuple[Any, ...]:
    try:
        if name == mine:
            jobs().resume(name)
        said = ""
    except CvhubError as error:
        said = note(translated(str(error), language))
    return said, *poll(name, mine, UNSEEN, language)


def pack(name: str, language: str) -> tuple[str, Update]:
    """The taught student as a complete Hub folder: of a run that was stopped, as its last checkpoint has it."""
    from cvhub.training.result import write_unfinished

    say = speaker(language)
    try:
        run = jobs().folder(name) / "taught"
        with tempfile.TemporaryDirectory() as elsewhere:
            made = run
            if not (run / "model.safetensors").is_file():
                made = Path(elsewhere) / "student"
                write_unfinished(run, made, "a lesson")
            place = Path(archives().name) / name
            place.mkdir(exist_ok=True)
            kept = shutil.make_archive(str(place / ARCHIVE), "zip", made)
        return note(say("lesson_packed")), gr.update(value=kept, visible=True)
    except CvhubError as error:
        return note(translated(str(error), language)), gr.update(visible=False)
    except Exception as error:
        log.exception("a student could not be packed")
        return note(say("unexpected", kind=type(error).__name__)), gr.update(visible=False)


def students(mine: str) -> dict[str, Path]:
    """The finished students of the browser's own run, by their names there."""
    try:
        folder = jobs().folder(mine)
    except CvhubError:
        return {}
    return {name: folder / name for name in ("taught", "alone") if (folder / name / "model.safetensors").is_file()}


def student_title(name: str, say: Say) -> str:
    return say(f"lesson_kept_{name}")


def link(language: str) -> str:
    say = speaker(language)
    return note(say("link_copied"), say("link_denied"))
