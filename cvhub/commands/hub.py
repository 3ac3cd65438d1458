"""`cvhub push` and `cvhub space`: models to the Hub, and the project's own Space."""

import argparse
from pathlib import Path
from typing import Any

from cvhub.catalog import find_entry
from cvhub.commands.command import add_command, print_json


def add(commands: Any) -> None:
    push = add_command(commands, "push", run_push, "upload a model's folder to the Hub")
    push.add_argument("folder", metavar="DIR", type=Path, help="the folder, or a name of the catalogue")
    push.add_argument("repo", metavar="REPO", help="OWNER/NAME")
    push.add_argument("--private", action="store_true", help="create the repo private")
    push.add_argument("--pull-request", action="store_true", help="propose the files to a repo that is there")

    space = commands.add_parser("space", help="the project's Hugging Face Space")
    actions = space.add_subparsers(metavar="ACTION", required=True)
    check = add_command(actions, "check", run_check, "compare spaces.yaml, README and requirements.txt")
    check.add_argument("--root", type=Path, default=Path(), help="the project's folder (this one)")
    deploy = add_command(actions, "deploy", run_deploy, "upload the page, and exactly what it needs, as a Space")
    deploy.add_argument("repo", metavar="REPO", help="OWNER/NAME")
    deploy.add_argument("--private", action="store_true", help="create the Space private")
    deploy.add_argument("--root", type=Path, default=Path(), help="the project's folder (this one)")


def run_push(options: argparse.Namespace) -> int:
    from cvhub.hub.push import push
    from cvhub.load import resolve

    known = not options.folder.is_dir() and find_entry(str(options.folder))
    folder = resolve(known.name) if known else options.folder
    url = push(folder, options.repo, private=options.private, pull_request=options.pull_request)
    print_json({"url": url}) if options.json else print(url)
    return 0


def run_check(options: argparse.Namespace) -> int:
    from cvhub.hub.space import check

    problems = check(options.root)
    for problem in problems:
        print_json({"problem": problem}) if options.json else print(problem)
    if not problems and not options.json:
        print("spaces.yaml, README.md and requirements.txt agree.")
    return 1 if problems else 0


def run_deploy(options: argparse.Namespace) -> int:
    from cvhub.hub.deploy import deploy

    url = deploy(options.root, options.repo, private=options.private)
    print_json({"url": url}) if options.json else print(url)
    return 0
