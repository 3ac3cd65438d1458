"""Trains and judges the students of docs/distillation.md: `python -m docs.students DATA`, DATA being EuroSAT.

A row of the table is a recipe of `cvhub/training/recipes/students/`, which `cvhub train students/ROW data=DATA` runs,
with one seed or three. Teachers' answers are kept for all runs of a seed that cut tiles alike. Each run is judged on
the test split once it is finished; results are written into cvhub/explain/students/, and what they say together into
that page and the READMEs. What is there already is left as it is, and a run that was interrupted goes on when the same
command is given again. `--only NAME …` makes some of them, `--list` names all.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.explain.figures.students import FOLDER, ROWS, TEACHERS, Student, made, read_students
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe
from cvhub.ui.figures import students as figure
from cvhub.ui.strings import speaker
from docs.curves import Script, keep, run_command

BATCH_JUDGED = 200
ROOT = Path(__file__).parents[1]
PAGES = {ROOT / "docs" / "distillation.md": "en", ROOT / "README.md": "en", ROOT / "README.zh.md": "zh"}
TABLE = re.compile(r"(?<=<!-- made by docs/students.py -->\n).*?(?=<!-- end -->)", re.DOTALL)

# Run → recipe and seed.
RUNS: dict[str, tuple[str, int]] = {
    f"{row}-{seed}": (row, seed) for row, seeds in ROWS.items() for seed in range(seeds)
}


def main(arguments: list[str] | None = None) -> None:
    experiments = {row: tuple(run for run, (name, _) in RUNS.items() if name == row) for row in ROWS}
    run_command(arguments, Script("students", __doc__, "EuroSAT", experiments, RUNS, FOLDER, read_students, make))
    for page, language in PAGES.items():
        page.write_text(TABLE.sub(table(language), page.read_text(encoding="utf-8")), encoding="utf-8")


def table(language: str) -> str:
    """Of the runs that ship, in Markdown: what the tab's third view shows."""
    say = speaker(language)
    rows = [
        [figure.title(say, name), *(cell.written for cell in cells)]
        for name, cells in figure.lines_of(say, made()).items()
    ]
    lines = [figure.heads_of(say), [":---", *["---:"] * 5], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def recipe_of(run: str, source: str, answers: Path) -> Recipe:
    row, seed = RUNS[run]
    recipe = load_recipe(f"students/{row}", [f"data.source={source}", f"seed={seed}"])
    if recipe.distillation.teachers:
        kept = str(answers / f"seed-{seed}-crop-{recipe.augmentation.crop_scale[0]:g}")
        recipe = replace(recipe, distillation=replace(recipe.distillation, answers=kept))
    return recipe


def make(run: str, source: str, work: Path, into: Path) -> None:
    """Trains, judges, and writes all that is kept of the run, the line in runs.json last."""
    from cvhub.training.run import train

    row, seed = RUNS[run]
    outcome = train(recipe_of(run, source, work.parent / "answers"), work, f"students/{row}")
    judged = Student(
        run, row, seed, steps=outcome.steps, cpu_seconds=round(outcome.cpu_seconds, 1), **judge(work, source)
    )
    keep(work, into, read_students(into) | {run: judged}, list(RUNS))
    told = ", ".join(f"{head} {100 * accuracy:.2f} %" for head, accuracy in judged.accuracies.items())
    print(f"{run}: {told}, {judged.cpu_seconds / 60:.1f} processor minutes")


def judge(folder: Path, source: str) -> dict[str, Any]:
    """What the finished net is worth on the test split: by head, beside each teacher, and how sure it is."""
    import torch

    from cvhub.evaluation.dataset import open_split
    from cvhub.evaluation.metrics import Tally
    from cvhub.load import load_model, load_processor
    from cvhub.training.data import Pictures
    from cvhub.training.recipe import Data

    split = open_split(source, "test", streaming=False)
    targets = np.asarray([split.label_of(value, i) for i, value in enumerate(split.rows[split.target_column])])
    processor = load_processor(str(folder))
    pictures = Pictures(split, np.arange(len(targets)), targets, processor.mode, Data())
    nets = {"": load_model(str(folder))} | {teacher: load_model(teacher) for teacher in TEACHERS}
    transforms = {"": processor} | {teacher: load_processor(teacher) for teacher in TEACHERS}
    said: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(pictures), BATCH_JUDGED):
        images = [pictures[index] for index in range(start, min(start + BATCH_JUDGED, len(pictures)))]
        for name, net in nets.items():
            with torch.inference_mode():
                output = net(torch.from_numpy(transforms[name](images)))
            for head in ("logits", "cls_logits", "distillation_logits") if not name else ("logits",):
                if output.get(head) is not None:
                    said.setdefault(name or head, []).append(output[head].double().numpy())
    logits = {name: np.concatenate(parts) for name, parts in said.items()}
    tally = Tally(range(len(split.classes)), len(split.classes))
    for row, target in zip(logits["logits"], targets, strict=True):
        tally.add(row, int(target))
    found = {name: values.argmax(1) for name, values in logits.items()}
    names = {"logits": "mean", "cls_logits": "class", "distillation_logits": "distillation"}
    heads = {names[name]: found[name] for name in names if name in found}
    if "distillation" not in heads:  # of one head there is no mean
        heads = {"class": heads["mean"]}
    return {
        "parameters": nets[""].num_parameters(),
        "tested": len(targets),
        "accuracies": {head: round(float((answers == targets).mean()), 5) for head, answers in heads.items()},
        "agreements": {teacher: round(float((found["logits"] == found[teacher]).mean()), 5) for teacher in TEACHERS},
        "calibration_error": round(tally.expected_calibration_error, 5),
    }


if __name__ == "__main__":
    try:
        main()
    except CvhubError as error:
        sys.exit(f"error: {error}")
