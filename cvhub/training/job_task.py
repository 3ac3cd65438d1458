"""One task of a job, in a process of its own: `python -m cvhub.training.job_task FOLDER NAME`.

FOLDER is the job's. `NAME.json` in it says what to do: train by a recipe, or make a teacher of a catalogue's model by
giving it the classes of the pictures. What comes of it is the folder NAME; while a net is trained, `NAME.answers.npy`
holds what it says of the pictures that are held out. A failure is a sentence in `NAME.error`.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cvhub.errors import CvhubError, one_line
from cvhub.inference.classify import Classifier
from cvhub.training.data import load_pictures
from cvhub.training.disk import writing
from cvhub.training.few_shot import frozen_features, learn_classes, write_model
from cvhub.training.judging import ClassifierJudge
from cvhub.training.recipe import Data
from cvhub.training.recipe_file import read_recipe
from cvhub.training.run import train
from cvhub.training.trainer import RecipeTrainer

# Pictures that a teacher learns its classes from, about so many and of each class at least so many; more would not
# change a linear layer much.
MOST_LEARNED, LEAST_OF_A_CLASS = 1000, 2


class Showing(TrainerCallback):
    """Writes what the net answers, for who looks on; and ends with the process that started this one."""

    def __init__(self, trainer: RecipeTrainer, file: Path):
        self.trainer = trainer
        self.file = file
        self.parent = os.getppid()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if os.getppid() != self.parent:
            os._exit(1)  # nobody is left to stop it; its last checkpoint is there

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        judge = self.trainer.judge
        if not isinstance(judge, ClassifierJudge) or "eval_loss" not in kwargs["logs"]:
            return
        made = self.file.with_suffix(".partial")
        with writing("What the net answers"):
            with made.open("wb") as opened:
                np.save(opened, judge.answers)
            made.replace(self.file)


def main(arguments: list[str] | None = None) -> int:
    folder, name = arguments or sys.argv[1:]
    error = Path(folder) / f"{name}.error"
    try:
        run(Path(folder), name)
    except CvhubError as failure:
        error.write_text(str(failure), encoding="utf-8")
    except Exception as failure:
        error.write_text(f"The run failed unexpectedly ({type(failure).__name__}: {one_line(failure)}).", "utf-8")
        raise
    else:
        return 0
    return 1


def run(folder: Path, name: str) -> None:
    task = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    if "teacher" in task:
        make_teacher(task["teacher"], Data(**task["data"]), folder / name)
    else:
        train(read_recipe(task["recipe"]), folder / name, name, partial(_showing, folder / f"{name}.answers.npy"))


def _showing(file: Path, trainer: RecipeTrainer) -> Showing:
    return Showing(trainer, file)


def make_teacher(model: str, data: Data, folder: Path) -> None:
    """`model` under a new head for the classes of `data`, in `folder`; a teacher that is there already stays."""
    if folder.exists():
        return
    classifier = Classifier(model)
    pictures = load_pictures(data, classifier.processor.mode)
    few = draw(pictures.train.targets)
    features = frozen_features(classifier, [pictures.train[int(index)] for index in few])
    learned = learn_classes(features, pictures.train.targets[few].tolist(), pictures.labels)
    write_model(folder, str(classifier.folder), learned, f"{model}, taught {', '.join(pictures.labels)}"[:80], model)


def draw(targets: np.ndarray) -> np.ndarray:
    """Indices of some pictures by their classes (N,): the same share of each class."""
    share, chance = min(1.0, MOST_LEARNED / len(targets)), np.random.default_rng(0)
    classes = (np.flatnonzero(targets == target) for target in np.unique(targets))
    return np.concatenate(
        [chance.permutation(members)[: max(LEAST_OF_A_CLASS, round(share * len(members)))] for members in classes]
    )


if __name__ == "__main__":
    sys.exit(main())
