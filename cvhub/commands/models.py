"""`cvhub models`: the catalogue."""

import argparse
from typing import Any

from cvhub.catalog import CATALOG, TASKS
from cvhub.commands.command import add_command, print_json

KEYS = ("name", "family", "task", "source", "dataset", "num_labels", "parameters", "metrics", "licence")


def add(commands: Any) -> None:
    models = add_command(commands, "models", run, "list the catalogue")
    tasks = list(dict.fromkeys(task for task, _ in TASKS.values()))
    models.add_argument("--task", choices=tasks, help="only models of this task")


def run(options: argparse.Namespace) -> int:
    for entry in CATALOG:
        if options.task not in (None, entry.task):
            continue
        if options.json:
            print_json({key: getattr(entry, key) for key in KEYS})
        else:
            millions = f"{entry.parameters / 1e6:.2f} M"
            print(f"{entry.name:<22}{millions:>9}  {entry.source:<8} {entry.dataset:<17} {entry.location}")
    return 0
