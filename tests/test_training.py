"""Training by recipe: what recipes may say, and that runs are reproducible, resumable and leave complete models."""

import csv
import dataclasses
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.optim import muon
from transformers import AutoImageProcessor, AutoModelForImageClassification, TrainerState

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.load import load_model
from cvhub.models.pixels import PixelTransform
from cvhub.training import result, run
from cvhub.training.batches import Batches, Deal, Key, affine
from cvhub.training.curves import TIMES, read_curve
from cvhub.training.data import divide, load_pictures
from cvhub.training.folder import RECIPE
from cvhub.training.machine import orthogonalise_in_fp32
from cvhub.training.nets import build_net, make_family_config, picture_transform, whole_net
from cvhub.training.plan import make_plan
from cvhub.training.progress import Progress
from cvhub.training.recipe import Augmentation, Model, Optimiser, Recipe
from cvhub.training.recipe_file import load_recipe, names, read_recipe
from cvhub.training.run import outcome, train
from cvhub.training.trainer import make_optimizer
from tests.test_inference import save
from tests.tiny import CLASSIFIER, TinyFamily, families_with

ROOT = Path(__file__).parents[1]
TINY_NET = {"block": "basic", "depths": [1, 1], "widths": [8, 16], "stem": "cifar", "stem_width": 8}
CLASSES = {"blue": (40, 60, 200), "green": (50, 180, 70), "red": (200, 50, 40)}


