"""The command line: parses, calls, prints. What a command does stands in the module that it calls.

Exit codes: 0 all well, 1 some input failed, 2 bad usage.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cvhub.catalog import CATALOG, DEFAULT_MODEL
from cvhub.errors import CvhubError

TASKS = sorted({entry.task for entry in CATALOG})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = build_parser()
    options, more = parser.parse_known_args(argv)
    if options.run is run_train and all("=" in word and not word.startswith("-") for word in more):
        options.settings += more  # argparse stops at the first option that stands between them
    elif more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", "1")
    try:
        return options.run(options)
    except CvhubError as error:
        print(f"cvhub: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cvhub", description="The classic vision architectures as Hugging Face models.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    model_help = "a name of the catalogue, a folder or a Hub id"

    models = _command(commands, "models", run_models, "list the catalogue")
    models.add_argument("--task", choices=TASKS, help="only models of this task")

    info = _command(commands, "info", run_info, "a model's layers, shapes, parameters, multiply-adds, receptive field")
    info.add_argument("model", metavar="MODEL", help=model_help)
    info.add_argument("--size", type=_size, metavar="HxW", help="size of the input, the model's own unless given")

    predict = _command(commands, "predict", run_predict, "name what pictures show")
    predict.add_argument("model", metavar="MODEL", help=f"{model_help}; {DEFAULT_MODEL} needs no network")
    predict.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="picture files or folders of them")
    predict.add_argument("--top-k", type=_positive, default=5, metavar="K", help="classes to print (5)")
    _add_runtime_options(predict)

    evaluate = _command(commands, "evaluate", run_evaluate, "measure a classifier on pictures whose classes are known")
    evaluate.add_argument("model", metavar="MODEL", help=model_help)
    evaluate.add_argument("dataset", metavar="DATASET", help="a folder, with a folder a class, or a Hub id")
    evaluate.add_argument("--split", metavar="S", help="test unless given, else validation, else the only one")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column of the classes, where it is not clear")
    evaluate.add_argument(
        "--map", action="append", default=[], type=_renaming, dest="renamed", metavar="CLASS=LABEL",
        help="the model's label for a class that the data set calls otherwise",
    )  # fmt: skip
    _add_runtime_options(evaluate, precision="fp32")  # so that every machine measures the same
    evaluate.add_argument("--confusion", type=_png, metavar="FILE.png", help="draw the confusion matrix")
    evaluate.add_argument("--card", action="store_true", help="write the metrics into the card of MODEL, a folder")

    convert = _command(commands, "convert", run_convert, "a checkpoint of timm, torchvision, transformers, or to one")
    convert.add_argument("source", metavar="SOURCE", help="folder, Hub id, or weights file with --arch")
    convert.add_argument("dest", metavar="DEST", type=Path, help="new folder")
    convert.add_argument("--arch", metavar="NAME", help="architecture of a bare weights file, e.g. resnet50")
    convert.add_argument(
        "--set", action="append", default=[], type=_assignment, dest="overrides", metavar="FIELD=VALUE",
        help="a field of the config that the source can't tell",
    )  # fmt: skip
    convert.add_argument("--to", choices=("cvhub", "timm", "torchvision", "transformers"), default="cvhub")

    train = _command(commands, "train", run_train, "train a classifier by a recipe")
    train.add_argument("recipe", metavar="RECIPE", nargs="?", help="a name that --list shows, or a TOML file")
    train.add_argument("settings", metavar="KEY=VALUE", nargs="*", help="changes the recipe, e.g. budget.epochs=5")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of the result (the recipe's name)")
    train.add_argument("--list", action="store_true", help="the recipes that come with cvhub")
    train.add_argument("--show", action="store_true", help="print the whole recipe and stop")

    push = _command(commands, "push", run_push, "upload a model's folder to the Hub")
    push.add_argument("folder", metavar="DIR", type=Path)
    push.add_argument("repo", metavar="REPO", help="OWNER/NAME")
    push.add_argument("--private", action="store_true", help="create the repo private")

    space = commands.add_parser("space", help="the project's Hugging Face Space")
    actions = space.add_subparsers(metavar="ACTION", required=True)
    check = _command(actions, "check", run_space_check, "compare spaces.yaml, README and requirements.txt")
    check.add_argument("--root", type=Path, default=Path(), help="the project's folder (this one)")
    return parser


def _command(commands: Any, name: str, run: Any, description: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=description, description=description)
    command.add_argument("--json", action="store_true", help="one JSON object a line, nothing else on stdout")
    command.set_defaults(run=run)
    return command


def _add_runtime_options(command: argparse.ArgumentParser, precision: str = "auto") -> None:
    command.add_argument("--runtime", choices=("auto", "torch", "openvino"), default="auto")
    choices = ("auto", "fp32", "bf16", "int8")
    command.add_argument("--precision", choices=choices, default=precision, help=f"({precision})")
    command.add_argument("--batch-size", type=_positive, default=16, metavar="N", help="pictures a forward (16)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 224x224")
    return int(height), int(width)


def _assignment(text: str) -> tuple[str, Any]:
    """FIELD=VALUE; the value is read as JSON where it is JSON, else as a string."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _renaming(text: str) -> tuple[str, str]:
    name, equals, label = text.partition("=")
    if not (name and equals and label):
        raise argparse.ArgumentTypeError(f"{text!r} is not CLASS=LABEL")
    return name, label


def _png(text: str) -> Path:
    """Refused before anything is computed."""
    path = Path(text)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .png in a folder that exists")
    return path


