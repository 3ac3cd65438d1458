"""The view Overlap without Chromium: its numbers are explain's, in both languages, whatever the shapes."""

import base64
import json
import logging
import re
from io import BytesIO
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from cvhub.explain.figures import boxes, imbalance, masks
from cvhub.ui import numerals
from cvhub.ui.overlap import boxes as box_view
from cvhub.ui.overlap import handlers, panels
from cvhub.ui.overlap import imbalance as imbalance_view
from cvhub.ui.overlap import masks as mask_view
from cvhub.ui.overlap.handlers import STARTS
from cvhub.ui.palette import SERIES
from cvhub.ui.strings import speaker

LANGUAGE = pytest.mark.parametrize("language", ["en", "zh"])


def staged(figure: str, a: Any, b: Any, language: str = "en") -> dict[str, Any]:
    return json.loads(json.dumps(handlers.stage(speaker(language), figure, a, b)))  # as the browser sends it


def values(html: str) -> dict[str, str]:
    """What each panel says its measure is."""
    return dict(re.findall(r'<li data-kind="(\w+)".*?<b class="now">(.*?)</b>', html))


def see(html: str) -> str:
    return re.search('role="status">(.*?)</p>', html)[1]


# Two boxes


@LANGUAGE
@pytest.mark.parametrize("start", STARTS["boxes"])
def test_every_start_shows_the_librarys_numbers(start: str, language: str):
    stage, html = handlers.start_boxes(start, language)
    a, b = STARTS["boxes"][start]
    found = boxes.pulls(a, b)
    assert values(html) == {kind: numerals.signed(pull.agreement) for kind, pull in found.items()}
    for kind, pull in found.items():
        told = f"({', '.join(numerals.signed(100 * slope) for slope in pull.gradient)})"
        assert (told in html) != pull.still, kind
    parts = boxes.terms(a, b)
    assert f"= {numerals.pixels(parts.intersection)} ⁄ {numerals.pixels(parts.union)}<" in html
    assert {shape["name"]: tuple(shape["at"]) for shape in stage["shapes"]} == {"a": a, "b": b}
    assert 30 < len(see(html)) < 400
    assert "nan" not in html
    assert handlers.speak_boxes(stage, language) == (stage, html)


def test_three_starts_share_their_iou_and_no_two_their_giou():
    thirds = [boxes.pulls(*STARTS["boxes"][start]) for start in ("beside", "corner", "crossed")]
    assert [found["iou"].agreement for found in thirds] == pytest.approx([1 / 3] * 3)
    beside, corner, crossed = (found["giou"].agreement for found in thirds)
    assert beside == pytest.approx(1 / 3)
    assert beside - 0.05 > corner > crossed + 0.05


def test_the_sentence_tells_how_the_boxes_lie():
    def told(a: Any, b: Any) -> str:
        return see(handlers.show_boxes(staged("boxes", a, b), "en"))

    assert "don&#x27;t meet" in told((0, 0, 10, 10), (10, 0, 20, 10))
    assert "One box holds the other" in told((0, 0, 400, 300), (10, 0, 20, 10))
    assert "A is B" in told((1.5, 2, 30.25, 40), (1.5, 2, 30.25, 40))
    assert "IoU is 0.333. GIoU takes off 0.250" in told((90, 95, 310, 205), (145, 40, 255, 260))


def test_arrows_lead_against_the_gradient():
    html = handlers.show_boxes(staged("boxes", *STARTS["boxes"]["apart"]), "en")
    drawn = dict(re.findall(r'<li data-kind="(\w+)".*?<svg(.*?)</svg>', html))
    assert "<path" not in drawn["iou"] + drawn["dice"]
    x, y, x1, y1 = map(
        float, re.search(r'"arrow centre" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)', drawn["giou"]).groups()
    )
    across, down = boxes.pulls(*STARTS["boxes"]["apart"])["giou"].centre
    assert (x, y) == (80, 80)
    assert x1 - x == pytest.approx(-1000 * box_view.LONG * across, abs=0.1)
    assert y1 - y == pytest.approx(-1000 * box_view.LONG * down, abs=0.1)
    assert panels.arrow(0, 0, 1e-6, 0, box_view.LONG, "side") == ""


@LANGUAGE
def test_what_is_played_is_what_descent_found(language: str):
    a, b = STARTS["boxes"]["apart"]
    html = handlers.play_boxes(staged("boxes", a, b), 0.03, language)
    found = boxes.descend(a, b, 0.03)
    frames = re.findall(r"data-boxes='(.*?)' data-values='(.*?)'", html)
    for (way, agreements), descent in zip(frames, found.values(), strict=True):
        assert json.loads(way) == descent.boxes.round(1).tolist()
        assert json.loads(agreements)[-1] == numerals.signed(1 - descent.losses[-1])
    assert f'max="{boxes.STEPS}"' in html
    assert html.count("<polyline stroke") + html.count("<polyline style") == len(found)
    for kind in ("giou", "diou", "ciou"):
        assert f"{box_view.NAMES[kind]} {numerals.signed(found[kind].ious[-1])}" in see(html)


