"""Segmenting: both runtimes give the model's maps, and a mask has the picture's size whatever the net takes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from PIL import Image
from transformers import pipeline

from cvhub.errors import CvhubError
from cvhub.inference import images, large, segment
from cvhub.inference.classify import Classifier
from cvhub.inference.large import TileForward, plan_tiles
from cvhub.inference.mask_folder import plan_masks, write_masks
from cvhub.inference.passes import Passes
from cvhub.inference.pool import ModelPool
from cvhub.inference.reducing import Reduced, reduce_picture
from cvhub.inference.runtime import build_runtime, example_pixels
from cvhub.inference.segment import Segmentation, Segmenter
from cvhub.inference.segments import Segment
from cvhub.inference.tiling import run_tiles
from cvhub.inference.windows import PictureWindows
from cvhub.load import load_model, task_of
from cvhub.models.dense_processing import CvSemanticProcessor
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config
from cvhub.models.panoptic_deeplab import instance_targets
from cvhub.models.segmentation import PixelClassifier
from tests.test_deeplab import TINY_BACKBONE
from tests.test_panoptic_deeplab import disks
from tests.test_segmenters_contract import processor_of
from tests.tiny import SEGMENTERS, TinyFamily

MOBILE = CvMobileNetV2Config(**TinyFamily("mobilenet_v2").listed("TINY") | {"head_channels": 0, "output_stride": 16})
SHALLOW = {"auxiliary_weights": ()}
VALID = {"padding": False, **SHALLOW}
NO_HEADS = {"auxiliary_features": (), **SHALLOW}
# Of every way that a net's code may treat sizes, one.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("unet", {}),
    "unet, nearest, with a backbone": ("unet", {"upsampling": "nearest", "backbone": TINY_BACKBONE, **SHALLOW}),
    "unet, valid": ("unet", VALID),
    "unet, valid, bilinear": ("unet", {"upsampling": "bilinear", **VALID}),
    "deeplab": ("deeplab", {}),
    "deeplab, mobile, coarse": (
        "deeplab",
        {"backbone": MOBILE, "low_level_feature": None, "upsample": False, "aspp_separable": True, **NO_HEADS},
    ),
    "panoptic_deeplab": ("panoptic_deeplab", {}),
}  # fmt: skip
BOTH = ("openvino", "torch")
FP32 = 1e-4
PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}


def tiny(kind: str, **fields: Any) -> Any:
    """A net whose logits differ from pixel to pixel, as a trained net's do."""
    name, own = KINDS[kind]
    family = TinyFamily(name)
    model = family.model(next(auto for auto in SEGMENTERS if family.has(auto)), **own | fields)
    for module in model.modules():
        if isinstance(module, PixelClassifier):
            torch.nn.init.normal_(module.weight)
            assert module.bias is not None
            torch.nn.init.normal_(module.bias)
    return model


