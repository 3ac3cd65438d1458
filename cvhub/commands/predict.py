"""`cvhub predict`: what pictures show."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cvhub.catalog import DEFAULT_MODEL
from cvhub.commands.command import MODEL, add_command, add_runtime_options, positive, print_json


def add(commands: Any) -> None:
    predict = add_command(commands, "predict", run, "name what pictures show")
    predict.add_argument("model", metavar="MODEL", help=f"{MODEL}; {DEFAULT_MODEL} needs no network")
    predict.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="picture files or folders of them")
    predict.add_argument("--top-k", type=positive, default=5, metavar="K", help="classes to print (5)")
    add_runtime_options(predict)


def run(options: argparse.Namespace) -> int:
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
