"""Measuring segmenters: what the truth says of itself is perfect, and numbers are those of the masks on disk."""

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.evaluation.segmentation import evaluate_segmenter, open_truth, true_segments
from cvhub.evaluation.truth import IGNORED, Masks, Truth, write_truth
from cvhub.hub.card import write_card
from cvhub.inference.segment import Segmenter
from cvhub.inference.segments import Segment
from cvhub.inference.tiling import TilePlan
from tests.test_segment import save

NAMES = ["background", "disk", "sky", "ring", "sea"]
THINGS = (1, 3)
MAP = ",".join(f"{number}={name}" for number, name in enumerate(NAMES)) + ",255=ignore"
SIDE = 48


def png(values: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def scene(seed: int) -> tuple[np.ndarray, Masks]:
    """Sky over sea with squares of two classes, which touch each other, and a stripe that nothing is known of."""
    labels = np.full((SIDE, SIDE), 2, np.uint8)
    labels[20 + seed :] = 4
    labels[:6, :6] = 0
    instances = np.zeros((SIDE, SIDE), np.int32)
    for number, (top, left, kind) in enumerate(((4, 10, 1), (4, 20, 1), (24, 12, 3), (34, 30, 1)), start=1):
        labels[top : top + 10, left : left + 10] = kind
        instances[top : top + 10, left : left + 10] = number
    labels[-3:] = IGNORED
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return pixels, Masks(labels, instances)


def write_rows(folder: Path, split: str, seeds: Sequence[int], **broken: Any) -> Path:
    scenes = [scene(seed) for seed in seeds]
    rows = {
        "image": [png(pixels) for pixels, _ in scenes],
        "semantic": [png(masks.labels) for _, masks in scenes],
        "instances": [png(masks.instances) for _, masks in scenes],
        "site": [f"site {seed // 2}" for seed in seeds],
    } | broken
    kinds = {name: datasets.Image() for name in ("image", "semantic", "instances")} | {"site": datasets.Value("string")}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data"), "train", range(8))


@pytest.fixture(scope="module")
def panoptic(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    fields = {"id2label": dict(enumerate(NAMES)), "thing_ids": THINGS}
    folder = save(tmp_path_factory.mktemp("panoptic") / "net", "panoptic_deeplab", **fields)
    write_truth(Truth("semantic+instances", dict(part.split("=") for part in MAP.split(",")), "site:0.25:0"), folder)
    return Segmenter(str(folder), "torch", "fp32")


@pytest.fixture(scope="module")
def semantic(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = save(tmp_path_factory.mktemp("unet") / "net", "unet", id2label=dict(enumerate(NAMES)))
    return Segmenter(str(folder), "torch", "fp32")


class AnswersTruth:
    """In place of a segmenter's reader: answers as the masks say, picture by picture, with `without` left out."""

    has_background = True

    def __init__(self, truths: Sequence[Masks], without: Sequence[int] = ()):
        self.truths = list(truths)
        self.without = without
        self.asked = -1

    def read(self, maps: Any, size: tuple[int, int], task: str, threshold: float) -> tuple[np.ndarray, list[Segment]]:
        if task == "semantic":
            self.asked += 1
        masks = self.truths[self.asked]
        labels = np.where(masks.labels == IGNORED, 0, masks.labels).astype(np.int32)
        if task == "semantic":
            return labels, [Segment(k, k, NAMES[k], None) for k in np.unique(labels).tolist() if k]
        things = np.isin(labels, THINGS) & ~np.isin(masks.instances, self.without)
        ids = np.where(things, masks.instances, 0)
        segments = [
            Segment(number, kind, NAMES[kind], 0.5 + number / 100)
            for number in np.unique(ids).tolist()
            if number
            for kind in [int(labels[ids == number][0])]
        ]
        if task == "panoptic":
            for kind in (2, 4):
                ids = np.where(labels == kind, 100 + kind, ids)
                segments.append(Segment(100 + kind, kind, NAMES[kind], 1.0))
        return ids.astype(np.int32), segments


def truths_of(rows: Any, indices: np.ndarray) -> list[Masks]:
    return [rows.truth.read(rows.contents(index)[1], (SIDE, SIDE)) for index in indices.tolist()]


def test_the_truth_is_worth_everything(panoptic: Segmenter, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, indices = open_truth(panoptic, str(data), None)
    monkeypatch.setattr(panoptic, "_reader", AnswersTruth(truths_of(rows, indices)))
    found = evaluate_segmenter(panoptic, rows, indices)
    assert (found.n, found.failed) == (2, 0)
    expected = {"miou", "pixel_accuracy", "boundary_f", "ap50", "ap50_95", "pq", "sq", "rq", "pq_things", "pq_stuff"}
    assert found.metrics().keys() == expected
    assert found.metrics() == pytest.approx(dict.fromkeys(expected, 1.0))
    report = found.report()
    assert report["per_class"]["disk"] == pytest.approx({"iou": 1, "dice": 1, "boundary_f": 1, "ap50": 1, "pq": 1})
    assert report["per_class"]["sky"].keys() == {"iou", "dice", "boundary_f", "pq"}


def test_a_missing_thing_costs_what_the_formulas_say(
    panoptic: Segmenter, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three disks one isn't found: PQ is 2 of 2.5; AP is 1 up to a recall of 2/3, at 67 of 101 recalls."""
    rows, indices = open_truth(panoptic, str(data), None)
    monkeypatch.setattr(panoptic, "_reader", AnswersTruth(truths_of(rows, indices), without=[2]))
    per_class = evaluate_segmenter(panoptic, rows, indices).report()["per_class"]
    assert per_class["disk"]["pq"] == pytest.approx(2 / 2.5)
    assert per_class["disk"]["ap50"] == pytest.approx(67 / 101)
    assert per_class["ring"]["pq"] == per_class["ring"]["ap50"] == 1


def test_numbers_are_those_of_the_masks(semantic: Segmenter, data: Path) -> None:
    rows, indices = open_truth(semantic, str(data), "train", "semantic", MAP)
    found = evaluate_segmenter(semantic, rows, indices)
    assert (found.n, found.panoptic, found.things) == (8, None, {})
    right = known = 0
    for index, masks in zip(indices.tolist(), truths_of(rows, indices), strict=True):
        mask = semantic.segment(Image.fromarray(scene(index)[0])).mask
        known += (masks.labels != IGNORED).sum()
        right += (mask == masks.labels).sum()
    assert found.metrics()["pixel_accuracy"] == pytest.approx(right / known)


@pytest.mark.parametrize("kind", ["semantic", "panoptic"])
def test_a_large_picture_is_measured_in_tiles(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one tile as large as the picture, what is found is what the network says of the picture at once."""
    segmenter = request.getfixturevalue(kind)
    rows, indices = open_truth(segmenter, str(write_rows(tmp_path, "test", range(3))), None, "semantic+instances", MAP)
    expected = evaluate_segmenter(segmenter, rows, indices)
    monkeypatch.setattr("cvhub.inference.segment.MAX_PIXELS", SIDE**2 - 1)
    planned = []
    monkeypatch.setattr("cvhub.inference.large.plan_tiles", lambda _: planned.append(SIDE) or TilePlan(SIDE))
    found = evaluate_segmenter(segmenter, rows, indices)
    assert (found.n, found.failed, len(planned)) == (3, 0, 3 * len(segmenter.tasks))
    assert found.metrics() == pytest.approx(expected.metrics())
    np.testing.assert_array_equal(found.semantic.confusion, expected.semantic.confusion)


def test_classes_match_by_name(semantic: Segmenter, data: Path) -> None:
    """Values that stand for the classes in another order give the same answer for each class by its name."""
    turned = MAP.replace("1=disk", "1=sky").replace("2=sky", "2=disk")
    plain, other = (
        evaluate_segmenter(semantic, *open_truth(semantic, str(data), None, "semantic", names)).semantic.confusion
        for names in (MAP, turned)
    )
    np.testing.assert_array_equal(plain[[0, 2, 1, 3, 4]], other)


def test_segments_of_a_truth() -> None:
    masks = Masks(np.array([[1, 1, 2, IGNORED, 1]], np.uint8), np.array([[7, 8, 9, 3, 0]], np.int32))
    ids, segments = true_segments(masks, {1: None})
    of = {segment["id"]: segment["category_id"] for segment in segments}
    assert [of.get(id_) for id_ in ids[0].tolist()] == [1, 1, 2, None, None]
    assert len(set(ids[0, :3].tolist())) == 3


# What is measured on


def test_a_remembered_hold_out_is_of_the_split_trained_on(panoptic: Segmenter, data: Path, tmp_path: Path) -> None:
    rows, indices = open_truth(panoptic, str(data), None)
    assert len(indices) == 2
    assert set(rows.groups(indices)) == set(rows.groups(rows.held_out))
    for folder, split in ((tmp_path / "a", "test"), (tmp_path / "b", "train")):
        more: dict[str, Any] = {} if split == "test" else {"site": ["x", "y", "z"]}
        write_rows(folder, split, range(3), **more)
    assert len(open_truth(panoptic, str(tmp_path / "a"), None)[1]) == 3
    assert len(open_truth(panoptic, str(data), None, holdout="")[1]) == 8
    assert len(open_truth(panoptic, str(data), None, holdout="site:0.5:3")[1]) == 4


def test_a_model_that_remembers_nothing_has_to_be_told(semantic: Segmenter, data: Path) -> None:
    for told in ({}, {"target": "semantic"}, {"names": MAP}):
        with pytest.raises(CvhubError, match=r"doesn't remember where masks are.*--target.*--map"):
            open_truth(semantic, str(data), None, **told)


def test_rows_that_cannot_be_read_are_counted(
    semantic: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mask of another size, one with a value that is no class, one in colour, a picture that is none."""
    good = [png(scene(seed)[1].labels) for seed in range(5)]
    masks = [good[0], png(np.zeros((5, 5))), png(np.full((SIDE, SIDE), 77)), png(np.zeros((SIDE, SIDE, 3))), good[4]]
    pictures = [png(scene(seed)[0]) for seed in range(4)] + [{"bytes": b"no picture", "path": None}]
    folder = write_rows(tmp_path, "test", range(5), semantic=masks, image=pictures)
    found = evaluate_segmenter(semantic, *open_truth(semantic, str(folder), None, "semantic", MAP))
    assert (found.n, found.failed) == (1, 4)
    for row, why in enumerate(("5x5 pixels", "value 77", "mode RGB", "picture"), start=1):
        assert any(f"row {row} " in line and why in line for line in caplog.messages)
    folder = write_rows(tmp_path / "none", "test", range(2), semantic=[masks[1], masks[2]])
    with pytest.raises(CvhubError, match="none of 2 pictures can be read"):
        evaluate_segmenter(semantic, *open_truth(semantic, str(folder), None, "semantic", MAP))


def test_classes_that_the_model_lacks_are_named(semantic: Segmenter, data: Path) -> None:
    with pytest.raises(CvhubError, match=r"cloud.*--map VALUE=CLASS"):
        evaluate_segmenter(semantic, *open_truth(semantic, str(data), None, "semantic", MAP.replace("sky", "cloud")))


def test_more_classes_than_masks_can_hold_are_refused(data: Path, tmp_path: Path) -> None:
    net = Segmenter(str(save(tmp_path / "net", "unet", num_labels=256)), "torch", "fp32")
    with pytest.raises(CvhubError, match="256 classes, at most 255"):
        evaluate_segmenter(net, *open_truth(net, str(data), "train", "semantic", MAP))


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments), "--runtime", "torch"])
    return code, *capsys.readouterr()


def test_the_command_measures_what_the_folder_remembers(
    panoptic: Segmenter, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, panoptic.folder, data, "--json")
    report = json.loads(out)
    expected = evaluate_segmenter(panoptic, *open_truth(panoptic, str(data), None))
    assert (code, report["n"], report["split"], report["holdout"]) == (0, 2, "train", "site:0.25:0")
    assert expected.metrics() == pytest.approx({name: report[name] for name in expected.metrics()}, abs=1e-6)
    assert report["per_class"].keys() == set(NAMES)
    code, out, _ = run(capsys, panoptic.folder, data)
    assert f"panoptic quality                            {report['pq']:.4f}" in out
    assert "held out by site:0.25:0: 2 pictures" in out


def test_the_command_is_told_where_masks_are(
    semantic: Segmenter, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ("--target", "semantic", "--map", MAP, "--holdout", "site:0.5:1")
    code, out, _ = run(capsys, semantic.folder, data, *told, "--json")
    assert (code, json.loads(out)["n"]) == (0, 4)
    code, _, err = run(capsys, semantic.folder, data)
    assert (code, "--target" in err) == (1, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("--holdout", "site:2:1"), "share of 2"),
        (("--holdout", "site"), "COLUMN:SHARE:SEED"),
        (("--map", "sky=2"), "'sky=2' is not VALUE=CLASS"),
        (("--confusion", "matrix.png"), "what a classifier answers"),
    ],
)
def test_bad_usage(semantic: Segmenter, data: Path, said: tuple[str, str], told: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(capsys, semantic.folder, data, "--target", "semantic", *said)
    assert (exit_.value.code, told in capsys.readouterr().err) == (2, True)


def test_the_card_says_what_was_measured(
    panoptic: Segmenter, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "net"
    shutil.copytree(panoptic.folder, folder)
    facts: dict[str, Any] = dict(title="A net", task=None, licence=None, dataset="scenes", metrics={}, source=None)
    write_card(folder, **facts)
    assert run(capsys, folder, data, "--card")[0] == 0
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    results = {result.metric_type: result.metric_value for result in card.data.eval_results or []}
    assert results == pytest.approx(evaluate_segmenter(panoptic, *open_truth(panoptic, str(data), None)).metrics())
    assert "the 2 pictures of scenes, split train, held out by site:0.25:0" in card.text
