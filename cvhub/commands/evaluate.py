"""`cvhub evaluate`: how well a model does on pictures of which the truth is known."""

import argparse
from pathlib import Path
from typing import Any

from cvhub.commands.command import MODEL, add_command, add_runtime_options, print_json


def add(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", run, "measure a classifier on pictures whose classes are known")
    evaluate.add_argument("model", metavar="MODEL", help=MODEL)
    evaluate.add_argument("dataset", metavar="DATASET", help="a folder, with a folder a class, or a Hub id")
    evaluate.add_argument("--split", metavar="S", help="test unless given, else validation, else the only one")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column of the classes, where it is not clear")
    evaluate.add_argument(
        "--map", action="append", default=[], type=renaming, dest="renamed", metavar="CLASS=LABEL",
        help="the model's label for a class that the data set calls otherwise",
    )  # fmt: skip
    add_runtime_options(evaluate, precision="fp32")  # so that every machine measures the same
    evaluate.add_argument("--confusion", type=png, metavar="FILE.png", help="draw the confusion matrix")
    evaluate.add_argument("--card", action="store_true", help="write the metrics into the card of MODEL, a folder")


def renaming(text: str) -> tuple[str, str]:
    name, equals, label = text.partition("=")
    if not (name and equals and label):
        raise argparse.ArgumentTypeError(f"{text!r} is not CLASS=LABEL")
    return name, label


def png(text: str) -> Path:
    """Refused before anything is computed."""
    path = Path(text)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .png in a folder that exists")
    return path


def run(options: argparse.Namespace) -> int:
    from cvhub.evaluation.classification import evaluate
    from cvhub.evaluation.dataset import open_split
    from cvhub.inference.pool import default_pool

    if options.card:
        from cvhub.hub.card import add_measurements, check_card

        check_card(Path(options.model))  # before the work
    split = open_split(options.dataset, options.split, options.target)
    classifier = default_pool().classifier(options.model, options.runtime, options.precision)
    evaluation = evaluate(classifier, split, dict(options.renamed), options.batch_size)
    report = evaluation.report()
    print_json(report) if options.json else print_evaluation(report)
    if options.confusion:
        from cvhub.evaluation.confusion import draw_confusion

        draw_confusion(evaluation).save(options.confusion)
    if options.card:
        name = Path(evaluation.dataset).name
        add_measurements(Path(options.model), evaluation.metrics(), name, evaluation.split, evaluation.tally.n)
    return 1 if evaluation.failed else 0


def print_evaluation(report: dict[str, Any]) -> None:
    """The classes first, so that the sums of many stand where the eye is."""
    print(f"{'class':<32}{'pictures':>10}{'recall':>10}{'precision':>11}")
    for name, of_class in report["per_class"].items():
        recall, precision = (
            "–" if of_class[key] is None else f"{of_class[key]:.2%}" for key in ("recall", "precision")
        )
        print(f"{name[:31]:<32}{of_class['n']:>10,}{recall:>10}{precision:>11}")
    low, high = report["accuracy_interval"]
    unread = f", {report['failed']:,} more can't be read" if report["failed"] else ""
    print(f"\n{report['model']} on {report['dataset']}, split {report['split']}: {report['n']:,} pictures{unread}")
    print(f"accuracy                     {report['accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%})")
    print(f"top 5                        {report['top5']:.2%}")
    print(f"expected calibration error   {report['ece']:.4f}")
    print(f"negative log-likelihood      {report['nll']:.4f}")