# Two masks


@LANGUAGE
@pytest.mark.parametrize("start", STARTS["masks"])
def test_masks_show_the_librarys_numbers(start: str, language: str):
    stage, html = handlers.start_masks(start, 4, language)
    a, b = STARTS["masks"][start]
    found, inside = masks.slopes(a, b, 4), masks.truth(b)
    assert values(html) == {kind: numerals.signed(slope.loss) for kind, slope in found.items()}
    for slope in found.values():
        assert numerals.percent(slope.of_object(inside)) in html
    assert html.count("mask-image:url(data:image/png;base64,") == 2 * len(masks.KINDS)
    assert "nan" not in re.sub(r"base64,[^)]*", "", html)
    assert handlers.speak_masks(stage, 4, language) == (stage, html)


def test_masks_heed_how_sure_the_prediction_is():
    stage = staged("masks", *STARTS["masks"]["apart"])
    assert values(handlers.show_masks(stage, 2, "en")) != values(handlers.show_masks(stage, 6, "en"))
    assert "The discs don&#x27;t meet" in see(handlers.show_masks(stage, 6, "en"))


@LANGUAGE
def test_masks_are_played_as_descent_found(language: str):
    a, b = STARTS["masks"]["half"]
    html = handlers.play_masks(staged("masks", a, b), 4, 0.2, language)
    found = masks.descend(a, b, 4, 0.2)
    frames = re.findall(r"data-frames='(\d+)' data-values='(.*?)'.*?base64,(.*?)\)", html)
    for (count, losses, sprite), way in zip(frames, found.values(), strict=True):
        assert json.loads(losses) == [numerals.signed(loss) for loss in way.losses]
        opacity = np.asarray(Image.open(BytesIO(base64.b64decode(sprite))))[..., 1]
        assert opacity.shape == (int(count) * masks.HEIGHT // masks.CELL, masks.WIDTH // masks.CELL)
        np.testing.assert_allclose(opacity / 255, np.concatenate(way.probabilities), atol=1 / 255)
    assert f'max="{masks.STEPS}" step="{masks.EVERY}"' in html


# Few pixels among many


@LANGUAGE
@pytest.mark.parametrize("found", imbalance_view.FOUND)
def test_imbalance_shows_the_librarys_numbers(found: int, language: str):
    html = handlers.show_imbalance(found, 5, language)
    for kind in ("bce", "dice"):
        curve = imbalance.curve(kind, found / 100, 0.05)
        for share in (curve[min(curve)], curve[max(curve)]):
            assert numerals.signed(share.loss) in see(html)
            assert numerals.percent(share.of_gradient) in see(html)
    assert html.count("<polyline") == 2 * len(imbalance_view.KINDS)
    heights = [int(y) for line in re.findall(r'points="([^"]*)"', html) for y in re.findall(r",(-?\d+)", line)]
    assert 0 <= min(heights) <= max(heights) <= 1000


# All


def test_sizes_and_colours_are_those_of_the_numbers():
    assert (panels.WIDTH, panels.HEIGHT) == (boxes.WIDTH, boxes.HEIGHT) == (masks.WIDTH, masks.HEIGHT)
    assert set(box_view.NAMES) == set(boxes.KINDS)
    assert set(mask_view.FORMULAS) == set(masks.KINDS)
    assert max(panels.COLOURS.values()) < len(SERIES)
    for kinds in (boxes.KINDS, masks.KINDS, imbalance.KINDS):
        assert len({panels.COLOURS[kind] for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("figure", "at"),
    [
        ("boxes", (30, 40, 20, 50)),
        ("boxes", (30, 40, 30, 50)),
        ("boxes", (0, 0, 401, 50)),
        ("boxes", (0, 0, float("nan"), 50)),
        ("boxes", (10, 10, 5)),
        ("masks", (10, 10, 0)),
        ("masks", (10, 10, 400)),
        ("masks", (0, 0, 10, 10)),
    ],
)
def test_what_is_no_shape_is_refused(figure: str, at: tuple[float, ...]):
    stage = staged(figure, *STARTS[figure]["apart"])
    stage["shapes"][1]["at"] = at
    with pytest.raises(gr.Error, match="shape a is"):
        handlers.read(figure, stage)
    with pytest.raises(gr.Error, match="start is 'beneath', expected one of"):
        handlers.start(figure, "beneath", "en")


def test_a_failure_is_a_sentence(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    def fail(a: Any, b: Any) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(boxes, "pulls", fail)
    with caplog.at_level(logging.CRITICAL, "cvhub.ui.overlap.handlers"):
        html = handlers.show_boxes(staged("boxes", *STARTS["boxes"]["apart"]), "en")
    assert "could not be computed (RuntimeError)" in html
    assert "secret path" not in html


def test_minus_signs_and_zeros():
    assert [numerals.signed(x) for x in (-0.0004, 0.0004, -0.5, 1)] == ["0.000", "0.000", "−0.500", "1.000"]
    assert numerals.pixels(12_000.4) == "12,000"
