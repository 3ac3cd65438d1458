"""Trains what the page's curves show: `python -m docs.curves DATA`, DATA being EuroSAT, a folder or a Hub id.

Each run is a recipe of `cvhub train`, below, made to take 2 to 6 minutes on 2 idle cores. No clock ends it: all of an
experiment see as many pictures. Results are written into cvhub/explain/curves/. What is there already is left as it is,
and a run that was interrupted goes on when the same command is given again. `--only NAME …` makes some of them, runs or
experiments, and `--list` names all.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cvhub.errors import CvhubError
from cvhub.explain.figures.curves import EXPERIMENTS, FOLDER, RUNS, Run, Verdict, read_run
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import read_recipe

DATA = {"name": "eurosat", "validation": 0.1}
TURNS = {"flip_horizontal": 0.5, "flip_vertical": 0.5, "quarter_turns": True}
BATCH_JUDGED = 200

# He et al. 2015, section 4.2: the nets of 6n + 2 layers, and the paper's optimiser. To save time maps have half of the
# paper's sides: 16, 8 and 4.
CIFAR = {"block": "basic", "widths": [16, 32, 64], "stem": "cifar", "stem_width": 16, "first_stage_stride": 2}
DEGRADATION = {
    "picture": {"size": 32},
    "augmentation": TURNS,
    "optimiser": {"name": "sgd", "lr": 0.1, "weight_decay": 1e-4, "momentum": 0.9, "batch": 128, "warmup_epochs": 0.5},
    "budget": {"epochs": 12},
}

# Szegedy et al. 2015, with half of the channels. Without BatchNorm, as in the paper, and with it.
HALF_TABLE_1 = [
    ["3a", 32, 48, 64, 8, 16, 16],
    ["3b", 64, 64, 96, 16, 48, 32],
    ["4a", 96, 48, 104, 8, 24, 32],
    ["4b", 80, 56, 112, 12, 32, 32],
    ["4c", 64, 64, 128, 12, 32, 32],
    ["4d", 56, 72, 144, 16, 32, 32],
    ["4e", 128, 80, 160, 16, 64, 64],
    ["5a", 128, 80, 160, 16, 64, 64],
    ["5b", 192, 96, 192, 24, 64, 64],
]
GOOGLENET = {
    "rows": HALF_TABLE_1,
    "stem_channels": [32, 32, 96],
    "stem_kernel": 5,
    "auxiliary_channels": 64,
    "auxiliary_features": 256,
}
AUXILIARY = {
    "picture": {"size": 64},
    "augmentation": TURNS,
    "optimiser": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "batch": 64, "warmup_epochs": 1, "clip": 1.0},
    "budget": {"epochs": 8},
}

# Krizhevsky et al. 2012, in small: half of the tiles and no augmentation, so that there is something to overfit.
ALEXNET = {
    "widths": [32, 96, 128, 128, 96],
    "groups": 1,
    "first_stride": 2,
    "pooled_size": 2,
    "hidden_sizes": [1024, 1024],
}
SMALL_DATA = {
    "data": {"share": 0.5},
    "picture": {"size": 64},
    "optimiser": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01, "batch": 64, "warmup_epochs": 1, "clip": 1.0},
    "budget": {"epochs": 16},
}

# Dosovitskiy et al. 2021, section 4.3: two small nets on parts of the same tiles, each for as many pictures in all.
VIT = {
    "image_size": 64,
    "patch_size": 8,
    "hidden_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 3,
    "intermediate_size": 384,
}
RESNET = {"block": "basic", "depths": [2, 2, 2], "widths": [32, 64, 128], "stem": "imagenet", "stem_width": 32}
BIAS = {
    "picture": {"size": 64},
    "augmentation": TURNS | {"crop_scale": [0.6, 1.0]},
    "optimiser": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "batch": 128, "clip": 1.0},
}
EPOCHS_OF_ALL = 7


def net(family: str, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The table `[model]`."""
    return {"model": {"family": family, "config": config | fields}}


