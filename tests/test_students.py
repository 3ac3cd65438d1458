"""The runs of students that ship: each is what its recipe leaves, and the view says what they say."""

import json
import re
import tomllib
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from cvhub.explain.figures import students
from cvhub.explain.figures.students import FOLDER, ROWS, RUNS, TEACHERS, Student, read_students
from cvhub.training.curves import read_curve
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe, read_recipe, recipe_text
from cvhub.ui.figures import students as figure
from cvhub.ui.strings import speaker
from docs import student_sweep as sweep
from docs import students as script

MADE = read_students()


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_recipe_with_its_name_in_both_languages(row: str) -> None:
    recipe = load_recipe(f"students/{row}")
    assert recipe.about.startswith("Students: ")
    for language in ("en", "zh"):
        assert speaker(language)(f"students_row_{row}")
    assert figure.STARTS.get(row, "plain") in ROWS
    assert bool(recipe.distillation.teachers) == (row not in ("plain", "recipe", "mobilenet_v2", "few_labels")) or (
        row.startswith(("with_", "without_")) and not recipe.distillation.teachers
    )


def without_place(recipe: Recipe) -> Recipe:
    """But for where data and answers lay, and the seed."""
    data, taught = recipe.data, recipe.distillation
    return replace(recipe, seed=0, data=replace(data, source=""), distillation=replace(taught, answers=""))


@pytest.mark.parametrize("name", MADE)
def test_what_ships_is_what_the_recipes_leave(name: str) -> None:
    run = MADE[name]
    made = read_recipe(tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")))
    assert without_place(made) == without_place(load_recipe(f"students/{run.row}"))
    assert made.seed == run.seed
    assert script.RUNS[name] == (run.row, run.seed)
    last = read_curve(FOLDER / f"{name}.csv")[-1]
    assert last["step"] == run.steps
    assert last["cpu_seconds"] == pytest.approx(run.cpu_seconds, abs=0.1)
    assert set(run.agreements) == set(TEACHERS)


@pytest.mark.parametrize("page", script.PAGES, ids=lambda page: page.name)
def test_the_page_has_the_table_of_what_ships(page: Path) -> None:
    found = script.TABLE.search(page.read_text(encoding="utf-8"))
    assert found
    assert found[0] == script.table(script.PAGES[page]), "see docs/students.py"


def test_the_sweep_that_ships_is_whole_and_stands_on_the_page() -> None:
    lines = sweep.read_sweep()
    assert list(lines) == list(sweep.RUNS)
    for name, line in lines.items():
        recipe = sweep.recipe_of(name, "eurosat", Path("answers"))
        assert (line["recipe"], float(line["lr"])) == (sweep.RUNS[name][0], recipe.optimiser.lr)
        assert (float(line["weight_decay"]), float(line["epochs"])) == (
            recipe.optimiser.weight_decay,
            recipe.budget.epochs,
        )
    found = sweep.TABLE.search(sweep.PAGE.read_text(encoding="utf-8"))
    assert found
    assert found[0] == sweep.table(lines), "see docs/student_sweep.py"


def student(row: str, seed: int, accuracy: float) -> Student:
    return Student(
        f"{row}-{seed}", row, seed, 2_800_000, 10, 600.0, 2000, {"class": accuracy}, dict.fromkeys(TEACHERS, 0.9), 0.05
    )


def test_the_view_gives_means_and_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "recipe": (student("recipe", 0, 0.86), student("recipe", 1, 0.88)),
        "soft_conv": (student("soft_conv", 0, 0.92),),
    }
    monkeypatch.setattr(students, "made", lambda: rows)
    for cost in ("minutes", "parameters", "latency"):
        drawing = figure.draw(speaker("en"), cost)
        assert "DeiT, soft, VGG 92.0 %, ViT, recipe after DeiT's 87.0 %" in drawing.see
        assert "87.0 % (85.5 to 88.4; 2 seeds 86.0 to 88.0)" in drawing.charts  # Wilson, 1740 of 2000
        assert "92.0 % (90.7 to 93.1)" in drawing.charts
        assert "worth" not in drawing.see
        assert drawing.charts.count('id="student-soft_conv"') == 1
        assert drawing.charts.count('href="#student-soft_conv"') == 2  # the mark, and the table's row


