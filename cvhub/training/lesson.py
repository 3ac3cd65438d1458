"""A lesson: one student alone and the same with teachers, side by side, on a small budget. The page gives lessons."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cvhub.cache import build_once, cache_dir
from cvhub.errors import CvhubError
from cvhub.load import labels_of, resolve
from cvhub.training.digits import write_digits
from cvhub.training.jobs import Stages, Task, TeacherTask, TrainingTask
from cvhub.training.recipe import Data, Recipe
from cvhub.training.recipe_file import read_recipe

ALONE, TAUGHT = "alone", "taught"
DATA = ("digits", "eurosat", "own")
EUROSAT = "timm/eurosat-rgb"
EUROSAT_SHARE = 0.12  # of the Hub's 16,200 tiles to train on: so many as some minutes have time for
SECONDS = (20, 600)
VIEWS = 16  # of each picture: once teachers have answered about them, a step costs no teacher

# Widths, layers and heads.
STUDENTS = {"small": (48, 3, 3), "medium": (96, 4, 3), "large": (144, 6, 3)}


@dataclass(frozen=True)
class Lesson:
    """What is taught, to whom, by whom and how.

    - `data`: "digits", "eurosat", or "own", a folder of class folders in the job's folder.
    - `teachers`: one or two MODELs; one that doesn't know the classes by name learns them first.
    - `student`: of STUDENTS. `seconds` of training, of each student. The rest is as `[distillation]` has it.
    """

    data: str = "digits"
    teachers: tuple[str, ...] = ("digits_resnet",)
    student: str = "medium"
    loss: str = "hard"
    temperature: float = 3.0
    weight: float = 0.5
    combination: str = "fixed"
    seconds: int = 60
    classes: tuple[str, ...] = field(default=())  # of own pictures

    def __post_init__(self) -> None:
        low, high = SECONDS
        if not low <= self.seconds <= high:
            raise CvhubError(f"The budget is {self.seconds} seconds, expected {low} to {high}.")
        if not 1 <= len(self.teachers) <= 2:
            raise CvhubError(f"There are {len(self.teachers)} teachers, expected one or two.")
        for name, value, known in (("data", self.data, DATA), ("student", self.student, tuple(STUDENTS))):
            if value not in known:
                raise CvhubError(f"{name} is {value!r}, expected one of {', '.join(known)}.")

    def of_classes(self, counts: dict[str, int]) -> "Lesson":
        """The same of own pictures with these classes, each with its number of pictures."""
        return replace(self, classes=tuple(sorted(counts)))


def plan(lesson: Lesson, folder: Path) -> Stages:
    """What a job in `folder` has to do. Own pictures lie in its folder `pictures`."""
    data, classes = source_of(lesson, folder)
    first: list[Task] = []
    teachers = []
    for number, model in enumerate(lesson.teachers, 1):
        if knows(model, classes):
            teachers.append(model)
        else:
            first.append(TeacherTask(f"teacher_{number}", model, data))
            teachers.append(str(folder / f"teacher_{number}"))
    students: list[Task] = [
        TrainingTask(ALONE, recipe(lesson, data, (), folder)),
        TrainingTask(TAUGHT, recipe(lesson, data, tuple(teachers), folder)),
    ]
    return [first, students] if first else [students]


def source_of(lesson: Lesson, folder: Path) -> tuple[Data, tuple[str, ...]]:
    """Where the pictures are, and the names of their classes."""
    if lesson.data == "digits":
        # The teachers have learnt from all that is no test.
        return Data(source=str(digits_folder()), name="digits", validation_split="test"), tuple("0123456789")
    if lesson.data == "eurosat":
        classes = tuple(labels_of(resolve("eurosat_resnet")))
        return Data(source=EUROSAT, name="eurosat", validation=0.02, share=EUROSAT_SHARE), classes
    own = Data(source=str(folder / "pictures"), name="own pictures", validation=0.2, shorter_side=96)
    return own, lesson.classes


def digits_folder() -> Path:
    return build_once(cache_dir() / "datasets" / "digits", write_digits)


def knows(model: str, classes: tuple[str, ...]) -> bool:
    from cvhub.evaluation.classes import match_classes

    try:
        match_classes(classes, labels_of(resolve(model)))
    except CvhubError:
        return False
    return True


def recipe(lesson: Lesson, data: Data, teachers: tuple[str, ...], folder: Path) -> Recipe:
    """The student's; without teachers it is the same net but for what only they would train."""
    digits = lesson.data == "digits"
    side, patch = (16, 4) if digits else (64, 8)
    width, layers, heads = STUDENTS[lesson.student]
    config: dict[str, Any] = {
        "num_channels": 1 if digits else 3,
        "image_size": side,
        "patch_size": patch,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 3 * width,
        "distillation": "head" if teachers else "none",
        "drop_path_rate": 0.0,
    }
    tables = {
        "picture": {"size": side},
        "model": {"family": "deit", "config": config},
        "augmentation": {"crop_scale": [0.6, 1.0], "flip_horizontal": 0.0 if digits else 0.5},
        "optimiser": {"lr": 2e-3, "batch": 64, "ema": 0.98, "clip": 1.0, "warmup_epochs": 1},
        "budget": {"minutes": lesson.seconds / 60, "save_minutes": 0.1, "validate_every": 0.5},
        "result": {"title": f"DeiT, {'distilled' if teachers else 'alone'}, on {data.name}"},
    }
    if teachers:
        tables["distillation"] = {
            "teachers": teachers,
            "loss": lesson.loss,
            "temperature": lesson.temperature,
            "weight": lesson.weight,
            "combination": lesson.combination,
            "views": VIEWS,
            "answers": str(folder / "answers"),
        }
    return replace(read_recipe(tables), data=data)
