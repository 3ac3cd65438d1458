"""What a run leaves: config, weights, processor, code, card, curves and recipe, laid out as the Hub wants a model."""

import dataclasses
import json
import logging
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageClassification

from cvhub.cache import write_folder
from cvhub.convert.importing import save_processor
from cvhub.convert.words import save_tokenizer
from cvhub.errors import CvhubError
from cvhub.evaluation.pairs import write_pairing
from cvhub.evaluation.truth import write_truth
from cvhub.hub.card import AND, write_card
from cvhub.load import is_hub_id
from cvhub.loading import loading
from cvhub.models.blip import CvBlipForConditionalGeneration, CvBlipForImageTextRetrieval
from cvhub.models.blip_pretraining import CvBlipForPreTraining
from cvhub.telling import duration
from cvhub.training.curves import curve, write_curve
from cvhub.training.dense import truth_of
from cvhub.training.folder import CURVES, RECIPE, WORK, public
from cvhub.training.nets import picture_transform
from cvhub.training.pairs import pairing_of
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import read_recipe
from cvhub.training.trainer import WEIGHTS, last_checkpoint, step_of

if TYPE_CHECKING:
    from cvhub.training.trainer import RecipeTrainer

log = logging.getLogger("cvhub")

WRITES = ("vision_model.", "text_decoder.")  # what BLIP's captions are written with
NAMES = {
    "accuracy": "accuracy",
    "iou": "mean intersection over union",
    "recall": "recall at 5, the mean of both ways,",
}


def write_result(trainer: "RecipeTrainer", recipe: Recipe, folder: Path, name: str) -> None:
    """All or nothing. `name` is the recipe's."""
    shared = public(recipe)

    def build(made: Path) -> None:
        save = save_heads if isinstance(trainer.result, CvBlipForPreTraining) else save_net
        save(trainer.result, made, getattr(torch, recipe.result.dtype))
        fields = dataclasses.asdict(trainer.transform) | recipe.result.processor
        save_processor(made, fields, trainer.model.config)
        if recipe.data.target:
            write_truth(truth_of(shared.data), made)
        if recipe.words.columns:
            write_pairing(pairing_of(shared), made)
            batches: Any = trainer.loader.dataset
            save_tokenizer(batches.read, made, trainer.model.config)
        write_curve(curve(trainer.state.log_history), made / CURVES)
        (made / RECIPE).write_text(shared.as_toml(), encoding="utf-8")
        start = recipe.model.from_
        write_card(
            made,
            title=recipe.result.title or f"{name}, trained on {_data_name(shared)}",
            task=None,
            licence=recipe.result.licence or None,
            dataset=_data_name(shared),
            metrics={},
            source=None,
            base_model=start if is_hub_id(start) else None,
            training=describe(trainer, shared, name),
            knows=recipe.result.knows or None,
        )

    write_folder(folder, build)


def write_unfinished(run: Path, folder: Path, name: str) -> None:
    """The model as the last checkpoint of the unfinished `run` has it, laid out as a finished one's.

    Raises `CvhubError` where there is no checkpoint yet.
    """
    checkpoint = last_checkpoint(run / WORK)
    if checkpoint is None:
        raise CvhubError("The run has no checkpoint yet.")
    recipe = read_recipe(tomllib.loads((run / WORK / RECIPE).read_text(encoding="utf-8")))
    shared = public(recipe)
    weights = torch.load(checkpoint / WEIGHTS, map_location="cpu", weights_only=True)
    net: Any = AutoModelForImageClassification.from_config(AutoConfig.from_pretrained(checkpoint))
    net.load_state_dict(weights.get("ema", weights["model"]))

    def build(made: Path) -> None:
        save_net(net, made, getattr(torch, recipe.result.dtype))
        fields = dataclasses.asdict(picture_transform(recipe)) | recipe.result.processor
        save_processor(made, fields, net.config)
        (made / RECIPE).write_text(shared.as_toml(), encoding="utf-8")
        write_card(
            made,
            title=recipe.result.title or f"{name}, stopped while it was trained on {_data_name(shared)}",
            task=None,
            licence=recipe.result.licence or None,
            dataset=_data_name(shared),
            metrics={},
            source=None,
            base_model=None,
            training=f"## Training\n\nStopped after {step_of(checkpoint):,} steps by the settings of `{RECIPE}`: "
            "the learning rate had not come down to its end.",
            knows=recipe.result.knows or None,
        )

    write_folder(folder, build)


