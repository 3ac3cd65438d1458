"""Trains what the page's curves of U-Nets show: `python -m docs.dense_curves DATA`, DATA being the nuclei, a folder or
a Hub id.

Each run is a recipe of `cvhub train`, below, made to take less than 10 minutes on 2 idle cores. No clock ends it: all
see as many pictures. At the start and after each tenth of the budget the net is measured: the loss of each supervised
level, the gradient that reaches each level of the contracting path, IoU and boundary F of what is held out. Results are
written into cvhub/explain/dense_curves/. What is there already is left as it is, and a run that was interrupted goes on
when the same command is given again. `--only NAME …` makes some of them, runs or experiments, and `--list` names all.
"""

import json
import sys
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cvhub.errors import CvhubError
from cvhub.evaluation.dense_metrics import BoundaryTally, SemanticTally
from cvhub.evaluation.truth import IGNORED
from cvhub.explain.figures.dense_curves import EXPERIMENTS, FOLDER, DenseRun, Tenth, read_runs, read_tenth
from cvhub.load import load_model
from cvhub.models.unet import ContractingPath
from cvhub.training.batches import Key, borrowed_chance
from cvhub.training.dense import MaskedBatches, MaskedPictures, load_masked_pictures
from cvhub.training.nets import picture_transform
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import read_recipe
from cvhub.training.run import train
from docs.curves import Script, keep, run_command

EPOCHS = 20
PROBED = 16  # pictures of the batch whose losses and gradients are measured
TENTHS = "tenths.json"

COMMON: dict[str, Any] = {
    "data": {
        "name": "nuclei",
        "target": "instances",
        "map": {"0": "background", "*": "nucleus"},
        "holdout": "image_id:0.1:0",
        "validation": 0.1,
    },
    "picture": {"size": 128},
    "augmentation": {
        "crop_scale": [0.25, 0.5],
        "crop_ratio": [0.9, 1.1],
        "flip_horizontal": 0.5,
        "quarter_turns": True,
        "colour_jitter": 0.3,
        "invert": 0.2,
    },
    "optimiser": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.02, "batch": 16, "warmup_epochs": 1, "clip": 1.0},
    "budget": {"epochs": EPOCHS, "validate_every": EPOCHS / 10},
}
UNET = {
    "num_channels": 3,
    "widths": [12, 24, 48, 96, 192],
    "padding": True,
    "batch_norm": True,
    "dropout": 0.0,
    "loss": "bce_dice",
}
SUPERVISED = {"auxiliary_weights": [0.5, 0.25, 0.125]}
# The contracting path of `cvhub train nuclei_unet`: EfficientNet-Lite0 down to a sixteenth of the picture.
LITE0 = {
    "upsampling": "nearest",
    "decoder_widths": [96, 64, 32, 16],
    "backbone": {
        "head_channels": 0,
        "rows": [[1, 16, 1, 1, 3], [6, 24, 2, 2, 3], [6, 40, 2, 2, 5], [6, 80, 3, 2, 3], [6, 112, 3, 1, 5]],
    },
}

# name: the fields of its net
NETS: dict[str, dict[str, Any]] = {
    "unet": UNET,
    "supervised": UNET | SUPERVISED,
    "no_norm": UNET | {"batch_norm": False},
    "supervised_no_norm": UNET | SUPERVISED | {"batch_norm": False},
    "no_skips": UNET | {"skip_connections": False},
    "pretrained": UNET | SUPERVISED | LITE0,
}
# What else the recipe of a net with a backbone says: where its weights come from, and how they know pictures.
WITH_BACKBONE: dict[str, dict[str, Any]] = {
    "model": {"backbone_from": "efficientnet_lite0"},
    "picture": {"mean": [0.498] * 3, "std": [0.502] * 3},
}


