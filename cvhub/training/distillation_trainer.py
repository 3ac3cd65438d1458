"""The trainer of a student: the recipe's, with teachers who are asked about each view, or whose answers are kept."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvhub.models.losses import known
from cvhub.training.answers import StoredAnswers
from cvhub.training.batches import Loader
from cvhub.training.data import Pictures
from cvhub.training.distillation import Objective
from cvhub.training.folder import public
from cvhub.training.recipe import Recipe
from cvhub.training.teachers import Teacher
from cvhub.training.trainer import RecipeTrainer


class DistillationTrainer(RecipeTrainer):
    """Adds to the labels' loss what teachers say: (1 − λ) · labels + λ · teachers (DeiT, equations 2 and 3).

    A net with a head for the teacher, as DeiT has, learns the labels with the one and the teachers with the other; any
    other learns both with its logits. Teachers are not parameters of anything here.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        taught = self.recipe.distillation
        self.weight = taught.weight
        self.objective = Objective(taught.loss, taught.temperature, taught.combination, taught.teacher_weights)
        labels = [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]
        self.teachers = [Teacher(model, labels, self.transform) for model in taught.teachers]
        self.stored: list[StoredAnswers] = []
        if taught.answers:
            batches: Any = self.loader.dataset
            rows = len(batches.pictures) * self.recipe.augmentation.repeats
            facts = view_facts(self.recipe, self.loader, labels)
            self.stored = stored_answers(self.recipe, self.teachers, rows, facts)

    def loss_and_terms(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = dict(inputs)
        answers = self.ask(inputs["pixel_values"], inputs.pop("keys").cpu().numpy())
        output = model(**inputs)
        of_labels = output.loss * self.share_of_known(inputs["labels"])
        student = output.get("distillation_logits")
        student = output.logits if student is None else student
        each, heard = self.objective(student, answers.to(student.device), inputs["labels"])
        parts = (heard * each).mean(0)  # (T,)
        terms = {"label_loss": of_labels.detach(), "distillation_loss": parts.detach().sum()}
        for number, (costs, part, weights) in enumerate(zip(each.detach().T, parts.detach(), heard.T, strict=True), 1):
            terms |= {f"teacher_{number}_loss": costs.mean(), f"teacher_{number}_part": part}
            terms |= {f"teacher_{number}_weight": weights.mean()}
        return (1 - self.weight) * of_labels + self.weight * parts.sum(), terms

    def seconds_a_step(self) -> float:
        """On average over the run: where answers are kept, a teacher is asked about each view once."""
        first = super().seconds_a_step()
        if not self.stored:
            return first
        later = super().seconds_a_step()  # of the same batches, about which all is known now
        seconds, asked = 60 * self.recipe.budget.minutes, self.recipe.distillation.views * len(self.loader)
        steps = max(seconds / first, (seconds - asked * max(0.0, first - later)) / later)
        return seconds / steps

    def share_of_known(self, labels: Tensor) -> Tensor | float:
        """What the mean over this process's known labels counts, so that the processes' mean is that over all."""
        if self.recipe.data.labelled == 1 or self.args.world_size == 1:
            return 1.0
        here = known(labels).sum().float()
        everywhere: Any = self.accelerator.reduce(here, "mean")
        return here / everywhere.clamp(min=1 / self.args.world_size)

    def ask(self, pixels: Tensor, keys: np.ndarray) -> Tensor:
        """Pixels (N, C, H, W), keys (N, 3) as `Batches` gives them → logits (T, N, K) of each teacher, float32."""
        if not self.stored:
            return torch.stack([teacher.answer(pixels) for teacher in self.teachers])
        view, rows = int(keys[0, 0]), keys[:, 1] * self.recipe.augmentation.repeats + keys[:, 2]
        return torch.stack([answers(view, rows, pixels) for answers in self.stored])


def stored_answers(recipe: Recipe, teachers: list[Teacher], rows: int, facts: dict[str, Any]) -> list[StoredAnswers]:
    """What is kept of each teacher's answers to the recipe's views of the pictures, so many rows each."""
    place = Path(recipe.distillation.answers)
    return [
        StoredAnswers(place / name, teacher, rows, {"teacher": content_digest(teacher.folder), **facts})
        for name, teacher in zip(folder_names([teacher.model for teacher in teachers]), teachers, strict=True)
    ]


def folder_names(models: list[str]) -> list[str]:
    """MODELs' names as folders'; of two that lie in folders of one name the second has its number."""
    names = [(Path(model).resolve().name if Path(model).is_dir() else model).replace("/", "--") for model in models]
    return [f"{name}-{number}" if name in names[: number - 1] else name for number, name in enumerate(names, 1)]


def view_facts(recipe: Recipe, loader: Loader, labels: list[str]) -> dict[str, Any]:
    """What the views of the pictures follow from, and what is asked about them."""
    batches: Any = loader.dataset
    deal: Any = loader.batch_sampler
    shared = public(recipe)
    facts: dict[str, Any] = {
        "seed": recipe.seed,
        "views": recipe.distillation.views,
        "pictures": pictures_digest(batches.pictures),
        "data": shared.data.source,
        "classes": labels,
    }
    if recipe.augmentation.mixup or recipe.augmentation.cutmix:
        facts["batch"] = deal.batch  # whose pictures are mixed, which may be less than the recipe's
    tables = {"picture": asdict(recipe.picture), "augmentation": asdict(recipe.augmentation)}
    return facts | {f"{table}.{key}": value for table, values in tables.items() for key, value in values.items()}


def pictures_digest(pictures: Pictures) -> str:
    """Tells these pictures from others: by their order, their files, and how they are decoded."""
    digest = hashlib.sha256(f"{pictures.rows.tolist()} {pictures.mode} {pictures.shorter_side}".encode())
    for index in range(len(pictures)):
        digest.update(hashlib.sha256(pictures.file(index)).digest())
    return digest.hexdigest()[:16]


def content_digest(folder: Path) -> str:
    """Tells a model's weights and settings from others, wherever they lie."""
    digest = hashlib.sha256()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        file = folder / name
        if file.is_file():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]