def save_net(net: Any, folder: Path, dtype: torch.dtype) -> None:
    """A copy in `dtype`, or in float32, with a warning, where `dtype` can't hold a number of it."""
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    if not all(value.to(dtype).isfinite().all() for value in state.values() if value.is_floating_point()):
        log.warning("%s can't hold all weights: they are saved as float32.", str(dtype).removeprefix("torch."))
        dtype = torch.float32
    with loading():
        copy = type(net).from_pretrained(None, config=net.config, state_dict=state, dtype=dtype)
        copy.save_pretrained(folder)


def save_heads(net: CvBlipForPreTraining, folder: Path, dtype: torch.dtype) -> None:
    """What was learnt together in one folder, from which the class of each head takes what is its own.

    It says that it writes, as the catalogue has it, and then that it tells what is near and what fits.
    """
    state = {key: value.detach().to(dtype) for key, value in net.state_dict().items()}
    with loading():
        writer = CvBlipForConditionalGeneration.from_pretrained(None, config=net.config, state_dict=state, dtype=dtype)
        writer.save_pretrained(folder)
    file = folder / "model.safetensors"
    saved = load_file(file)
    others = {key: value.clone() for key, value in state.items() if not key.startswith(WRITES)}
    save_file(saved | others, file, metadata={"format": "pt"})
    config = folder / "config.json"
    fields = json.loads(config.read_text(encoding="utf-8"))
    fields["architectures"].append(CvBlipForImageTextRetrieval.__name__)
    config.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def describe(trainer: "RecipeTrainer", recipe: Recipe, name: str) -> str:
    """The card's section on how the weights came about."""
    plan, history = trainer.plan, curve(trainer.state.log_history)
    assert plan is not None
    how = f"Fine-tuned from {recipe.model.from_}" if recipe.model.from_ else "Trained from scratch"
    if recipe.model.backbone_from:
        how = f"Trained with a backbone that began as {recipe.model.backbone_from}"
    if recipe.model.train == "head":
        how += " (the head alone)"
    if recipe.distillation.teachers:
        how += f", with {' and '.join(recipe.distillation.teachers)} as its {_teachers(recipe)},"
    pictures = f"{len(trainer.loader.dataset):,} pictures"  # pyright: ignore[reportArgumentType]
    sentences = [
        f"{how} by `cvhub train {name}` on {pictures} of {_data_name(recipe)}, split {recipe.data.split}: "
        f"{plan.epochs:.4g} epochs, {plan.steps:,} steps of {plan.batch}, seed {recipe.seed}, "
        f"{duration(history[-1]['seconds'])} on {os.cpu_count()} CPU cores, which worked on it for "
        f"{duration(history[-1]['cpu_seconds'])} in sum. "
        f"`{RECIPE}` holds all settings, `{CURVES}` the loss and the learning rate step by step."
    ]
    if trainer.judge is not None:
        value, name = history[-1][f"validation_{trainer.judge.metric}"], NAMES[trainer.judge.metric]
        whence = f"the split {recipe.data.validation_split}" if recipe.data.validation_split else "the same split"
        sentences.append(
            f"On {len(trainer.judge):,} pictures of {whence}, which it was not trained on, its {name} at the end "
            f"was {value:.4f}. Choices may have been made by such numbers, so this is no test."
        )
    return "## Training\n\n" + "\n\n".join(sentences)


def _teachers(recipe: Recipe) -> str:
    taught = recipe.distillation
    if len(taught.teachers) == 1:
        return f"teacher ({taught.loss} distillation)"
    return f"teachers ({taught.loss} distillation, heard by {taught.combination} weights)"


def _data_name(recipe: Recipe) -> str:
    sources = (recipe.data.source, *recipe.words.sources)
    return recipe.data.name or AND.join(source.rstrip("/").rpartition("/")[2] for source in sources)