def tiny_recipe(data: Path, /, **tables: Any) -> Recipe:
    """Two epochs of a tiny ResNet on 16 pixels; `tables` add to the recipe's and override them."""
    recipe: dict[str, Any] = {
        "data": {"source": str(data), "validation": 0.25},
        "picture": {"size": 16},
        "model": {"family": "resnet", "config": TINY_NET},
        "optimiser": {"name": "sgd", "lr": 0.05, "batch": 8, "warmup_epochs": 0.5},
        "budget": {"epochs": 2},
    }
    for name, table in tables.items():
        recipe[name] = {**recipe.get(name, {}), **table} if isinstance(table, dict) else table
    return read_recipe(recipe)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders: 16 noisy pictures of each of three colours, 20 pixels a side."""
    folder = tmp_path_factory.mktemp("colours")
    chance = np.random.default_rng(0)
    for label, colour in CLASSES.items():
        (folder / label).mkdir()
        for i in range(16):
            pixels = np.clip(np.asarray(colour) + chance.normal(0, 60, (20, 20, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tiny recipe leaves after six epochs."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    train(tiny_recipe(data, budget={"epochs": 6}), folder, "tiny")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same_weights(folder: Path, other: Path) -> None:
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def without_times(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in curve]


# -- recipes


@pytest.mark.parametrize("name", names())
def test_every_shipped_recipe_builds_its_net(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.about
    assert read_recipe(tomllib.loads(recipe.as_toml())) == recipe
    if recipe.model.from_ or recipe.words.columns:  # which tests/test_training_pairs.py builds
        return
    config, size = make_family_config(recipe.model, num_labels=10), picture_transform(recipe).crop_size
    with torch.device("meta"):
        net = whole_net(recipe.model.family)(config)
        logits = net(torch.empty(2, config.num_channels, size["height"], size["width"])).logits
    of_pixels = (size["height"], size["width"]) if recipe.data.target else ()
    assert logits.shape == (2, 10, *of_pixels)
    assert net.num_parameters() <= (5_000_000 if recipe.data.target else 3_000_000)  # 10 or 6 MB in fp16


def test_overrides_reach_any_key_by_its_path_or_its_last_part() -> None:
    overrides = ["budget.epochs=3", "lr=1", "data=some/set", "title=2024", "model.config.widths=[8, 16, 32]"]
    recipe = load_recipe("eurosat_resnet", [*overrides, "quarter_turns=false", "crop_scale=[0.5, 1]"])
    assert recipe.budget.epochs == 3.0
    assert recipe.optimiser.lr == 1.0
    assert recipe.data.source == "some/set"
    assert recipe.result.title == "2024"
    assert recipe.model.config["widths"] == [8, 16, 32]
    assert recipe.augmentation.quarter_turns is False
    assert recipe.augmentation.crop_scale == (0.5, 1.0)
    assert load_recipe("finetune", ["from=resnet18"]).model.from_ == "resnet18"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("budget.epoch=3", "A recipe has no 'budget.epoch': did you mean budget.epochs"),
        ("optimizer.lr=1", "did you mean optimiser.lr"),
        ("learning_rate=1", "A recipe has no 'learning_rate'"),
        ("wibble=1", "A recipe has no 'wibble', only about, seed, data, words, picture"),
        ("lr=fast", "optimiser.lr is 'fast', expected a number."),
        ("batch=1.5", "optimiser.batch is 1.5, expected a whole number."),
        ("quarter_turns=1", "augmentation.quarter_turns is 1, expected true or false."),
        (
            "crop_scale=0.5",
            "augmentation.crop_scale is 0.5, expected the least and the greatest value, such as [0.5, 1",
        ),
        ("mean=grey", "picture.mean is 'grey', expected numbers such as [0.5, 0.5]."),
        ("crop_scale=[1, 0.5]", "augmentation.crop_scale is [1.0, 0.5], expected the least and the greatest"),
        ("validation=2", "data.validation is 2.0, expected 0 to 1."),
        ("precision=fp8", "compute.precision is 'fp8', expected one of auto, fp32, bf16."),
        ("train=head", "model.train is 'head', which needs model.from"),
        ("from=resnet18", "either model.family, to start from scratch, or model.from"),
        ("epochs=0", "A recipe needs budget.epochs or budget.minutes."),
        ("mixup=-1", "augmentation.mixup is -1.0, expected at least 0."),
        ("cutmix=NaN", "augmentation.cutmix is nan, expected at least 0."),
        ("weight_decay=-0.1", "optimiser.weight_decay is -0.1, expected at least 0."),
        ("clip=-1", "optimiser.clip is -1.0, expected at least 0."),
        ("warmup_epochs=-2", "optimiser.warmup_epochs is -2.0, expected at least 0."),
        ("minutes=-3", "budget.minutes is -3.0, expected at least 0."),
        ("batch=1", "optimiser.batch is 1, expected at least 2."),
        ("momentum=-5", "optimiser.momentum is -5.0, expected 0 or more and less than 1."),
        ("ema=1", "optimiser.ema is 1.0, expected 0 or more and less than 1."),
        ("hue=0.6", "augmentation.hue is 0.6, expected 0 to 0.5."),
        ("std=[1, 0, 1]", "picture.std is [1.0, 0.0, 1.0], expected values of more than 0."),
        ("seed=-1", "seed is -1, expected at least 0."),
        ("lr", "'lr' is not KEY=VALUE"),
        ("model.config.widht=3", None),
    ],
)
def test_a_wrong_override_is_one_sentence(override: str, sentence: str | None) -> None:
    if sentence is None:  # a field of a config: the family knows
        with pytest.raises(CvhubError, match="CvResNetConfig has no field 'widht': did you mean widths"):
            make_family_config(load_recipe("eurosat_resnet", [override]).model)
        return
    with pytest.raises(CvhubError) as caught:
        load_recipe("eurosat_resnet", [override])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("policy", ["nonsense", "rand-q9", "rand-mx3-n2", "augmix-z9"])
def test_a_policy_that_timm_does_not_know_is_one_sentence(policy: str) -> None:
    augmentation = Augmentation(policy=policy)
    with pytest.raises(CvhubError, match=f"augmentation.policy is '{policy}', expected timm's words, such as rand-m7"):
        Batches([], PixelTransform.default({"image_size": 16}), augmentation, 3, seed=0)  # pyright: ignore


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "sdg"}, "optimiser.name is 'sdg', which timm doesn't know."),
        ({"name": "adamw", "lr": float("nan")}, "The optimiser 'adamw' refuses its numbers: Invalid learning rate"),
    ],
)
def test_an_optimiser_that_can_not_be_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    recipe = replace(Recipe(), optimiser=Optimiser(**values))
    with pytest.raises(CvhubError, match=sentence):
        make_optimizer(torch.nn.Linear(2, 2), recipe)


@pytest.mark.parametrize(
    ("recipe", "override", "sentence"),
    [
        ("eurosat_resnet", "model.config.x=3", "CvResNetConfig has no field 'x'"),
        ("eurosat_vit", "model.config.patch_size=7", "image_size is 64, expected multiples of patch_size 7"),
        ("eurosat_resnet", "variant=resnet19", "model.variant is 'resnet19', expected one of"),
        ("pets_deeplab", "model.config.x=3", "CvDeepLabConfig has no field 'x'"),
        ("finetune", "model.config.x=3", "CvMobileNetV2Config has no field 'x'"),
    ],
)
def test_what_training_refuses_is_not_shown(
    recipe: str, override: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [override, f"from={save(tmp_path / 'old', TinyFamily('mobilenet_v2').model())}"]
    assert main(["train", recipe, "--show", *overrides[: 2 if recipe == "finetune" else 1]]) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("family", families_with(CLASSIFIER))
def test_each_classifier_has_its_variants(family: str) -> None:
    variants = importlib.import_module(f"cvhub.models.{family}").VARIANTS
    config = make_family_config(Model(family=family, variant=list(variants)[-1]), num_labels=3)
    assert config.model_type == f"cvhub_{family}"
    with pytest.raises(CvhubError, match=rf"model\.variant is 'middling', expected one of {next(iter(variants))}"):
        make_family_config(Model(family=family, variant="middling"))


def test_a_variant_with_a_wrong_field_is_one_sentence() -> None:
    model = Model(family="deit", variant="tiny", config={"image_size": 230})
    with pytest.raises(CvhubError, match="CvDeiTConfig: image_size is 230, expected multiples of patch_size 16"):
        make_family_config(model)


@pytest.mark.parametrize("family", ["unet", "deeplab", "panoptic_deeplab"])
def test_other_families_have_no_variants(family: str) -> None:
    with pytest.raises(CvhubError, match=f"model.variant is 'tiny', but {family} has none; model.config sets"):
        make_family_config(Model(family=family, variant="tiny"))


def test_a_wrong_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match=r"There is no recipe 'nothing': it is neither one of digits_deit, "):
        load_recipe("nothing")
    (tmp_path / "broken.toml").write_text("a = ")
    with pytest.raises(CvhubError, match=r"broken\.toml is not TOML"):
        load_recipe(str(tmp_path / "broken.toml"))
    (tmp_path / "strange.toml").write_text("[data]\nsourse = 'x'\n")
    with pytest.raises(CvhubError, match=r"A recipe has no 'data.sourse': did you mean data.source"):
        load_recipe(str(tmp_path / "strange.toml"))
    (tmp_path / "flat.toml").write_text("data = 'x'\n")
    with pytest.raises(CvhubError, match="data is 'x', expected a table with source, name"):
        load_recipe(str(tmp_path / "flat.toml"))


def test_the_command_line_lists_and_shows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == names()
    assert main(["train", "eurosat_resnet", "--show", "lr=0.5"]) == 0
    (tmp_path / "shown.toml").write_text(capsys.readouterr().out)
    assert load_recipe(str(tmp_path / "shown.toml")) == load_recipe("eurosat_resnet", ["lr=0.5"])
    assert main(["train", "eurosat_resnet", "--show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["optimiser"]["lr"] == load_recipe("eurosat_resnet").optimiser.lr
    assert main(["train"]) == 1
    assert "Name a recipe" in capsys.readouterr().err


# -- pictures


def test_held_out_pictures_are_a_fixed_share_of_each_class(data: Path) -> None:
    tables = tiny_recipe(data).data
    pictures = load_pictures(tables, "RGB")
    assert pictures.labels == sorted(CLASSES)
    assert pictures.held_out is not None
    assert np.bincount(pictures.train.targets).tolist() == [12, 12, 12]
    assert np.bincount(pictures.held_out.targets).tolist() == [4, 4, 4]
    seen = {image.tobytes() for image in pictures.train}
    assert len(seen) == 36
    assert not seen & {image.tobytes() for image in pictures.held_out}
    third = load_pictures(replace(tables, share=1 / 3), "RGB").train
    half = load_pictures(replace(tables, share=1 / 2), "RGB").train
    assert np.bincount(third.targets).tolist() == [4, 4, 4]
    assert {image.tobytes() for image in third} < {image.tobytes() for image in half} < seen


def test_shares_leave_one_of_each_class() -> None:
    targets = np.asarray([0] * 10 + [1] * 3 + [2])
    stays, drawn = divide(targets, 0.9, seed=0)
    assert np.bincount(targets[stays]).tolist() == [1, 1, 1]
    assert sorted([*stays, *drawn]) == list(range(14))
    assert len(divide(targets, 0.0, seed=0)[1]) == 0


def test_pictures_that_do_not_fit_are_decoded_each_time(data: Path) -> None:
    kept, lazy = (load_pictures(replace(tiny_recipe(data).data, memory_mb=mb), "L").train for mb in (100, 0))
    assert kept.kept is not None
    assert lazy.kept is None
    assert kept[5].tobytes() == lazy[5].tobytes()
    assert kept[5].mode == "L"
    small = load_pictures(replace(tiny_recipe(data).data, shorter_side=10), "RGB").train
    assert small[0].size == (10, 10)


def test_other_columns_and_splits(tmp_path: Path) -> None:
    import datasets

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    rows = {"photo": [{"bytes": buffer.getvalue(), "path": None}] * 4, "kind": ["b", "a", "b", "a"]}
    features = datasets.Features({"photo": datasets.Image(), "kind": datasets.Value("string")})
    for split in ("train", "validation"):
        datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / f"{split}.parquet"))
    recipe = tiny_recipe(tmp_path, data={"validation_split": "validation", "label_column": "kind"})
    pictures = load_pictures(recipe.data, "RGB")
    assert pictures.labels == ["a", "b"]
    assert pictures.train.targets.tolist() == [1, 0, 1, 0]
    assert pictures.held_out is not None
    assert len(pictures.held_out) == 4
    with pytest.raises(CvhubError, match="has no column 'x', only photo, kind"):
        load_pictures(replace(recipe.data, label_column="x"), "RGB")
    with pytest.raises(CvhubError, match="has no split 'dev', only train, validation"):
        load_pictures(replace(recipe.data, split="dev"), "RGB")


def test_a_damaged_picture_is_named(data: Path, tmp_path: Path) -> None:
    for label in CLASSES:
        (tmp_path / label).mkdir()
        (tmp_path / label / "good.png").write_bytes((data / label / "00.png").read_bytes())
    (tmp_path / "red" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(CvhubError, match=r"row \d of train of .*bad\.png"):
        load_pictures(tiny_recipe(tmp_path).data, "RGB")


# -- chance


def everything() -> Augmentation:
    return Augmentation(
        crop_scale=(0.5, 1.0),
        flip_horizontal=0.5,
        flip_vertical=0.5,
        quarter_turns=True,
        policy="rand-m7-n2-mstd0.5",
        erasing=0.5,
        mixup=0.3,
        cutmix=0.5,
    )


def make_batches(data: Path, augmentation: Augmentation, seed: int = 0) -> Batches:
    recipe = tiny_recipe(data)
    pictures = load_pictures(recipe.data, "RGB").train
    return Batches(pictures, picture_transform(recipe), augmentation, len(CLASSES), seed)


def test_without_augmentation_training_sees_what_inference_sees(data: Path) -> None:
    recipe = tiny_recipe(data)
    batches = make_batches(data, Augmentation(crop_ratio=(1.0, 1.0)))
    batch = batches.__getitems__([Key(0, 0, index) for index in range(6)])
    expected = picture_transform(recipe)([batches.pictures[index] for index in range(6)])
    assert np.abs(batch["pixel_values"].numpy() - expected).max() < 0.2  # a resize and a crop by another library
    assert batch["labels"].tolist() == batches.pictures.targets[:6].tolist()
    assert batch["pixel_values"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sized", [True, False])
def test_pixels_are_normalised_as_the_processor_does(sized: bool) -> None:
    """Also by one that neither resizes nor crops."""
    size: Any = ({"shortest_edge": 8}, {"height": 8, "width": 8}) if sized else ({}, {})
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    transform = PixelTransform(size[0], size[1], mean, std, do_resize=sized, do_center_crop=sized)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    offset, scale = affine(transform)
    ours = torch.from_numpy(pixels).permute(2, 0, 1) * scale + offset
    assert np.allclose(ours.numpy(), transform([Image.fromarray(pixels)])[0], atol=1e-6)


def test_a_picture_depends_on_seed_epoch_and_sample_alone(data: Path) -> None:
    batches = make_batches(data, replace(everything(), mixup=0.0, cutmix=0.0))
    keys = [Key(3, 1, index) for index in (4, 9, 2, 7)]
    batch = batches.__getitems__(keys)["pixel_values"]
    random.seed(99)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    before = torch.get_rng_state(), random.getstate()
    again = batches.__getitems__(keys[::-1])["pixel_values"].flip(0)
    assert torch.equal(batch, again)
    assert torch.equal(torch.get_rng_state(), before[0])  # what the net draws is undisturbed
    assert random.getstate() == before[1]
    assert not torch.equal(batch, batches.__getitems__([key._replace(epoch=4) for key in keys])["pixel_values"])
    assert not torch.equal(batch, make_batches(data, everything(), seed=1).__getitems__(keys)["pixel_values"])


@pytest.mark.parametrize(("pictures", "batch", "processes"), [(36, 8, 1), (36, 8, 2), (37, 16, 4), (5, 32, 1)])
def test_processes_share_the_batches_of_one(pictures: int, batch: int, processes: int) -> None:
    whole = Deal(pictures, batch, seed=3)
    parts = [Deal(pictures, batch, 3, process, processes) for process in range(processes)]
    whole.set_epoch(2)
    for part in parts:
        part.set_epoch(2)
    dealt = list(zip(*parts, strict=True))
    assert len(whole) == len(dealt) == pictures // whole.batch
    for one, several in zip(whole, dealt, strict=True):
        assert sorted(one) == sorted(key for keys in several for key in keys)
        partners = {frozenset(pair) for pair in zip(one, one[::-1], strict=True)}
        mixed = {frozenset(pair) for keys in several for pair in zip(keys, keys[::-1], strict=True)}
        assert mixed == partners
    whole.set_epoch(3)
    assert next(iter(whole)) != list(dealt[0][0]) or processes > 1


def test_too_few_pictures_are_said() -> None:
    with pytest.raises(CvhubError, match="3 pictures in batches of 8 are too few for 2 processes"):
        Deal(3, 8, seed=0, process=1, processes=2)


def test_mixed_batches_have_soft_labels(data: Path) -> None:
    batches = make_batches(data, Augmentation(mixup=0.8))
    keys = [Key(0, 0, index) for index in range(0, 36, 3)]
    batch = batches.__getitems__(keys)
    labels = batch["labels"]
    assert labels.shape == (12, 3)
    assert torch.allclose(labels.sum(1), torch.ones(12))
    assert 0 < labels.max() < 1 or bool((labels > 0).sum(1).max() == 2)
    whole = torch.nn.functional.one_hot(torch.from_numpy(batches.pictures.targets[[key.index for key in keys]]), 3)
    plain = make_batches(data, Augmentation()).__getitems__(keys)["pixel_values"]
    share = next(
        λ for λ in np.linspace(0, 1, 10001) if torch.allclose(whole * λ + whole.flip(0) * (1 - λ), labels, atol=1e-4)
    )
    assert torch.allclose(batch["pixel_values"], plain * share + plain.flip(0) * (1 - share), atol=2e-3)


# -- plans and progress


def test_minutes_become_steps_and_the_learning_rate_ends(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, budget={"epochs": 100, "minutes": 2.0}, optimiser={"warmup_epochs": 2, "lr_end": 0.01})
    plan = make_plan(recipe, steps_per_epoch=50, batch=8, measure=lambda: 0.5)
    assert (plan.steps, plan.warmup, plan.seconds_a_step) == (240, 48, 0.5)  # the warm-up takes at most a fifth
    assert make_plan(recipe, 50, 8, lambda: 0.001).steps == 5000  # epochs are reached first
    short = replace(recipe, budget=replace(recipe.budget, minutes=0.02))
    train(short, tmp_path / "run")
    curve = read_curve(tmp_path / "run" / "curves.csv")
    lr = [row["lr"] for row in curve]
    assert lr[-1] == pytest.approx(0.05 * 0.01)
    assert max(lr) > 0.02
    assert sorted(lr, reverse=True)[-1] == lr[-1] or lr[0] < lr[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_progress_is_one_line(stream: io.StringIO) -> None:
    progress = Progress(steps_per_epoch=10, waited=lambda: 3.0, stream=stream)
    state = TrainerState(max_steps=25)
    call: Mapping[str, Any] = {"args": None, "state": state, "control": None}
    progress.on_train_begin(**call)
    progress.on_log(**call, logs={"loss": 0.51234})
    progress.on_log(**call, logs={"eval_accuracy": 0.875})
    state.global_step = 12
    assert progress.line(state, seconds=60) == "epoch 2/3 · step 12/25 · loss 0.5123 · validation 87.5 % · 65 s left"
    progress.told.shown -= 60
    progress.on_step_end(**call)
    progress.on_step_end(**call)  # too soon for another
    state.global_step = 25
    progress.on_train_end(**call)
    written = stream.getvalue()
    assert written.count("\n") == (1 if progress.told.terminal else 2)
    assert written.count("epoch") == 2
    assert "epoch 3/3 · step 25/25" in written
    assert "waiting for pictures" in written


# -- runs


def test_a_run_learns_and_leaves_a_complete_model(
    finished: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = read_curve(finished / "curves.csv")
    assert [row["step"] for row in curve] == list(range(1, 25))
    assert np.mean([row["loss"] for row in curve[-4:]]) < 0.6 * curve[0]["loss"]
    assert outcome(finished).validation_accuracy == curve[-1]["validation_accuracy"] > 0.8
    assert [row["epoch"] for row in curve if "validation_accuracy" in row] == [1, 2, 3, 4, 5, 6]
    assert not [file for file in finished.iterdir() if file.name.startswith(".")]
    assert {tensor.dtype for tensor in weights(finished).values()} <= {torch.float16, torch.int64}
    model = AutoModelForImageClassification.from_pretrained(finished)
    assert model.dtype == torch.float32
    assert model.config.id2label == dict(enumerate(sorted(CLASSES)))
    processor = AutoImageProcessor.from_pretrained(finished)
    assert processor.crop_size == {"height": 16, "width": 16}
    assert main(["predict", str(finished), str(data / "red" / "00.png"), "--runtime", "torch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"][0]["label"] == "red"


def test_the_card_tells_how_the_weights_came_about(finished: Path, data: Path) -> None:
    card = (finished / "README.md").read_text()
    assert "Trained from scratch by `cvhub train tiny` on 36 pictures of" in card
    assert "6 epochs, 24 steps of 8, seed 0" in card
    assert "On 12 pictures of the same split" in card
    for file in finished.iterdir():
        if file.suffix in (".md", ".toml", ".json", ".csv"):
            assert str(data.parent) not in file.read_text()  # where the data lay is nobody's business


def test_a_finished_run_is_not_run_again(finished: Path, data: Path) -> None:
    """What a kill left as the run cleared up goes."""
    before = (finished / "model.safetensors").stat().st_mtime_ns
    (finished / run.DONE / "checkpoint-9").mkdir(parents=True)
    again = train(tiny_recipe(data, budget={"epochs": 6}), finished, "tiny")
    assert again == outcome(finished)
    assert not (finished / run.DONE).exists()
    assert (finished / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(CvhubError, match=r"holds the model of another recipe: its seed is 0, not 1"):
        train(tiny_recipe(data, budget={"epochs": 6}, seed=1), finished)


def test_a_folder_of_something_else_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CvhubError, match="exists and holds no run"):
        train(tiny_recipe(data), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def start(recipe: Recipe, folder: Path, *launcher: str) -> subprocess.Popen:
    """`cvhub train` in a process of its own, or in several."""
    file = folder.with_suffix(".toml")
    file.write_text(recipe.as_toml())
    command = [sys.executable, "-m", *launcher, *("-m" for _ in launcher[:1]), "cvhub", "train", str(file)]
    return subprocess.Popen([*command, "--out", str(folder)], cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.fault
def test_a_killed_run_ends_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    """With everything that a checkpoint must hold: momentum, schedule, average, dropout's generator, curves."""
    recipe = tiny_recipe(
        data,
        model={
            "family": "mobilenet_v2",
            "config": {"rows": [[1, 8, 1, 1], [2, 12, 1, 2]], "stem_channels": 8, "head_channels": 16},
        },
        augmentation={"flip_horizontal": 0.5, "mixup": 0.2},
        optimiser={"name": "adamw", "lr": 0.005, "ema": 0.9},
        budget={"epochs": 12, "save_minutes": 1e-6, "validate_every": 0.5},
    )
    folder = tmp_path / "killed"
    process = start(recipe, folder)
    while not list((folder / run.WORK).glob("checkpoint-[1-3]?")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "config.json").exists()
    with pytest.raises(CvhubError, match=r"holds an unfinished run of another recipe: its optimiser.lr is 0.005"):
        train(replace(recipe, optimiser=replace(recipe.optimiser, lr=0.1)), folder)
    last = max(int(file.name.split("-")[1]) for file in (folder / run.WORK).glob("checkpoint-*"))
    assert 10 <= last < 48
    train(recipe, folder)
    train(recipe, tmp_path / "whole")
    assert_same_weights(folder, tmp_path / "whole")
    resumed, whole = (without_times(read_curve(tmp_path / name / "curves.csv")) for name in ("killed", "whole"))
    assert resumed == whole
    rows = read_curve(folder / "curves.csv")
    for name in TIMES:
        assert [row[name] for row in rows] == sorted(row[name] for row in rows)


