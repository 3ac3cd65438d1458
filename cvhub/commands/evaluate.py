"""`cvhub evaluate`: how well a model does on pictures of which the truth is known."""

import argparse
from pathlib import Path
from typing import Any

from cvhub.commands.calibration import add_calibrate_option, calibrate
from cvhub.commands.command import BATCH_SIZE, MODEL, add_command, add_runtime_options, print_json
from cvhub.errors import CvhubError
from cvhub.telling import loading

SEGMENTERS_METRICS = {
    "iou": "intersection over union of the foreground",
    "dice": "Dice of the foreground",
    "miou": "mean intersection over union",
    "pixel_accuracy": "pixel accuracy",
    "boundary_f": "boundary F, within 2 pixels",
    "ap50": "average precision of things, IoU 0.5",
    "ap50_95": "average precision of things, 0.5 to 0.95",
    "pq": "panoptic quality",
    "sq": "segmentation quality",
    "rq": "recognition quality",
    "pq_things": "panoptic quality of things",
    "pq_stuff": "panoptic quality of stuff",
}


def add(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", run, "measure a model on pictures of which the truth is known")
    evaluate.add_argument("model", metavar="MODEL", help=MODEL)
    evaluate.add_argument("dataset", metavar="DATASET", help="a Hub id or a folder, such as one with a folder a class")
    evaluate.add_argument("--split", metavar="S", help="test unless given, else validation, else the only one")
    evaluate.add_argument(
        "--target", metavar="COLUMN",
        help="the column of the classes, where it is not clear, or of the masks, CLASSES+INSTANCES for two",
    )  # fmt: skip
    evaluate.add_argument(
        "--map", action="append", default=[], type=renaming, dest="renamed", metavar="NAME=LABEL[,…]",
        help="the model's label for a class that the data set calls otherwise; of masks, the class of each value, such "
        "as 1=pet,2=background,3=ignore",
    )  # fmt: skip
    evaluate.add_argument(
        "--texts", metavar="COLUMN",
        help="the column of what is said of each picture, which a net that reads texts is to find, and one that writes "
        "is to write",
    )  # fmt: skip
    evaluate.add_argument(
        "--holdout", type=holdout, metavar="COLUMN:SHARE:SEED",
        help="only so large a share of the rows, those of a value together",
    )  # fmt: skip
    evaluate.add_argument("--one-per", metavar="COLUMN", help="of the rows with one value of it only the first")
    evaluate.add_argument(
        "--watched", type=watched, metavar="SHARE:SEED",
        help="of what is not held out so large a share is not learnt either: training was watched on it",
    )  # fmt: skip
    evaluate.add_argument("--learnt", action="store_true", help="what was not held out, nor watched, instead")
    add_runtime_options(evaluate, precision="fp32")  # so that every machine measures the same
    add_calibrate_option(evaluate)
    evaluate.add_argument(
        "--template", action="append", metavar="TEXT",
        help="what a zero-shot classifier is asked about a class, which stands for {}; several are averaged",
    )  # fmt: skip
    evaluate.add_argument("--confusion", type=png, metavar="FILE.png", help="draw a classifier's confusion matrix")
    evaluate.add_argument("--card", action="store_true", help="write the metrics into the card of MODEL, a folder")


def renaming(text: str) -> tuple[str, str]:
    name, equals, label = text.partition("=")
    if not (name and equals and label):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=LABEL")
    return name, label


def holdout(text: str) -> str:
    """As `open_truth` takes it; "" holds nothing out."""
    from cvhub.evaluation.truth import parse_holdout

    try:
        _ = text and parse_holdout(text)
    except CvhubError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def watched(text: str) -> str:
    """As `holdout`, of the rows that it leaves."""
    from cvhub.evaluation.truth import parse_holdout

    try:
        _ = text and parse_holdout(f":{text}")
    except CvhubError:
        raise argparse.ArgumentTypeError(f"{text!r} is not SHARE:SEED, such as 0.05:0") from None
    return text


def png(text: str) -> Path:
    """Refused before anything is computed."""
    path = Path(text)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .png in a folder that exists")
    return path


def run(options: argparse.Namespace) -> int:
    from cvhub.inference.pool import default_pool
    from cvhub.inference.segment import Segmenter
    from cvhub.inference.writing import Writer
    from cvhub.inference.zero_shot import ZeroShot

    if options.card:
        from cvhub.hub.card import add_measurements, check_card

        check_card(Path(options.model))  # before the work
    calibrate(options)
    with loading(options.model):
        predictor = default_pool().get(options.model, options.runtime, options.precision)
    check_words(predictor, options)
    if isinstance(predictor, Writer):
        evaluation, show = measure_captions(predictor, options), print_captions
    elif isinstance(predictor, Segmenter):
        evaluation, show = measure_segmenter(predictor, options), print_segmenter
    elif isinstance(predictor, ZeroShot) and asks_for_texts(predictor, options):
        evaluation, show = measure_retrieval(predictor, options), print_retrieval
    else:
        evaluation, show = measure_classifier(predictor, options), print_classifier
    report = evaluation.report()
    print_json(report) if options.json else show(report)
    if options.card:
        name = Path(evaluation.dataset).name
        add_measurements(Path(options.model), evaluation.metrics(), name, evaluation.part, evaluation.n)
    return 1 if evaluation.failed else 0


def check_words(predictor: Any, options: argparse.Namespace) -> None:
    """Stops at options that this kind of net has no use for."""
    from cvhub.inference.writing import CAPTIONS, Writer
    from cvhub.inference.zero_shot import ZeroShot

    writes = isinstance(predictor, Writer)
    if writes and predictor.task != CAPTIONS:
        options.command.error(f"{options.model} answers questions, which is not measured here")
    if options.template and not isinstance(predictor, ZeroShot):
        options.command.error(f"--template is for zero-shot classifiers, and {options.model} is none")
    for name in ("texts", "one_per", "learnt", "watched"):
        if getattr(options, name) and not (writes or isinstance(predictor, ZeroShot)):
            option = name.replace("_", "-")
            options.command.error(f"--{option} is for nets that read or write texts, and {options.model} is none")


def asks_for_texts(net: Any, options: argparse.Namespace) -> bool:
    """Whether texts are to be found, and not classes: as it is said, else as the net's folder remembers."""
    from cvhub.evaluation.pairs import read_pairing

    return bool(options.texts) or (options.target is None and read_pairing(net.folder) is not None)


def chosen_pairs(net: Any, options: argparse.Namespace) -> tuple[Any, Any, str]:
    """The rows of the data set, those to measure on, and a word for them."""
    from cvhub.evaluation.pairs import open_pairs

    given = {"texts": options.texts, "holdout": options.holdout, "one_per": options.one_per}
    given["watched"] = options.watched
    rows = open_pairs(options.dataset, options.split, net.folder, given)
    return rows, *rows.chosen(options.learnt)


def measure_retrieval(net: Any, options: argparse.Namespace) -> Any:
    from cvhub.evaluation.retrieval import evaluate_retrieval

    return evaluate_retrieval(net, *chosen_pairs(net, options), options.batch_size or BATCH_SIZE)


def measure_captions(writer: Any, options: argparse.Namespace) -> Any:
    from cvhub.evaluation.captions import evaluate_captions

    return evaluate_captions(writer, *chosen_pairs(writer, options), options.batch_size or BATCH_SIZE)


def measure_classifier(classifier: Any, options: argparse.Namespace) -> Any:
    """A zero-shot classifier is asked about the data set's classes, by their names or as `--map` calls them."""
    from cvhub.evaluation.classification import evaluate
    from cvhub.evaluation.dataset import open_split
    from cvhub.evaluation.pairs import read_pairing
    from cvhub.inference.zero_shot import TEMPLATES, Asked, ZeroShot

    zero_shot = isinstance(classifier, ZeroShot)
    if options.holdout and not zero_shot:
        options.command.error("--holdout is of masks and texts: a classifier is measured on a whole split")
    chosen = zero_shot and bool(read_pairing(classifier.folder) or options.holdout or options.one_per)
    split = open_split(options.dataset, options.split, options.target, streaming=not chosen)
    renamed, rows = dict(options.renamed), ""
    if chosen:
        _, indices, rows = chosen_pairs(classifier, options)
        split = split.labelled(indices)
    if zero_shot:
        labels = [renamed.get(name, name) for name in split.classes]
        classifier = Asked(classifier, labels, options.template or TEMPLATES)
    evaluation = evaluate(classifier, split, renamed, options.batch_size or BATCH_SIZE, rows)
    if options.confusion:
        from cvhub.evaluation.confusion import draw_confusion

        draw_confusion(evaluation).save(options.confusion)
    return evaluation


def measure_segmenter(segmenter: Any, options: argparse.Namespace) -> Any:
    from cvhub.evaluation.segmentation import evaluate_segmenter, open_truth
    from cvhub.evaluation.truth import parse_map

    if options.confusion:
        options.command.error(f"--confusion draws what a classifier answers, and {segmenter.name} is none")
    names = ",".join("=".join(pair) for pair in options.renamed)
    try:
        _ = names and parse_map(names)
    except CvhubError as error:
        options.command.error(str(error))
    rows, indices = open_truth(segmenter, options.dataset, options.split, options.target or "", names, options.holdout)
    return evaluate_segmenter(segmenter, rows, indices)


def print_classifier(report: dict[str, Any]) -> None:
    """The classes first, so that the sums of many stand where the eye is."""
    print(f"{'class':<32}{'pictures':>10}{'recall':>10}{'precision':>11}")
    for name, of_class in report["per_class"].items():
        recall, precision = (
            "–" if of_class[key] is None else f"{of_class[key]:.2%}" for key in ("recall", "precision")
        )
        print(f"{name[:31]:<32}{of_class['n']:>10,}{recall:>10}{precision:>11}")
    low, high = report["accuracy_interval"]
    print_heading(report)
    print(f"accuracy                     {report['accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%})")
    print(f"top 5                        {report['top5']:.2%}")
    print(f"expected calibration error   {report['ece']:.4f}")
    print(f"negative log-likelihood      {report['nll']:.4f}")


def print_retrieval(report: dict[str, Any]) -> None:
    print_heading(report)
    print(f"{'of ' + report['texts']:<20}{'text of a picture':>20}{'picture of a text':>20}")
    for name in report:
        if name.startswith("recall@"):
            to_text, to_image = report[f"image_to_text_{name}"], report[f"text_to_image_{name}"]
            print(f"{name:<20}{to_text:>20.2%}{to_image:>20.2%}")


def print_captions(report: dict[str, Any]) -> None:
    print_heading(report)
    print(f"the very words of {report['texts']:<24}{report['exact']:.2%}")
    print(f"{'CIDEr, 10 at best':<42}{report['cider']:.3f}")


def print_segmenter(report: dict[str, Any]) -> None:
    columns = list(dict.fromkeys(name for of_class in report["per_class"].values() for name in of_class))
    print(f"{'class':<32}" + "".join(f"{column.replace('_', ' '):>12}" for column in columns))
    for name, of_class in report["per_class"].items():
        values = (of_class.get(column) for column in columns)
        print(f"{name[:31]:<32}" + "".join(f"{'–' if value is None else f'{value:.4f}':>12}" for value in values))
    print_heading(report)
    for name, told in SEGMENTERS_METRICS.items():
        if name in report:
            print(f"{told:<44}{report[name]:.4f}")


def print_heading(report: dict[str, Any]) -> None:
    unread = f", {report['failed']:,} more can't be read" if report["failed"] else ""
    rows = report.get("rows") or (f"held out by {report['holdout']}" if report.get("holdout") else "")
    place = f"{report['dataset']}, split {report['split']}" + (f", {rows}" if rows else "")
    print(f"\n{report['model']} on {place}: {report['n']:,} pictures{unread}")