def save(folder: Path, kind: str, processor: dict[str, Any] | None = None, **fields: Any) -> Path:
    tiny(kind, **fields).save_pretrained(folder)
    processor_of(TinyFamily(KINDS[kind][0]), **PROCESSOR | (processor or {})).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny net of each kind; what is converted of it stays for all tests of this file."""
    return save(tmp_path_factory.mktemp("kind") / "net", request.param)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("unet") / "net", "unet")


@pytest.fixture(scope="module")
def panoptic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {0: "background", 1: "disk", 2: "sky", 3: "ring", 4: "sea"}
    return save(tmp_path_factory.mktemp("panoptic") / "net", "panoptic_deeplab", id2label=names, thing_ids=(1, 3))


def photo(seed: int = 0, size: tuple[int, int] = (70, 48)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (1 + size[1] // 8, 1 + size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size)


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def logits_of(folder: Path, pixels: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return load_model(str(folder))(torch.from_numpy(pixels[None])).logits[0]


# Runtimes


@pytest.mark.parametrize("runtime", BOTH)
def test_a_runtime_gives_the_models_maps(runtime: str, folder: Path) -> None:
    """At several sizes, of any batch, though the network was traced at one."""
    model = load_model(str(folder))
    ready = build_runtime(folder, runtime, "fp32")
    assert (ready.name, ready.gives_features) == (runtime, False)
    fit = model.config.fitting_size
    for batch, height, width in ((1, 64, 64), (3, 75, 41), (2, 128, 96), (1, 1, 1)):
        x = np.random.default_rng(0).standard_normal((batch, 3, fit(height), fit(width)), dtype=np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(x))
        answer = ready.run(x)
        assert answer.keys() == set(expected.keys())
        for name, values in answer.items():
            assert relative(values, expected[name].numpy()) < FP32


def test_bf16_enlarges_places_and_peaks_in_fp32(
    panoptic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path))
    build_runtime(panoptic, "openvino", "fp32")
    (file,) = tmp_path.glob("openvino/*/converted/model.xml")
    model = openvino.Core().read_model(file)
    last = {name: model.output(name).get_node().input_value(0).get_node() for name in ("logits", "centres", "offsets")}
    assert {node.get_type_name() for node in last.values()} == {"MatMul"}
    marked = {name: any("Precis" in str(key) for key in node.get_rt_info()) for name, node in last.items()}
    assert marked == {"logits": False, "centres": True, "offsets": True}


def test_examples_have_a_size_that_the_network_takes(folder: Path) -> None:
    model = load_model(str(folder))
    own, other = example_pixels(folder, 2), example_pixels(folder, 1, (37, 11))
    for pixels in (own, other):
        assert all(side == model.config.fitting_size(side) for side in pixels.shape[2:])
        with torch.inference_mode():
            model(torch.from_numpy(pixels))
    assert min(np.subtract(other.shape[2:], own.shape[2:]) - (37, 11)) >= 0


@pytest.mark.parametrize("runtime", BOTH)
def test_valid_convolutions_refuse_sides_that_cannot_be_halved(runtime: str, tmp_path: Path) -> None:
    ready = build_runtime(save(tmp_path / "net", "unet, valid"), runtime, "fp32")
    with pytest.raises(CvhubError, match=r"sides of|can't halve"):
        ready.run(np.zeros((1, 3, 45, 44), np.float32))
    assert ready.run(np.zeros((1, 3, 44, 44), np.float32))["logits"].shape == (1, 5, 4, 4)


# Loading


def test_the_task_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    expected = (
        "panoptic-segmentation" if "Panoptic" in type(load_model(str(folder))).__name__ else "semantic-segmentation"
    )
    assert task_of(folder) == expected
    fields = json.loads((folder / "config.json").read_text())
    for removed, task in (({"auto_map"}, expected), ({"auto_map", "architectures"}, expected)):
        (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in fields.items() if k not in removed}))
        assert task_of(tmp_path) == task
    (tmp_path / "config.json").write_text(json.dumps(fields | {"architectures": ["CvUNetModel"]}))
    assert task_of(tmp_path) == ""


def test_a_folder_without_auto_map_is_loaded_as_what_it_is(unet: Path, tmp_path: Path) -> None:
    """As the bundled checkpoints are."""
    fields = json.loads((unet / "config.json").read_text())
    del fields["auto_map"]
    (tmp_path / "config.json").write_text(json.dumps(fields))
    (tmp_path / "model.safetensors").symlink_to(unet / "model.safetensors")
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_model(str(tmp_path))(x).logits, load_model(str(unet))(x).logits)


def test_the_pool_builds_what_the_model_is(unet: Path, tmp_path: Path) -> None:
    models = ModelPool()
    assert isinstance(models.get(str(unet), "torch"), Segmenter)
    with pytest.raises(CvhubError, match="net does semantic-segmentation, expected a model for image-classification"):
        models.classifier(str(unet), "torch")
    with pytest.raises(CvhubError, match="net does semantic-segmentation, expected a model for image-classification"):
        Classifier(str(unet))
    TinyFamily("resnet").model().save_pretrained(tmp_path / "resnet")
    assert isinstance(models.get(str(tmp_path / "resnet"), "torch"), Classifier)
    with pytest.raises(CvhubError, match="does image-classification, expected a model for semantic-segmentation or"):
        Segmenter(str(tmp_path / "resnet"))


# Masks


def check(found: Segmentation, image: Image.Image) -> None:
    """What every segmentation promises."""
    assert found.mask.shape == (image.height, image.width)
    assert found.mask.dtype == np.int32
    ids = [one.id for one in found.segments]
    assert len(set(ids)) == len(ids)
    assert set(np.unique(found.mask).tolist()) - {0} == set(ids)
    np.testing.assert_allclose(found.probabilities().sum(0), 1, rtol=1e-5)
    assert found.milliseconds > 0
    assert found.reading_milliseconds > 0


@pytest.mark.parametrize("runtime", BOTH)
def test_a_semantic_mask_is_the_likeliest_class(runtime: str, unet: Path) -> None:
    image = photo()
    segmenter = Segmenter(str(unet), runtime, "fp32")
    found = segmenter.segment(image)
    check(found, image)
    logits = logits_of(unet, segmenter.processor([image])[0])
    assert relative(found.logits, logits.numpy()) < FP32
    classes = logits.argmax(0).numpy()
    assert (found.mask == classes + 1).mean() > 0.999  # two classes may be equally likely
    labels = sorted(set(np.unique(classes).tolist()))
    assert len(labels) > 1
    assert found.segments == [Segment(label + 1, label, f"LABEL_{label}", None) for label in labels]


@pytest.mark.parametrize("background", ["background", "Background", "__background__"])
def test_the_background_is_0_and_no_segment(background: str, tmp_path: Path) -> None:
    names = {0: background, 1: "cat", 2: "dog", 3: "cow", 4: "car"}
    segmenter = Segmenter(str(save(tmp_path / "net", "unet", id2label=names)), "torch", "fp32")
    found = segmenter.segment(photo())
    check(found, photo())
    classes = found.logits.argmax(0)
    assert np.array_equal(found.mask, classes)
    assert [(one.id, one.label) for one in found.segments] == [(i, names[i]) for i in np.unique(classes) if i]


def test_one_logit_tells_two_classes_apart(tmp_path: Path) -> None:
    segmenter = Segmenter(str(save(tmp_path / "net", "unet", num_labels=2, single_logit=True)), "torch", "fp32")
    found = segmenter.segment(photo())
    check(found, photo())
    assert np.array_equal(found.mask - 1, found.logits[0] > 0)
    assert np.array_equal(found.probabilities()[1] > 0.5, found.logits[0] > 0)


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (1, 77), (5, 3), (33, 90), (64, 64)])
def test_pictures_of_any_size(size: tuple[int, int], folder: Path) -> None:
    """Too small ones, and all of valid convolutions, are mirrored: the answer is that to the larger picture."""
    segmenter = Segmenter(str(folder), "torch", "fp32")
    image, config = photo(1, size), segmenter.config
    found = segmenter.segment(image)
    check(found, image)
    height, width = (config.fitting_size(side + 2 * config.margin) for side in (image.height, image.width))
    rows, columns = (mirrored(total, side, config.margin) for total, side in ((height, size[1]), (width, size[0])))
    larger = Image.fromarray(np.asarray(image)[rows[:, None], columns])
    logits = logits_of(folder, segmenter.processor([larger])[0])
    answered = (height - 2 * config.margin, width - 2 * config.margin)
    logits = torch.nn.functional.interpolate(logits[None], answered, mode="bilinear")[0]  # where they are coarse
    expected = logits[:, : size[1], : size[0]]
    if found.logits.shape[1:] == found.mask.shape:
        assert relative(found.logits, expected.numpy()) < FP32
    assert (found.mask == expected.argmax(0).numpy() + 1).mean() > 0.999


def test_tiles_of_a_valid_unet_say_what_the_whole_picture_does(tmp_path: Path) -> None:
    """Figure 2 of its paper; a hundred-thousandth of the largest logit is float32's own noise."""
    segmenter = Segmenter(str(save(tmp_path / "net", "unet, valid")), "torch", "fp32")
    image = photo(size=(150, 131))
    forward = TileForward(segmenter)
    pieces = list(run_tiles(PictureWindows(image), forward, plan_tiles(segmenter, side=40)))
    assert len(pieces) > 4
    tiled = np.zeros((len(segmenter.labels), 131, 150), np.float32)
    for top, left, values in pieces:
        tiled[:, top : top + values.shape[1], left : left + values.shape[2]] = values
    whole = segmenter.segment(image).logits
    assert tiled.shape == whole.shape == (len(segmenter.labels), 131, 150)
    assert np.abs(tiled - whole).max() <= 1e-5 * np.abs(whole).max()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_things_of_reduced_maps_are_told_apart(factor: int, tmp_path: Path) -> None:
    """Discs of 23 pixels, 30 apart, of which a quarter of the size has no windows of 7 pixels to itself."""
    side, apart = 240, 30
    discs = disks(side, side, *((y, x) for y in range(15, side, apart) for x in range(15, side, apart)), radius=11)
    centres, offsets = instance_targets(discs, 3.0)
    logits = 10.0 * torch.nn.functional.one_hot((discs > 0).long(), 2).permute(0, 3, 1, 2)
    maps = {}
    for name, values in {"logits": logits[0], "centres": centres[0], "offsets": offsets[0] / factor}.items():
        joined = Reduced(len(values), side, side, factor)
        joined.add(values.numpy(), 0)
        maps[name] = joined.mean()
    labels = {"id2label": {0: "background", 1: "disc"}, "thing_ids": (1,)}
    processor = {"nms_kernel": 7, "smallest_thing": 25}
    reader = Segmenter(str(save(tmp_path / "net", "panoptic_deeplab", processor, **labels)), "torch", "fp32").reader
    mask, things = reader.reduced(factor).read(maps, (side // factor, side // factor), "instance", 0.1)
    assert len(things) == (side // apart) ** 2
    truth = discs[0, factor // 2 :: factor, factor // 2 :: factor].numpy()
    assert ((mask > 0) == (truth > 0)).mean() > 0.9


@pytest.mark.parametrize("size", [(100, 100), (30, 41), (7, 1)])
def test_the_pipeline_mirrors_what_valid_convolutions_need(size: tuple[int, int], tmp_path: Path) -> None:
    """It says of every pixel what `Segmenter` does, whatever the size."""
    names = {0: "background", 1: "cell", 2: "rim"}
    model = tiny("unet, valid", num_labels=3, id2label=names)
    model.save_pretrained(tmp_path)
    processor = CvSemanticProcessor(**model.config.processor_fields)
    processor.save_pretrained(tmp_path)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    mask = Segmenter(str(tmp_path), "torch", "fp32").segment(image).mask
    found = np.zeros(size, int)
    for answer in pipeline("image-segmentation", model=model, image_processor=processor)(image):
        found[np.asarray(answer["mask"]) > 0] = list(names.values()).index(answer["label"])
    assert np.array_equal(found, mask)


def mirrored(total: int, side: int, before: int) -> np.ndarray:
    """Which of `side` pixels stands at each of `total` places, `before` of them before the first."""
    there_and_back = [*range(side), *range(side - 2, 0, -1)]
    return np.array([there_and_back[(place - before) % len(there_and_back)] for place in range(total)])


@pytest.mark.parametrize(
    ("sizes", "seen"),
    [
        ({"size": {"height": 40, "width": 56}}, (40, 56)),
        ({"size": {"shortest_edge": 40}}, (40, 80)),
        ({"size": {"longest_edge": 40}}, (20, 40)),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True}, (40, 80)),  # which would lose the rest
    ],
    ids=str,
)
def test_a_mask_has_the_pictures_size_where_the_net_saw_another(
    sizes: dict[str, Any], seen: tuple[int, int], tmp_path: Path
) -> None:
    segmenter = Segmenter(str(save(tmp_path / "net", "unet", {"do_resize": True} | sizes)), "torch", "fp32")
    image = photo(0, (120, 60))
    found = segmenter.segment(image)
    check(found, image)
    assert found.logits.shape == (5, *seen)
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(found.logits)[None], (60, 120), mode="bilinear")
    assert np.array_equal(found.mask, enlarged[0].argmax(0).numpy() + 1)


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_a_net_that_sees_pictures_small_is_given_a_reduced_one_of_a_huge_tiff(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = {"do_resize": True, "size": {"longest_edge": 48}}
    segmenter = Segmenter(str(save(tmp_path / "net", "panoptic_deeplab", processor)), "torch", "fp32")
    image = photo(0, (190, 121))
    image.save(tmp_path / "huge.tif", tiffinfo={278: 16})
    image.save(tmp_path / "huge.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 190 * 121 - 1)
    monkeypatch.setattr(large, "MAX_PIXELS", 6000)
    tasks = plan_masks([tmp_path / "huge.tif", tmp_path / "huge.png"], tmp_path / "out")
    tiff, png = write_masks(segmenter, tasks, task)
    assert png.error == "huge.png has 190x121 pixels, the limit is 22,989."
    assert tiff.error is None
    expected = segmenter.segment(reduce_picture(PictureWindows(image), 2), task)
    assert tiff.segments == expected.segments
    mask = np.asarray(Image.open(tiff.mask))
    assert np.array_equal(mask, expected.mask.repeat(2, axis=0).repeat(2, axis=1)[:121, :190])


def test_a_folder_without_a_processor_keeps_sizes(tmp_path: Path) -> None:
    tiny("unet").save_pretrained(tmp_path / "net")
    found = Segmenter(str(tmp_path / "net"), "torch").segment(photo())
    check(found, photo())
    assert found.logits.shape == (5, 48, 70)


# Things


class Drawn:
    """A runtime whose net makes no mistake: two disks of class 1, one of class 3, sky above sea, and a background."""

    name, precision, reason, gives_features = "torch", "fp32", "for a test", False

    def __init__(self) -> None:
        self.instances = disks(48, 70, (12, 15), (12, 50), (36, 30))
        classes = torch.full((1, 48, 70), 2)
        classes[:, 20:], classes[:, 40:] = 4, 0
        classes[(self.instances == 1) | (self.instances == 2)] = 1
        classes[self.instances == 3] = 3
        self.classes = classes

    def run(self, pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        assert pixel_values.shape == (1, 3, 48, 70)
        centres, offsets = instance_targets(self.instances, 2.0)
        logits = 10.0 * torch.nn.functional.one_hot(self.classes, 5).permute(0, 3, 1, 2)
        return {"logits": logits.numpy(), "centres": centres.numpy(), "offsets": offsets.numpy()}


@pytest.fixture
def drawn(panoptic: Path) -> Segmenter:
    segmenter = Segmenter(str(panoptic), "torch", "fp32")
    segmenter.passes = Passes(Drawn())
    return segmenter


def test_instances_count_from_1(drawn: Segmenter) -> None:
    found = drawn.segment(photo(), "instance")
    check(found, photo())
    assert [one.id for one in found.segments] == [1, 2, 3]
    assert [one.label for one in found.segments] == ["disk", "disk", "ring"]
    assert all(one.score is not None and one.score > 0.99 for one in found.segments)
    truth = drawn.runtime.instances[0].numpy()  # pyright: ignore[reportAttributeAccessIssue]
    assert np.array_equal(found.mask > 0, truth > 0)
    for thing in (1, 2, 3):
        assert len(np.unique(found.mask[truth == thing])) == 1
    assert drawn.segment(photo(), "instance", threshold=1.1).segments == []


def test_panoptic_segments_are_things_and_stuff_without_the_background(drawn: Segmenter) -> None:
    found = drawn.segment(photo(), "panoptic")
    check(found, photo())
    assert sorted(one.label for one in found.segments) == ["disk", "disk", "ring", "sea", "sky"]
    classes = drawn.runtime.classes[0].numpy()  # pyright: ignore[reportAttributeAccessIssue]
    assert np.array_equal(found.mask == 0, classes == 0)
    for one in found.segments:
        assert (classes[found.mask == one.id] == one.label_id).all()
    nothing = drawn.segment(photo(), "panoptic", threshold=1.1)
    assert not nothing.mask.any()
    assert nothing.segments == []


def test_things_are_what_the_net_was_made_for(panoptic: Path, tmp_path: Path) -> None:
    """Whatever the processor's file says of them."""
    shutil.copytree(panoptic, tmp_path / "net")
    file = tmp_path / "net" / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"thing_ids": [2]}))
    segmenter = Segmenter(str(tmp_path / "net"), "torch", "fp32")
    segmenter.passes = Passes(Drawn())
    assert [one.label for one in segmenter.segment(photo(), "instance").segments] == ["disk", "disk", "ring"]


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_a_panoptic_net_does_all_tasks(task: str, runtime: str, panoptic: Path) -> None:
    for size in ((70, 48), (3, 5), (1, 90)):
        check(Segmenter(str(panoptic), runtime, "fp32").segment(photo(0, size), task), photo(0, size))


def test_a_task_that_a_net_cannot_do_is_one_sentence(unet: Path, tmp_path: Path) -> None:
    segmenter = Segmenter(str(unet), "torch")
    for task in ("instance", "panoptic", "poetry"):
        with pytest.raises(CvhubError, match=f"net can't do task '{task}', only semantic"):
            segmenter.segment(photo(), task)
        with pytest.raises(CvhubError, match="only semantic"):
            next(segmenter.segment_files([tmp_path / "a.png"], task))
    stuff = Segmenter(str(save(tmp_path / "net", "panoptic_deeplab", thing_ids=())), "torch")
    with pytest.raises(CvhubError, match="only semantic"):
        stuff.segment(photo(), "panoptic")


# Files


@pytest.mark.parametrize("batch_size", [1, 3])
def test_files_are_answered_in_order_and_bad_ones_named(
    batch_size: int, unet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_PIXELS", 6000)
    sizes = [(64, 64), (64, 64), (40, 64), (100, 100), (1, 9)]
    paths = [tmp_path / f"{i}.png" for i in range(len(sizes))]
    for seed, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        photo(seed, size).save(path)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    paths[1:1] = [tmp_path / "bad.jpg", tmp_path / "missing.png"]
    segmenter = Segmenter(str(unet), "openvino", "fp32")
    results = list(segmenter.segment_files(paths, batch_size=batch_size))
    assert [result.path for result in results] == paths
    assert [result.error is None for result in results] == [True, False, False, True, True, False, True]
    assert "100x100 pixels, the limit is 6,000" in str(results[5].error)
    for result in results:
        if result.segmentation is not None:
            with Image.open(result.path) as image:
                check(result.segmentation, image)
                alone = segmenter.segment(image)
            assert relative(result.segmentation.logits, alone.logits) < FP32


def test_few_files_are_opened_ahead(unet: Path, tmp_path: Path) -> None:
    photo().save(tmp_path / "a.png")
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield tmp_path / "a.png"

    results = Segmenter(str(unet), "torch", "fp32").segment_files(endless())
    for taken in range(1, 8):
        next(results)
        assert asked <= taken + 3
