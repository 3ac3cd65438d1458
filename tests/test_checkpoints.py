"""The classifiers that we trained and bundle: complete folders, small, and honest in what their cards and rows say."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from cvhub.catalog import CATALOG, CHECKPOINTS, Entry
from cvhub.convert import convert_checkpoint
from cvhub.inference.classify import Classifier
from cvhub.load import load_model, resolve
from cvhub.training.recipe_file import load_recipe

BUNDLED = [entry for entry in CATALOG if entry.source == "bundled"]
MEGABYTES = 1e6
ATTENTION = {"vit", "deit", "swin"}
SAMPLE = Path(__file__).parent.parent / "cvhub" / "ui" / "samples" / "tile.jpg"


@pytest.fixture(params=BUNDLED, ids=[entry.name for entry in BUNDLED])
def entry(request: pytest.FixtureRequest) -> Entry:
    return request.param


def test_each_folder_has_a_row_and_each_row_a_folder() -> None:
    folders = {folder.name for folder in CHECKPOINTS.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert folders == {entry.location for entry in BUNDLED}


def test_all_together_are_small() -> None:
    sizes = {entry.name: (CHECKPOINTS / entry.location / "model.safetensors").stat().st_size for entry in BUNDLED}
    assert max(sizes.values()) <= 6 * MEGABYTES
    assert sum(sizes.values()) <= 40 * MEGABYTES


def test_a_folder_is_a_hub_repo_without_code(entry: Entry) -> None:
    """`push` and `convert` add the code."""
    files = {file.name for file in (CHECKPOINTS / entry.location).iterdir()}
    assert files == {
        *("config.json", "model.safetensors", "preprocessor_config.json", "README.md"),
        *("recipe.toml", "curves.csv"),
    }


def test_converted_it_is_complete(entry: Entry, tmp_path: Path) -> None:
    convert_checkpoint(resolve(entry.name), tmp_path / "whole")
    assert f"{entry.family}.py" in {file.name for file in (tmp_path / "whole").iterdir()}
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert "AutoModelForImageClassification" in config["auto_map"]


def test_the_row_says_what_the_folder_holds(entry: Entry) -> None:
    model = load_model(entry.name)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert model.config.num_labels == entry.num_labels
    assert model.config.dtype == torch.float32  # though the file holds halves


def test_the_cards_metrics_are_the_rows(entry: Entry) -> None:
    card = (CHECKPOINTS / entry.location / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    (result,) = front["model-index"][0]["results"]
    measured = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert entry.metrics
    for name, value in entry.metrics.items():
        assert round(measured[name], 4) == value, name
    assert f"{entry.tested:,}" in card


def test_the_recipe_that_made_it_is_the_one_that_ships(entry: Entry) -> None:
    shipped = load_recipe(entry.name)
    made = load_recipe(str(CHECKPOINTS / entry.location / "recipe.toml"))
    assert replace(made, data=replace(made.data, source="")) == replace(shipped, data=replace(shipped.data, source=""))


def test_the_training_kept_its_budget(entry: Entry) -> None:
    with (CHECKPOINTS / entry.location / "curves.csv").open() as file:
        *_, last = csv.DictReader(file)
    minutes = float(last["cpu_seconds"]) / 60
    assert round(minutes, 1) == entry.training_minutes
    assert minutes / 2 <= (40 if entry.family in ATTENTION else 25)  # of two cores


def test_both_runtimes_say_the_same_of_a_tile(entry: Entry) -> None:
    with Image.open(SAMPLE) as tile:
        said = [Classifier(entry.name, runtime, "fp32").predict([tile])[0].logits for runtime in ("torch", "openvino")]
    np.testing.assert_allclose(said[0], said[1], atol=1e-3 * np.abs(said[0]).max())
