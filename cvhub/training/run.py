"""A recipe is run: new, resumed or already finished, and a complete Hub folder is left.

While it runs, the folder holds the curves and `.training`: the recipe, the plan, the last checkpoint. What is written
there appears whole or not at all, so a run that was killed at any moment goes on when the same command is given again.
"""

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvhub.errors import CvhubError
from cvhub.training.disk import writing
from cvhub.training.folder import CURVES, RECIPE, WORK, public
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import TrainerCallback, TrainingArguments

    from cvhub.training.trainer import RecipeTrainer

    Watch = Callable[[RecipeTrainer], TrainerCallback]

# In the folder WORK, beside the recipe as it was given:
PLAN = "plan.json"
FINISHED = "finished"  # the complete model, about to move up

DONE = ".training.done"


@dataclass(frozen=True)
class Outcome:
    """What came of a run; `seconds` are of training, `cpu_seconds` the sum of what processors worked on it.

    `validation_accuracy` is a classifier's, `validation_iou` a segmenter's, `validation_recall` of a net that reads
    texts too; None where nothing was held out.
    """

    folder: str
    steps: int
    epochs: float
    seconds: float
    cpu_seconds: float
    loss: float
    validation_accuracy: float | None
    validation_iou: float | None = None
    validation_recall: float | None = None


def train(recipe: Recipe, folder: Path, name: str = "recipe", watch: "Watch | None" = None) -> Outcome:
    """Runs `recipe`, called `name`, and leaves a complete model of ours in `folder`. `watch` makes, of the trainer,
    a callback that looks on.

    Goes on where the folder holds an unfinished run of the same recipe, and only reports where it is finished. Raises
    `CvhubError` for a folder that holds anything else. Each process of `torchrun` calls this.
    """
    if not recipe.data.source:
        raise CvhubError("The recipe names no data: data=FOLDER, or data=OWNER/NAME for a data set on the Hub.")
    from cvhub.training.machine import prepare_machine, restore_machine

    prepare_machine()
    try:
        return _train(recipe, folder, name, watch)
    finally:
        restore_machine()


def _train(recipe: Recipe, folder: Path, name: str, watch: "Watch | None") -> Outcome:
    from cvhub.training.trainer import training_arguments

    arguments = training_arguments(recipe, folder)
    first = arguments.process_index == 0
    finished, made = is_finished(recipe, folder), (folder / WORK / FINISHED).is_dir()
    _wait()  # until each process has looked
    if not finished and not made:
        if first:
            begin(recipe, folder)
        _wait()
        trainer = prepare(recipe, folder, arguments)
        if watch is not None:
            trainer.add_callback(watch(trainer))
        trainer.run_on()
        if first:
            from cvhub.training.result import write_result

            with writing("The result"):
                write_result(trainer, recipe, folder / WORK / FINISHED, name)
    if first and not finished:
        move_up(folder)
    if first:
        shutil.rmtree(folder / DONE, ignore_errors=True)  # also what a run left that was killed as it cleared up
    _wait()
    return outcome(folder)


def prepare(recipe: Recipe, folder: Path, arguments: "TrainingArguments") -> "RecipeTrainer":
    """Everything up to the first step: the data, the net, the plan."""
    from cvhub.training.batches import Deal, Loader
    from cvhub.training.nets import check_model, picture_transform
    from cvhub.training.plan import make_plan, read_plan, write_plan
    from cvhub.training.progress import Progress
    from cvhub.training.trainer import memory_format

    check_model(recipe.model)
    if recipe.words.columns and arguments.world_size > 1:
        raise CvhubError(
            f"Each of {arguments.world_size} processes would compare the pairs of its own part of a batch alone: "
            "train on pairs in one process, without torchrun."
        )
    transform = picture_transform(recipe)
    net, batches, judge = assemble(recipe, transform)
    processes = arguments.world_size
    repeats, views = recipe.augmentation.repeats, recipe.distillation.views
    deal = Deal(len(batches), recipe.optimiser.batch, recipe.seed, arguments.process_index, processes, repeats, views)
    arguments.per_device_train_batch_size = deal.batch // processes
    loader = Loader(batches, deal, recipe.data.workers)
    net = net.to(memory_format=memory_format(recipe))
    trainer = trainer_class(recipe)(net, arguments, recipe, loader, judge, transform, folder / WORK)
    file = folder / WORK / PLAN
    plan = read_plan(file) if file.is_file() else make_plan(recipe, len(deal), deal.batch, trainer.seconds_a_step)
    if trainer.is_world_process_zero():
        with writing("The plan"):
            write_plan(plan, file)
        trainer.add_callback(Progress(plan.steps_per_epoch, lambda: trainer.seconds_waited))
    trainer.follow(plan, folder / CURVES)
    return trainer


def trainer_class(recipe: Recipe) -> "type[RecipeTrainer]":
    if recipe.words.columns:
        from cvhub.training.pair_trainer import BlipTrainer, PairTrainer

        return BlipTrainer if recipe.model.family == "blip" else PairTrainer
    if recipe.distillation.teachers:
        from cvhub.training.distillation_trainer import DistillationTrainer

        return DistillationTrainer
    from cvhub.training.trainer import RecipeTrainer

    return RecipeTrainer


