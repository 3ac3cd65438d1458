"""Students and their teachers: whom a recipe may name, what a teacher sees, answers that are kept, and whole runs."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from timm.models import save_for_hf
from transformers import AutoModelForImageClassification

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.load import load_model, load_processor
from cvhub.models.losses import UNKNOWN, classification_loss
from cvhub.models.pixels import PixelTransform
from cvhub.training import run
from cvhub.training.batches import Batches, Deal, Loader
from cvhub.training.curves import read_curve, write_curve
from cvhub.training.data import load_pictures
from cvhub.training.disk import writing
from cvhub.training.distillation_trainer import DistillationTrainer, view_facts
from cvhub.training.nets import picture_transform
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe
from cvhub.training.result import write_unfinished
from cvhub.training.run import train
from cvhub.training.teachers import Teacher
from cvhub.training.trainer import WEIGHTS, step_of, training_arguments
from tests.test_inference import save
from tests.test_training import CLASSES, assert_same_weights, start, tiny_recipe, without_times
from tests.test_training import data as data  # a fixture
from tests.test_training import finished as finished
from tests.tiny import TinyFamily

STUDENT = {
    "family": "deit",
    "config": {
        "image_size": 16,
        "patch_size": 4,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "drop_path_rate": 0.0,
    },
}
ANOTHER = PixelTransform({"shortest_edge": 32}, {"height": 32, "width": 32}, (0.2, 0.3, 0.4), (0.3, 0.2, 0.25))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second teacher: another family, size, normalisation and order of classes, and a class more."""
    names = ["RED", "sea", "blue", "Green"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    model = TinyFamily("vgg").model(num_labels=4, **labels)
    processor = {key: getattr(ANOTHER, key) for key in ("size", "crop_size", "image_mean", "image_std")}
    return save(tmp_path_factory.mktemp("teachers") / "other", model, processor)


def taught(data: Path, /, *teachers: Path, **tables: Any) -> Recipe:
    """A tiny DeiT with teachers."""
    distillation = {"teachers": [str(teacher) for teacher in teachers]} | tables.pop("distillation", {})
    basis = {"model": STUDENT, "optimiser": {"name": "adamw", "lr": 0.003}, "result": {"dtype": "float32"}}
    return tiny_recipe(data, distillation=distillation, **(basis | tables))


def prepared(recipe: Recipe, folder: Path) -> Any:
    """A trainer before its first step."""
    run.begin(recipe, folder)
    return run.prepare(recipe, folder, training_arguments(recipe, folder))


# -- recipes


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["teachers=a,b,c"], "distillation.teachers are a, b, c, expected one or two."),
        (["teachers=[1]"], r"distillation.teachers is \[1\], expected names."),
        (["distillation.loss=warm"], "distillation.loss is 'warm', expected one of hard, soft."),
        (["combination=vote"], "distillation.combination is 'vote', expected one of fixed, confidence, agreement."),
        (["temperature=0"], "distillation.temperature is 0.0, expected more than 0."),
        (["distillation.weight=1.5"], "distillation.weight is 1.5, expected 0 to 1."),
        (["answers=kept"], "distillation.answers needs distillation.views"),
        (["teacher_weights=[1, 2]"], r"distillation.teacher_weights are \[1.0, 2.0\], expected 1 numbers"),
        (["teacher_weights=[0]"], r"distillation.teacher_weights are \[0.0\], expected a sum above 0."),
        (["teacher_weights=[-1]"], "distillation.teacher_weights is -1.0, expected at least 0."),
        (["teachers=[]", "labelled=0.1"], "data.labelled is less than 1, which needs distillation.teachers"),
        (["augmentation.repeats=0"], "augmentation.repeats is 0, expected at least 1."),
        (["model.family=", "from=eurosat_vgg", "train=head"], "distillation.teachers teach a whole net"),
    ],
)
def test_what_can_not_be_taught_is_one_sentence(settings: list[str], sentence: str) -> None:
    with pytest.raises(CvhubError, match=sentence):
        load_recipe("distill", settings)


