"""`cvhub convert`: foreign checkpoints to ours and back."""

import argparse
import json
from pathlib import Path
from typing import Any

from cvhub.commands.command import add_command, print_json


def add(commands: Any) -> None:
    convert = add_command(
        commands,
        "convert",
        run,
        "turn a checkpoint of timm, torchvision or transformers into a folder of cvhub, or back",
    )
    convert.add_argument("source", metavar="SOURCE", help="folder, Hub id, or weights file with --arch")
    convert.add_argument("dest", metavar="DEST", type=Path, help="new folder")
    convert.add_argument("--arch", metavar="NAME", help="architecture of a bare weights file, e.g. resnet50")
    convert.add_argument(
        "--set", action="append", default=[], type=assignment, dest="overrides", metavar="FIELD=VALUE",
        help="a field of the config that the source can't tell",
    )  # fmt: skip
    convert.add_argument("--to", choices=("cvhub", "timm", "torchvision", "transformers"), default="cvhub")


def assignment(text: str) -> tuple[str, Any]:
    """FIELD=VALUE; the value is read as JSON where it is JSON, else as a string."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def run(options: argparse.Namespace) -> int:
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