def run_models(options: argparse.Namespace) -> int:
    rows = [entry for entry in CATALOG if options.task in (None, entry.task)]
    for entry in rows:
        if options.json:
            keys = ("name", "family", "task", "source", "dataset", "num_labels", "parameters", "metrics", "licence")
            print_json({key: getattr(entry, key) for key in keys})
        else:
            millions = f"{entry.parameters / 1e6:.2f} M"
            print(f"{entry.name:<22}{millions:>9}  {entry.source:<8} {entry.dataset:<12} {entry.location}")
    return 0


def run_info(options: argparse.Namespace) -> int:
    from cvhub.explain.cost import measure_config
    from cvhub.load import load_processor, resolve

    folder = resolve(options.model)
    if options.size is None:
        crop = load_processor(options.model).crop_size
        options.size = crop["height"], crop["width"]
    height, width = options.size
    cost = measure_config(folder, height, width)
    if options.json:
        layers = [asdict(layer) for layer in cost.layers]
        print_json(
            {
                "model": options.model,
                "size": [height, width],
                "parameters": cost.parameters,
                "multiply_adds": cost.multiply_adds,
                "receptive_field": cost.receptive_field,
                "layers": layers,
            }
        )
        return 0
    for layer in cost.layers:
        # A map's height and width, or how many tokens there are and how wide.
        sides = layer.output_shape if len(layer.output_shape) == 2 else layer.output_shape[1:]
        shape = "×".join(map(str, sides))
        print(f"{layer.name:<52}{layer.kind:<18}{shape:>16}{layer.parameters:>12,}{layer.multiply_adds:>15,}")
    print(f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds at {height}x{width}")
    return 0


def run_predict(options: argparse.Namespace) -> int:
    from cvhub.inference.images import find_pictures
    from cvhub.inference.pool import default_pool

    classifier = default_pool().get(options.model, options.runtime, options.precision)
    failed = False
    for result in classifier.predict_files(find_pictures(options.paths), options.batch_size):
        failed |= result.error is not None
        if result.classification is None:
            report = {"path": str(result.path), "error": result.error}
        else:
            top = result.classification.top(classifier.labels, options.top_k)
            predictions = [{"label": prediction.label, "score": prediction.score} for prediction in top]
            report = {"path": str(result.path), "predictions": predictions}
        print_json(report) if options.json else print_prediction(report)
    return 1 if failed else 0


def print_prediction(report: dict[str, Any]) -> None:
    if "error" in report:
        print(f"{report['path']}: {report['error']}", file=sys.stderr)
        return
    print(report["path"])
    for prediction in report["predictions"]:
        print(f"  {prediction['score']:7.2%}  {prediction['label']}")


def run_evaluate(options: argparse.Namespace) -> int:
    from cvhub.evaluation.classification import evaluate
    from cvhub.evaluation.dataset import open_split
    from cvhub.inference.pool import default_pool

    if options.card:
        from cvhub.hub.card import add_measurements, check_card

        check_card(Path(options.model))  # before the work
    split = open_split(options.dataset, options.split, options.target)
    classifier = default_pool().get(options.model, options.runtime, options.precision)
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


def run_convert(options: argparse.Namespace) -> int:
    from cvhub.convert import convert_checkpoint, export_checkpoint
    from cvhub.load import is_hub_id, resolve

    source = Path(options.source)
    overrides = dict(options.overrides)
    if options.to != "cvhub":
        export_checkpoint(resolve(options.source), options.dest, options.to)
    elif source.exists() or not is_hub_id(options.source):
        convert_checkpoint(source, options.dest, options.arch, overrides)
    else:
        from cvhub.hub.download import download

        convert_checkpoint(download(options.source), options.dest, options.arch, overrides, origin=options.source)
    report = {"source": options.source, "dest": str(options.dest), "to": options.to}
    print_json(report) if options.json else print(f"wrote {options.dest}")
    return 0


def run_train(options: argparse.Namespace) -> int:
    from cvhub.training import recipe_file as recipes

    if options.list:
        rows = {name: recipes.load_recipe(name).about for name in recipes.names()}
        for name, about in rows.items():
            print_json({"name": name, "about": about}) if options.json else print(f"{name:<24}{about}")
        return 0
    if options.recipe is None:
        raise CvhubError(f"Name a recipe: a TOML file, or one of {', '.join(recipes.names())}.")
    recipe = recipes.load_recipe(options.recipe, options.settings)
    if options.show:
        print_json(recipe.as_dict()) if options.json else print(recipe.as_toml(), end="")
        return 0
    from cvhub.training.run import train

    name = Path(options.recipe).stem
    outcome = train(recipe, options.out or Path(name), name)
    if os.environ.get("RANK", "0") == "0":  # torchrun starts several of us
        print_json(asdict(outcome)) if options.json else print_outcome(outcome)
    return 0


def print_outcome(outcome: Any) -> None:
    accuracy = outcome.validation_accuracy
    held_out = "" if accuracy is None else f", {100 * accuracy:.2f} % on what was held out"
    print(f"{outcome.folder}: {outcome.epochs:.4g} epochs, {outcome.seconds:.0f} s{held_out}")


def run_push(options: argparse.Namespace) -> int:
    from cvhub.hub.push import push

    url = push(options.folder, options.repo, private=options.private)
    print_json({"url": url}) if options.json else print(url)
    return 0


def run_space_check(options: argparse.Namespace) -> int:
    from cvhub.hub.space import check

    problems = check(options.root)
    for problem in problems:
        print_json({"problem": problem}) if options.json else print(problem)
    if not problems and not options.json:
        print("spaces.yaml, README.md and requirements.txt agree.")
    return 1 if problems else 0


def print_json(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    sys.exit(main())