def test_names_are_given_by_commas_or_as_a_list() -> None:
    for words in ("a,b", '["a", "b"]'):
        assert load_recipe("distill", [f"teachers={words}"]).distillation.teachers == ("a", "b")
    assert load_recipe("distill", ["result.title=[mine]"]).result.title == "[mine]"  # a text is a text


def test_a_recipe_stands_on_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "students/plain"\n[optimiser]\nlr = 0.5\n')
    mine, plain = load_recipe(str(file), ["batch=8"]), load_recipe("students/plain")
    assert mine == replace(plain, optimiser=replace(plain.optimiser, lr=0.5, batch=8))
    file.write_text(f'base = "{file}"\n')
    with pytest.raises(CvhubError, match=r"mine.toml has the base .*, expected another recipe"):
        load_recipe(str(file))
    file.write_text('base = "no/such"\n')
    with pytest.raises(CvhubError, match="There is no recipe 'no/such'"):
        load_recipe(str(file))


# -- teachers


def test_a_teacher_answers_as_it_does_alone(data: Path, other: Path) -> None:
    """Another size, normalisation and order of classes: what counts is the picture and the names."""
    student = picture_transform(taught(data, other))
    teacher = Teacher(str(other), list(CLASSES), student)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    pixels = torch.from_numpy(student([image]))
    large = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float(), (32, 32), mode="bicubic", antialias=True
    )
    mean, std = (torch.tensor(values)[:, None, None] for values in (ANOTHER.image_mean, ANOTHER.image_std))
    assert torch.allclose(teacher.view(pixels), (large / 255 - mean) / std, atol=1e-4)
    with torch.no_grad():
        alone = load_model(str(other))(teacher.view(pixels)).logits
    tolerance = 5e-3 if teacher.runtime.precision == "bf16" else 1e-4
    assert torch.allclose(teacher.answer(pixels), alone[:, [2, 3, 0]], atol=tolerance)  # blue, green, red