def residual(layers: int, shortcut: str) -> dict[str, Any]:
    return DEGRADATION | net("resnet", CIFAR, depths=[(layers - 2) // 6] * 3, shortcut=shortcut)


def googlenet(normalization: str, heads: tuple[str, ...]) -> dict[str, Any]:
    return AUXILIARY | net("googlenet", GOOGLENET, normalization=normalization, auxiliary_after=list(heads))


def part(family: str, config: dict[str, Any], share: float) -> dict[str, Any]:
    schedule = {"epochs": EPOCHS_OF_ALL / share, "validate_every": 1 / share}
    optimiser = BIAS["optimiser"] | {"warmup_epochs": 1 / share}
    return BIAS | net(family, config) | {"data": {"share": share}, "budget": schedule, "optimiser": optimiser}


# name: the tables of its recipe
TABLES: dict[str, dict[str, Any]] = {
    "plain_20": residual(20, "none"),
    "plain_56": residual(56, "none"),
    "residual_20": residual(20, "A"),
    "residual_56": residual(56, "A"),
    "auxiliary_with": googlenet("lrn", ("4a", "4d")),
    "auxiliary_without": googlenet("lrn", ()),
    "auxiliary_with_norm": googlenet("batch", ("4a", "4d")),
    "auxiliary_without_norm": googlenet("batch", ()),
    "alexnet": SMALL_DATA | net("alexnet", ALEXNET),
    "alexnet_no_dropout": SMALL_DATA | net("alexnet", ALEXNET, dropout=0.0),
    "alexnet_tanh": SMALL_DATA | net("alexnet", ALEXNET, activation="tanh"),
    "alexnet_plain_pooling": SMALL_DATA | net("alexnet", ALEXNET, pooling="plain"),
    "alexnet_no_pooling": SMALL_DATA | net("alexnet", ALEXNET, pooling="none"),
    "vit_10": part("vit", VIT, 0.1),
    "vit_30": part("vit", VIT, 0.3),
    "vit_100": part("vit", VIT, 1.0),
    "resnet_10": part("resnet", RESNET, 0.1),
    "resnet_30": part("resnet", RESNET, 0.3),
    "resnet_100": part("resnet", RESNET, 1.0),
}


def main(arguments: list[str] | None = None) -> None:
    run_command(arguments, Script("curves", __doc__, "EuroSAT", EXPERIMENTS, TABLES, FOLDER, finished, make))


@dataclass(frozen=True)
class Script:
    """A command that makes runs: `name` and `about` as `--help` says them, what the `data` are, experiments and the
    runs of all, the `folder` that ships them, which of a folder are `finished`, and what makes one."""

    name: str
    about: str | None
    data: str
    experiments: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, Any]
    folder: Path
    finished: Callable[[Path], Collection[str]]
    make: Callable[[str, str, Path, Path], None]


def run_command(arguments: list[str] | None, script: Script) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m docs.{script.name}", description=script.about)
    parser.add_argument("data", nargs="?", help=f"{script.data}: a folder or a Hub id")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=list(script.experiments), help="runs or experiments"
    )
    parser.add_argument("--work", type=Path, default=Path("curves-work"), help="where unfinished runs are kept")
    parser.add_argument("--into", type=Path, default=script.folder, help="where curves are written")
    parser.add_argument("--list", action="store_true", help="name experiments and runs, and stop")
    options = parser.parse_args(arguments)
    if options.list or not options.data:
        for experiment, names in script.experiments.items():
            print(f"{experiment}: {' '.join(names)}")
        return
    for name in chosen(options.only, script.experiments, script.runs):
        if name in script.finished(options.into):
            print(f"{name} is there already")
        else:
            script.make(name, options.data, options.work / name, options.into)


def chosen(
    names: Iterable[str],
    experiments: Mapping[str, tuple[str, ...]] = EXPERIMENTS,
    tables: Mapping[str, Any] = TABLES,
) -> list[str]:
    """The runs that names of runs and experiments mean, each once, in the order of `tables`."""
    wanted = {run for name in names for run in experiments.get(name, (name,))}
    unknown = wanted - set(tables)
    if unknown:
        raise CvhubError(f"There is no run {min(unknown)!r}, only {', '.join((*experiments, *tables))}.")
    return [name for name in tables if name in wanted]


def recipe_of(name: str, source: str = "") -> Recipe:
    tables = dict(TABLES[name])
    tables["data"] = DATA | {"source": source} | tables.get("data", {})
    return read_recipe(tables | {"about": f"A curve of the page's Explore tab: {name}"})


def make(name: str, source: str, work: Path, into: Path) -> None:
    """Trains, judges, and writes all that is kept of the run, the line in runs.json last."""
    from cvhub.training.run import train

    recipe = recipe_of(name, source)
    outcome = train(recipe, work, name)
    parameters, pictures, verdicts = judge(work, recipe)
    run = Run(name, parameters, pictures, outcome.epochs, outcome.steps, round(outcome.cpu_seconds, 1), **verdicts)
    keep(work, into, finished(into) | {name: run}, list(TABLES))
    accuracies = f"{run.validation.accuracy:.4f} validation, {run.train.accuracy:.4f} train"
    print(f"{name}: {accuracies}, {run.cpu_seconds:.0f} s of processors")


def keep(work: Path, into: Path, runs: dict[str, Any], order: list[str]) -> None:
    """Copies the curve and the recipe of the run in `work`, named as that folder, and writes all `runs` in `order`."""
    from cvhub.training.folder import CURVES, RECIPE

    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(work / CURVES, into / f"{work.name}.csv")
    shutil.copyfile(work / RECIPE, into / f"{work.name}.toml")
    lines = {name: _line(runs[name]) for name in order if name in runs}
    partial = into / f"{RUNS}.partial"
    partial.write_text(json.dumps(lines, indent=2) + "\n", "utf-8")
    partial.replace(into / RUNS)


def judge(folder: Path, recipe: Recipe) -> tuple[int, int, dict[str, Verdict]]:
    """Parameters, pictures trained on, and verdicts on these and on what was held out, of the finished net."""
    import torch

    from cvhub.load import load_model, load_processor
    from cvhub.training.data import load_pictures

    model, processor = load_model(str(folder)), load_processor(str(folder))
    pictures = load_pictures(recipe.data, processor.mode)
    verdicts = {}
    for key, some in (("train", pictures.train), ("validation", pictures.held_out)):
        assert some is not None
        loss, right = 0.0, 0
        for start in range(0, len(some), BATCH_JUDGED):
            indices = range(start, min(start + BATCH_JUDGED, len(some)))
            labels = torch.from_numpy(some.targets[indices.start : indices.stop])
            with torch.inference_mode():
                logits = model(torch.from_numpy(processor([some[index] for index in indices]))).logits
            loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
        verdicts[key] = Verdict(round(loss / len(some), 5), round(right / len(some), 5))
    return model.num_parameters(), len(pictures.train), verdicts


def finished(into: Path) -> dict[str, Run]:
    file = into / RUNS
    lines = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: read_run(name, line) for name, line in lines.items()}


def _line(run: Run) -> dict[str, Any]:
    return {key: value for key, value in asdict(run).items() if key != "name"}


if __name__ == "__main__":
    try:
        main()
    except CvhubError as error:
        sys.exit(f"error: {error}")
