"""`cvhub models`: the catalogue."""

import argparse
from typing import Any

from cvhub.catalog import CATALOG, TASKS, Entry
from cvhub.commands.command import add_command, print_json

HEAD = ("name", "parameters", "weights", "data")
SOURCES = "bundled, package: came with cvhub; hub: downloaded when first named. MODEL may also be a folder or a Hub id."
KEYS = ("name", "family", "task", "source", "dataset", "num_labels", "parameters", "metrics", "licence")


def add(commands: Any) -> None:
    models = add_command(commands, "models", run, "list the catalogue")
    tasks = list(dict.fromkeys(task for task, _ in TASKS.values()))
    models.add_argument("--task", choices=tasks, help="only models of this task")


def run(options: argparse.Namespace) -> int:
    entries = [entry for entry in CATALOG if options.task in (None, entry.task)]
    if options.json:
        for entry in entries:
            print_json({key: getattr(entry, key) for key in KEYS})
    else:
        print_tables(entries)
    return 0


def print_tables(entries: list[Entry]) -> None:
    """A table for each task, with columns as wide as in all others."""
    rows = [(entry.name, f"{entry.parameters / 1e6:.2f} M", entry.source, entry.dataset) for entry in entries]
    name, parameters, source, dataset = (max(map(len, column)) for column in zip(HEAD, *rows, strict=True))
    form = f"  {{:<{name}}}  {{:>{parameters}}}  {{:<{source}}}  {{:<{dataset}}}  {{}}"
    for task in dict.fromkeys(entry.task for entry in entries):
        print(task)
        print(form.format(*HEAD, "from"))
        for entry, row in zip(entries, rows, strict=True):
            if entry.task == task:
                print(form.format(*row, entry.location))
        print()
    print(SOURCES)