def test_every_mark_leads_to_a_card_that_says_how_the_run_was_made() -> None:
    for language in ("en", "zh"):
        charts = figure.draw(speaker(language), "minutes").charts
        cards = dict(re.findall(r'<details id="student-(\w+)">(.*?)</details>', charts, re.S))
        assert set(cards) == {*ROWS, *TEACHERS}
        assert set(re.findall(r'href="#student-(\w+)"', charts)) == set(cards)
        for name, card in cards.items():
            assert escape(recipe_text(figure.known_as(name))) in card
            assert "apache-2.0" in card
    english = figure.draw(speaker("en"), "minutes").charts
    told = re.findall(r'<details id="student-(\w+)">(.*?)</details>', english, re.S)
    cards = {name: re.sub("<.*?>", " ", card) for name, card in told}
    assert "0.8 teacher, 0.2 labels; soft: its distribution, τ = 2 " in cards["soft_conv"]
    assert "hard: the teacher&#x27;s decision, those that are right " in cards["dual_agreement"]
    assert "VGG (EuroSAT), Swin (EuroSAT)" in cards["dual_agreement"]
    assert " 10.0 % of EuroSAT&#x27;s training tiles " in cards["few_labels"]
    assert "labels of 10.0 % of them" in cards["few_labels_taught"]
    assert "cvhub predict eurosat_deit_distilled PICTURE" in cards["dual_fixed"]
    assert "cvhub predict eurosat_mobilenet_v2_distilled PICTURE" in cards["mobilenet_v2_taught"]
    assert "cvhub train students/plain data=EUROSAT" in cards["plain"]
    assert "muon, rate 0.002, decay 0.05, batches of 64, 42 epochs" in cards["eurosat_vgg"]


def test_the_view_says_what_recipe_and_teacher_are_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {"plain": 0.9, "recipe": 0.94, "hard_conv": 0.938, "few_labels": 0.8, "few_labels_taught": 0.875}
    monkeypatch.setattr(students, "made", lambda: {row: (student(row, 0, share),) for row, share in worth.items()})
    see = figure.draw(speaker("en"), "minutes").see
    assert "DeiT, hard, VGG 93.8 %, ViT, recipe after DeiT's 94.0 %, −0.2 points." in see
    assert "The recipe alone is worth 4.0 points" in see
    assert "is worth 7.5: 87.5 % in place of 80.0 %; it learnt from all of their labels itself." in see


def test_without_runs_the_view_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(students, "made", dict)
    assert "do not come with this version" in figure.draw(speaker("en"), "minutes").see


def test_a_run_is_made_judged_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a few noisy tiles of the ten classes, with the recipe cut to some steps."""
    import numpy as np
    from PIL import Image

    from cvhub.load import labels_of, resolve

    chance = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for label in labels_of(resolve(TEACHERS[0])):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = chance.integers(0, 256, (64, 64, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    whole = script.recipe_of

    def short(*arguments: object) -> Recipe:
        recipe = whole(*arguments)  # pyright: ignore[reportArgumentType]
        small = recipe.model.config | {"hidden_size": 24, "num_hidden_layers": 1, "intermediate_size": 24}
        return replace(
            recipe,
            model=replace(recipe.model, config=small),
            budget=replace(recipe.budget, epochs=2.0),
            optimiser=replace(recipe.optimiser, batch=16),
        )

    monkeypatch.setattr(script, "recipe_of", short)
    arguments = [str(tmp_path / "data"), "--work", str(tmp_path / "work"), "--into", str(tmp_path / "into")]
    script.main([*arguments, "--only", "hard_conv-0"])
    script.main([*arguments, "--only", "hard_conv-0"])  # is there already
    (line,) = json.loads((tmp_path / "into" / RUNS).read_text()).values()
    assert line["tested"] == 20
    assert set(line["accuracies"]) == {"class", "distillation", "mean"}
    assert (tmp_path / "work" / "answers" / "seed-0-crop-0.7" / TEACHERS[0] / "manifest.json").is_file()
    recipe = (tmp_path / "into" / "hard_conv-0.toml").read_text()
    assert str(tmp_path) not in recipe
