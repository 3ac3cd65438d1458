"""The figures on the page: their numbers are explain's, in both languages. No Chromium."""

import itertools
import logging
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cvhub.errors import CvhubError
from cvhub.explain.figures import bottleneck, depthwise, gradient, resnets, stacked
from cvhub.ui import charts, numerals
from cvhub.ui.figures import DENSE_FIGURES, FIGURES, part
from cvhub.ui.figures.figure import Choice
from cvhub.ui.strings import STRINGS

EVERY = (*FIGURES, *DENSE_FIGURES)


def figure_of(name: str) -> Any:
    return next(figure for figure in EVERY if name == figure.NAME)


def drawn(name: str, language: str = "en", **controls: Any) -> str:
    figure = figure_of(name)
    values = {control.name: control.value for control in figure.CONTROLS} | controls
    return part.draw(figure, language, *values.values())


# What all figures have in common


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", [figure.NAME for figure in EVERY])
def test_every_figure_says_what_to_see_and_where_it_is_from(name: str, language: str):
    figure, html = figure_of(name), drawn(name, language)
    title, source = (STRINGS[f"{name}_{part}"][language == "zh"] for part in ("title", "source"))
    assert f"<h2>{title}</h2>" in html
    assert 30 < len(re.search('role="status">(.*?)</p>', html)[1]) < 500
    assert f'<a href="{figure.PAPER}"' in html
    assert source.replace("&", "&amp;") in html
    assert "nan" not in re.sub('base64,[^"]*', "", html)
    for drawing in re.findall(r'role="img" aria-label="(.*?)"', html):
        assert len(drawing) > 5


@pytest.mark.parametrize("name", [figure.NAME for figure in EVERY])
def test_every_control_has_a_name_and_is_heeded(name: str):
    figure = figure_of(name)
    for control in figure.CONTROLS:
        assert f"{name}_{control.name}" in STRINGS
        other = control.values[0] if isinstance(control, Choice) else control.low
        if other == control.value:
            other = control.values[-1] if isinstance(control, Choice) else control.high
        assert drawn(name, **{control.name: other}) != drawn(name), control.name


def test_every_string_of_a_figure_begins_with_its_name():
    for figure in EVERY:
        assert all(key.startswith(f"{figure.NAME}_") for key in figure.STRINGS)


def test_the_chosen_figure_gets_the_values_of_its_own_controls():
    values = [control.value for figure in FIGURES for control in figure.CONTROLS]
    assert part.shower(FIGURES)(True, "depthwise", "en", *values) == drawn("depthwise")
    assert "Computing." in part.shower(FIGURES)(False, "depthwise", "en", *values)
    assert [group["visible"] for group in part.show_controls(FIGURES, "gradient")] == [
        figure.NAME == "gradient" for figure in FIGURES
    ]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(CvhubError("It is gone."), "It is gone."), (RuntimeError("secret path"), "could not be drawn (RuntimeError)")],
)
def test_a_figure_that_fails_is_a_sentence(error: Exception, sentence: str, caplog: pytest.LogCaptureFixture):
    def draw(say: Any) -> None:
        raise error

    broken = SimpleNamespace(NAME="resnets", PAPER="", CONTROLS=(), STRINGS={}, draw=draw)
    with caplog.at_level(logging.CRITICAL, "cvhub.ui.figures.part"):
        html = part.draw(broken, "en")
    assert sentence in html
    assert "secret path" not in html


# Each figure's numbers


def test_depthwise_shows_the_costs_that_are_counted():
    html = drawn("depthwise", kernel=5, out_channels=64, in_channels=32, side=28)
    found = depthwise.compare(5, 32, 64, 28)
    for cost in (found.full, found.separable, *found.separable.layers):
        assert f'<span class="number">{numerals.count(cost.multiply_adds)}</span>' in html
        assert f'<span class="number">{numerals.count(cost.parameters)}</span>' in html
    assert f"needs {numerals.percent(found.ratio)}" in html
    assert "1/N + 1/K² = 0.0556;" in html
    assert "nothing to save" in drawn("depthwise", kernel=1)


def test_stacked_shows_each_stack_with_its_field():
    html = drawn("stacked", channels=64, side=14)
    for name, net in stacked.compare(64, 14).items():
        assert f"<b>{name}</b><span>sees {net.field}×{net.field}</span>" in html
        assert f'<span class="number">{numerals.count(net.cost.multiply_adds)}</span>' in html
    assert "111 k in place of 201 k weights (55.1 %)" in html
    assert len(re.findall("<rect x", html)) == 9 + 2 * 25 + 2 * 49


