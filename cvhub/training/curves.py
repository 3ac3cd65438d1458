"""A run's curves: a row for each step at which something was logged, as plain CSV. Nothing here needs torch."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

# A classifier is followed by its accuracy, a segmenter by its mean intersection over union, a net that reads texts by
# its recall.
METRICS = ("accuracy", "iou", "recall")
# What a student's loss is made of, as means over the steps of a row: what a teacher's answer costs, how much it is
# heard, and the product of the two, whose sum over the teachers is the distillation loss.
TERMS = (
    "label_loss",
    "distillation_loss",
    *(f"teacher_{number}_{what}" for number in (1, 2) for what in ("loss", "weight", "part")),
    # Of pairs: BLIP's three losses, and the factor of a cosine.
    *("contrastive_loss", "matching_loss", "writing_loss", "scale"),
)
# How Trainer calls what is logged.
LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "eval_loss": "validation_loss",
    **{f"eval_{metric}": f"validation_{metric}" for metric in METRICS},
    **{name: name for name in TERMS},
}

TIMES = ("seconds", "cpu_seconds")


def curve(log_history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """A row for each step at which something was logged, of `columns`."""
    rows: dict[int, dict[str, float]] = {}
    for logs in log_history:
        known = {name: logs[key] for key, name in LOGGED.items() if key in logs}
        if known:
            row = rows.setdefault(int(logs["step"]), {})
            row |= known | {"step": logs["step"], "epoch": round(logs["epoch"], 4)}
            row |= {name: logs[name] for name in TIMES}
    return list(rows.values())


def columns(metric: str, logged: Collection[str] = ()) -> tuple[str, ...]:
    """Of a run's curves, in which so much was `logged`."""
    terms = (name for name in TERMS if name in logged)
    return ("step", "epoch", "loss", *terms, "lr", "validation_loss", f"validation_{metric}", *TIMES)


def write_curve(rows: Sequence[Mapping[str, float]], file: Path) -> None:
    made = file.with_suffix(".partial")
    with made.open("w", newline="", encoding="utf-8") as opened:
        logged = {name for row in rows for name in row}
        metric = next((metric for metric in METRICS if f"validation_{metric}" in logged), METRICS[0])
        writer: csv.DictWriter[str] = csv.DictWriter(opened, columns(metric, logged), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    made.replace(file)


def read_curve(file: Path) -> list[dict[str, float]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(opened)]
