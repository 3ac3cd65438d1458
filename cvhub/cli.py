"""The command line: finds the command, runs it, and turns what went wrong into a sentence and an exit code.

Exit codes: 0 all well, 1 some input failed, 2 bad usage, 130 stopped by Ctrl-C.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from cvhub.commands import convert, evaluate, hub, index, info, models, predict, search, train
from cvhub.errors import CvhubError

COMMANDS = (models, info, predict, index, search, evaluate, convert, train, hub)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", "1")
    try:
        return options.run(options)
    except CvhubError as error:
        print(f"cvhub: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cvhub: stopped.", file=sys.stderr)
        return 130  # 128 and the signal's number, as shells have it
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of one command, and `run`, which does it."""
    parser = build_parser()
    options, more = parser.parse_known_args(argv)
    words = not any(word.startswith("-") for word in more)  # argparse stops at the first option that stands between
    if options.run is train.run and words and all("=" in word for word in more):
        options.settings += more
    elif options.run is search.run and words:
        options.words += more
    elif more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    return options


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cvhub", description="The classic vision architectures as Hugging Face models.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
