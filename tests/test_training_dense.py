"""Segmenters are trained as classifiers are, and what is left is a complete model that remembers its truth."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.truth import IGNORED, read_truth
from cvhub.models.pixels import PixelTransform
from cvhub.models.unet import CvUNetConfig, CvUNetForSemanticSegmentation
from cvhub.training.batches import Key
from cvhub.training.border_weights import border_weights
from cvhub.training.curves import read_curve
from cvhub.training.dense import MaskedBatches, border_weigher, load_masked_pictures, truth_of
from cvhub.training.judging import SegmenterJudge
from cvhub.training.nets import build_net
from cvhub.training.recipe import Augmentation, Data, Model, Recipe
from cvhub.training.recipe_file import read_recipe
from cvhub.training.run import train
from tests.test_deeplab import TINY as DEEPLAB
from tests.test_panoptic_deeplab import TINY as PANOPTIC
from tests.test_truth import png
from tests.test_unet import TINY as UNET

MAP = {"0": "background", "*": "square"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 noisy pictures of 40×48 pixels with two bright squares each, three tiles a picture."""
    folder = tmp_path_factory.mktemp("squares")
    chance = np.random.default_rng(0)
    rows: dict[str, list[Any]] = {"image": [], "instances": [], "image_id": []}
    for i in range(24):
        ids = np.zeros((40, 48), np.uint8)
        for number in (1, 2):
            top, left = chance.integers(2, 26), chance.integers(2, 14) + 22 * (number - 1)
            ids[top : top + 12, left : left + 10] = number
        pixels = 60 + 120 * (ids > 0)[:, :, None] + chance.normal(0, 20, (40, 48, 3))
        rows["image"].append(png(np.clip(pixels, 0, 255)))
        rows["instances"].append(png(ids))
        rows["image_id"].append(f"picture {i // 3}")
    kinds = {"image": datasets.Image(), "instances": datasets.Image(), "image_id": datasets.Value("string")}
    (folder / "data").mkdir()
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def data_table(source: Path, **fields: Any) -> dict[str, Any]:
    table = {"source": str(source), "target": "instances", "map": MAP, "holdout": "image_id:0.25:0", "validation": 0.2}
    return table | fields


def tiny_recipe(source: Path, family: str, config: dict[str, Any], **tables: Any) -> Recipe:
    recipe: dict[str, Any] = {
        "data": data_table(source),
        "picture": {"size": 32},
        "model": {"family": family, "config": json.loads(json.dumps(config))},
        "augmentation": {"crop_scale": [0.6, 1.0], "flip_horizontal": 0.5, "quarter_turns": True},
        "optimiser": {"name": "adamw", "lr": 0.01, "batch": 4, "warmup_epochs": 0.5},
        "budget": {"epochs": 8},
        "result": {"dtype": "float32"},
    }
    return read_recipe(recipe | tables)


def transform() -> PixelTransform:
    start = PixelTransform.default({"image_size": 32})
    return PixelTransform.from_config(vars(start) | {"do_resize": False, "do_center_crop": False})


def test_what_is_held_out_is_neither_trained_on_nor_judged_by(data: Path) -> None:
    pictures = load_masked_pictures(Data(**data_table(data)), "RGB")
    assert pictures.labels == ["background", "square"]
    assert (len(pictures.train), len(pictures.held_out or ())) == (15, 3)  # of 24, 6 are held out, in whole pictures
    everything = load_masked_pictures(Data(**data_table(data, holdout="", validation=0.0)), "RGB")
    assert (len(everything.train), everything.held_out) == (24, None)
    assert len(load_masked_pictures(Data(**data_table(data, share=0.5)), "RGB").train) < 15


def batches(data: Path, **augmentation: Any) -> MaskedBatches:
    pictures = load_masked_pictures(Data(**data_table(data)), "RGB").train
    return MaskedBatches(pictures, transform(), Augmentation(**augmentation), 32, with_instances=True, seed=3)