def test_resnets_shows_a_row_a_net():
    html = drawn("resnets")
    for name in resnets.NAMES:
        row = resnets.row(name)
        assert f"<span>{row.layers}</span></th>" in html
        assert f"<span>{' · '.join(map(str, row.depths))}</span>" in html
        assert f"<span>{numerals.count(row.multiply_adds)}</span>" in html
    assert not re.search(r"\d ms\b", html)


def test_resnets_are_timed_when_asked(monkeypatch: pytest.MonkeyPatch):
    times = dict(zip(resnets.NAMES, (10.0, 20.0, 30.0, 60.0, 120.0), strict=True))
    monkeypatch.setattr(resnets, "latency", times.get)
    html = drawn("resnets", latency="on")
    assert re.findall(r"<span>([\d.]+ ms)</span>.*?width:([\d.]+)%", html) == [
        ("10.0 ms", "8.33"),
        ("20.0 ms", "16.67"),
        ("30.0 ms", "25.00"),
        ("60.0 ms", "50.00"),
        ("120 ms", "100.00"),
    ]
    assert f"the least of {resnets.REPETITIONS} passes" in html


@pytest.mark.parametrize(("norm", "says"), [("with", "does not vanish"), ("without", "nothing keeps the scale")])
def test_gradient_draws_every_layer_of_every_net(norm: str, says: str):
    html = drawn("gradient", layers=20, norm=norm)
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', html)
    found = gradient.by_layer(20, norm == "with")
    assert [len(line.split()) for line in lines] == [len(norms) for norms in found.values()]
    for line, norms in zip(lines, found.values(), strict=True):
        heights = [-int(point.split(",")[1]) for point in line.split()]
        assert np.argmax(heights) == np.argmax(norms)
    assert says in html


def test_bottleneck_shows_what_this_matrix_loses():
    html = drawn("bottleneck", seed=3)
    for n in (2, 3, 5, 15, 30):
        percent = numerals.percent(bottleneck.passage(n, 3).lost.mean())
        assert f"<b>{n} dimensions</b><span>{percent} lost</span>" in html
    assert f"loses {numerals.percent(bottleneck.share_lost(2))}" in html


# Charts


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (100, (0, 20, 40, 60, 80, 100)),
        (23.6, (0, 5, 10, 15, 20, 25)),
        (0.31, (0, 0.1, 0.2, 0.3, 0.4)),
        (1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
    ],
)
def test_a_linear_axis_begins_at_zero_and_holds_all(most: float, ticks: tuple[float, ...]):
    assert charts.from_zero("x", most).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[0.04, 365.0], [1e-9, 1e6], [1.0], [0.5, 0.6], [1e-3, 2e3]])
def test_a_logarithmic_axis_is_of_decades_and_holds_all(values: list[float]):
    axis = charts.decades("y", values)
    assert 2 <= len(axis.ticks) <= 7
    assert all(0 <= axis.place(value) <= 1 for value in values)
    assert len(axis.labels()) == len(axis.ticks)


def test_bars_are_shares_of_the_longest_and_words_are_escaped():
    html = charts.bars([charts.Bar("<a>", 2, "two"), charts.Bar("b", 8, "eight")], "c & d")
    assert re.findall(r"width:([\d.]+)%", html) == ["25.00", "100.00"]
    assert "&lt;a&gt;" in html
    assert "c &amp; d" in html


@pytest.mark.parametrize("size", [charts.PHONE, charts.USUAL])
def test_marks_at_one_place_stand_side_by_side_within_the_canvas(size: tuple[int, int]):
    marks = [charts.Mark(0.95 + 0.01 * (number % 3), 0.5, number, f"mark {number}", "there") for number in range(9)]
    html = charts.canvas([], charts.Axis("x", (0, 1)), charts.Axis("y", (0, 1)), "marks", marks)
    found = re.findall(r"left:([\d.]+)%;bottom:50.00%;margin:0 0 (-?\d+)px (-?\d+)px", html)
    places = [(float(left) / 100 * size[0] + int(across), int(up)) for left, up, across in found]
    assert len(places) == 9
    assert all(0 <= across <= size[0] for across, _ in places)
    for (left, bottom), (right, top) in itertools.combinations(places, 2):
        assert max(abs(left - right), abs(bottom - top)) >= charts.MARK_SIDE - 1


def test_a_line_runs_from_corner_to_corner():
    html = charts.plot(
        [charts.Series("a", [(0, 0), (10, 5)]), charts.Series("b", [(5, 5)], line=False, dots=True)],
        charts.Axis("x", (0, 10)),
        charts.from_zero("y", 5),
        "a says",
    )
    assert 'points="0,1000 1000,0"' in html
    assert 'd="M500 0h0"' in html
    assert html.count("<li>") == 2
