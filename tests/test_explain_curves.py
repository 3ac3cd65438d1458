"""Training curves that ship as data: how docs/curves.py makes them, and that what is there can be believed."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.explain.figures import curves
from cvhub.training.curves import read_curve
from cvhub.training.nets import build_net
from cvhub.training.recipe_file import read_recipe
from docs import curves as script

NAME = "residual_20"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 pictures of each of two colours, of which two are held out."""
    folder = tmp_path_factory.mktemp("tiles")
    chance = np.random.default_rng(0)
    for label, colour in {"forest": (30, 90, 40), "river": (40, 60, 150)}.items():
        (folder / label).mkdir()
        for i in range(20):
            pixels = np.clip(np.asarray(colour) + chance.normal(0, 20, (64, 64, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes of one run, and beside it `work`."""
    folder = tmp_path_factory.mktemp("curves")
    script.main([str(data), "--only", NAME, "--work", str(folder / "work"), "--into", str(folder / "into")])
    return folder


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the figures read the curves of another folder than those that ship."""
    curves._made.cache_clear()
    monkeypatch.setattr(curves, "FOLDER", folder)


def test_every_run_of_an_experiment_has_a_recipe_and_the_other_way_round() -> None:
    assert {name for names in curves.EXPERIMENTS.values() for name in names} == set(script.TABLES)


@pytest.mark.parametrize("name", script.TABLES)
def test_every_recipe_builds_its_net(name: str) -> None:
    recipe = script.recipe_of(name, "somewhere")
    with torch.device("meta"):
        net = build_net(recipe.model, ["forest", "river"], recipe.seed).train()
        side = recipe.picture.size
        output = net(torch.empty(2, 3, side, side), labels=torch.zeros(2, dtype=torch.long))
    assert output.logits.shape == (2, 2)
    assert net.num_parameters() < 3_000_000


@pytest.mark.parametrize("experiment", curves.EXPERIMENTS)
def test_runs_of_an_experiment_see_as_many_pictures_and_differ_in_what_it_is_about(experiment: str) -> None:
    recipes = [script.recipe_of(name) for name in curves.EXPERIMENTS[experiment]]
    assert len({round(recipe.budget.epochs * recipe.data.share, 6) for recipe in recipes}) == 1
    assert len({(recipe.augmentation, recipe.picture, recipe.optimiser.batch, recipe.seed) for recipe in recipes}) == 1
    assert len({(str(recipe.model), recipe.data.share) for recipe in recipes}) == len(recipes)
    fields = [recipe.model.config for recipe in recipes]
    differing = {key for config in fields for key in config if any(config[key] != other.get(key) for other in fields)}
    expected = {
        "degradation": {"depths", "shortcut"},
        "auxiliary": {"normalization", "auxiliary_after"},
        "dropout": {"dropout"},
        "activation": {"activation"},
        "pooling": {"pooling"},
    }
    assert experiment == "bias" or differing == expected[experiment]


def test_a_run_is_read_as_it_was_made(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(made / "into", monkeypatch)
    (run,) = curves.runs("degradation")
    rows = read_curve(made / "into" / f"{NAME}.csv")
    assert (run.name, run.pictures, run.steps) == (NAME, 36, 12)
    assert run.curve("loss") == [(row["epoch"], row["loss"]) for row in rows]
    assert len(run.curve("validation_accuracy")) == 12
    assert run.gap == run.train.accuracy - run.validation.accuracy
    assert curves.runs("bias") == ()


def test_what_is_there_is_left_and_a_finished_run_is_not_trained_again(
    made: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    into, command = made / "into", [str(data), "--only", NAME, "--work", str(made / "work")]
    before = (into / curves.RUNS).read_text()
    script.main([*command, "--into", str(into)])
    assert "is there already" in capsys.readouterr().out
    monkeypatch.setattr("cvhub.training.run.prepare", None)  # without which nothing can be trained
    script.main([*command, "--into", str(made / "again")])
    assert (made / "again" / curves.RUNS).read_text() == before


def test_a_run_is_judged_on_whole_sets_by_what_the_folder_holds(made: Path, data: Path) -> None:
    """Of two plain colours a net of 20 layers tells one from the other, or gives one answer: a half, no third."""
    recipe = script.recipe_of(NAME, str(data))
    parameters, pictures, verdicts = script.judge(made / "work" / NAME, recipe)
    assert parameters == build_net(recipe.model, ["forest", "river"], 0).num_parameters()
    assert pictures == 36
    assert 36 * verdicts["train"].accuracy == pytest.approx(round(36 * verdicts["train"].accuracy), abs=1e-3)
    assert verdicts["validation"].loss == pytest.approx(
        read_curve(made / "work" / NAME / "curves.csv")[-1]["validation_loss"], rel=0.05, abs=0.02
    )


def test_some_runs_may_be_chosen() -> None:
    assert script.chosen(["dropout", "plain_20"]) == ["plain_20", "alexnet", "alexnet_no_dropout"]
    assert script.chosen(list(curves.EXPERIMENTS)) == list(script.TABLES)
    with pytest.raises(CvhubError, match="There is no run 'droput'"):
        script.chosen(["droput"])


@pytest.fixture(params=["shipped", "made"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = curves.FOLDER if request.param == "shipped" else request.getfixturevalue("made") / "into"
    use(folder, monkeypatch)
    return folder


def test_what_ships_is_what_the_recipes_leave(folder: Path) -> None:
    """Each curve ends where its line in runs.json says, and its recipe is the script's."""
    files = {file.stem for file in folder.glob("*.csv")}
    runs = {run.name: run for names in curves.EXPERIMENTS for run in curves.runs(names)}
    assert set(runs) == files
    for name, run in runs.items():
        last = read_curve(folder / f"{name}.csv")[-1]
        assert (last["step"], last["cpu_seconds"]) == (run.steps, pytest.approx(run.cpu_seconds, abs=0.1))
        assert last["validation_accuracy"] == pytest.approx(run.validation.accuracy, abs=0.01)
        assert all(np.isfinite(value) for column in ("loss", "lr", "validation_loss") for _, value in run.curve(column))
        recipe = read_recipe(tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")))
        assert recipe == script.recipe_of(name, recipe.data.source)
        assert not recipe.data.source.startswith(("/", "."))  # no path of the machine it was made on