def test_masks_go_where_the_picture_goes(data: Path) -> None:
    """Whatever the turn, flip and crop: squares are bright and the rest is dark, and things keep their numbers."""
    made = batches(data, crop_scale=(0.4, 1.0), flip_horizontal=0.5, flip_vertical=0.5, quarter_turns=True)
    batch = made.__getitems__([Key(epoch, 0, index) for epoch in range(3) for index in range(8)])
    assert batch["pixel_values"].shape == (24, 3, 32, 32)
    labels, instances = batch["labels"], batch["instance_labels"]
    assert torch.equal(labels > 0, instances > 0)
    assert set(instances.unique().tolist()) <= {0, 1, 2}
    brightness = batch["pixel_values"].mean(1)
    inside, outside = brightness[labels == 1], brightness[labels == 0]
    middle = (inside.mean() + outside.mean()) / 2
    assert (inside > middle).float().mean() > 0.9
    assert (outside < middle).float().mean() > 0.9


def test_a_picture_depends_on_seed_epoch_and_sample_alone(data: Path) -> None:
    made = batches(data, crop_scale=(0.4, 1.0), colour_jitter=0.4, hue=0.1, grey=0.3, invert=0.3, quarter_turns=True)
    alone = made.__getitems__([Key(1, 5, 2)])
    torch.manual_seed(9)
    among = made.__getitems__([Key(1, 0, 0), Key(1, 0, 2)])
    other = made.__getitems__([Key(2, 5, 2)])
    for name, values in alone.items():
        assert torch.equal(values[0], among[name][1])
    assert not torch.equal(alone["pixel_values"], other["pixel_values"])


def test_gaps_between_things_count_more(data: Path) -> None:
    """As equation 2 says of the instances that the batch shows, and the net's loss is the weighted one."""
    wanted = Data(**data_table(data, border_weight=4.0, border_sigma=3.0))
    pictures = load_masked_pictures(wanted, "RGB").train
    weigh = border_weigher(wanted, with_instances=False)
    made = MaskedBatches(pictures, transform(), Augmentation(quarter_turns=True), 32, True, seed=3, weigh=weigh)
    batch = made.__getitems__([Key(0, 0, index) for index in range(8)])
    for weights, instances in zip(batch["label_weights"], batch["instance_labels"], strict=True):
        np.testing.assert_allclose(weights, border_weights(instances.numpy(), 4.0, 3.0), rtol=1e-6)
    assert batch["label_weights"].max() > 1.5
    net = CvUNetForSemanticSegmentation(CvUNetConfig(widths=(4, 4), padding=True, num_channels=3)).eval()
    inputs = {"pixel_values": batch["pixel_values"], "labels": batch["labels"]}
    each = torch.nn.functional.cross_entropy(net(**inputs).logits, batch["labels"], reduction="none")
    weights = batch["label_weights"]
    loss = net(**inputs, label_weights=weights).loss
    torch.testing.assert_close(loss, (weights * each).mean())


@pytest.mark.parametrize(
    ("settings", "with_instances", "told"),
    [({}, True, "has heads for things"), ({"map": {"0": "background", "1": "square"}}, False, "tell no things apart")],
)
def test_border_weights_need_things_to_lie_between(settings: Any, with_instances: bool, told: str) -> None:
    table = {"source": "x", "target": "mask", "map": {"0": "background", "*": "square"}, "border_weight": 10.0}
    with pytest.raises(CvhubError, match=told):
        border_weigher(Data(**(table | settings)), with_instances)


def test_without_augmentation_training_sees_what_inference_sees(data: Path) -> None:
    pictures = load_masked_pictures(Data(**data_table(data)), "RGB").train
    plain = MaskedBatches(pictures, transform(), Augmentation(crop_ratio=(1.2, 1.2)), 40, False, seed=0)
    assert "instance_labels" not in plain.__getitems__([Key(0, 0, 0)])
    offset = transform()([pictures[0][0]])
    whole = plain.offset[:, 0, 0] + plain.scale[:, 0, 0] * torch.from_numpy(pictures.kept[0][0][0, 0]).float()
    torch.testing.assert_close(whole, torch.from_numpy(offset[0, :, 0, 0]))


