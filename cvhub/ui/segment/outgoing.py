"""What leaves the Segment tab: files, and the answer of the endpoint /segment."""

from pathlib import Path
from typing import Any

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.answering import locate
from cvhub.ui.segment import files
from cvhub.ui.segment.asking import ask
from cvhub.ui.segment.handlers import checked
from cvhub.ui.segment.reading import measured, read, threshold_of
from cvhub.ui.segment.state import Question, Seen, SegmentSession, View
from cvhub.ui.strings import speaker


def export_mask(session: SegmentSession, task: str, threshold: float, smallest: int) -> str:
    """The mask as a grey PNG whose values are the segments' ids, as a data URI; nothing before the first answer."""
    if session.seen is None:
        return ""
    return files.as_png(session.seen, read(session.seen, View(task, threshold, int(smallest))))


def export_coco(session: SegmentSession, task: str, threshold: float, smallest: int) -> str:
    """The segments in COCO's format, JSON."""
    if session.seen is None or session.question is None:
        return ""
    found = read(session.seen, View(task, threshold, int(smallest)))
    return files.as_coco(session.seen, found, Path(session.question.picture or "").name)


def export_objects(session: SegmentSession, task: str, threshold: float, smallest: int) -> str:
    """The objects as CSV: area, centroid, box."""
    if session.seen is None:
        return ""
    return files.as_csv(session.seen, read(session.seen, View(task, threshold, int(smallest))), task)


def segment(image: str, model: str, task: str, threshold: float | None = None) -> dict[str, Any]:
    """Names each pixel of a picture, and tells things apart.

    Args:
        image: The picture: a file, its https address, or a data URI (data:image/png;base64,…).
        model: A segmenter's name of the catalogue, which list_models gives, or its Hub id.
        task: "semantic" (classes), "instance" (things one by one) or "panoptic" (both), as far as the net can.
        threshold: The score from which on something counts; the task's own unless given.

    Returns:
        {"model", "task", "threshold", "runtime", "precision", "milliseconds", "width", "height", "mask",
        "segments": [{"id", "label_id", "label", "score", "area", "box", "centroid"}]}; "mask" is a PNG as a data URI
        whose values are the ids, 0 for background, "box" x, y, width and height.
    """
    say = speaker("en")
    session, question = SegmentSession(), Question(image, model)
    try:
        for step in ask(question, locate(checked(question, say), session.visit, say)):
            if isinstance(step, Seen):
                session.seen = step
        assert session.seen is not None
        session.seen.segmenter.check_task(task)
        return api_answer(session.seen, model, task, threshold)
    except CvhubError as error:
        raise gr.Error(str(error), print_exception=False) from error


def api_answer(seen: Seen, model: str, task: str, threshold: float | None) -> dict[str, Any]:
    threshold = threshold_of(seen, task).default if threshold is None else threshold
    found = files.at_own_size(seen, read(seen, View(task, threshold)))
    runtime = seen.segmenter.runtime
    listed = []
    for thing in measured(found.mask, {segment.id: segment for segment in found.segments}):
        x0, y0, x1, y1 = thing.box
        listed.append(
            {"id": thing.id, "label_id": thing.label_id, "label": thing.label, "score": thing.score, "area": thing.area}
            | {"box": [x0, y0, x1 - x0, y1 - y0], "centroid": list(thing.centroid)}
        )
    return {
        "model": model,
        "task": task,
        "threshold": threshold,
        "runtime": runtime.name,
        "precision": runtime.precision,
        "milliseconds": seen.answer.milliseconds,
        "width": found.mask.shape[1],
        "height": found.mask.shape[0],
        "mask": files.as_png(seen, found),
        "segments": listed,
    }
