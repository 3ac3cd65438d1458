"""Everything that the page shows, as data: one structure, written as JSON or CSV."""

import csv
import json
from dataclasses import asdict
from io import StringIO
from typing import Any

from cvhub.ui.classify.loss_readout import Readout, read_losses
from cvhub.ui.readout import heat_label, top_classes
from cvhub.ui.state import Answer, View

COST_FIELDS = ("parameters", "multiply_adds", "memory_bytes")
LOSS_FIELDS = ("p_true", "cross_entropy", "uniform", "smoothed", "target_cross_entropy", "target_entropy", "divergence")
COLUMNS = (
    *("model", "runtime", "precision", "milliseconds", *COST_FIELDS, "temperature", "rank", "label", "score"),
    *("true_class", "epsilon", *LOSS_FIELDS, "error"),
)


def as_data(answers: list[Answer], view: View) -> dict[str, Any]:
    """Every model's predictions, costs and losses under this view. Losses are in nats, scores are probabilities."""
    readout = read_losses(answers, view)
    return {
        "temperature": view.temperature,
        "epsilon": view.epsilon,
        "true_class": readout.true_class if readout else None,
        "true_class_chosen": readout.chosen if readout else False,
        "models": [model_data(answer, view, readout) for answer in answers],
    }


def model_data(answer: Answer, view: View, readout: Readout | None) -> dict[str, Any]:
    if not answer.answered:
        return {"model": answer.model, "error": answer.error}
    terms = readout.terms[answer.model] if readout else None
    return {
        "model": answer.model,
        "runtime": answer.runtime,
        "precision": answer.precision,
        "reason": answer.reason,
        "milliseconds": round(answer.milliseconds, 3),
        **(asdict(answer.facts) if answer.facts else dict.fromkeys(COST_FIELDS)),
        "heat_map_class": heat_label(answer, view),
        "predictions": [{"label": label, "score": score} for label, score in top_classes(answer, view.temperature)],
        "loss": asdict(terms) if terms else None,
    }


def as_json(answers: list[Answer], view: View) -> str:
    return json.dumps(as_data(answers, view), ensure_ascii=False, indent=2)


def as_csv(answers: list[Answer], view: View) -> str:
    """A row a model and class, so that every row stands alone in a spreadsheet."""
    data = as_data(answers, view)
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for model in data["models"]:
        shared = data | model | (model.get("loss") or {})
        for rank, prediction in enumerate(model.get("predictions", [{}]), 1):
            writer.writerow(shared | prediction | {"rank": rank if prediction else None})
    return text.getvalue()
