"""A lesson as HTML: how far it is, the two curves, and what the taught student's loss is made of. Pure functions."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cvhub.ui import numerals
from cvhub.ui.answering import title_of
from cvhub.ui.charts import DASHES, Series, from_zero, plot
from cvhub.ui.distill.terms import LABELS, TEACHER, Term, terms_table
from cvhub.ui.messages import translated
from cvhub.ui.pictures import encoded
from cvhub.ui.readout import message
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    import numpy as np

    from cvhub.training.data import Pictures
    from cvhub.training.jobs import Job, Status

Rows = Sequence[dict[str, float]]

ACCURACY = "validation_accuracy"
MOST_FLIPS = 8  # of each kind
SHOWN_SIDE = 64  # pixels that a small picture is enlarged to


def progress(status: "Status", say: Say, language: str) -> str:
    """The sentence, the curves, and the loss of the last step that is known."""
    alone, taught = (status.rows.get(task, []) for task in ("alone", "taught"))
    told = sentence(status, alone, taught, say, language)
    return told + curves(alone, taught, status.job.about["seconds"], say) + loss_table(taught, status.job.about, say)


def sentence(status: "Status", alone: Rows, taught: Rows, say: Say, language: str) -> str:
    job = status.job
    reached = {task: last_of(rows, ACCURACY) for task, rows in (("alone", alone), ("taught", taught))}
    lead = ""
    if reached["alone"] is not None and reached["taught"] is not None:
        values = {task: numerals.percent(value) for task, value in reached.items() if value is not None}
        seconds = max(rows[-1]["seconds"] for rows in (alone, taught))
        lead = f"<strong>{escape(say('lesson_reached', seconds=f'{seconds:.0f}', **values))}</strong> "
    return message(lead + escape(state(job, status.place, language, say)))


def state(job: "Job", place: int, language: str, say: Say) -> str:
    if job.state == "waiting":
        return say("lesson_waiting", place=place)
    if job.state == "failed":
        return say("lesson_failed", reason=translated(job.error, language))
    if job.state == "running":
        learning = any(name.startswith("teacher") for name in job.stages[job.stage])
        return say("lesson_teachers_learn" if learning else "lesson_running")
    return say(f"lesson_{job.state}")


def curves(alone: Rows, taught: Rows, seconds: float, say: Say) -> str:
    """Accuracy on what is held out, over the seconds of training."""
    series = []
    for number, (task, rows) in enumerate((("taught", taught), ("alone", alone))):
        points = [(row["seconds"], 100 * row[ACCURACY]) for row in rows if ACCURACY in row]
        if points:
            series.append(Series(say(f"lesson_line_{task}"), points, 0, DASHES[number], dots=len(points) == 1))
    if not series:
        return ""
    ends = "; ".join(f"{one.label} {one.points[-1][1]:.1f} %" for one in series)
    most = max(seconds, *(one.points[-1][0] for one in series))
    across, up = from_zero(say("lesson_time"), most), from_zero(say("lesson_accuracy"), 100)
    return plot(series, across, up, say("lesson_alt", ends=ends))


def loss_table(rows: Rows, about: dict[str, Any], say: Say) -> str:
    """What the taught student paid last: labels, each teacher, and the sum."""
    row = next((row for row in reversed(rows) if "label_loss" in row), None)
    if row is None:
        return ""
    weight = about["weight"]
    terms = [Term(say("terms_labels"), LABELS, row["label_loss"], 1 - weight, (1 - weight) * row["label_loss"])]
    for number, teacher in enumerate(about["teachers"], 1):
        loss, heard, part = (row[f"teacher_{number}_{what}"] for what in ("loss", "weight", "part"))
        name = say("terms_teacher", title=title_of(teacher))
        terms.append(Term(name, TEACHER[about["loss"]], loss, weight * heard, weight * part))
    note = say("lesson_note", temperature=f"{about['temperature']:g}")
    return terms_table(say("lesson_losses", step=f"{row['step']:.0f}"), [("", terms)], note, say)


def flips(
    labels: list[str],
    images: "Sequence[Any] | Pictures",
    targets: "np.ndarray",
    alone: "np.ndarray",
    taught: "np.ndarray",
    say: Say,
) -> str:
    """Pictures that teaching put right, and those that it put wrong: a few of each, with the wrong answer."""
    groups = ""
    for key, right, wrong in (("lesson_helped", taught, alone), ("lesson_harmed", alone, taught)):
        indices = ((right == targets) & (wrong != targets)).nonzero()[0].tolist()
        items = "".join(
            flip(images[index], say("lesson_flip", true=labels[targets[index]], wrong=labels[wrong[index]]))
            for index in indices[:MOST_FLIPS]
        )
        if items:
            groups += f'<h3>{escape(say(key, n=len(indices)))}</h3><ul class="flips">{items}</ul>'
    inner = groups or f'<p class="facts">{escape(say("lesson_flips_none"))}</p>'
    return f'<section class="losses"><h2>{escape(say("lesson_flips"))}</h2>{inner}</section>'


def flip(image: Any, caption: str) -> str:
    return f'<li><img src="{encoded(enlarged(image), "png")}" alt=""><span>{escape(caption)}</span></li>'


def enlarged(image: Any) -> Any:
    """Small pictures with their pixels as they are."""
    factor = -(-SHOWN_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), 0) if factor > 1 else image


def last_of(rows: Rows, name: str) -> float | None:
    return next((row[name] for row in reversed(rows) if name in row), None)
