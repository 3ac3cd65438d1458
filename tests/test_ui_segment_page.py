"""The Segment tab in Chromium: a mask painted, a threshold moved, tiles stopped; by mouse and by keyboard."""

import csv
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from cvhub import catalog
from cvhub.catalog import Entry
from cvhub.evaluation.dense_metrics import SemanticTally
from cvhub.explain.figures import boxes
from cvhub.inference.large import TileForward
from cvhub.inference.pool import default_pool
from cvhub.inference.segment import Segmentation, Segmenter
from cvhub.training.scene_layout import CLASSES, THINGS
from cvhub.ui import numerals
from cvhub.ui.segment import asking, samples
from cvhub.ui.segment.losses import soft_losses
from cvhub.ui.strings import text
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM, served
from tests.test_segment import photo, save
from tests.test_ui_overlap import place

pytestmark = NEEDS_CHROMIUM

NO_MODEL = "?models=tests"  # the Classify tab has nothing to load, and says so
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CELLS = {"widths": (4, 8, 8), "auxiliary_weights": (0.5,)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Two tiny nets, which the catalogue lists while this file is tested, before those that are bundled."""
    names = {k: row.name for k, row in enumerate(CLASSES)}
    folder = tmp_path_factory.mktemp("nets")
    nets = {
        "tiny_scenes": save(
            folder / "scenes", "panoptic_deeplab", num_labels=8, id2label=names, thing_ids=THINGS
        ),
        "tiny_cells": save(folder / "cells", "unet", num_labels=2, id2label={0: "background", 1: "cell"}, **CELLS),
    }  # fmt: skip
    tasks = {"tiny_scenes": ("panoptic", "scenes"), "tiny_cells": ("semantic", "nuclei")}
    before = catalog.CATALOG
    catalog.CATALOG = (
        *(
            Entry(name, name, "any", f"{task}-segmentation", "bundled", str(nets[name]), data, 2, 1, "apache-2.0")
            for name, (task, data) in tasks.items()
        ),
        *before,
    )
    for name in nets:
        default_pool().get(name)  # converted before a page waits for it
    yield nets
    catalog.CATALOG = before
    for name in nets:
        default_pool().drop(name)


@pytest.fixture(scope="module")
def server(folders: dict[str, Path]) -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture
def segment(open_page: Callable[..., Any]) -> Callable[..., Any]:
    """Opens the tab, its first sample answered."""

    def segment(language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_segment", language)).click()
        page.locator("#segment-losses table").wait_for(timeout=FIRST_ANSWER)
        page.locator("segment-view canvas").wait_for()
        return page

    return segment


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the nets that are asked while a test runs."""
    asked: list[str] = []
    ask = Segmenter.segment

    def counted(self: Segmenter, image: Any, *arguments: Any) -> Segmentation:
        asked.append(self.name)
        return ask(self, image, *arguments)

    monkeypatch.setattr(Segmenter, "segment", counted)
    return asked


def value(page: Any, term: str) -> str:
    """What the readout says of a term."""
    return page.locator(f"#segment-losses tr:has(th:text-is('{term}')) .value").text_content()


def take(page: Any, sample: str) -> None:
    page.locator(f"#segment-samples input[value={sample}]").check(force=True)


def choose(page: Any, group: str, value: str) -> None:
    """One of the radio buttons of a group, as a visitor takes it."""
    page.locator(f"#segment-{group} label:has(input[value={value}])").click()


def ask_cells(page: Any) -> None:
    """The net of two classes, about the coins."""
    take(page, "coins")
    expect(page.locator("#segments .costs")).to_contain_text("384 × 303", timeout=FIRST_ANSWER)
    page.locator("segment-view canvas").wait_for()


def no_violation(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def fits(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = "[...document.querySelectorAll('.main *')].filter(e => e.getBoundingClientRect().right > 391)"
    assert page.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []


def test_the_first_scene_is_answered_and_compared_with_its_truth(segment, folders: dict[str, Path]):
    page = segment()
    assert page.locator("#segment-samples input:checked").get_attribute("value") == "scene_1"
    assert page.locator("#segment-task input:checked").get_attribute("value") == "panoptic"
    expect(page.locator("#segments .costs")).to_contain_text("A synthetic scene, drawn by a program")
    scene = samples.scene("scene_1")
    expect(page.locator("#segments .summary")).to_contain_text(f"{scene.instances.max()} in the truth")
    seen = Segmenter(str(folders["tiny_scenes"])).segment(scene.image)
    p = seen.probabilities()[scene.semantic, *np.indices(scene.semantic.shape)]
    assert float(value(page, "cross entropy")) == pytest.approx(-np.log(p).mean(), abs=0.02)  # in bf16 perhaps


def test_a_threshold_redraws_without_a_forward_pass(
    segment, folders: dict[str, Path], forwards: list[str], tmp_path: Path
):
    page = segment()
    ask_cells(page)
    answer = Segmenter(str(folders["tiny_cells"]), "torch", "fp32").segment(Image.open(samples.sample_file("coins")))
    page.get_by_role("button", name=re.compile("^Advanced: tiles")).click()
    choose(page, "runtime", "torch")
    choose(page, "precision", "fp32")
    expect(page.locator("#segments .costs")).to_contain_text("PyTorch fp32", timeout=FIRST_ANSWER)
    threshold = round(float(np.quantile(answer.probabilities()[1], 0.8)), 2)
    mask = answer.probabilities()[1] > threshold
    Image.fromarray(np.roll(mask, 5, axis=1).astype(np.uint8)).save(tmp_path / "mask.png")
    choose(page, "truth", "upload")
    page.locator("#segment-mask input[type=file]").set_input_files(tmp_path / "mask.png")
    page.locator("#segment-losses table").wait_for()
    forwards.clear()
    canvas = "() => document.querySelector('segment-view canvas').toDataURL()"
    before = page.evaluate(canvas)
    page.locator("#segment-threshold input[type=number]").fill(str(threshold))
    expect(page.locator("#segment-losses h2").first).to_have_text(
        f"Loss against the truth at threshold {threshold:.2f}"
    )
    tally = SemanticTally(2)
    tally.add(mask.astype(np.int64), np.roll(mask, 5, axis=1).astype(np.int64))
    assert value(page, "IoU") == f"{tally.iou:.3f}"
    page.wait_for_function(f"b => ({canvas})() !== b", arg=before)
    assert forwards == []


def test_a_painted_mask_is_the_truth(segment, monkeypatch: pytest.MonkeyPatch):
    page = segment()
    ask_cells(page)
    kept: list[Any] = []

    def watched(*arguments: Any) -> Any:
        kept.append(arguments)
        return soft_losses(*arguments)

    monkeypatch.setattr("cvhub.ui.segment.losses.soft_losses", watched)
    choose(page, "truth", "paint")
    canvas = page.locator("mask-painter canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    expect(page.locator("#segments .summary")).to_contain_text("1 in the truth")
    seen, masks = kept[-1]
    y, x = np.nonzero(masks.labels == 1)
    height, width = masks.labels.shape
    radius = 12 * width / box["width"]
    assert (x.min(), x.max()) == pytest.approx((width / 4 - radius, 3 * width / 4 + radius), abs=2)
    assert (y.min(), y.max()) == pytest.approx((height / 2 - radius, height / 2 + radius), abs=2)
    losses = soft_losses(seen, masks)
    for term, number in (
        ("BCE", losses.pixel),
        ("Dice loss", losses.overlaps.dice),
        ("focal loss, γ = 2", losses.focal),
    ):
        assert value(page, term) == f"{number:.3f}"
    assert value(page, "deep supervision") == f"{losses.supervised:.3f}"
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#segment-losses")).to_contain_text("Paint what is true")


def test_the_prediction_painted_is_met_exactly(segment):
    page = segment()
    ask_cells(page)
    choose(page, "truth", "paint")
    page.get_by_role("button", name="Start from the prediction").click()
    page.locator("#segment-losses table").wait_for()
    assert value(page, "IoU") == "1.000"
    assert value(page, "boundary F") == "1.000"


def test_keyboard_alone_paints_and_reads(segment):
    page = segment()
    ask_cells(page)
    page.locator("#segment-truth input[value=example]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator("mask-painter canvas").wait_for()
    page.locator("mask-painter canvas").focus()
    page.keyboard.press("Space")
    expect(page.locator("#segments .summary")).to_contain_text("1 in the truth")
    dice = page.locator("#segment-losses tr:has(th:text-is('Dice loss')) .numbers")
    before = dice.text_content()
    page.keyboard.press("ArrowDown")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    expect(dice).not_to_have_text(str(before))
    page.locator("#segment-drawn input[value=areas]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#segment-drawn input:checked").get_attribute("value") == "contours"
    opaque = "() => new Uint32Array(document.querySelector('segment-view canvas').getContext('2d')"
    opaque += ".getImageData(0, 0, 600, 600).data.buffer).filter(pixel => pixel).length"
    shown = page.evaluate(opaque)
    page.locator(".area input").first.focus()
    page.keyboard.press("Space")
    assert shown > 0
    page.wait_for_function(f"({opaque})() === 0")


def test_pointing_names_segments_and_the_sweep_uncovers_the_picture(segment):
    page = segment()
    choose(page, "task", "semantic")
    expect(page.locator("#segments .areas details")).to_have_count(0)
    page.locator("segment-view canvas").wait_for()
    stage = page.locator(".stage[data-ids]").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    expect(page.locator(".tip")).to_have_text(re.compile(r"^\w+ · [\d,]+ px · [\d.]+ %$"))
    page.locator(".sweep input").fill("40")
    assert "40%" in page.locator("segment-view canvas").evaluate("e => e.style.clipPath")


def test_files_leave_the_page(segment, tmp_path: Path):
    page = segment()
    ask_cells(page)
    for button, name in (
        ("#save-mask", "cvhub-mask.png"),
        ("#save-coco", "cvhub-coco.json"),
        ("#save-objects", "cvhub-objects.csv"),
    ):
        with page.expect_download() as download:
            page.locator(button).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    mask = np.asarray(Image.open(tmp_path / "cvhub-mask.png"))
    assert mask.shape == (303, 384)
    report = json.loads((tmp_path / "cvhub-coco.json").read_text())
    assert sum(row["area"] for row in report["annotations"]) == (mask > 0).sum()
    with (tmp_path / "cvhub-objects.csv").open() as file:
        assert sum(int(row["area"]) for row in csv.DictReader(file)) == (mask > 0).sum()


def test_a_large_picture_shows_progress_and_can_be_stopped(segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = segment()
    compute = TileForward.__call__

    def slow(self: TileForward, tiles: np.ndarray) -> np.ndarray:
        time.sleep(0.5)
        return compute(self, tiles)

    monkeypatch.setattr(TileForward, "__call__", slow)
    monkeypatch.setattr(asking, "WHOLE", 10_000)
    photo(size=(2000, 1500)).save(tmp_path / "large.png")
    page.locator("#segment-picture input[type=file]").set_input_files(tmp_path / "large.png")
    page.locator("#segments progress").wait_for(timeout=FIRST_ANSWER)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#segments .summary")).to_contain_text("Stopped.")
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="hidden")
    take(page, "scene_2")
    page.locator("#segment-losses table").wait_for(timeout=FIRST_ANSWER)


def test_a_net_of_ones_own_answers(segment, folders: dict[str, Path]):
    page = segment()
    page.locator("#segment-checkpoint button").first.click()
    files = [folders["tiny_cells"] / name for name in ("model.safetensors", "config.json", "preprocessor_config.json")]
    page.locator("#segment-checkpoint-files input[type=file]").set_input_files(files)
    page.locator("#segment-checkpoint-files [aria-label='config.json']").wait_for(
        state="attached", timeout=FIRST_ANSWER
    )
    page.locator("#segment-add-checkpoint").click()
    expect(page.locator("#segments .costs")).to_contain_text("model · ", timeout=FIRST_ANSWER)
    expect(page.locator("#segment-losses")).to_contain_text("classes are not those of the net")


def test_nothing_and_nonsense_are_sentences(segment, tmp_path: Path):
    page = segment()
    (tmp_path / "torn.png").write_bytes(b"\x89PNG no picture")
    page.locator("#segment-picture input[type=file]").set_input_files(tmp_path / "torn.png")
    expect(page.locator("#segments .summary")).to_contain_text("torn.png", timeout=FIRST_ANSWER)
    take(page, "scene_1")
    page.locator("#segment-losses table").wait_for(timeout=FIRST_ANSWER)
    page.locator("#segment-picture").get_by_role("button", name="Remove Image").click()
    expect(page.locator("#segments .summary")).to_contain_text("No picture yet.")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_training_with_and_without_did_is_a_view_of_its_own(segment, language: str):
    page = segment(language)
    page.get_by_role("tab", name=text("part_runs", language), exact=True).click()
    expect(page.locator("#runs-drawing h2")).to_have_text(text("dense_curves_title", language), timeout=FIRST_ANSWER)
    before = page.locator("#runs-drawing .summary").text_content()
    page.locator("#dense_curves_experiment input[value=skips]").check(force=True)
    expect(page.locator("#runs-drawing .summary")).not_to_have_text(before)
    no_violation(page)


def test_overlap_is_a_view_of_its_own(segment):
    """Its first numbers come when it is opened, and follow a box that is moved by keys."""
    page = segment()
    page.get_by_role("tab", name=text("part_overlap", "en"), exact=True).click()
    page.locator("#boxes-readout .measures").wait_for(timeout=FIRST_ANSWER)
    before = page.locator("#boxes-readout [data-kind=giou] .now").text_content()
    page.locator("#boxes-stage .shape.a").focus()
    page.keyboard.press("Shift+ArrowRight")
    giou = page.locator("#boxes-readout [data-kind=giou] .now")
    expect(giou).not_to_have_text(before)
    pulls = boxes.pulls(*(place(page, "boxes", name) for name in ("a", "b")))
    expect(giou).to_have_text(numerals.signed(pulls["giou"].agreement))
    no_violation(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(segment, scheme: str):
    page = segment(color_scheme=scheme)
    no_violation(page)
    ask_cells(page)
    page.get_by_role("button", name=re.compile("^Advanced: tiles")).click()
    page.locator("#segment-checkpoint button").first.click()
    choose(page, "truth", "upload")
    page.locator("#segment-mask").wait_for()
    no_violation(page)
    choose(page, "truth", "paint")
    page.locator("mask-painter canvas").wait_for()
    no_violation(page)


def test_a_phone_in_chinese_needs_no_sideways_scroll(segment):
    page = segment("zh", **PHONE)
    fits(page)
    take(page, "coins")
    expect(page.locator("#segments .costs")).to_contain_text("384 × 303", timeout=FIRST_ANSWER)
    page.get_by_role("button", name=re.compile("^高级：分块")).click()
    choose(page, "truth", "paint")
    page.locator("mask-painter canvas").tap()
    expect(page.locator("#segments .summary")).to_contain_text("真值中有 1 个")
    fits(page)


def test_the_language_switch_re_labels_everything(segment):
    page = segment()
    choose(page, "truth", "paint")
    for language, other in (("zh", "en"), ("en", "zh")):
        page.get_by_text("中文" if language == "zh" else "English", exact=True).click()
        expect(page.locator("#segment-losses")).to_contain_text(
            text("truth_none_paint", language), timeout=FIRST_ANSWER
        )
        expect(page.locator("mask-painter")).to_contain_text(text("paint_clear", language), timeout=FIRST_ANSWER)
        words = page.locator("body").inner_text()
        for key in ("segment_task", "segment_prediction", "segment_areas", "threshold_score", "save_mask", "paint_how"):
            assert text(key, language) in words
            assert text(key, other) not in words


def test_the_endpoint_is_documented_and_answers(server: str, folders: dict[str, Path], tmp_path: Path):
    from gradio_client import Client, handle_file

    photo().save(tmp_path / "photo.png")
    client = Client(server, verbose=False)
    documented: Any = client.view_api(return_format="dict", print_info=False)
    assert "/segment" in documented["named_endpoints"]
    report = client.predict(
        handle_file(str(tmp_path / "photo.png")), "tiny_cells", "semantic", 0.5, api_name="/segment"
    )
    assert (report["width"], report["height"], report["task"]) == (70, 48, "semantic")
    assert {row["label"] for row in report["segments"]} <= {"cell"}
    usual = client.predict(handle_file(str(tmp_path / "photo.png")), "tiny_cells", "semantic", api_name="/segment")
    assert {key: usual[key] for key in ("threshold", "mask")} == {key: report[key] for key in ("threshold", "mask")}