class Probe(TrainerCallback):
    """Measures the net at the start and after each tenth, and keeps what it found in `file`, where a run that goes on
    finds it again."""

    def __init__(self, batch: dict[str, Tensor], held_out: MaskedPictures, transform: Any, file: Path):
        self.batch, self.held_out, self.transform, self.file = batch, held_out, transform, file
        self.found: dict[int, Tenth] = {}
        if file.is_file():
            rows = map(read_tenth, json.loads(file.read_text(encoding="utf-8")))
            self.found = {row.tenth: row for row in rows}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 0:
            self._measure(0, 0, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        step, steps = state.global_step, state.max_steps
        if 10 * step // steps > 10 * (step - 1) // steps:
            self._measure(10 * step // steps, step, kwargs["model"])

    def _measure(self, tenth: int, step: int, model: Any) -> None:
        with borrowed_chance():
            net = deepcopy(model).float()
            losses, gradient, supervised = probe(net.train(), self.batch)
            iou, boundary_f = judge(deepcopy(model).float().eval(), self.held_out, self.transform)
        self.found[tenth] = Tenth(tenth, step, losses, gradient, supervised, iou, boundary_f)
        rows = [asdict(row) for _, row in sorted(self.found.items())]
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(rows), encoding="utf-8")
        partial.replace(self.file)


def probe(net: Any, batch: dict[str, Tensor]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """The loss of each level, and the gradient of each level of the contracting path: of the main loss, and of all."""
    with torch.enable_grad():
        output = net(**batch)
        levels = contracting_levels(net.base_model.encoder)
        main, together = (
            tuple(_round(norm(torch.autograd.grad(loss, level, retain_graph=True))) for level in levels)
            for loss in (output.losses[0], output.loss)
        )
    return tuple(_round(loss.item()) for loss in output.losses), main, together


def contracting_levels(encoder: Any) -> list[list[Tensor]]:
    """The weights of each level of a contracting path, the finest first; a backbone's stem goes with its first."""
    if isinstance(encoder, ContractingPath):
        return [list(level.parameters()) for level in encoder.levels]
    levels = [list(stage.parameters()) for stage in encoder.stages]
    return [[*encoder.stem.parameters(), *levels[0]], *levels[1:]]


def norm(gradients: tuple[Tensor, ...]) -> float:
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


@torch.inference_mode()
def judge(net: Any, pictures: MaskedPictures, transform: Any) -> tuple[float, float]:
    """IoU of the foreground and boundary F, over all pixels of `pictures`."""
    semantic, boundary = SemanticTally(2, IGNORED), BoundaryTally(2, ignore_index=IGNORED)
    for index in range(len(pictures)):
        image, masks = pictures[index]
        classes = net(torch.from_numpy(transform([image]))).logits[0].argmax(0).numpy()
        semantic.add(classes, masks.labels)
        boundary.add(classes, masks.labels)
    return _round(semantic.iou), _round(boundary.mean_f)


def _round(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def recipe_of(name: str, source: str = "") -> Recipe:
    data = COMMON["data"] | {"source": source}
    model, picture = {"family": "unet", "config": NETS[name]}, COMMON["picture"]
    if "backbone" in NETS[name]:
        model, picture = model | WITH_BACKBONE["model"], picture | WITH_BACKBONE["picture"]
    about = f"A curve of the page's Segment tab: {name}"
    return read_recipe(COMMON | {"data": data, "model": model, "picture": picture, "about": about})


def make(name: str, source: str, work: Path, into: Path) -> None:
    """Trains, and writes all that is kept of the run, the line in runs.json last."""
    recipe = recipe_of(name, source)
    transform = picture_transform(recipe)
    pictures = load_masked_pictures(recipe.data, transform.mode)
    assert pictures.held_out is not None
    batches = MaskedBatches(pictures.train, transform, recipe.augmentation, recipe.picture.size, False, recipe.seed)
    batch = batches.__getitems__([Key(0, 0, index) for index in range(min(PROBED, len(pictures.train)))])
    work.parent.mkdir(parents=True, exist_ok=True)
    watch = Probe(batch, pictures.held_out, transform, work.with_name(f"{name}.{TENTHS}"))
    outcome = train(recipe, work, name, lambda _: watch)
    parameters = load_model(str(work)).num_parameters()
    weights = tuple(recipe.model.config.get("auxiliary_weights", ()))
    tenths = tuple(row for _, row in sorted(watch.found.items()))
    seconds = round(outcome.cpu_seconds, 1)
    run = DenseRun(name, parameters, len(pictures.train), outcome.epochs, outcome.steps, seconds, weights, tenths)
    keep(work, into, read_runs(into) | {name: run}, list(NETS))
    read_runs.cache_clear()
    print(
        f"{name}: IoU {run.last.iou:.4f}, boundary F {run.last.boundary_f:.4f}, {run.cpu_seconds:.0f} processor seconds"
    )


def main(arguments: list[str] | None = None) -> None:
    run_command(arguments, Script("dense_curves", __doc__, "the nuclei", EXPERIMENTS, NETS, FOLDER, read_runs, make))


if __name__ == "__main__":
    try:
        main()
    except CvhubError as error:
        sys.exit(f"error: {error}")
