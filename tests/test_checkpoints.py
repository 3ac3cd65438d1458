"""The nets that we trained and bundle: complete folders, small, and honest in what their cards and rows say."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from cvhub.catalog import CATALOG, CHECKPOINTS, TASKS, Entry
from cvhub.convert import convert_checkpoint
from cvhub.evaluation.pairs import FILE as PAIRS
from cvhub.evaluation.truth import FILE as TRUTH
from cvhub.hub.card import model_card
from cvhub.inference.classify import Classifier
from cvhub.inference.segment import Segmenter
from cvhub.inference.writing import CAPTIONS, Writer
from cvhub.inference.zero_shot import TASK as ZERO_SHOT
from cvhub.inference.zero_shot import ZeroShot
from cvhub.load import load_model, resolve
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe
from tests.cards import run_card

BUNDLED = [entry for entry in CATALOG if entry.source == "bundled"]
AUTO_CLASSES = dict(TASKS.values())
MEGABYTES = 1e6
# By what a net does, what its file may weigh, and the files of all such nets together.
LIMITS = {
    "classes": (6 * MEGABYTES, 46 * MEGABYTES),
    "masks": (10 * MEGABYTES, 26 * MEGABYTES),
    "words": (8 * MEGABYTES, 16 * MEGABYTES),
}
ATTENTION = {"vit", "deit", "swin"}
TASKS_OF_WORDS = {"zero-shot-image-classification", "image-text-to-text"}
SAMPLES = Path(__file__).parent.parent / "cvhub" / "ui" / "samples"


@pytest.fixture(params=BUNDLED, ids=[entry.name for entry in BUNDLED])
def entry(request: pytest.FixtureRequest) -> Entry:
    return request.param


def test_each_folder_has_a_row_and_each_row_a_folder() -> None:
    folders = {folder.name for folder in CHECKPOINTS.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert folders == {entry.location for entry in BUNDLED}


def segments(entry: Entry) -> bool:
    return entry.task.endswith("segmentation")


def has_words(entry: Entry) -> bool:
    return entry.task in TASKS_OF_WORDS


def kind_of(entry: Entry) -> str:
    return "masks" if segments(entry) else "words" if has_words(entry) else "classes"


@pytest.mark.parametrize("kind", LIMITS)
def test_each_is_small_and_all_together_are(kind: str) -> None:
    files = [CHECKPOINTS / entry.location / "model.safetensors" for entry in BUNDLED if kind_of(entry) == kind]
    sizes = [file.stat().st_size for file in files]
    largest, together = LIMITS[kind]
    assert max(sizes) <= largest
    assert sum(sizes) <= together


def test_a_folder_is_a_hub_repo_without_code(entry: Entry) -> None:
    """`push` and `convert` add the code."""
    files = {file.name for file in (CHECKPOINTS / entry.location).iterdir()}
    assert files == {
        *("config.json", "model.safetensors", "preprocessor_config.json", "README.md"),
        *("recipe.toml", "curves.csv"),
        *((TRUTH,) if segments(entry) else ()),
        *((PAIRS, "tokenizer.json", "tokenizer_config.json", "processor_config.json") if has_words(entry) else ()),
    }


def test_converted_it_is_complete(entry: Entry, tmp_path: Path) -> None:
    convert_checkpoint(resolve(entry.name), tmp_path / "whole")
    assert f"{entry.family}.py" in {file.name for file in (tmp_path / "whole").iterdir()}
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert AUTO_CLASSES[entry.task] in config["auto_map"]


def test_the_row_says_what_the_folder_holds(entry: Entry) -> None:
    model = load_model(entry.name)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert has_words(entry) or model.config.num_labels == entry.num_labels
    assert model.config.dtype == torch.float32  # though the file holds halves


def test_the_cards_metrics_are_the_rows(entry: Entry) -> None:
    card = (CHECKPOINTS / entry.location / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    result, *others = front["model-index"][0]["results"]  # several of what was measured in words, as classes, elsewhere
    assert has_words(entry) or not others
    measured = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert entry.metrics
    for name, value in entry.metrics.items():
        assert round(measured[name], 4) == value, name
    assert f"{entry.tested:,}" in card


def test_the_card_says_how_to_ask_as_one_that_is_written_now_does(entry: Entry) -> None:
    folder = CHECKPOINTS / entry.location
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert use_of(card) == use_of(model_card(folder, title=entry.title, knows=load_recipe(entry.name).result.knows))


def test_the_card_of_a_net_of_words_says_what_it_knows_and_its_code_runs(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_words(entry):
        return
    folder = CHECKPOINTS / entry.location
    knows = load_recipe(entry.name).result.knows
    assert knows == "drawings (emoji, clip art), no photos"
    assert f"\n\nThe net knows {knows}.\n\n## Use\n" in (folder / "README.md").read_text(encoding="utf-8")
    assert "predict" in run_card(folder, tmp_path, monkeypatch)
    assert entry.dataset == "emoji and clipart"


def use_of(card: str) -> str:
    return card.partition("\n## Use\n")[2].partition("\n## ")[0]


def test_the_recipe_that_made_it_is_the_one_that_ships(entry: Entry) -> None:
    shipped = load_recipe(entry.name)
    made = load_recipe(str(CHECKPOINTS / entry.location / "recipe.toml"))
    assert without_places(made) == without_places(shipped)


def without_places(recipe: Recipe) -> Recipe:
    """What decides on the weights: neither places nor a sentence for the card."""
    return replace(
        recipe,
        result=replace(recipe.result, knows=""),
        data=replace(recipe.data, source=""),
        words=replace(recipe.words, sources=()),
        distillation=replace(recipe.distillation, answers=""),
    )


def test_the_training_kept_its_budget(entry: Entry) -> None:
    with (CHECKPOINTS / entry.location / "curves.csv").open() as file:
        *_, last = csv.DictReader(file)
    minutes = float(last["cpu_seconds"]) / 60
    assert round(minutes, 1) == entry.training_minutes
    budget = 60 if kind_of(entry) != "classes" else 40 if entry.family in ATTENTION else 25
    assert minutes / 2 <= budget  # of two cores


def test_both_runtimes_say_the_same_of_a_picture(entry: Entry) -> None:
    runtimes = ("torch", "openvino")
    if segments(entry):
        with Image.open(SAMPLES / "coffee.jpg") as photo:
            part = photo.crop((60, 40, 190, 140))
            maps = [Segmenter(entry.name, runtime, "fp32").segment(part).maps for runtime in runtimes]
    elif entry.task == ZERO_SHOT:
        with Image.open(SAMPLES / "apple.jpg") as drawing:
            nets = [ZeroShot(entry.name, runtime, "fp32") for runtime in runtimes]
            maps = [{"image": net.embed_images([drawing]), "text": net.embed_texts(["apple", "苹果"])} for net in nets]
    elif entry.task == CAPTIONS:
        with Image.open(SAMPLES / "apple.jpg") as drawing:
            writers = [Writer(entry.name, runtime, "fp32") for runtime in runtimes]
            assert [writer.write([drawing]) for writer in writers] == [["apple"]] * 2
            maps = [{"probability": [step.probability for step in writer.steps(drawing)]} for writer in writers]
    else:
        with Image.open(SAMPLES / "tile.jpg") as tile:
            maps = [
                {"logits": Classifier(entry.name, runtime, "fp32").predict([tile])[0].logits} for runtime in runtimes
            ]
    for name, values in maps[0].items():
        np.testing.assert_allclose(maps[1][name], values, atol=1e-3 * np.abs(values).max(), err_msg=name)
