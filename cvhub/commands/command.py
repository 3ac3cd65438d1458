"""What the commands share: how one is added, the options that several have, and the lines of JSON."""

import argparse
import json
from collections.abc import Callable
from typing import Any

BATCH_SIZE = 16  # of a classifier; a segmenter's pictures may be large
MODEL = "a name of the catalogue, a folder or a Hub id"


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], description: str
) -> argparse.ArgumentParser:
    """`run` gets the options, `command` among them: the parser, whose `error` ends with the usage and code 2."""
    command = commands.add_parser(name, help=description, description=description)
    command.add_argument("--json", action="store_true", help="one JSON object a line, nothing else on stdout")
    command.set_defaults(run=run, command=command)
    return command


def add_runtime_options(command: argparse.ArgumentParser, precision: str = "auto") -> None:
    runtimes = ("auto", "torch", "compile", "openvino")
    command.add_argument("--runtime", choices=runtimes, default="auto", help="compile is torch.compile (auto)")
    choices = ("auto", "fp32", "bf16", "int8")
    command.add_argument("--precision", choices=choices, default=precision, help=f"({precision})")
    command.add_argument(
        "--batch-size", type=positive, metavar="N", help=f"pictures a forward ({BATCH_SIZE}, of a segmenter 1)"
    )


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def print_json(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)
