"""The sweep of docs/distillation.md: `python -m docs.student_sweep DATA`, DATA being EuroSAT.

Each of three students learns for a quarter of its epochs with several learning rates, and with more weight decay, and
is judged on what is held out of the tiles to train on, never on the test split. Results are written into
cvhub/explain/students/sweep.csv, a line a run, and into the page; what is there already is left as it is, and an
interrupted run goes on.
"""

import csv
import re
import sys
from pathlib import Path

from cvhub.errors import CvhubError
from cvhub.explain.figures.students import FOLDER
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe
from docs.curves import Script, run_command

FILE = "sweep.csv"
COLUMNS: tuple[str, ...] = ("run", "recipe", "lr", "weight_decay", "epochs", "validation_accuracy", "cpu_seconds")
ROWS = ("plain", "recipe", "hard_conv")
SETTINGS = ((1e-3, 0.05), (2e-3, 0.05), (4e-3, 0.05), (2e-3, 0.2))  # learning rate, weight decay
PART = 4  # of the epochs one in so many
PAGE = Path(__file__).parent / "distillation.md"
TABLE = re.compile(r"(?<=<!-- made by docs/student_sweep.py -->\n).*?(?=<!-- end -->)", re.DOTALL)

# Run → recipe, learning rate and weight decay.
RUNS: dict[str, tuple[str, float, float]] = {
    f"{row}-{lr:g}-{decay:g}": (row, lr, decay) for row in ROWS for lr, decay in SETTINGS
}


def main(arguments: list[str] | None = None) -> None:
    experiments = {row: tuple(run for run, (name, _, _) in RUNS.items() if name == row) for row in ROWS}
    run_command(arguments, Script("student_sweep", __doc__, "EuroSAT", experiments, RUNS, FOLDER, read_sweep, make))
    PAGE.write_text(TABLE.sub(table(read_sweep()), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def table(lines: dict[str, dict[str, str]]) -> str:
    """A row a student, a column a setting, each with the accuracy on what is held out; – where none was made."""
    heads = ["recipe", *(f"rate {lr:g}, decay {decay:g}" for lr, decay in SETTINGS)]
    rows = [heads, [":---", *["---:"] * len(SETTINGS)]]
    for row in ROWS:
        found = (lines.get(f"{row}-{lr:g}-{decay:g}") for lr, decay in SETTINGS)
        rows.append([f"`students/{row}`", *(_percent(line["validation_accuracy"]) if line else "–" for line in found)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _percent(share: str) -> str:
    return f"{100 * float(share):.1f} %"


def read_sweep(into: Path = FOLDER) -> dict[str, dict[str, str]]:
    """Run → its line, of those that were made."""
    file = into / FILE
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as opened:
        return {line["run"]: line for line in csv.DictReader(opened)}


def recipe_of(run: str, source: str, answers: Path) -> Recipe:
    row, lr, decay = RUNS[run]
    whole = load_recipe(f"students/{row}")
    epochs = whole.budget.epochs / PART
    changed = [
        f"data.source={source}",
        f"lr={lr}",
        f"weight_decay={decay}",
        f"epochs={epochs}",
        f"validate_every={epochs}",
    ]
    if whole.distillation.teachers:
        changed += [f"answers={answers}", f"views={round(epochs)}"]
    return load_recipe(f"students/{row}", changed)


def make(run: str, source: str, work: Path, into: Path) -> None:
    from cvhub.training.run import train

    recipe = recipe_of(run, source, work.parent / "sweep-answers")
    outcome = train(recipe, work, run)
    values = (run, *RUNS[run], recipe.budget.epochs, outcome.validation_accuracy, round(outcome.cpu_seconds, 1))
    lines = read_sweep(into)
    lines[run] = dict(zip(COLUMNS, map(str, values), strict=True))
    into.mkdir(parents=True, exist_ok=True)
    partial = into / f"{FILE}.partial"
    with partial.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines[name] for name in RUNS if name in lines)
    partial.replace(into / FILE)
    print(f"{run}: {100 * (outcome.validation_accuracy or 0):.2f} % of what is held out")


if __name__ == "__main__":
    try:
        main()
    except CvhubError as error:
        sys.exit(f"error: {error}")