def assemble(recipe: Recipe, transform: Any) -> tuple[Any, Any, Any]:
    """The net, the batches it is trained on, and the judge of what is held out, if anything is."""
    from cvhub.training.nets import build_net
    from cvhub.training.trainer import memory_format

    layout, seed = memory_format(recipe), recipe.seed
    if recipe.words.columns:
        from cvhub.training.judging import PairJudge
        from cvhub.training.nets import build_reading_net, make_words
        from cvhub.training.pairs import PairBatches, load_pairs

        pairs = load_pairs(recipe, transform.mode)
        tokenizer = make_words(recipe, list(pairs.train.every_text()))
        net = build_reading_net(recipe.model, tokenizer, seed)
        more = transform, recipe.augmentation, seed, layout
        batches = PairBatches(pairs.train, tokenizer, recipe.words.templates, *more)
        judge = pairs.held_out and PairJudge(pairs.held_out, transform, tokenizer, net.config.projection_dim)
        return net, batches, judge
    if recipe.data.target:
        from cvhub.training.dense import MaskedBatches, border_weigher, load_masked_pictures
        from cvhub.training.judging import SegmenterJudge

        masked = load_masked_pictures(recipe.data, transform.mode)
        net = build_net(recipe.model, masked.labels, seed)
        things = "thing_ids" in net.config.to_dict()
        side, fitting = recipe.picture.size, net.config.fitting_size(recipe.picture.size)
        if side != fitting:
            raise CvhubError(f"picture.size is {side}, which the net can't take: the next that it can is {fitting}.")
        weigh = border_weigher(recipe.data, things)
        batches = MaskedBatches(masked.train, transform, recipe.augmentation, side, things, seed, layout, weigh)
        judge = masked.held_out and SegmenterJudge(masked.held_out, transform, net.config)
        return net, batches, judge
    from cvhub.training.batches import Batches
    from cvhub.training.data import load_pictures
    from cvhub.training.judging import ClassifierJudge

    pictures = load_pictures(recipe.data, transform.mode)
    taught = bool(recipe.distillation.teachers)
    batches = Batches(pictures.train, transform, recipe.augmentation, len(pictures.labels), seed, layout, taught)
    judge = pictures.held_out and ClassifierJudge(pictures.held_out, transform)
    return build_net(recipe.model, pictures.labels, seed, taught), batches, judge


# -- the folder


def begin(recipe: Recipe, folder: Path) -> None:
    """Makes the folder this recipe's, if it isn't yet, and raises `CvhubError` if it can't be."""
    file = folder / WORK / RECIPE
    if file.is_file():
        _check_same(recipe, _read(file), f"{folder} holds an unfinished run")
        return
    if folder.exists() and (not folder.is_dir() or any(item.name != WORK for item in folder.iterdir())):
        raise CvhubError(f"{folder} exists and holds no run: name an empty or new folder with --out.")
    with writing("The recipe"):
        file.parent.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(".partial")
        made.write_text(recipe.as_toml(), encoding="utf-8")
        made.replace(file)


def is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the folder holds what this recipe leaves; raises `CvhubError` if it holds what another one left."""
    if (folder / WORK).exists() or not (folder / RECIPE).is_file():
        return False
    _check_same(public(recipe), _read(folder / RECIPE), f"{folder} holds the model")
    return True


def move_up(folder: Path) -> None:
    """The finished model takes its place; what was needed on the way is put aside."""
    for file in sorted((folder / WORK / FINISHED).iterdir()):
        file.replace(folder / file.name)
    (folder / WORK).replace(folder / DONE)  # in one step: half of it would look like a run that can't go on


def outcome(folder: Path) -> Outcome:
    from cvhub.training.curves import read_curve

    rows = read_curve(folder / CURVES)
    last = rows[-1]
    return Outcome(
        str(folder),
        steps=int(last["step"]),
        epochs=last["epoch"],
        seconds=last["seconds"],
        cpu_seconds=last["cpu_seconds"],
        loss=next(row["loss"] for row in reversed(rows) if "loss" in row),
        validation_accuracy=last.get("validation_accuracy"),
        validation_iou=last.get("validation_iou"),
        validation_recall=last.get("validation_recall"),
    )


def _read(file: Path) -> Recipe:
    return read_recipe(tomllib.loads(file.read_text(encoding="utf-8")))


def _check_same(recipe: Recipe, other: Recipe, what: str) -> None:
    ours, theirs = _flat(recipe.as_dict()), _flat(other.as_dict())
    for path in {**ours, **theirs}:
        if ours.get(path) != theirs.get(path):
            raise CvhubError(
                f"{what} of another recipe: its {path} is {theirs.get(path)!r}, not {ours.get(path)!r}. "
                "Name another folder with --out."
            )


def _flat(table: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in table.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return flat


def _wait() -> None:
    from accelerate import PartialState

    PartialState().wait_for_everyone()
