"""`cvhub predict`: what pictures show, and where."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from cvhub.catalog import DEFAULT_MODEL
from cvhub.commands.calibration import add_calibrate_option, calibrate
from cvhub.commands.command import BATCH_SIZE, MODEL, add_command, add_runtime_options, positive, print_json
from cvhub.errors import CvhubError
from cvhub.telling import loading

TOP_K = 5
TASKS = ("semantic", "instance", "panoptic")
MASKS = Path("masks")


def add(commands: Any) -> None:
    predict = add_command(commands, "predict", run, "name what pictures show, or draw masks of it")
    predict.add_argument("model", metavar="MODEL", help=f"{MODEL}; {DEFAULT_MODEL} needs no network")
    predict.add_argument(
        "paths", metavar="PATH", nargs="+", type=path_or_address, help="picture files or folders of them"
    )
    add_runtime_options(predict)
    add_calibrate_option(predict)
    predict.add_argument(
        "--max-pixels", type=positive, metavar="N",
        help="the largest picture of a format that only decodes whole (50 million); a TIFF of tiles may have any size",
    )  # fmt: skip
    classifiers = predict.add_argument_group("of a classifier, zero-shot or not")
    classifiers.add_argument("--top-k", type=positive, metavar="K", help=f"classes to print ({TOP_K})")
    zero_shot = predict.add_argument_group("of a zero-shot classifier")
    zero_shot.add_argument("--labels", metavar="A,B,…", help="what a picture may show, in words")
    zero_shot.add_argument(
        "--template", action="append", metavar="TEXT",
        help="what is asked about a label, which stands for {} (“This is a photo of {}.”); several are averaged",
    )  # fmt: skip
    writers = predict.add_argument_group("of a net that writes")
    writers.add_argument("--question", metavar="TEXT", help="about each picture, for nets that answer questions")
    writers.add_argument("--beams", type=positive, metavar="N", help="texts that are followed side by side (1)")
    segmenters = predict.add_argument_group("of a segmenter")
    segmenters.add_argument(
        "--out", type=folder, metavar="DIR",
        help=f"the folder of the masks ({MASKS}), PNGs of each picture's size whose values are the segments' ids, 0 "
        "for the background; pictures in it are left out",
    )  # fmt: skip
    segmenters.add_argument("--task", choices=TASKS, help="classes, things, or both (semantic)")
    many = predict.add_argument_group("of many pictures, on several processes or machines")
    many.add_argument(
        "--engine", choices=("plain", "ray"), default="plain",
        help="ray reads parquet and addresses of object stores too, writes parquet files into --out, and leaves out "
        "what is there already (plain)",
    )  # fmt: skip
    many.add_argument("--workers", type=positive, metavar="N", help="processes of ray (one for each processor)")
    many.add_argument("--logits", action="store_true", help="of a classifier write logits too, for students to learn")


def path_or_address(text: str) -> Path | str:
    """`s3://…` stays as it is."""
    return text if "://" in text else Path(text)


def folder(text: str) -> Path | str:
    """Refused before anything is computed."""
    path = path_or_address(text)
    if isinstance(path, Path) and path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a file, expected a folder")
    return path


def run(options: argparse.Namespace) -> int:
    from cvhub.inference.pool import default_pool

    check_engine(options)
    with loading(options.model):
        task = checked_task(options)
        check_beams(options)
        calibrate(options, [path for path in options.paths if isinstance(path, Path)])
        if options.engine == "plain":
            predictor = default_pool().get(options.model, options.runtime, options.precision, task)
    if options.engine == "ray":
        from cvhub.commands.predict_ray import run_on_ray

        return run_on_ray(options, task)
    found = failed = False
    for report in reports(predictor, options):
        found, failed = True, failed or "error" in report
        print_json(report) if options.json else print_answer(report)
    if not found:
        print(f"There is no picture in {', '.join(map(str, options.paths))}.", file=sys.stderr)
    return 1 if failed or not found else 0


def check_engine(options: argparse.Namespace) -> None:
    """Ends with the usage where an option is of the other engine."""
    if options.engine == "ray":
        if options.out is None:
            options.command.error("--engine ray writes parquet files: --out names their folder")
        return
    addresses = [text for text in (*options.paths, options.out) if isinstance(text, str)]
    for name, given in (
        *((text, True) for text in addresses),
        ("--workers", options.workers),
        ("--logits", options.logits),
    ):
        if given:
            options.command.error(f"{name} is for --engine ray")


def reports(predictor: Any, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What the model says of each picture that the paths name."""
    from cvhub.inference.images import decoded, find_pictures
    from cvhub.inference.segment import Segmenter

    if isinstance(predictor, Segmenter):
        return masks(predictor, options)
    return answers(predictor, options, find_pictures(options.paths), partial(decoded, max_pixels=options.max_pixels))


def answers(
    predictor: Any, options: argparse.Namespace, pictures: Iterable[Any], opened: Any
) -> Iterator[dict[str, Any]]:
    """What a model of any task but segmenting says of `pictures`, which `opened` opens."""
    from cvhub.inference.writing import Writer
    from cvhub.inference.zero_shot import ZeroShot

    kinds = {ZeroShot: likeliest, Writer: texts}
    return kinds.get(type(predictor), classes)(predictor, options, pictures, opened)


