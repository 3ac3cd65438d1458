"""What ReLU6 does for a net in 8 bits: `python -m docs.relu6 DATA`, DATA being EuroSAT, a folder or a Hub id.

Two nets, `cvhub train eurosat_mobilenet_v2` for fewer epochs, differ in nothing but their activation. Each is rounded
as `--precision int8` does it, and measured on the test split. Results are written into cvhub/explain/relu6/. What is
there already is left as it is, and a run that was interrupted goes on when the same command is given again. `--only
NAME …` makes some of them, `--list` names all.
"""

import sys
from pathlib import Path

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.calibration import calibration_pictures
from cvhub.evaluation.dataset import open_split, opened
from cvhub.explain.figures.relu6 import FOLDER, Rounded, read_rounded
from cvhub.inference.classify import Classifier
from cvhub.inference.quantisation import calibrate
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe
from docs.curves import Script, keep, run_command

RECIPE = "eurosat_mobilenet_v2"
EPOCHS = 5
ACTIVATIONS = {"relu6": "relu6", "relu": "relu"}  # run → activation


def main(arguments: list[str] | None = None) -> None:
    experiments = {name: (name,) for name in ACTIVATIONS}
    run_command(arguments, Script("relu6", __doc__, "EuroSAT", experiments, ACTIVATIONS, FOLDER, read_rounded, make))


def recipe_of(name: str, source: str) -> Recipe:
    changes = [f"data.source={source}", f"model.config.activation={ACTIVATIONS[name]}", f"budget.epochs={EPOCHS}"]
    return load_recipe(RECIPE, changes)


def make(name: str, source: str, work: Path, into: Path) -> None:
    """Trains, rounds, measures, and writes all that is kept of the run, the line in runs.json last."""
    from cvhub.training.run import train

    outcome = train(recipe_of(name, source), work, RECIPE)
    calibrate(str(work), calibration_pictures(source, work), Path(source).name)
    exact, labels = answers(work, "fp32", source)
    rounded, _ = answers(work, "int8", source)
    classes, coarse = exact.argmax(1), rounded.argmax(1)
    made = Rounded(
        name,
        ACTIVATIONS[name],
        outcome.steps,
        round(outcome.cpu_seconds, 1),
        len(labels),
        fp32=int((classes == labels).sum()),
        int8=int((coarse == labels).sum()),
        same=int((classes == coarse).sum()),
        off=round(float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact)), 4),
    )
    keep(work, into, read_rounded(into) | {name: made}, list(ACTIVATIONS))
    print(f"{name}: of {made.n} pictures {made.fp32} in fp32, {made.int8} in int8, {made.same} the same")


def answers(folder: Path, precision: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) and labels (N,) of the test split."""
    classifier, split = Classifier(str(folder), "openvino", precision), open_split(source)
    numbers = [classifier.labels.index(name) for name in split.classes]
    logits, labels = [], []
    for picture, answer in classifier.answers(split, opened):
        if isinstance(answer, str):
            raise CvhubError(f"row {picture.number} of {source}: {answer}")
        logits.append(answer.logits)
        labels.append(numbers[picture.label])
    return np.stack(logits), np.asarray(labels)


if __name__ == "__main__":
    try:
        main()
    except CvhubError as error:
        sys.exit(f"error: {error}")
