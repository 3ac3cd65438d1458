"""`cvhub index`: makes pictures searchable, by words and by other pictures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cvhub.catalog import PHOTO_MODEL, SEARCH_MODEL
from cvhub.commands.command import BATCH_SIZE, MODEL, add_command, add_runtime_options, print_json


def add(commands: Any) -> None:
    index = add_command(commands, "index", run, "make pictures searchable, or take up what changed since")
    index.add_argument("source", metavar="SOURCE", help="a folder of pictures, or a data set: a folder or a Hub id")
    index.add_argument(
        "--model", metavar="MODEL",
        help=f"{MODEL}, of CLIP's kind (the index's, else {SEARCH_MODEL}, which knows drawings and no photos; "
        f"{PHOTO_MODEL} knows photos)",
    )  # fmt: skip
    index.add_argument(
        "--out", type=Path, metavar="DIR",
        help="the folder of the index (.cvhub-index in the folder SOURCE, NAME-index of OWNER/NAME on the Hub)",
    )  # fmt: skip
    index.add_argument(
        "--split", metavar="S", help="of a data set: test unless given, else validation, else the only one"
    )
    add_runtime_options(index)


def run(options: argparse.Namespace) -> int:
    from cvhub.evaluation.picture_rows import open_source
    from cvhub.inference.indexing import build_index
    from cvhub.inference.picture_index import place_of
    from cvhub.telling import Bar

    source = open_source(options.source, options.split)
    into = options.out or place_of(options.source)
    net = net_for(into, options)
    with Bar(options.source, "pictures") as bar:
        report = build_index(net, source, into, options.batch_size or BATCH_SIZE, bar)
    for failure in report.failed:
        told = where(options.source, failure.place) | {"error": failure.error}
        print_json(told) if options.json else print(f"{named(told)}: {failure.error}", file=sys.stderr)
    counts = {key: getattr(report, key) for key in ("pictures", "kept", "added", "changed", "removed")}
    told = {"index": str(into), "model": net.name, **counts, "failed": len(report.failed)}
    print_json(told) if options.json else print_report(told)
    return 1 if report.failed else 0


def net_for(into: Path, options: argparse.Namespace) -> Any:
    """An index that is there is kept up to date by its own model, in its own precision, unless others are named."""
    from cvhub.inference.picture_index import made_by
    from cvhub.inference.zero_shot import ZeroShot

    made = made_by(into)
    if made is None and options.model is None:
        told = f"{SEARCH_MODEL} is taken, which knows drawings and no photos; --model {PHOTO_MODEL} knows photos."
        print(told, file=sys.stderr)
    model, precision = made or (SEARCH_MODEL, "auto")
    if options.precision != "auto":
        precision = options.precision
    return ZeroShot(options.model or model, options.runtime, precision)


def where(origin: str, place: str | int) -> dict[str, Any]:
    """A picture of a folder by its file, one of a data set by its row."""
    return {"path": origin, "row": place} if isinstance(place, int) else {"path": str(Path(origin, place))}


def named(told: dict[str, Any]) -> str:
    """For people; a file's name may hold bytes that are no text."""
    row = f", row {told['row']:,}" if "row" in told else ""
    return told["path"].encode(errors="replace").decode() + row


def print_report(told: dict[str, Any]) -> None:
    counts = [f"{told[key]:,} {key}" for key in ("kept", "added", "changed", "removed", "failed") if told[key]]
    print(f"{told['index']}: {told['pictures']:,} pictures ({', '.join(counts)})")