@pytest.mark.fault
def test_a_kill_before_the_result_is_written_trains_no_step_more(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(data, budget={"epochs": 1.5}, optimiser={"ema": 0.9})
    with monkeypatch.context() as patch:
        patch.setattr(result, "write_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(recipe, tmp_path / "run")
    assert train(recipe, tmp_path / "run").steps == 6
    train(recipe, tmp_path / "whole")
    assert_same_weights(tmp_path / "run", tmp_path / "whole")
    assert read_curve(tmp_path / "run" / "curves.csv")[-1]["step"] == 6


@pytest.mark.fault
def test_a_kill_while_the_result_moves_up_loses_nothing(finished: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moving"
    work = folder / run.WORK
    shutil.copytree(finished, work / run.FINISHED)
    recipe = tiny_recipe(data, budget={"epochs": 6})
    (work / RECIPE).write_text(recipe.as_toml())
    (work / run.FINISHED / "config.json").replace(folder / "config.json")
    assert train(recipe, folder) == replace(outcome(finished), folder=str(folder))
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in finished.iterdir())


def of_many_processes(data: Path, **budget: Any) -> Recipe:
    """LayerNorm, no dropout, and all that chance does to pictures."""
    return tiny_recipe(
        data,
        model={
            "family": "vit",
            "config": {
                "image_size": 16,
                "patch_size": 4,
                "hidden_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 48,
            },
        },
        augmentation=dataclasses.asdict(everything()),
        optimiser={"name": "adamw", "lr": 0.001, "ema": 0.9, "clip": 1.0},
        budget={"epochs": 5} | budget,
        compute={"precision": "fp32"},  # bf16 would round the sums of half a batch
    )


def launcher(processes: int) -> tuple[str, ...]:
    return ("torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)) if processes > 1 else ()


def have_equal_losses(one: Path, other: Path) -> bool:
    curves = [read_curve(folder / "curves.csv") for folder in (one, other)]
    assert len(curves[0]) == len(curves[1]) == 20
    names = ("loss", "validation_loss")
    return all(
        ours.get(name) == pytest.approx(theirs.get(name), abs=1e-5)
        for ours, theirs in zip(*curves, strict=True)
        for name in names
    )


def test_two_processes_have_the_losses_of_one(data: Path, tmp_path: Path) -> None:
    recipe = of_many_processes(data)
    both = start(recipe, tmp_path / "two", *launcher(2))
    train(recipe, tmp_path / "one")
    written, _ = both.communicate()
    assert both.returncode == 0
    assert written.decode().count("on what was held out") == 1  # the first process speaks
    assert have_equal_losses(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(first: int, then: int, data: Path, tmp_path: Path) -> None:
    recipe, folder = of_many_processes(data, save_minutes=1e-6), tmp_path / "run"
    process = start(recipe, folder, *launcher(first))
    while not list((folder / run.WORK).glob("checkpoint-[5-9]")) and process.poll() is None:
        time.sleep(0.01)
    process.terminate()  # torchrun passes it on
    process.wait()
    assert not (folder / "model.safetensors").exists()
    again = start(recipe, folder, *launcher(then))
    train(recipe, tmp_path / "whole")
    again.communicate()
    assert again.returncode == 0
    assert have_equal_losses(tmp_path / "whole", folder)


def test_the_average_of_the_weights_is_saved(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, optimiser={"ema": 0.95}, result={"dtype": "float32"})
    trainers = []
    prepare = run.prepare

    def spy(*args: Any) -> Any:
        trainers.append(prepare(*args))
        return trainers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "prepare", spy)
        train(recipe, tmp_path / "run")
    saved, (trainer,) = weights(tmp_path / "run"), trainers
    assert all(torch.equal(saved[name], value) for name, value in trainer.ema.module.state_dict().items())
    assert not torch.equal(saved["classifier.weight"], trainer.model.state_dict()["classifier.weight"])
    steps = trainer.plan.steps
    decays = [trainer.ema.get_decay(step) for step in range(1, steps + 1)]
    assert decays[0] == 0.0  # the average starts at the first step's weights, not at the random ones
    assert decays == sorted(decays)


# -- fine-tuning


def test_the_head_alone_leaves_the_body_as_it_was(finished: Path, data: Path, tmp_path: Path) -> None:
    tables = {"from": str(finished), "family": "", "config": {}, "train": "head"}
    recipe = tiny_recipe(data, model=tables, picture={"size": 0}, result={"dtype": "float32"})
    train(recipe, tmp_path / "head")
    before, after = load_model(str(finished)).state_dict(), weights(tmp_path / "head")
    same = [name for name in after if torch.equal(before[name].to(after[name].dtype), after[name])]
    assert [name for name in after if name not in same] == ["classifier.bias", "classifier.weight"]


def test_a_whole_net_is_fine_tuned_for_other_classes(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("red", "green"):
        shutil.copytree(data / label, tmp_path / "new" / f"a {label} thing")
    options = [f"from={finished}", f"data={tmp_path / 'new'}", "epochs=3", "batch=8", "lr=0.01"]
    assert main(["train", "finetune", *options, "--out", str(tmp_path / "tuned"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["validation_accuracy"] > 0.8
    model = load_model(str(tmp_path / "tuned"))
    assert list(model.config.id2label.values()) == ["a green thing", "a red thing"]
    assert PixelTransform.from_folder(tmp_path / "tuned").crop_size == {"height": 16, "width": 16}
    assert f"Fine-tuned from {finished.name}" in (tmp_path / "tuned" / "README.md").read_text()


def test_a_head_is_kept_where_the_classes_are_the_same(finished: Path, data: Path) -> None:
    model = replace(tiny_recipe(data).model, from_=str(finished), family="", config={})
    same = build_net(model, sorted(CLASSES), seed=1)
    other = build_net(model, ["x", "y", "z"], seed=1)
    old = load_model(str(finished))
    assert torch.equal(same.classifier.weight, old.classifier.weight)
    assert not torch.equal(other.classifier.weight, old.classifier.weight)
    assert torch.equal(other.resnet.stem.conv.weight, old.resnet.stem.conv.weight)
    with pytest.raises(CvhubError, match=r"model\.config doesn't fit the weights of"):
        build_net(replace(model, config={"widths": [8, 32]}), ["x", "y"], seed=1)


@pytest.mark.parametrize("part", ["all", "head"])
@pytest.mark.parametrize("labels", ["abcde", "xyz"], ids=["its own classes", "other classes"])
def test_labels_train_both_heads_of_a_distilled_net(labels: str, part: str, tmp_path: Path) -> None:
    """There is no teacher in a recipe: a head that nobody trains would go on answering with the other."""
    save(tmp_path / "old", TinyFamily("deit").model(id2label=dict(enumerate("abcde"))))
    net = build_net(Model(from_=str(tmp_path / "old"), train=part), list(labels), seed=0).train()
    net.base_model.requires_grad_(part == "all")
    net(torch.randn(2, 3, 64, 64), labels=torch.tensor([0, 2])).loss.backward()
    trained = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert {name for name, parameter in net.named_parameters() if parameter.grad is not None} == trained
    assert {"classifier.weight", "distillation_classifier.weight"} <= trained
    assert all(parameter.grad.any() for name, parameter in net.named_parameters() if name.endswith("classifier.weight"))
    old = load_model(str(tmp_path / "old"))
    same = torch.equal(old.distillation_classifier.weight[:3], net.distillation_classifier.weight[:3])
    assert same == (labels == "abcde")


@pytest.mark.parametrize(
    "tables",
    [{"data": {"workers": 1}}, {"compute": {"precision": "bf16"}}, {"compute": {"channels_last": False}}],
    ids=["a worker", "bf16", "channels first"],
)
def test_other_ways_to_compute_end_nearly_alike(tables: dict[str, Any], data: Path, tmp_path: Path) -> None:
    budget = {"epochs": 6, "minutes": 1.0}  # so that steps are measured, too
    train(tiny_recipe(data, budget=budget, augmentation={"flip_vertical": 0.5}), tmp_path / "plain")
    train(tiny_recipe(data, budget=budget, augmentation={"flip_vertical": 0.5}, **tables), tmp_path / "other")
    plain, other = (read_curve(tmp_path / name / "curves.csv") for name in ("plain", "other"))
    assert [row["step"] for row in plain] == [row["step"] for row in other]
    differences = [abs(ours["loss"] - theirs["loss"]) for ours, theirs in zip(plain, other, strict=True)]
    assert max(differences) == 0 if "data" in tables else np.mean(differences) < 0.05


def test_muon_multiplies_in_fp32_where_bf16_is_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "zeropower_via_newtonschulz", muon.zeropower_via_newtonschulz)  # as it was, afterwards
    orthogonalise_in_fp32()
    orthogonalise_in_fp32()
    orthogonal = muon.zeropower_via_newtonschulz(torch.eye(6, 4), 5, [(1.5, -0.5, 0.0)])
    assert orthogonal.dtype == torch.float32
    assert torch.allclose(orthogonal.T @ orthogonal, torch.eye(4), atol=0.02)


def test_a_loss_that_is_no_number_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match="The loss is no number any more at step"):
        train(tiny_recipe(data, optimiser={"lr": 1e30}), tmp_path / "run")


def test_curves_are_plain_data(finished: Path) -> None:
    with (finished / "curves.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    columns = ["step", "epoch", "loss", "lr", "validation_loss", "validation_accuracy", "seconds", "cpu_seconds"]
    assert list(rows[0]) == columns
    assert rows[-1]["step"] == "24"
