"""Figures of the Explore tab about GoogLeNet, MobileNet, ViT and Swin, and pictures in figures. No Chromium."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvhub.explain.figures import auxiliary, curves, dense_curves, growth, reduction, surface, windows
from cvhub.explain.figures import identity as identity_numbers
from cvhub.explain.figures.relu6 import read_rounded
from cvhub.models.swin import CvSwinConfig
from cvhub.ui import numerals
from cvhub.ui.figures import curves as curves_drawing
from cvhub.ui.figures import identity, photos, positions, quantisation
from docs import dense_curves as dense_script
from tests.test_ui_figures import drawn


@pytest.mark.parametrize(("inputs", "kind"), [("same", "naive"), ("piled", "piled")])
def test_reduction_shows_a_row_a_block(inputs: str, kind: str) -> None:
    html, blocks = drawn("reduction", inputs=inputs), reduction.compare()
    for block in blocks:
        naive = getattr(block, kind).parameters
        assert f"<span>{block.name}</span></th>" in html
        assert f"<span>{numerals.count(naive)}</span>" in html
        assert f"<span>{numerals.percent(block.reduced.parameters / naive)}</span>" in html
    total = sum(getattr(block, kind).multiply_adds for block in blocks)
    assert f'<span class="number">{numerals.count(total)}</span>' in html


def test_identity_shows_three_pictures_and_says_when_it_is_none() -> None:
    html = drawn("identity")
    assert html.count("<img") == 3
    assert "exactly what it was" in html
    assert "makes negative values 0" in drawn("identity", values="centred")
    pixels = np.asarray(photos.sample("chelsea", identity.SIDE)) / 255
    found = identity_numbers.passage(pixels, 0.3, 2)
    changed = drawn("identity", gamma=30, depth=2)
    assert "With γ = 0.3 the branches speak: after 2 residual" in changed
    assert f"changed by at most {numerals.three_digits(found.residual_change)}" in changed


def test_auxiliary_draws_both_gradients_of_every_row() -> None:
    html, found = drawn("auxiliary", start="0.01"), auxiliary.gradients("0.01", "lrn")
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', html)
    assert [len(line.split()) for line in lines] == [11, 11]
    assert f"from {found.without[0]:.2g} to {found.together[0]:.2g}" in html
    assert "nothing vanishes" in drawn("auxiliary", start="fan_in")


def test_surface_shows_every_cell_and_what_is_promised() -> None:
    html = drawn("surface")
    for cell in surface.surface():
        promised = numerals.percent((cell.alpha * cell.rho) ** 2)
        assert f"{numerals.count(cell.cost.multiply_adds)} · " in html
        assert f"α²ρ² {promised}</span>" in html
    assert re.findall(r"\d+(?:\.\d)? ms", drawn("surface", beside="latency"))


def test_quantisation_says_what_was_measured() -> None:
    found, html = quantisation.compare(), drawn("quantisation")
    mean = np.mean([layer.decibels for layer in found.clipped])
    assert f"signal-to-noise ratio of {mean:.0f} dB" in html
    assert f"{found.clipped_answers.kept} of 4 pictures" in html
    assert f"{found.without_answers.as_trained} of 4 pictures" in html
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', drawn("quantisation", what="greatest"))
    assert [len(line.split()) for line in lines] == [33] * 3
    for net in read_rounded().values():
        assert f"{numerals.percent(net.int8 / net.n)}</span>" in html


def test_windows_shows_what_the_model_parts() -> None:
    html = drawn("windows", stage=2, window=7)
    found = windows.partition(CvSwinConfig(window_size=7), 224, 224, 2, shifted=True)
    assert f"<span>{len(np.unique(found.groups))} groups that attend</span>" in html
    assert "map rolled by 3, 16 windows" in html
    assert html.count("of pairs masked</span>") == 4
    assert f"{numerals.percent(found.masks[-1].mean())} of pairs masked" in html
    whole = drawn("windows", stage=4, window=7)
    assert "no mask is needed" in whole
    assert whole.count("<img") == 2


def test_growth_shows_equations_and_nets() -> None:
    html = drawn("growth", pair="published")
    for side in growth.SIDES["published"]:
        for point in growth.points("published", side):
            assert f"<span>{numerals.count(point.multiply_adds)}</span>" in html
    assert html.count("<polyline") == 2
    assert drawn("growth", latency="on").count("<polyline") == 4


# ViT


def test_the_bundled_vit_is_named_and_its_heads_are_drawn() -> None:
    from cvhub.load import load_model

    embeddings = load_model("eurosat_vit").base_model.embeddings.positions.detach()
    html = drawn("positions", layer="first")
    assert "ViT (EuroSAT) reads 64 patches of 8 × 8 pixels" in html
    assert "in layer 1 of 6" in html
    assert re.findall(r"<b>(head \d)</b>", html) == ["head 1", "head 2", "head 3", "head 4"]
    assert len(re.findall("<img", html)) == 5 + 4
    grid = torch.nn.functional.normalize(embeddings[0, -64:].double(), dim=1).unflatten(0, (8, 8))
    near = (grid[:, 1:] * grid[:, :-1]).sum(-1).mean()
    every = grid.flatten(0, 1) @ grid.flatten(0, 1).T
    average = (every.sum() - 64) / (64 * 63)
    assert f"a cosine of {near:.2f}, any two on average {average:.2f}" in html.replace("−", "-")


@pytest.mark.parametrize(("rows", "columns"), [(14, 14), (9, 9), (7, 8)])
def test_patches_are_drawn_apart(rows: int, columns: int) -> None:
    white = Image.new("RGB", (positions.SHOWN, positions.SHOWN), "white")
    drawing = np.asarray(positions.cut(white, rows, columns).convert("L"))
    changes = np.diff((drawing[1] == 255).astype(int))
    assert (changes == -1).sum() == columns
    assert (np.diff((drawing[:, 1] == 255).astype(int)) == -1).sum() == rows


# Curves


def test_curves_that_are_not_there_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    curves._made.cache_clear()
    monkeypatch.setattr(curves, "FOLDER", tmp_path)
    assert "`python -m docs.curves` in the project" in drawn("curves", experiment="bias")
    curves._made.cache_clear()


def test_curves_that_are_there_are_drawn_with_their_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(experiment: str) -> tuple[curves.Run, ...]:
        verdicts = curves.Verdict(0.02, 0.995), curves.Verdict(0.5, 0.87)
        return tuple(
            curves.Run(name, 1_910_000, 3600, 24.0, 1344, 130.0, *verdicts) for name in curves.EXPERIMENTS[experiment]
        )

    monkeypatch.setattr(curves, "runs", made)
    monkeypatch.setattr(curves.Run, "curve", lambda run, column: [(0.0, 2.3), (12.0, 1.0), (24.0, 0.1)])
    for experiment, names in curves.EXPERIMENTS.items():
        html = drawn("curves", experiment=experiment)
        assert html.count("<polyline") == 2 * len(names)
        assert html.count("<span>12.5 %</span>") == len(names)
        assert "3,600 · 1,344 · 2.2 min" in html
    assert "dropout 12.5 %" in drawn("curves", experiment="dropout")


def test_a_curve_is_smoothed_by_the_losses_before() -> None:
    points = [(float(i), float(i % 2)) for i in range(20)]
    smoothed = curves_drawing.smooth(points)
    assert smoothed[0] == (0.0, 0.0)
    assert all(value == 0.5 for _, value in smoothed[9:])


# Pictures


def test_lines_are_drawn_where_groups_change() -> None:
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    drawing = np.asarray(photos.ruled(grey, np.asarray([[0, 0], [1, 2]])))
    assert (drawing[20, :] == 255).all(axis=1).sum() > 35  # all along the middle
    assert (drawing[10, 20] == 128).all()  # but not up between equal groups
    assert (drawing[30, 20] == 255).all()


def test_a_mask_is_drawn_run_by_run() -> None:
    from cvhub.ui.figures.windows import cells

    values = np.asarray([[True, True, False], [False, True, False]])
    html = cells(values, "a & b")
    assert re.findall(r'x="(\d)" y="(\d)" width="(\d)"', html) == [("0", "0", "2"), ("1", "1", "1")]
    assert "a &amp; b" in html


# Curves of U-Nets


def test_what_supervision_does_is_drawn_by_level_and_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str, weights: tuple[float, ...]) -> dense_curves.DenseRun:
        losses = (0.9, *(0.8 for _ in weights))
        tenths = tuple(
            dense_curves.Tenth(k, 9 * k, losses, (0.01, 0.1), (0.03 if weights else 0.01, 0.2), 0.08 * k, 0.07 * k)
            for k in range(11)
        )
        return dense_curves.DenseRun(name, 1_910_000, 720, 20.0, 90, 130.0, weights, tenths)

    made = {name: run(name, (0.5, 0.25) if "supervised" in name else ()) for name in dense_script.NETS}
    monkeypatch.setattr(dense_curves, "read_runs", lambda folder: made)
    html = drawn("dense_curves", experiment="supervision")
    assert (
        html.count("<polyline") == 2 + 2 + 3 + 3 + 3
    )  # two measures, gradients at start and end, three levels' losses
    assert "the gradient at the start is 3 times as large at the first level, and 2 times at the deepest" in html
    assert html.count("<span>0.800</span>") == 2
    assert "720 · 90 · 2.2 min" in html
    assert drawn("dense_curves", experiment="skips").count("<polyline") == 2 + 2 + 2 + 2
    assert "After the first tenth: IoU deeply supervised 0.080; on EfficientNet-Lite0 0.080" in drawn(
        "dense_curves", experiment="encoder"
    )
    made.pop("no_skips")
    assert "`python -m docs.dense_curves` in the project" in drawn("dense_curves", experiment="skips")
