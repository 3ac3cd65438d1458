"""The trainer of a student: the recipe's, with teachers who are asked about each view, or whose answers are kept."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvhub.training.answers import StoredAnswers
from cvhub.training.batches import Batches
from cvhub.training.data import Pictures
from cvhub.training.distillation import Objective
from cvhub.training.folder import public
from cvhub.training.recipe import Recipe
from cvhub.training.teachers import Teacher
from cvhub.training.trainer import RecipeTrainer

# So many pictures, spread over the set, stand for all where answers are looked up.
PROBES = 16


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
            self.stored = stored_answers(self.recipe, self.teachers, batches)

    def loss_and_terms(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = dict(inputs)
        answers = self.ask(inputs["pixel_values"], inputs.pop("keys").cpu().numpy())
        output = model(**inputs)
        student = output.get("distillation_logits")
        student = output.logits if student is None else student
        each, heard = self.objective(student, answers.to(student.device), inputs["labels"])
        parts = (heard * each).mean(0)  # (T,)
        terms = {"label_loss": output.loss.detach(), "distillation_loss": parts.detach().sum()}
        for number, (costs, part, weights) in enumerate(zip(each.detach().T, parts.detach(), heard.T, strict=True), 1):
            terms |= {f"teacher_{number}_loss": costs.mean(), f"teacher_{number}_part": part}
            terms |= {f"teacher_{number}_weight": weights.mean()}
        return (1 - self.weight) * output.loss + self.weight * parts.sum(), terms

    def ask(self, pixels: Tensor, keys: np.ndarray) -> Tensor:
        """Pixels (N, C, H, W), keys (N, 3) as `Batches` gives them → logits (T, N, K) of each teacher, float32."""
        if not self.stored:
            return torch.stack([teacher.answer(pixels) for teacher in self.teachers])
        view, rows = int(keys[0, 0]), keys[:, 1] * self.recipe.augmentation.repeats + keys[:, 2]
        return torch.stack([answers(view, rows, pixels) for answers in self.stored])


def stored_answers(recipe: Recipe, teachers: list[Teacher], batches: Batches) -> list[StoredAnswers]:
    """What is kept of each teacher's answers to the recipe's views of the pictures."""
    rows = len(batches.pictures) * recipe.augmentation.repeats
    facts = view_facts(recipe, batches)
    return [
        StoredAnswers(
            Path(recipe.distillation.answers) / folder_name(teacher.model),
            teacher,
            rows,
            {"teacher": content_digest(teacher.folder), **facts},
        )
        for teacher in teachers
    ]


def folder_name(model: str) -> str:
    """A MODEL's name as a folder's."""
    return (Path(model).name if Path(model).is_dir() else model).replace("/", "--")


def view_facts(recipe: Recipe, batches: Batches) -> dict[str, Any]:
    """What the views of the pictures follow from."""
    shared = public(recipe)
    facts: dict[str, Any] = {
        "seed": recipe.seed,
        "views": recipe.distillation.views,
        "pictures": pictures_digest(batches.pictures),
        "data": shared.data.source,
    }
    if recipe.augmentation.mixup or recipe.augmentation.cutmix:
        facts["batch"] = recipe.optimiser.batch  # whose pictures are mixed
    tables = {"picture": asdict(recipe.picture), "augmentation": asdict(recipe.augmentation)}
    return facts | {f"{table}.{key}": value for table, values in tables.items() for key, value in values.items()}


def pictures_digest(pictures: Pictures) -> str:
    """Tells these pictures from others: by their number, their order, and the pixels of some."""
    digest = hashlib.sha256(f"{len(pictures)} {pictures.rows.tolist()}".encode())
    for index in range(0, len(pictures), max(1, len(pictures) // PROBES)):
        digest.update(np.asarray(pictures[index]).tobytes())
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