def test_the_judge_pools_pixels_and_ignores_what_is_unknown(data: Path) -> None:
    pictures = load_masked_pictures(Data(**data_table(data)), "RGB").held_out
    assert pictures is not None
    for _, masks in pictures.kept:
        masks.labels[:4] = IGNORED

    class Answer(torch.nn.Module):
        """Says that the left half is all squares."""

        def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> Any:
            logits = torch.zeros(1, 2, *pixels.shape[2:])
            logits[:, 1, :, : pixels.shape[3] // 2] = 1
            logits[:, 0, :, pixels.shape[3] // 2 :] = 1
            return transformers.utils.ModelOutput(loss=torch.tensor(0.5), logits=logits)

    judge = SegmenterJudge(pictures, transform(), CvUNetConfig(num_labels=2, padding=True))
    sums = sum(judge.judge(Answer(), range(i, i + 1), "cpu", torch.channels_last) for i in range(len(judge)))
    metrics = judge.metrics(sums)
    truth = np.stack([masks.labels for _, masks in pictures.kept])[:, 4:]
    answer = np.zeros_like(truth)
    answer[:, :, :24] = 1
    by_hand = [((truth == k) & (answer == k)).sum() / ((truth == k) | (answer == k)).sum() for k in (0, 1)]
    assert metrics["eval_iou"] == pytest.approx(np.mean(by_hand))
    assert metrics["eval_loss"] == 0.5


@pytest.mark.parametrize(("family", "config"), [("unet", UNET), ("deeplab", DEEPLAB), ("panoptic_deeplab", PANOPTIC)])
def test_a_run_learns_and_leaves_a_complete_model(
    family: str, config: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(data, family, config, result={"dtype": "float32", "title": "Squares"})
    outcome = train(recipe, tmp_path / "run", "squares")
    assert train(recipe, tmp_path / "run", "squares") == outcome  # it is there, by the same recipe
    curve = read_curve(tmp_path / "run" / "curves.csv")
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert outcome.validation_accuracy is None
    assert outcome.validation_iou == curve[-1]["validation_iou"]
    folder = tmp_path / "run"
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auto = next(auto for auto in fields["auto_map"] if auto.startswith("AutoModelFor"))
    model = getattr(transformers, auto).from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    assert type(processor).__name__ == model.config.processor[1]
    assert model.config.id2label == {0: "background", 1: "square"}
    pixels = processor(Image.new("RGB", (50, 40)), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 40, 50)
    assert read_truth(folder) == truth_of(recipe.data)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: image-segmentation" in card
    assert 'pipeline("image-segmentation"' in card
    assert f"mean intersection over union at the end was {outcome.validation_iou:.4f}" in card


def test_a_backbone_starts_from_a_trained_classifier(tmp_path: Path) -> None:
    """Its config comes along, changed where the recipe says so, and its weights, but for what is left out."""
    source = {"rows": [[1, 8, 1, 1], [6, 8, 1, 2], [6, 16, 1, 2], [6, 16, 1, 2], [6, 24, 1, 2]], "stem_channels": 8}
    classifier = build_net(Model(family="mobilenet_v2", config=source), ["a", "b"], seed=1)
    classifier.save_pretrained(tmp_path)
    config = {"num_channels": 3, "padding": True, "upsampling": "nearest", "backbone": {"head_channels": 0}}
    model = Model(family="unet", backbone_from=str(tmp_path), config=config)
    net = build_net(model, ["background", "square"], seed=2)
    assert net.config.backbone.stage_names[-1] == "stage4"
    theirs = classifier.base_model.state_dict()
    for name, tensor in net.unet.encoder.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    larger = config | {"backbone": {"head_channels": 0, "rows": [*source["rows"], [6, 24, 2, 1]]}}
    with pytest.raises(CvhubError, match="which lacks stages"):
        build_net(Model(family="unet", backbone_from=str(tmp_path), config=larger), ["background", "square"], seed=2)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"augmentation": {"mixup": 0.2}}, "augmentation.mixup is 0.2, which data of masks can't be given"),
        ({"data": {"source": "x", "target": "instances"}}, "data.target and data.map belong together"),
    ],
)
def test_what_does_not_go_together_is_said(tables: dict[str, Any], sentence: str, data: Path) -> None:
    with pytest.raises(CvhubError, match=sentence):
        tiny_recipe(data, "unet", UNET, **tables)