def test_a_teacher_is_itself_in_a_step_of_bf16(
    data: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it is converted in that step: its answers are kept, and must not tell what the cache held."""
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))
    student = picture_transform(taught(data, other))
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    cold, warm = (Teacher(str(other), list(CLASSES), student) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        answers = cold.answer(pixels)
        assert torch.is_autocast_enabled("cpu")  # the student's step goes on as it was
    assert cold.runtime.name == warm.runtime.name == "openvino"
    assert torch.equal(answers, warm.answer(pixels))


def save_as_timm(folder: Path) -> Any:
    model = timm.create_model("mobilenetv2_035", num_classes=3, pretrained=False)
    save_for_hf(model, str(folder), model_config={"label_names": ["red", "green", "blue"]}, safe_serialization=True)
    return model


def save_as_transformers(folder: Path) -> Any:
    """Its processor resizes and crops nothing."""
    labels = {"id2label": {0: "red", 1: "green", 2: "blue"}, "label2id": {"red": 0, "green": 1, "blue": 2}}
    sizes: Any = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig(**sizes, **labels))
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model


@pytest.mark.parametrize("save_as", [save_as_timm, save_as_transformers])
def test_a_folder_of_theirs_teaches(save_as: Callable[[Path], Any], data: Path, tmp_path: Path) -> None:
    model = save_as(tmp_path / "theirs").eval()
    teacher = Teacher(str(tmp_path / "theirs"), list(CLASSES), picture_transform(taught(data, tmp_path / "theirs")))
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = model(teacher.view(pixels))
    expected = getattr(expected, "logits", expected)[:, [2, 1, 0]]
    tolerance = 0.1 if teacher.runtime.precision == "bf16" else 1e-4
    assert (teacher.answer(pixels) - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_coloured_see_each_other(channels: int, tmp_path: Path) -> None:
    fields = {"num_labels": 3, "id2label": dict(enumerate(CLASSES)), "label2id": {n: i for i, n in enumerate(CLASSES)}}
    model = TinyFamily("resnet").model(num_channels=channels, **fields)
    processor = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    processor |= {"image_mean": [0.5] * channels, "image_std": [0.5] * channels}
    folder = save(tmp_path / "teacher", model, processor)
    student = PixelTransform(
        {"shortest_edge": 16}, {"height": 16, "width": 16}, [0.4] * (4 - channels), [0.2] * (4 - channels)
    )
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    seen = Teacher(str(folder), list(CLASSES), student).view(torch.from_numpy(student([image])))
    theirs = load_processor(str(folder))([image.convert("L") if channels == 3 else image])
    assert seen.shape == theirs.shape
    assert np.abs(seen.numpy() - theirs).max() < 0.006  # Pillow's grey is a whole number


def test_who_can_not_teach_is_named(data: Path, finished: Path) -> None:
    student = picture_transform(taught(data, finished))
    with pytest.raises(
        CvhubError, match=r"teacher .*: 1 of the data set's 2 classes are none of the model's 3: violet"
    ):
        Teacher(str(finished), ["red", "violet"], student)
    with pytest.raises(
        CvhubError, match="teacher nuclei_unet is for semantic-segmentation, expected one that classifies"
    ):
        Teacher("nuclei_unet", ["red"], student)


def test_a_teacher_is_no_part_of_what_is_trained(data: Path, finished: Path, tmp_path: Path) -> None:
    trainer = prepared(taught(data, finished), tmp_path / "run")
    ours = {id(parameter) for parameter in trainer.model.parameters()}
    groups = trainer.create_optimizer().param_groups
    assert {id(parameter) for group in groups for parameter in group["params"]} == ours
    assert trainer.model.config.teacher


# -- views


def test_views_come_again_and_repeats_differ() -> None:
    deal = Deal(12, 8, seed=0, repeats=3, views=2)
    epochs = []
    for epoch in range(4):
        deal.set_epoch(epoch)
        epochs.append(list(deal))
    assert epochs[0] == epochs[2]
    assert epochs[1] == epochs[3] != epochs[0]
    (batch,) = epochs[0]
    assert sorted(key.copy for key in batch) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert len({key.index for key in batch}) == 3


def test_a_copy_is_another_view(data: Path) -> None:
    recipe = taught(data, augmentation={"crop_scale": [0.3, 1.0], "erasing": 1.0, "repeats": 2})
    batches = Batches(
        load_pictures(recipe.data, "RGB").train, picture_transform(recipe), recipe.augmentation, 3, seed=0
    )
    deal = Deal(len(batches), 8, seed=0, repeats=2)
    keys = sorted(next(iter(deal)))
    pixels = batches.__getitems__(keys)["pixel_values"]
    assert keys[0].index == keys[1].index
    assert not torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[:1], batches.__getitems__(keys[:1])["pixel_values"])


# -- labels that are unknown


def test_an_unknown_label_costs_nothing() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, UNKNOWN, 2, UNKNOWN])
    for smoothing in (0.0, 0.1):
        known = classification_loss(logits[[0, 2]], labels[[0, 2]], smoothing)
        assert torch.allclose(classification_loss(logits, labels, smoothing), known)
        soft = torch.nn.functional.one_hot(labels.clamp(min=0), 3) * (labels >= 0)[:, None]
        assert torch.allclose(classification_loss(logits, soft.float(), smoothing), known)
        assert classification_loss(logits, torch.full((4,), UNKNOWN), smoothing) == 0


def test_the_labels_of_a_share_are_known(data: Path, finished: Path) -> None:
    recipe = taught(data, finished, data={"labelled": 0.25})
    all_known = load_pictures(taught(data, finished).data, "RGB").train.targets
    some = load_pictures(recipe.data, "RGB").train.targets
    known = some != UNKNOWN
    assert np.bincount(some[known]).tolist() == [3, 3, 3]  # a quarter of 12 each
    assert np.array_equal(some[known], all_known[known])
    share = load_pictures(taught(data, finished, data={"share": 0.25}).data, "RGB").train
    assert np.array_equal(
        np.flatnonzero(known), np.flatnonzero(np.isin(load_pictures(recipe.data, "RGB").train.rows, share.rows))
    )


def test_a_mixed_picture_lacks_what_is_unknown(data: Path, finished: Path) -> None:
    recipe = taught(data, finished, data={"labelled": 0.5}, augmentation={"mixup": 1.0})
    batches = Batches(
        load_pictures(recipe.data, "RGB").train, picture_transform(recipe), recipe.augmentation, 3, seed=0
    )
    deal = Deal(len(batches), 16, seed=0)
    sums = torch.cat([batches.__getitems__(keys)["labels"].sum(-1) for keys in deal])
    assert ((sums >= 0) & (sums <= 1 + 1e-6)).all()
    assert ((sums > 0.01) & (sums < 0.99)).any()


# -- answers that are kept


def test_stored_answers_are_the_teachers_in_fp16(data: Path, finished: Path, other: Path, tmp_path: Path) -> None:
    """Bit for bit, of a fixed set of views, whether they were just asked for or read by the next run."""
    tables: dict[str, Any] = {
        "augmentation": {"crop_scale": [0.5, 1.0], "mixup": 0.5, "erasing": 0.5, "repeats": 2},
        "distillation": {"views": 2, "answers": str(tmp_path / "answers")},
    }
    recipe = taught(data, finished, other, **tables)
    trainer = prepared(recipe, tmp_path / "run")
    asked = []
    for epoch in range(2):
        trainer.loader.set_epoch(epoch)
        for batch in trainer.loader:
            keys = batch["keys"].numpy()
            answers = trainer.ask(batch["pixel_values"], keys)
            live = torch.stack([teacher.answer(batch["pixel_values"]) for teacher in trainer.teachers])
            assert torch.equal(answers, live.half().float())
            asked.append((keys, answers))
    again = prepared(recipe, tmp_path / "again")
    nothing = torch.full((8, 3, 16, 16), torch.nan)
    for keys, answers in asked:
        assert torch.equal(again.ask(nothing, keys), answers)
    assert all("runtime" not in vars(teacher) for teacher in again.teachers)  # their weights were not even loaded


def test_answers_to_something_else_are_refused(data: Path, finished: Path, other: Path, tmp_path: Path) -> None:
    kept = {"views": 2, "answers": str(tmp_path / "answers")}
    prepared(taught(data, finished, distillation=kept), tmp_path / "first")
    more_data = tmp_path / "more"
    shutil.copytree(data, more_data)
    for path in more_data.glob("red/0?.png"):
        shutil.copy(path, more_data / "blue" / path.name)
    swapped = Path(shutil.copytree(data, tmp_path / "swapped" / data.name))  # a single picture of all
    shutil.copy(data / "red" / "07.png", swapped / "red" / "08.png")
    (renamed := Path(shutil.copytree(data, tmp_path / "renamed" / data.name)) / "red").rename(renamed.with_name("sea"))
    stranger = shutil.copytree(other, tmp_path / "teachers" / finished.name)
    for number, (recipe, what) in enumerate(
        [
            (taught(data, finished, distillation=kept, seed=1), "their seed is 0, not 1"),
            (
                taught(data, finished, distillation=kept, augmentation={"erasing": 0.1}),
                "their augmentation.erasing is 0.0",
            ),
            (taught(data, finished, distillation=kept | {"views": 3}), "their views is 2, not 3"),
            (taught(more_data, finished, distillation=kept), "their data is|their pictures is"),
            (taught(swapped, finished, distillation=kept), "their pictures is"),
            (taught(renamed.parent, stranger, distillation=kept), "their classes is .'blue', 'green', 'red'., not"),
            (taught(data, stranger, distillation=kept), "their teacher is"),
        ]
    ):
        with pytest.raises(CvhubError, match=f"holds answers to something else: ({what})"):
            prepared(recipe, tmp_path / f"run{number}")


def test_answers_to_mixed_batches_are_of_the_batches_dealt(data: Path, finished: Path, tmp_path: Path) -> None:
    """Whose pictures are mixed depends on their size, which one process may have and two may not."""
    recipe = taught(data, finished, augmentation={"mixup": 1.0}, optimiser={"batch": 6})
    pictures, transform = load_pictures(recipe.data, "RGB").train, picture_transform(recipe)
    batches = Batches(pictures, transform, recipe.augmentation, 3, seed=0)
    loaders = (Loader(batches, Deal(len(batches), 6, 0, 0, processes), 0) for processes in (1, 2))
    assert [view_facts(recipe, loader, list(CLASSES))["batch"] for loader in loaders] == [6, 4]


def test_teachers_of_one_name_keep_their_answers_apart(data: Path, finished: Path, other: Path, tmp_path: Path) -> None:
    namesake = Path(shutil.copytree(other, tmp_path / "teachers" / finished.name))
    kept = {"views": 1, "answers": str(tmp_path / "answers")}
    for number in range(2):
        prepared(taught(data, finished, namesake, distillation=kept), tmp_path / f"run{number}")
    assert {folder.name for folder in (tmp_path / "answers").iterdir()} == {finished.name, f"{finished.name}-2"}


def test_a_damaged_shard_is_named(data: Path, finished: Path, tmp_path: Path) -> None:
    recipe = taught(data, finished, distillation={"views": 1, "answers": str(tmp_path / "answers")})
    train(recipe, tmp_path / "run")
    (shard,) = (tmp_path / "answers").rglob("view-0000.npy")
    for content, sentence in ((b"no array", "can't be used: it is damaged"), (None, "holds float16 .2, 3., expected")):
        shard.write_bytes(content) if content else np.save(shard, np.zeros((2, 3), np.float16))
        with pytest.raises(CvhubError, match=sentence):
            train(recipe, tmp_path / "again")


def test_answers_that_can_not_be_kept_are_said(data: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recipe = taught(data, finished, distillation={"views": 1, "answers": str(tmp_path / "file")})
    with pytest.raises(CvhubError, match="Answers can't be kept in"):
        prepared(recipe, tmp_path / "run")


# -- whole runs


@pytest.mark.parametrize("family", ["deit", "resnet"])
def test_a_student_learns_from_its_teacher_alone(family: str, data: Path, finished: Path, tmp_path: Path) -> None:
    """No labels count at all (λ = 1), and it ends by naming what is held out: it has learnt the teacher's decisions."""
    model = STUDENT if family == "deit" else {}
    recipe = taught(
        data,
        finished,
        model=model,
        distillation={"weight": 1.0},
        budget={"epochs": 20},
        optimiser={"name": "adamw", "lr": 0.005},
    )
    train(recipe, tmp_path / "run")
    net = AutoModelForImageClassification.from_pretrained(tmp_path / "run", dtype="float32").eval()
    pictures = load_pictures(recipe.data, "RGB").held_out
    assert pictures is not None
    with torch.no_grad():
        output = net(torch.from_numpy(picture_transform(recipe)(list(pictures))))
    answering = output.distillation_logits if family == "deit" else output.logits
    assert (answering.argmax(-1).numpy() == pictures.targets).mean() > 0.8


def test_the_loss_is_the_sum_of_its_terms(data: Path, finished: Path, other: Path, tmp_path: Path) -> None:
    """In each row of the curves, which also say whom the samples heard."""
    distillation = {"weight": 0.3, "loss": "soft", "combination": "confidence", "teacher_weights": [0.8, 0.2]}
    train(taught(data, finished, other, distillation=distillation), tmp_path / "run")
    rows = [row for row in read_curve(tmp_path / "run" / "curves.csv") if "loss" in row]
    for row in rows:
        assert row["loss"] == pytest.approx(0.7 * row["label_loss"] + 0.3 * row["distillation_loss"], rel=1e-4)
        parts = row["teacher_1_part"] + row["teacher_2_part"]
        assert row["distillation_loss"] == pytest.approx(parts, rel=1e-4)
        assert row["teacher_1_weight"] + row["teacher_2_weight"] == pytest.approx(1, abs=1e-5)
        assert row["teacher_1_weight"] > 0.7
    assert rows[-1]["distillation_loss"] < rows[0]["distillation_loss"]


def test_a_second_run_is_the_first_without_a_teacher(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = taught(
        data, finished, distillation={"views": 2, "answers": str(tmp_path / "answers")}, budget={"epochs": 4}
    )
    train(recipe, tmp_path / "first")
    monkeypatch.setattr(Teacher, "answer", lambda *_: 1 / 0)
    train(recipe, tmp_path / "second")
    assert_same_weights(tmp_path / "first", tmp_path / "second")


@pytest.mark.fault
def test_a_killed_student_ends_as_if_it_had_not_been(data: Path, finished: Path, tmp_path: Path) -> None:
    """In the middle of its first view, with answers kept and views that come again."""
    recipe = taught(
        data,
        finished,
        augmentation={"mixup": 0.2, "repeats": 2},
        budget={"epochs": 40, "save_minutes": 1e-6},
        distillation={"views": 3, "answers": str(tmp_path / "answers")},
    )
    folder = tmp_path / "killed"
    process = start(recipe, folder)
    while not list((folder / run.WORK).glob("checkpoint-*")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    train(recipe, folder)
    alone = replace(recipe, distillation=replace(recipe.distillation, answers=str(tmp_path / "others")))
    train(alone, tmp_path / "whole")
    assert_same_weights(folder, tmp_path / "whole")
    resumed, whole = (without_times(read_curve(tmp_path / name / "curves.csv")) for name in ("killed", "whole"))
    assert resumed == whole


def test_two_processes_learn_as_one(data: Path, finished: Path, other: Path, tmp_path: Path) -> None:
    recipe = taught(
        data,
        finished,
        other,
        data={"labelled": 0.5},  # unevenly dealt to the two
        augmentation={"crop_scale": [0.5, 1.0], "mixup": 0.5, "repeats": 2},
        optimiser={"name": "adamw", "lr": 0.001, "clip": 1.0},
        budget={"epochs": 5},
        compute={"precision": "fp32"},
        distillation={"loss": "soft", "combination": "confidence", "views": 2, "answers": str(tmp_path / "answers")},
    )
    both = start(recipe, tmp_path / "two", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    both.communicate()
    assert both.returncode == 0
    train(recipe, tmp_path / "one")  # by the answers that two have kept
    one, two = (read_curve(tmp_path / name / "curves.csv") for name in ("one", "two"))
    assert len(one) == len(two) == 20
    for ours, theirs in zip(one, two, strict=True):
        for name in ("loss", "label_loss", "distillation_loss", "teacher_1_weight"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5)


def test_minutes_are_measured_with_the_teacher(data: Path, finished: Path, tmp_path: Path) -> None:
    trainer = prepared(taught(data, finished, budget={"minutes": 0.05, "epochs": 1000}), tmp_path / "run")
    assert isinstance(trainer, DistillationTrainer)
    assert trainer.plan is not None
    assert trainer.plan.seconds_a_step


@pytest.mark.parametrize(("minutes", "steps"), [(0.01, 20), (0.02, 60)])
def test_minutes_count_an_answer_that_is_kept_once(
    minutes: float, steps: int, data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of 30 ms, of 10 as soon as all is known, which is after 30 steps: 5 views of 6 batches."""
    measured = iter([0.03, 0.01])
    monkeypatch.setattr("cvhub.training.trainer.RecipeTrainer.seconds_a_step", lambda _: next(measured))
    recipe = taught(
        data,
        finished,
        optimiser={"batch": 6},
        budget={"minutes": minutes, "epochs": 0},
        distillation={"views": 5, "answers": str(tmp_path / "answers")},
    )
    plan = prepared(recipe, tmp_path / "run").plan
    assert plan.steps_per_epoch == 6
    assert plan.steps == pytest.approx(steps, abs=1)


def test_the_card_and_the_recipe_name_the_teachers_and_no_place(
    data: Path, finished: Path, other: Path, tmp_path: Path
) -> None:
    recipe = taught(data, finished, other, distillation={"views": 1, "answers": str(tmp_path / "answers")})
    train(recipe, tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"with {finished.name} and {other.name} as its teachers (hard distillation, heard by fixed weights)" in card
    for file in ("README.md", "recipe.toml", "config.json"):
        assert str(tmp_path) not in (tmp_path / "run" / file).read_text()


def test_the_command_line_distils(
    data: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(taught(data, finished).as_toml())
    settings = [f"teachers={finished}", "distillation.loss=soft", "budget.epochs=1"]
    assert main(["train", str(file), *settings, "--out", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 4
    assert main(["train", str(file), "teachers=eurosat_vgg", "--out", str(tmp_path / "other")]) == 1
    assert "teacher eurosat_vgg: 3 of the data set's 3 classes are none of the model's 10" in capsys.readouterr().err


# -- what may go wrong


@pytest.mark.fault
@pytest.mark.full  # eleven starts of a process
@pytest.mark.timeout(1200)
def test_ten_kills_lose_nothing_but_time(data: Path, finished: Path, tmp_path: Path) -> None:
    """At moments of chance: while it prepares, first or again, while it learns, and while the result is written."""
    recipe = taught(
        data,
        finished,
        budget={"epochs": 40, "save_minutes": 1e-6},
        distillation={"views": 3, "answers": str(tmp_path / "others")},
    )
    began = time.monotonic()
    process = start(recipe, tmp_path / "whole")
    wait_until(lambda: steps_of(tmp_path / "whole") > 0, process)
    preparing = time.monotonic() - began
    process.communicate()
    learning = time.monotonic() - began - preparing
    recipe = replace(recipe, distillation=replace(recipe.distillation, answers=str(tmp_path / "answers")))
    chance, folder = np.random.default_rng(0), tmp_path / "killed"
    work, seen = folder / run.WORK, []
    for number in range(10):
        before = steps_of(folder)
        process = start(recipe, folder)
        if number >= 7:
            wait_until(lambda: any(work.glob(f".{run.FINISHED}.*")) or (work / run.FINISHED).is_dir(), process)
            time.sleep(chance.uniform(0, 0.1))
        elif number in (2, 4, 6):
            wait_until(lambda before=before: steps_of(folder) > before, process)
            time.sleep(chance.uniform(0, learning / 4))
        else:
            time.sleep(chance.uniform(0, preparing))
        process.kill()
        process.communicate()
        seen.append(steps_of(folder))
        assert seen[-1] >= before or not work.exists()
    assert sum(steps > 0 for steps in seen) > 3, seen  # or the moments would be none
    train(recipe, folder)
    assert_same_weights(folder, tmp_path / "whole")
    killed, whole = (without_times(read_curve(tmp_path / name / "curves.csv")) for name in ("killed", "whole"))
    assert killed == whole
    assert {path.name for path in folder.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}


def wait_until(fits: Callable[[], bool], process: subprocess.Popen) -> None:
    """Or until the process ends."""
    while process.poll() is None and not fits():
        time.sleep(0.002)


def steps_of(folder: Path) -> int:
    return max((step_of(checkpoint) for checkpoint in (folder / run.WORK).glob("checkpoint-*")), default=0)


def test_a_loss_that_is_no_number_keeps_its_batch(data: Path, finished: Path, tmp_path: Path) -> None:
    recipe = taught(data, finished, optimiser={"name": "sgd", "lr": 1e30}, budget={"epochs": 20})
    with pytest.raises(CvhubError, match=r"The loss is no number any more at step .* The batch is in (.*)\.$") as said:
        train(recipe, tmp_path / "run")
    batch = load_file(str(said.value).rpartition(" in ")[2].removesuffix("."))
    assert batch["pixel_values"].shape == (8, 3, 16, 16)
    assert set(batch) == {"pixel_values", "labels", "keys"}


def test_weights_that_are_no_numbers_are_no_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a loss that was one, with a gradient that was none."""
    prepare = run.prepare

    def prepare_for_the_worst(*arguments: Any) -> Any:
        trainer = prepare(*arguments)
        weight = next(trainer.model.parameters())
        weight.register_hook(lambda gradient: gradient * (torch.nan if trainer.state.global_step == 3 else 1))
        return trainer

    monkeypatch.setattr(run, "prepare", prepare_for_the_worst)
    recipe = tiny_recipe(data, budget={"epochs": 2, "save_minutes": 1e-6})
    with pytest.raises(CvhubError, match=r"no numbers any more after step 4: .* The batch is in (.*)\.$") as said:
        train(recipe, tmp_path / "run")
    assert len(load_file(str(said.value).rpartition(" in ")[2].removesuffix("."))["labels"]) == 8
    (checkpoint,) = (tmp_path / "run" / run.WORK).glob("checkpoint-*")
    assert step_of(checkpoint) == 3
    weights = torch.load(checkpoint / WEIGHTS, weights_only=True)["model"]
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.fault
def test_a_full_disk_is_said_and_the_run_goes_on_later(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = taught(data, finished, budget={"epochs": 4, "save_minutes": 1e-6})
    saved = torch.save
    with monkeypatch.context() as patch:
        calls = iter(range(100))

        def full(*args: Any, **kwargs: Any) -> None:
            if next(calls) >= 12:
                raise OSError(errno.ENOSPC, "No space left on device")
            saved(*args, **kwargs)

        patch.setattr(torch, "save", full)
        with pytest.raises(CvhubError, match=r"can't be written \(.*No space left on device\): with room on the disk"):
            train(recipe, tmp_path / "run")
    assert steps_of(tmp_path / "run") > 0
    train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "whole")
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.fault
@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("The recipe", "recipe.Recipe.as_toml"),
        ("The plan", "plan.write_plan"),
        ("The curve of step", "trainer.write_curve"),
        ("The result", "result.save_processor"),
    ],
)
def test_a_disk_without_room_is_said(
    what: str, place: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"cvhub.training.{place}", full)
        with pytest.raises(CvhubError, match=rf"{what}.* can't be written \(.*No space left on device\): with room"):
            train(tiny_recipe(data), tmp_path / "run")
    assert train(tiny_recipe(data), tmp_path / "run").steps == 8


@pytest.mark.fault
def test_what_libraries_say_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    """torch and safetensors have errors of their own, which are no OSErrors; others are not taken for it."""
    script = (
        "import resource, signal, sys, torch\nfrom safetensors.torch import save_file\n"
        "from cvhub.errors import CvhubError\nfrom cvhub.training.disk import writing\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "for save in (save_file, torch.save):\n"
        "    try:\n"
        "        with writing('It'):\n"
        "            save({'a': torch.zeros(100_000)}, sys.argv[1])\n"
        "    except CvhubError as error:\n"
        "        print(error)\n"
    )
    root = Path(__file__).parents[1]
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    ).stdout.splitlines()
    assert [line.startswith("It can't be written (") for line in said] == [True, True]
    with pytest.raises(RuntimeError, match="shapes"), writing("It"):
        raise RuntimeError("shapes differ")


def test_the_curves_cost_a_share_of_the_time(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes long is not done at each row, and the last one's is."""
    written: list[int] = []

    def slow(rows: list[Any], file: Path) -> None:
        written.append(len(rows))
        write_curve(rows, file)
        time.sleep(0.4)  # × 50 is more than the run takes

    monkeypatch.setattr("cvhub.training.trainer.write_curve", slow)
    train(tiny_recipe(data), tmp_path / "run")
    assert set(written) == {1, 8}
    assert len(read_curve(tmp_path / "run" / "curves.csv")) == 8


def test_a_stopped_run_is_a_model_too(data: Path, finished: Path, tmp_path: Path) -> None:
    recipe = taught(data, finished, budget={"epochs": 4, "save_minutes": 1e-6}, optimiser={"ema": 0.9})
    trainer = prepared(recipe, tmp_path / "run")
    trainer.run_on()
    write_unfinished(tmp_path / "run", tmp_path / "model", "mine")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in trainer.ema.module.state_dict().items())
    assert "Stopped after 16 steps" in (tmp_path / "model" / "README.md").read_text()
    net = AutoModelForImageClassification.from_pretrained(tmp_path / "model")
    assert set(net.config.label2id) == set(CLASSES)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CvhubError, match="The run has no checkpoint yet"):
        write_unfinished(tmp_path / "nothing", tmp_path / "none", "mine")
