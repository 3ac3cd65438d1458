"""The Segment tab between the browser and the nets: its numbers are the library's, and bad masks get a sentence."""

import base64
import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.nn import functional as F

from cvhub import catalog
from cvhub.catalog import Entry
from cvhub.errors import CvhubError
from cvhub.evaluation.boxes import giou
from cvhub.evaluation.dense_metrics import BoundaryTally, SemanticTally
from cvhub.evaluation.truth import IGNORED, Masks
from cvhub.inference.pool import default_pool
from cvhub.inference.segment import Segmentation, Segmenter
from cvhub.inference.segments import Segment
from cvhub.load import load_model
from cvhub.models import losses_dense
from cvhub.training.scene_layout import CLASSES, THINGS
from cvhub.ui.segment import asking, files, handlers, outgoing, samples
from cvhub.ui.segment.asking import Progress, ask
from cvhub.ui.segment.handlers import compose
from cvhub.ui.segment.losses import hard_scores, matched_objects, soft_losses
from cvhub.ui.segment.paint import painter
from cvhub.ui.segment.reading import Thing, classes_in, components, read, things_in
from cvhub.ui.segment.readout import levels_section
from cvhub.ui.segment.state import Question, Seen, SegmentSession, View
from cvhub.ui.segment.truth import decode_painting, find_truth, uploaded_truth
from cvhub.ui.strings import speaker
from tests.test_segment import photo, save

SAY = speaker("en")
DEEP = {"widths": (4, 8, 8, 8), "auxiliary_weights": (0.5, 0.25)}
CHOICES = ("auto", "auto", 128, 32)  # runtime, precision, tile, overlap
VIEW = ("semantic", 0.5, 0, "example", "en")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, and deep supervision."""
    names = {0: "background", 1: "cell"}
    return save(tmp_path_factory.mktemp("cells") / "net", "unet", num_labels=2, id2label=names, **DEEP)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classes of the synthetic scenes."""
    names = {k: row.name for k, row in enumerate(CLASSES)}
    return save(
        tmp_path_factory.mktemp("scenes") / "net", "panoptic_deeplab", num_labels=8, id2label=names, thing_ids=THINGS
    )


def entry(folder: Path, task: str, dataset: str) -> Entry:
    return Entry(folder.parent.name, dataset, "any", task, "bundled", str(folder), dataset, 2, 1, "apache-2.0")