def checked_task(options: argparse.Namespace) -> str:
    """What the model is asked to do, "" for the first of its tasks: where there are labels, to choose among them.

    Ends with the usage where options aren't those of a model of this task, before its weights are read.
    """
    from cvhub.inference import segment, writing, zero_shot
    from cvhub.load import resolve, tasks_of

    tasks = tasks_of(resolve(options.model))
    task = next(iter(tasks), "")
    if options.labels is not None and zero_shot.TASK in tasks:
        task = zero_shot.TASK
    groups = {
        "classifiers": (task not in (*segment.TASKS, *writing.TASKS), {"--top-k": options.top_k}),
        "segmenters": (task in segment.TASKS, {"--task": options.task}),
        "segmenters and --engine ray": (task in segment.TASKS or options.engine == "ray", {"--out": options.out}),
        "nets that write": (task in writing.TASKS, {"--beams": options.beams}),
        "nets that answer questions": (task == writing.ANSWERS, {"--question": options.question}),
        "zero-shot classifiers": (
            task == zero_shot.TASK, {"--labels": options.labels, "--template": options.template}
        ),
    }  # fmt: skip
    for kind, (fits, given) in groups.items():
        for name, value in given.items():
            if value is not None and not fits:
                options.command.error(f"{name} is for {kind}, and {options.model} does {task or 'no task'}")
    if task == writing.ANSWERS and options.question is None:
        options.command.error(f"{options.model} does {task}: --question says what is asked")
    if task == zero_shot.TASK and options.labels is None:
        options.command.error(f"{options.model} does {task}: --labels A,B,… says among what")
    if task in segment.TASKS and options.engine == "plain":
        problem = problem_of_out(options.out or MASKS, options.paths)
        if problem:
            options.command.error(problem)
    return task if task not in tasks[:1] else ""


def check_beams(options: argparse.Namespace) -> None:
    """Ends with the usage where there are more than the page lets follow."""
    from cvhub.inference import writing

    if options.beams is not None:
        try:
            writing.check_beams(options.beams)
        except CvhubError as error:
            options.command.error(str(error))


def problem_of_out(out: Path, paths: list[Path]) -> str:
    """Masks need a folder of their own: one could take the place of a picture, or be taken for one later."""
    for path in paths:
        if out.resolve() == (path if path.is_dir() else path.parent).resolve():
            return f"--out {out} is a folder of pictures, masks need another"
    return ""


def classes(
    classifier: Any, options: argparse.Namespace, pictures: Iterable[Any], opened: Any
) -> Iterator[dict[str, Any]]:
    for path, answer in classifier.answers(pictures, opened, options.batch_size or BATCH_SIZE):
        if isinstance(answer, str):
            yield {"path": str(path), "error": answer}
        else:
            top = answer.top(classifier.labels, options.top_k or TOP_K)
            logits = {"logits": answer.logits.tolist()} if options.logits else {}
            predictions = [{"label": one.label, "score": one.score} for one in top]
            yield {"path": str(path), "predictions": predictions, **logits}


def likeliest(net: Any, options: argparse.Namespace, pictures: Iterable[Any], opened: Any) -> Iterator[dict[str, Any]]:
    """Of the labels, read once and embedded once."""
    from cvhub.inference.zero_shot import TEMPLATES

    labels = [label.strip() for label in options.labels.split(",")]
    embedded = net.embed_labels(labels, options.template or TEMPLATES)
    for path, answer in net.answers(pictures, opened, embedded, options.batch_size or BATCH_SIZE):
        if isinstance(answer, str):
            yield {"path": str(path), "error": answer}
        else:
            top = net.top(answer, labels, options.top_k or TOP_K)
            yield {"path": str(path), "predictions": [{"label": one.label, "score": one.score} for one in top]}


def texts(writer: Any, options: argparse.Namespace, pictures: Iterable[Any], opened: Any) -> Iterator[dict[str, Any]]:
    """A caption or an answer for each picture."""
    from cvhub.inference.writing import CAPTIONS

    settings = {"num_beams": options.beams or 1}
    key = "caption" if writer.task == CAPTIONS else "answer"
    batch = options.batch_size or BATCH_SIZE
    for path, answer in writer.answers(pictures, opened, options.question or "", batch, **settings):
        if isinstance(answer, str):
            yield {"path": str(path), "error": answer}
        else:
            yield {"path": str(path), key: answer[0]}


def masks(segmenter: Any, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from cvhub.inference.images import name_of
    from cvhub.inference.mask_folder import plan_masks, write_masks
    from cvhub.telling import Bar

    task = options.task or "semantic"
    if task not in segmenter.tasks:
        options.command.error(f"{options.model} can't do --task {task}, only {', '.join(segmenter.tasks)}")
    tasks = plan_masks(options.paths, options.out or MASKS)
    shows = lambda picture: Bar(name_of(picture), "tiles")  # noqa: E731
    for found in write_masks(segmenter, tasks, task, options.batch_size or 1, options.max_pixels, shows):
        if found.error is None:
            segments = [asdict(segment) for segment in found.segments]
            yield {"path": str(found.path), "mask": str(found.mask), "segments_info": segments}
        else:
            yield {"path": str(found.path), "error": found.error}


def print_answer(report: dict[str, Any]) -> None:
    if "error" in report:
        print(f"{report['path']}: {report['error']}", file=sys.stderr)
        return
    print(report["path"])
    for prediction in report.get("predictions", ()):
        print(f"  {prediction['score']:7.2%}  {prediction['label']}")
    for key in ("caption", "answer"):
        if key in report:
            print(f"  {report[key]}")
    if "mask" in report:
        counts = Counter(segment["label"] for segment in report["segments_info"])
        print(f"  {report['mask']}")
        for label, count in counts.items():
            print(f"  {count:7,}  {label}")
