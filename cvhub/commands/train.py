"""`cvhub train`: a model by a recipe."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cvhub.commands.command import add_command, print_json
from cvhub.errors import CvhubError


def add(commands: Any) -> None:
    train = add_command(commands, "train", run, "train a model by a recipe")
    train.add_argument("recipe", metavar="RECIPE", nargs="?", help="a name that --list shows, or a TOML file")
    train.add_argument("settings", metavar="KEY=VALUE", nargs="*", help="changes the recipe, e.g. budget.epochs=5")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of the result (the recipe's name)")
    train.add_argument("--list", action="store_true", help="the recipes that come with cvhub")
    train.add_argument("--show", action="store_true", help="print the whole recipe and stop")


def run(options: argparse.Namespace) -> int:
    from cvhub.training import recipe_file as recipes

    if options.list:
        rows = {name: recipes.load_recipe(name).about for name in recipes.names()}
        width = max(len(name) for name in rows) + 2
        for name, about in rows.items():
            print_json({"name": name, "about": about}) if options.json else print(f"{name:<{width}}{about}")
        return 0
    if options.recipe is None:
        raise CvhubError(f"Name a recipe: a TOML file, or one of {', '.join(recipes.names())}.")
    recipe = recipes.load_recipe(options.recipe, options.settings)
    if options.show:
        from cvhub.training.nets import check_model

        check_model(recipe.model)
        print_json(recipe.as_dict()) if options.json else print(recipe.as_toml(), end="")
        return 0
    from cvhub.training.run import train

    name = Path(options.recipe).stem
    outcome = train(recipe, options.out or Path(name), name)
    if os.environ.get("RANK", "0") == "0":  # torchrun starts several of us
        print_json(asdict(outcome)) if options.json else print_outcome(outcome)
    return 0


def print_outcome(outcome: Any) -> None:
    found = {"accuracy": outcome.validation_accuracy, "mean IoU": outcome.validation_iou}
    found["recall@5"] = outcome.validation_recall
    values = [f"{name} {100 * value:.2f} %" for name, value in found.items() if value is not None]
    held_out = f", {values[0]} on what was held out" if values else ""
    print(f"{outcome.folder}: {outcome.epochs:.4g} epochs, {outcome.seconds:.0f} s{held_out}")