@pytest.fixture
def rows(cells: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The names under which the catalogue has both nets."""
    added = (entry(scenes, "panoptic-segmentation", "scenes"), entry(cells, "semantic-segmentation", "nuclei"))
    monkeypatch.setattr(catalog, "CATALOG", added + catalog.CATALOG)
    yield added[1].name, added[0].name
    for one in added:
        default_pool().drop(one.name)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    photo(size=(70, 48)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def asked(folder: Path, picture: Path | str, runtime: str = "torch") -> Seen:
    *_, seen = ask(Question(str(picture), "net", runtime, "fp32", 128, 32), str(folder))
    assert isinstance(seen, Seen)
    return seen


def disk_truth(size: tuple[int, int] = (48, 70)) -> Masks:
    y, x = np.indices(size)
    labels = ((y - 20) ** 2 + (x - 30) ** 2 < 150).astype(np.uint8)
    labels[:4] = IGNORED
    return Masks(labels, (labels == 1).astype(np.int32))


# Numbers


def test_losses_of_two_classes_are_the_librarys(cells: Path, picture: Path) -> None:
    seen, masks = asked(cells, picture), disk_truth()
    found = soft_losses(seen, masks)
    z = torch.from_numpy(seen.answer.logits)[None]
    z, y = z[:, 1:] - z[:, :1], torch.from_numpy(masks.labels)[None].long()
    assert found.binary
    assert found.counted == 44 * 70
    assert found.pixel == pytest.approx(float(losses_dense.bce_loss(z, y)))
    assert found.overlaps.dice == pytest.approx(float(losses_dense.dice_loss(z, y)))
    assert found.overlaps.iou == pytest.approx(float(losses_dense.soft_iou_loss(z, y)))
    assert found.focal == pytest.approx(float(losses_dense.focal_loss(z, y)))
    np.testing.assert_allclose(found.pixel_map, losses_dense.bce_map(z, y)[0].numpy())
    common, predicted, true = (
        float(part[0]) for part in (found.overlaps.intersection, found.overlaps.predicted, found.overlaps.true)
    )
    assert found.overlaps.dice == pytest.approx(1 - 2 * common / (predicted + true), rel=1e-5)
    assert found.overlaps.iou == pytest.approx(1 - common / (predicted + true - common), rel=1e-5)


def test_losses_of_many_classes_are_the_librarys(scenes: Path, picture: Path) -> None:
    seen = asked(scenes, picture)
    masks = Masks(np.random.default_rng(0).integers(0, 8, (48, 70), np.uint8), np.zeros((48, 70), np.int32))
    found = soft_losses(seen, masks)
    z, y = torch.from_numpy(seen.answer.logits)[None], torch.from_numpy(masks.labels)[None].long()
    assert not found.binary
    assert found.pixel == pytest.approx(float(losses_dense.cross_entropy(z, y)))
    assert found.overlaps.dice == pytest.approx(float(losses_dense.dice_loss(z, y)))


def test_deep_supervision_adds_up_to_the_nets_own_loss(cells: Path, picture: Path) -> None:
    seen, masks = asked(cells, picture), disk_truth()
    found = soft_losses(seen, masks)
    assert found.weights == [1.0, 0.5, 0.25]
    model = load_model(str(cells))
    height, width = (model.config.fitting_size(side) for side in (48, 70))
    pixels = Segmenter(str(cells), "torch", "fp32").processor([Image.open(picture)])
    pixels = np.pad(pixels, [(0, 0), (0, 0), (0, height - 48), (0, width - 70)], mode="reflect")
    labels = F.pad(torch.from_numpy(masks.labels).long(), (0, width - 70, 0, height - 48), value=IGNORED)
    with torch.inference_mode():
        own = model(torch.from_numpy(pixels), labels=labels[None], output_auxiliary=True)
    np.testing.assert_allclose(found.levels, [float(loss) for loss in own.losses], rtol=1e-4)
    assert found.supervised == pytest.approx(float(own.loss), rel=1e-4)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_a_threshold_is_a_probability_of_the_kept_maps(
    threshold: float, cells: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(cells, picture)
    monkeypatch.setattr(seen.segmenter.runtime, "run", None)  # no forward pass
    found = read(seen, View("semantic", threshold))
    assert np.array_equal(found.mask, seen.answer.probabilities()[1] > threshold)


def test_unsure_pixels_stay_unnamed(scenes: Path, picture: Path) -> None:
    seen = asked(scenes, picture)
    p = seen.answer.probabilities().max(0)
    threshold = float(np.median(p))
    found = read(seen, View("semantic", threshold))
    assert np.array_equal(found.mask > 0, p >= threshold)
    assert np.array_equal(classes_in(seen, found)[p < threshold], np.full((p < threshold).sum(), 8))


def test_scores_at_a_threshold_are_the_librarys(cells: Path, picture: Path) -> None:
    seen, masks, view = asked(cells, picture), disk_truth(), View("semantic", 0.6)
    found = read(seen, view)
    scores = hard_scores(seen, found, *things_in(seen, found, "semantic"), masks, view)
    semantic, boundary = SemanticTally(2), BoundaryTally(2)
    semantic.add(found.mask, masks.labels)
    boundary.add(found.mask, masks.labels)
    assert scores.iou == pytest.approx(semantic.iou)
    assert scores.intersection is not None
    assert scores.union is not None
    assert scores.intersection / scores.union == pytest.approx(semantic.iou)
    assert scores.boundary_f == pytest.approx(float(boundary.class_f[1]))


def test_a_scenes_truth_is_exact_and_a_perfect_answer_scores_one(scenes: Path) -> None:
    session = SegmentSession()
    file = samples.sample_file("scene_1")
    seen = session.seen = asked(scenes, file)
    session.question = Question(file, "net")
    masks = find_truth(session, seen, "example", SAY)
    assert masks is not None
    true = samples.scene("scene_1")
    assert np.array_equal(masks.labels, true.semantic)
    ids = np.where(masks.instances > 0, masks.instances, 1000 + masks.labels.astype(np.int32))
    segments = [
        Segment(number, label, CLASSES[label].name, 1.0)
        for number in np.unique(ids).tolist()
        for label in [int(masks.labels[ids == number][0])]
    ]
    view = View("panoptic", 0.0)
    perfect = Segmentation(ids, segments, seen.answer.maps, 1.0, 1.0)
    scores = hard_scores(seen, perfect, *things_in(seen, perfect, "panoptic"), masks, view)
    assert (scores.iou, scores.boundary_f, scores.giou) == (1.0, 1.0, 1.0)
    assert scores.quality is not None
    assert scores.quality.pq == 1.0
    assert (scores.matched, scores.missed, scores.invented) == (int(masks.instances.max()), 0, 0)


def test_objects_match_by_class_and_half_of_their_union() -> None:
    labels, true, ids = (np.zeros((20, 40), np.int32) for _ in range(3))
    labels[2:12, 2:12] = true[2:12, 2:12] = 1  # met, three columns off
    ids[2:12, 4:14] = 1
    true[2:12, 20:24], labels[2:12, 20:24] = 2, 1  # missed: barely touched
    ids[2:12, 23:33] = 2
    true[14:18, 2:12], labels[14:18, 2:12] = 3, 2  # of another class
    ids[14:18, 2:12] = 3
    things = [Thing(i, 1, "a", None, 1, (0, 0, 1, 1), (0, 0)) for i in (1, 2, 3)]
    pairs, missed, invented = matched_objects(ids, things, Masks(labels.astype(np.uint8), true))
    expected = giou(torch.tensor([4.0, 2, 14, 12]), torch.tensor([2.0, 2, 12, 12]))
    assert pairs == [pytest.approx(float(expected))]
    assert (missed, invented) == (2, 2)


def test_parts_touch_by_sides_and_small_ones_go(cells: Path, picture: Path) -> None:
    mask = np.array([[1, 0, 0], [0, 1, 1], [2, 0, 1]], np.int32)
    parts, values = components(mask, {1, 2})
    assert values == [1, 1, 2]
    assert parts.tolist() == [[1, 0, 0], [0, 2, 2], [3, 0, 2]]
    seen = asked(cells, picture)
    found = read(seen, View("semantic", 0.5, smallest=12))
    _, things = things_in(seen, found, "semantic")
    assert all(thing.area >= 12 for thing in things)
    every = things_in(seen, read(seen, View("semantic", 0.5)), "semantic")[1]
    assert len(things) == sum(thing.area >= 12 for thing in every) < len(every)


# Truth


def upload(folder: Path, values: np.ndarray, mode: str | None = None) -> Path:
    file = folder / "mask.tif"
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file)
    return file


def test_an_uploaded_mask_is_the_truth(cells: Path, picture: Path, tmp_path: Path) -> None:
    seen, labels = asked(cells, picture), disk_truth().labels
    for values in (labels, np.where(labels == 1, 255, 0).astype(np.uint8)):
        masks = uploaded_truth(upload(tmp_path, values), seen, SAY)
        assert np.array_equal(masks.labels == 1, labels == 1)
        assert np.array_equal(masks.instances > 0, labels == 1)
    numbers = np.zeros((48, 70), np.uint16)
    numbers[5:9, 5:9], numbers[20:30, 20:40] = 7, 300
    masks = uploaded_truth(upload(tmp_path, numbers), seen, SAY)
    assert sorted(np.unique(masks.instances)) == [0, 7, 300]
    empty = uploaded_truth(upload(tmp_path, np.zeros((48, 70), np.uint8)), seen, SAY)
    scores = soft_losses(seen, empty)
    assert scores.overlaps.dice == 0.0
    assert np.isfinite(scores.pixel)


@pytest.mark.parametrize(
    ("values", "mode", "said"),
    [
        (np.zeros((20, 30), np.uint8), None, "30 × 20 pixels, the picture has 70 × 48"),
        (np.zeros((48, 70, 3), np.uint8), None, "mode RGB, expected whole numbers"),
        (np.zeros((48, 70), np.float32), None, "mode F, expected whole numbers"),
        (np.full((48, 70), 9, np.uint8), None, "has the value 9; classes are 0 to 7"),
    ],
)
def test_a_mask_that_does_not_fit_gets_a_sentence(
    values: np.ndarray, mode: str | None, said: str, scenes: Path, picture: Path, tmp_path: Path, rows: tuple[str, str]
) -> None:
    session = answered(rows[1], picture)
    _, losses = handlers.take_mask(session, str(upload(tmp_path, values, mode)), "semantic", 0.0, 0, "en")
    assert said in str(losses)
    _, losses = handlers.take_mask(session, str(tmp_path / "mask.tif"), "semantic", 0.0, 0, "zh")
    assert said not in str(losses)
    assert "掩膜" in str(losses)


def painted_uri(values: np.ndarray) -> str:
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = values, 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_a_painting_is_enlarged_to_the_picture(rows: tuple[str, str], picture: Path) -> None:
    session = answered(rows[0], picture)
    painted = np.zeros((24, 35), np.uint8)
    painted[5:10, 5:20] = 2
    event = gr.EventData(None, {"mask": painted_uri(painted)})
    _, losses = handlers.take_painting(event, session, "semantic", 0.5, 0, "en")
    assert session.seen is not None
    masks = session.truths["paint"]
    assert np.array_equal(masks.labels, painted.repeat(2, 0).repeat(2, 1) // 2)
    assert f"<b>{soft_losses(session.seen, masks).pixel:.3f}</b>" in str(losses)


@pytest.mark.parametrize(
    "data",
    ["", "data:image/png;base64,????", "data:image/png;base64,AAAA", None, painted_uri(np.full((4, 4), 9, np.uint8))],
)
def test_what_is_no_painting_is_refused(data: Any) -> None:
    with pytest.raises(CvhubError, match="the painted mask"):
        decode_painting(data, 2)


# Asking


def answered(model: str, picture: Path | str, view: tuple[Any, ...] = VIEW) -> SegmentSession:
    session = SegmentSession()
    *_, last = handlers.answer_segment(session, str(picture), model, *CHOICES, *view)
    assert session.seen is not None, last[3]
    return session


def test_a_view_asks_nothing_again(rows: tuple[str, str], picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = answered(rows[1], picture)
    monkeypatch.setattr(handlers, "ask", None)
    steps = list(handlers.answer_segment(session, str(picture), rows[1], *CHOICES, *VIEW))
    assert len(steps) == 1
    tasks, threshold, figures, *_ = handlers.show_task(session, "instance", 0.5, 0, "example", "zh")
    assert [value for _, value in tasks["choices"]] == ["semantic", "instance", "panoptic"]
    assert threshold["value"] == 0.1
    assert "预测" in str(figures)


def test_what_is_wished_for_while_a_net_answers_holds_when_it_has(
    rows: tuple[str, str], picture: Path, tmp_path: Path
) -> None:
    session = SegmentSession()
    steps = handlers.answer_segment(session, str(picture), rows[0], *CHOICES, *VIEW)
    next(steps)
    mask = upload(tmp_path, disk_truth().labels)
    assert handlers.take_mask(session, str(mask), "semantic", 0.5, 0, "zh") == (gr.skip(), gr.skip())
    *_, last = steps
    assert session.view == View("semantic", 0.5, 0, "upload", "zh")
    assert "预测" in last[3]
    assert "<table" in last[4]


def test_a_net_without_things_offers_one_task(rows: tuple[str, str], picture: Path) -> None:
    session = SegmentSession()
    *_, last = handlers.answer_segment(session, str(picture), rows[0], *CHOICES, "panoptic", 0.0, 0, "example", "en")
    assert (last[1]["value"], last[2]["value"]) == ("semantic", 0.5)
    assert "without a truth" in last[4]


def test_what_fails_is_a_sentence(picture: Path, tmp_path: Path, rows: tuple[str, str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for path, model, said in (
        (None, rows[0], "No picture yet."),
        (picture, "", "No net that segments pictures comes with this version."),
        (picture, "nonsense", "neither a model of the list nor a Hub id"),
        (picture, str(tmp_path), "neither a model of the list nor a Hub id"),
        (picture, "efficientnet_lite0", "expected a model that segments them"),
        (tmp_path / "bad.png", rows[0], "bad.png is no picture"),
    ):
        session = SegmentSession()
        *_, last = handlers.answer_segment(session, path and str(path), model, *CHOICES, *VIEW)
        assert said in last[3]
        assert session.seen is None


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (7, 5)])
def test_thin_pictures_are_answered(size: tuple[int, int], rows: tuple[str, str], tmp_path: Path) -> None:
    photo(size=size).save(tmp_path / "thin.png")
    for model in rows:
        session = answered(model, tmp_path / "thin.png")
        assert session.seen is not None
        assert session.seen.size == size[::-1]


def test_a_sample_brings_the_net_that_knows_it(rows: tuple[str, str]) -> None:
    assert samples.first_choice() == ("scene_1", rows[1])
    assert handlers.take_segment_sample("coins", rows[1])[1] == rows[0]
    assert handlers.take_segment_sample("coins", "my own")[1] == "my own"
    with pytest.raises(gr.Error, match="sample is"):
        handlers.take_segment_sample("../x", None)


def test_without_a_bundled_net_the_tab_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(entry for entry in catalog.CATALOG if entry.source != "bundled")
    monkeypatch.setattr(catalog, "CATALOG", others)
    assert samples.first_choice() == ("scene_1", None)
    *_, last = handlers.answer_segment(SegmentSession(), samples.sample_file("scene_1"), None, *CHOICES, *VIEW)
    assert "No net that segments" in last[3]


def test_a_visit_that_ends_leaves_nothing(cells: Path, picture: Path) -> None:
    session = SegmentSession()
    own = Path(tempfile.mkdtemp())
    shutil.copytree(cells, own, dirs_exist_ok=True)
    session.visit.checkpoints["mine"] = own
    *_, last = handlers.answer_segment(session, str(picture), "mine", *CHOICES, *VIEW)
    assert session.seen is not None, last[3]
    handlers.forget_segment(session)
    assert not own.exists()
    assert (session.seen, session.painted, session.truths) == (None, None, {})


# Tiles


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def set_limits(whole: int, kept: int) -> None:
        monkeypatch.setattr(asking, "WHOLE", whole)
        monkeypatch.setattr(asking, "KEPT", kept)

    return set_limits


def test_levels_are_told_to_be_missing_where_tiles_are_taken(
    cells: Path, tmp_path: Path, small_limits: Callable[[int, int], None]
) -> None:
    photo(size=(210, 150)).save(tmp_path / "large.png")
    assert "auxiliary head 1" in levels_section(asked(cells, tmp_path / "large.png"), None, speaker("en"))
    small_limits(1000, 2**20)
    assert "not in tiles" in levels_section(asked(cells, tmp_path / "large.png"), None, speaker("en"))


def test_tiles_give_what_one_pass_gives(tmp_path: Path, small_limits: Callable[[int, int], None]) -> None:
    """For valid convolutions, where neighbouring answers belong together."""
    folder = save(tmp_path / "valid", "unet, valid")
    photo(size=(210, 150)).save(tmp_path / "large.png")
    whole = asked(folder, tmp_path / "large.png")
    small_limits(1000, 2**20)
    tiled = asked(folder, tmp_path / "large.png")
    assert (whole.tiles, tiled.reduced) == (1, 1)
    assert tiled.tiles > 1
    np.testing.assert_allclose(tiled.answer.logits, whole.answer.logits, atol=1e-4)
    assert np.array_equal(np.asarray(tiled.image), np.asarray(whole.image))


def test_a_large_picture_is_kept_reduced(
    scenes: Path, tmp_path: Path, small_limits: Callable[[int, int], None]
) -> None:
    photo(size=(301, 201)).save(tmp_path / "large.tif")
    small_limits(1000, 8000)
    steps = list(ask(Question(str(tmp_path / "large.tif"), "net", "torch", "fp32", 128, 32), str(scenes)))
    told = [step for step in steps if isinstance(step, Progress)]
    assert told[-1].done == told[-1].total > 1
    seen = steps[-1]
    assert isinstance(seen, Seen)
    assert seen.reduced == 3
    assert seen.size == seen.answer.logits.shape[1:] == (67, 101)
    found = files.at_own_size(seen, seen.answer)
    assert found.mask.shape == seen.own == (201, 301)


def test_tiles_can_be_stopped(rows: tuple[str, str], tmp_path: Path, small_limits: Callable[[int, int], None]) -> None:
    small_limits(1000, 2**20)
    photo(size=(400, 300)).save(tmp_path / "large.png")
    session = SegmentSession()
    steps = handlers.answer_segment(session, str(tmp_path / "large.png"), rows[0], *CHOICES, *VIEW)
    shown = ""
    while "<progress" not in shown:
        shown = str(next(steps)[3])
    _, said, _ = handlers.stop_segment(session, "en")
    assert "Stopped." in said
    assert list(steps) == []
    assert session.seen is None


# Results out


def test_coco_is_read_by_pycocotools(rows: tuple[str, str], picture: Path) -> None:
    session = answered(rows[1], picture)
    report = json.loads(outgoing.export_coco(session, "panoptic", 0.0, 0))
    assert session.seen is not None
    found = read(session.seen, View("panoptic", 0.0))
    assert report["annotations"]
    for row in report["annotations"]:
        runs: Any = coco_mask.frPyObjects(row["segmentation"], *row["segmentation"]["size"])
        assert np.array_equal(coco_mask.decode(runs), found.mask == row["id"])
        assert coco_mask.area(runs) == row["area"]
        assert coco_mask.toBbox(runs).tolist() == row["bbox"]


@pytest.mark.parametrize("mask", [np.zeros((3, 2), bool), np.ones((3, 2), bool), np.eye(3, dtype=bool)])
def test_run_lengths_begin_with_zeros(mask: np.ndarray) -> None:
    runs: Any = files.run_lengths(mask)
    assert sum(runs["counts"]) == mask.size
    assert np.array_equal(coco_mask.decode(coco_mask.frPyObjects(runs, *mask.shape)), mask)


def test_objects_and_mask_agree(rows: tuple[str, str], picture: Path) -> None:
    session = answered(rows[1], picture)
    uri = outgoing.export_mask(session, "panoptic", 0.0, 0)
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    objects = list(csv.DictReader(io.StringIO(outgoing.export_objects(session, "panoptic", 0.0, 0))))
    assert mask.shape == (48, 70)
    for row in objects:
        y, x = np.nonzero(mask == int(row["id"]))
        assert int(row["area"]) == len(y)
        centroid = float(row["centroid_x"]), float(row["centroid_y"])
        assert centroid == pytest.approx((x.mean() + 0.5, y.mean() + 0.5), abs=0.01)
        assert [int(row[key]) for key in ("x", "y", "width", "height")] == [
            x.min(),
            y.min(),
            np.ptp(x) + 1,
            np.ptp(y) + 1,
        ]


def test_the_endpoint_tells_all_segments(rows: tuple[str, str], picture: Path) -> None:
    report = outgoing.segment(str(picture), rows[1], "panoptic", 0.0)
    assert (report["width"], report["height"]) == (70, 48)
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(report["mask"].partition(",")[2]))))
    assert {row["id"]: row["area"] for row in report["segments"]} == {
        int(i): int((mask == i).sum()) for i in np.unique(mask) if i
    }
    with pytest.raises(gr.Error, match="can't do task 'instance'"):
        outgoing.segment(str(picture), rows[0], "instance")


def test_names_from_outside_are_escaped(tmp_path: Path, picture: Path) -> None:
    folder = save(tmp_path / "net", "unet", num_labels=2, id2label={0: "background", 1: "<script>alert(1)</script>"})
    seen = asked(folder, picture)
    found = read(seen, View())
    shown = "".join(compose(seen, found, *things_in(seen, found, "semantic"), None, "<u>", View(), ""))
    assert "<script" not in shown + painter(seen, SAY)
    assert "<u>" not in shown


def test_of_a_large_picture_a_net_that_resizes_keeps_no_more(
    tmp_path: Path, small_limits: Callable[[int, int], None]
) -> None:
    names = {0: "background", 1: "cell"}
    resized = {"do_resize": True, "size": {"shortest_edge": 32}}
    folder = save(tmp_path / "net", "unet", resized, num_labels=2, id2label=names)
    photo(size=(200, 150)).save(tmp_path / "large.png")
    small_limits(1000, 8000)
    *_, seen = ask(Question(str(tmp_path / "large.png"), str(folder), "torch", "fp32"), str(folder))
    assert isinstance(seen, Seen)
    assert (seen.own, seen.reduced, seen.size) == ((150, 200), 2, (75, 100))
    assert seen.answer.mask.shape == (75, 100)
