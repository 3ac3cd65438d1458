"""The page of measured quality: what stands in the cards of the weights that come along, and the command for each."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from cvhub.catalog import CATALOG, CHECKPOINTS
from docs.site.table import table

INTRODUCTION = """# Quality, with its commands

Each value was printed by the command above it, run on the weights that come with cvhub, and stands in their card. A
name in capitals is a folder or Hub id of that data set:

| data | where it is from |
| :--- | :--- |
| eurosat | [EuroSAT](https://github.com/phelber/EuroSAT), `timm/eurosat-rgb`; ours is 1,000 tiles a class |
| digits | scikit-learn's, written by `python -m cvhub.training.digits DIGITS` |
| nuclei | [Data Science Bowl 2018](https://bbbc.broadinstitute.org/BBBC038), in tiles of 256 pixels |
| pets | [Oxford-IIIT Pet](https://www.robots.ox.ac.uk/~vgg/data/pets/), 500 photos of three breeds |
| scenes | drawn by `python -m cvhub.training.scenes SCENES` |
| emoji | [Noto Emoji](https://github.com/googlefonts/noto-emoji) with the names and keywords of CLDR |
| clipart | [Open Clip Art](https://openclipart.org) 0.18 |

Which pictures were measured (a split, rows that were held out) is part of the command. A share of right answers among
*n* pictures is uncertain by up to 1/√*n*: two nets that differ by less are not told apart.
"""
# What a card says of the rows that were measured → the option that chooses them.
ROWS = {
    "held out by ": "--holdout",
    "all but those held out by ": "--learnt --holdout",
    "all but those watched by ": "--watched",
    "one a ": "--one-per",
    "texts in ": "--texts",
}
# How a net of words was asked for classes, which its card doesn't say: a column of them, and the label as it is.
CLASSES = "--target group --template {}"


def write(page: Path) -> None:
    sections = [_section(entry.name) for entry in CATALOG if entry.source == "bundled"]
    page.write_text("\n\n".join([INTRODUCTION.strip(), *sections]) + "\n", encoding="utf-8")


def _section(name: str) -> str:
    card = (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8")
    parts = [f"## {name}"]
    for result in yaml.safe_load(card.split("---")[1])["model-index"][0]["results"]:
        rows = [(metric["type"], f"{metric['value']:.4g}") for metric in result["metrics"]]
        parts += [f"```console\n$ {command(name, result)}\n```", table(("metric", "value"), rows, numbers=1)]
    return "\n\n".join(parts)


def command(name: str, result: dict[str, Any]) -> str:
    """What measures `name` again as a `result` of its card's model-index says.

    Its split is one, and the rows of it: "train, held out by image_id:0.1:0, texts in label".
    """
    split, *rows = result["dataset"]["split"].split(", ")
    options = [f"--split {split}"]
    for row in rows:
        start, option = next((start, option) for start, option in ROWS.items() if row.startswith(start))
        options.append(f"{option} {shlex.quote(row.removeprefix(start))}")
    if result["task"]["type"].startswith("zero-shot") and any(m["type"] == "accuracy" for m in result["metrics"]):
        options.append(CLASSES)
    return f"cvhub evaluate {name} {result['dataset']['name'].upper()} {' '.join(options)}"
