"""The page's pure functions: numbers, sentences, tables, colours, links. No browser, no gradio server, no model."""

import csv
import json
import math
import re
import string
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from cvhub.catalog import CATALOG, Entry
from cvhub.inference import runtime
from cvhub.ui import charts, numerals, readout
from cvhub.ui.classify import accuracy, export, link
from cvhub.ui.classify.loss_readout import loss_table, read_losses
from cvhub.ui.loss_terms import log_probabilities, loss_terms, mean_probabilities
from cvhub.ui.messages import reason
from cvhub.ui.palette import SERIES, assign_colours
from cvhub.ui.readout import results, summary, top_classes
from cvhub.ui.state import Answer, Facts, View
from cvhub.ui.strings import LANGUAGES, STRINGS, speaker

LABELS = ["cat", "dog", "cup"]


def answer(model: str, probabilities: list[float], multiply_adds: int = 1_000, labels: list[str] = LABELS) -> Answer:
    logits = np.log(np.array(probabilities, np.float64))
    facts = Facts(parameters=10, multiply_adds=multiply_adds, memory_bytes=40)
    return Answer(model, model.title(), 0, list(labels), logits, None, 3.14, "torch", "fp32", "because.", facts)


def plain(html: str) -> str:
    """The text of HTML, tags away."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def said(answers: list[Answer], language: str = "en", temperature: float = 1.0) -> str:
    return plain(summary(answers, View(temperature=temperature), speaker(language)))


# Losses


def test_losses_are_those_of_torch():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    logits, target = random.normal(size=7) * 3, random.dirichlet(np.ones(7))
    terms = loss_terms(logits, 2, temperature=1.7, epsilon=0.15, target=target)
    scaled = torch.tensor(logits)[None] / 1.7
    cross_entropy = torch.nn.functional.cross_entropy
    assert terms.cross_entropy == pytest.approx(cross_entropy(scaled, torch.tensor([2])).item(), abs=1e-12)
    assert terms.smoothed == pytest.approx(
        cross_entropy(scaled, torch.tensor([2]), label_smoothing=0.15).item(), abs=1e-12
    )
    divergence = torch.nn.functional.kl_div(scaled.log_softmax(-1), torch.tensor(target)[None], reduction="batchmean")
    assert terms.divergence == pytest.approx(divergence.item(), abs=1e-12)
    assert terms.p_true == pytest.approx(scaled.softmax(-1)[0, 2].item(), abs=1e-12)


def test_a_target_may_be_zero_somewhere():
    terms = loss_terms(np.zeros(3), 0, 1.0, 0.1, np.array([1.0, 0.0, 0.0]))
    assert terms.target_entropy == 0
    assert terms.divergence == pytest.approx(math.log(3))


def test_huge_logits_do_not_overflow():
    log_p = log_probabilities(np.array([1e4, 0.0], np.float32), temperature=0.1)
    assert log_p[0] == 0
    assert np.isfinite(log_p).all()


def test_temperature_flattens_and_sharpens():
    given = answer("a", [0.7, 0.2, 0.1])
    (_, warm), (_, cool), (_, plain_score) = (top_classes(given, t, 1)[0] for t in (5.0, 0.2, 1.0))
    assert plain_score == pytest.approx(0.7)
    assert warm < plain_score < cool


def test_the_mean_is_over_models_with_equal_classes():
    answers = [answer("a", [0.6, 0.3, 0.1]), answer("b", [0.2, 0.7, 0.1]), answer("c", [0.5, 0.5], labels=["x", "dog"])]
    mean = mean_probabilities([given.logits for given in answers[:2] if given.logits is not None], 1.0)
    np.testing.assert_allclose(mean, [0.4, 0.5, 0.1])
    readout = read_losses(answers, View())
    assert readout is not None
    assert readout.true_class == "dog"
    assert not readout.chosen
    assert readout.terms["a"] is not None
    assert readout.terms["a"].divergence == pytest.approx(float((mean * np.log(mean / [0.6, 0.3, 0.1])).sum()))
    assert readout.terms["c"] is not None
    assert readout.terms["c"].divergence is None


def test_the_numbers_that_went_into_a_loss_give_it():
    table = plain(loss_table([answer("a", [0.7, 0.2, 0.1]), answer("b", [0.4, 0.5, 0.1])], View(true_class="cup")))
    uniform = -math.log(0.7 * 0.2 * 0.1) / 3
    assert f"{0.9 * -math.log(0.1) + 0.1 * uniform:.3f}0.9 × 2.303 + 0.1 × {uniform:.3f}" in table
    assert "2.303−ln 0.100" in table
    assert "Loss if “cup” is true" in table
    assert "choose the true one" not in table


def test_a_class_that_a_model_lacks_is_said_in_its_row_only():
    table = plain(
        loss_table([answer("a", [0.7, 0.3], labels=["x", "y"]), answer("b", [0.4, 0.5, 0.1])], View(true_class="cup"))
    )
    assert table.count("not among its classes") == 1
    assert "2.303" in table


def test_nothing_answered_means_no_losses():
    assert loss_table([Answer("a", "A", 0), Answer("b", "B", 0, error="Gone.")], View()) == ""


# The sentence


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([answer("a", [0.7, 0.2, 0.1])], "A says cat, 70.0 %."),
        (
            [answer("a", [0.7, 0.2, 0.1]), answer("b", [0.8, 0.1, 0.1], 4_000)],
            "Both say cat. B is the surest (80.0 %) and costs 4.0 times the multiply-adds of A.",
        ),
        (
            [answer("a", [0.9, 0.05, 0.05]), answer("b", [0.8, 0.1, 0.1], 4_000), answer("c", [0.1, 0.8, 0.1], 2_000)],
            "Two of three say cat; C says dog. A is the surest (90.0 %) and the cheapest in multiply-adds.",
        ),
        (
            [answer("a", [0.7, 0.2, 0.1]), answer("b", [0.1, 0.8, 0.1])],
            "The two models disagree: A says cat; B says dog. B is the surest (80.0 %).",
        ),
    ],
)
def test_agreement_is_said_in_a_sentence(answers: list[Answer], sentence: str):
    assert said(answers) == sentence


def test_no_two_agree_and_chinese():
    answers = [answer("a", [0.9, 0.05, 0.05]), answer("b", [0.1, 0.8, 0.1]), answer("c", [0.2, 0.1, 0.7])]
    assert said(answers).startswith("No two of the three models agree: A says cat; B says dog; C says cup.")
    assert said(answers, "zh").startswith("三个模型各不相同：A 认为是 cat；B 认为是 dog；C 认为是 cup。")


def test_a_failed_model_is_left_out_of_the_sentence_and_has_a_card():
    answers = [answer("a", [0.7, 0.2, 0.1]), Answer("b", "B", 1, error="B is not on the Hub.")]
    assert said(answers) == "A says cat, 70.0 %."
    html = results(answers, View())
    assert html.count("<article") == 2
    assert "B is not on the Hub." in plain(html)


def test_a_model_that_loads_is_waited_for():
    assert said([answer("a", [0.7, 0.2, 0.1]), Answer("b", "B", 1)]) == "Asking 2 models."
    assert "Loading." in plain(results([Answer("b", "B", 1)], View()))


# Cards


def test_bars_start_at_zero_and_share_one_scale():
    html = results([answer("a", [0.7, 0.2, 0.1])], View())
    assert html.index("width:70.00%") < html.index("width:20.00%") < html.index("width:10.00%")


def test_what_comes_from_a_checkpoint_is_escaped():
    evil = "<img src=x onerror=alert(1)>"
    given = answer(evil, [0.7, 0.2, 0.1], labels=[f'{evil}"', "dog", "cup"])
    given.title, given.reason = evil, evil
    shown = results([given], View()) + loss_table([given, answer("b", [0.1, 0.8, 0.1])], View(true_class=evil))
    shown += results([Answer(evil, evil, 0, error=evil)], View())
    assert "<img src=x" not in shown
    assert 'alert(1)&gt;&quot;"' in shown


def test_numbers_have_units_and_three_digits():
    assert numerals.count(4_652_008) == "4.65 M"
    assert numerals.count(385_000_000) == "385 M"
    assert numerals.count(4_090_000_000) == "4.09 G"
    assert numerals.count(10) == "10"
    assert numerals.megabytes(18_608_032) == "18.6 MB"
    assert numerals.milliseconds(3.14) == "3.1 ms"
    assert numerals.milliseconds(123.4) == "123 ms"
    assert numerals.percent(0.6123) == "61.2 %"
    assert numerals.probability(0.00012345) == "0.000123"


# Colours


def test_models_shown_together_never_share_a_colour_and_keep_theirs():
    order = [f"m{i}" for i in range(20)]
    first = assign_colours(["m0", "m6", "m12"], {}, order)
    assert len({first[model] for model in ("m0", "m6", "m12")}) == 3
    later = assign_colours(["m12", "m1", "own/model"], first, order)
    assert later["m12"] == first["m12"]
    assert len({later[model] for model in ("m12", "m1", "own/model")}) == 3
    assert max(later.values()) < len(SERIES)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("place", "ground"), [(0, "#ffffff"), (1, "#131316")])
def test_every_bar_stands_out_from_its_ground(place: int, ground: str):
    for shades in SERIES:
        lighter, darker = sorted((luminance(shades[place]), luminance(ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, shades[place]


def test_as_many_models_as_can_be_shown_have_colours_of_their_own():
    assert len(SERIES) >= link.MAX_MODELS
    places = assign_colours(list(link.ZOO), {}, [entry.name for entry in CATALOG])
    assert len({places[name] for name in link.ZOO}) == len(link.ZOO)


# Accuracy beside cost


def row(name: str, accuracy: float, dataset: str = "tiles", minutes: float = 10.0) -> Entry:
    measured: dict[str, Any] = dict(metrics={"accuracy": accuracy}, tested=2000, training_minutes=minutes)
    return Entry(name, name, "resnet", "image-classification", "bundled", name, dataset, 3, 10, "mit", **measured)


def test_accuracy_is_plotted_against_each_cost_where_it_was_measured_alike(monkeypatch: pytest.MonkeyPatch):
    rows = {"a": row("a", 0.95), "b": row("b", 0.9), "c": row("c", 0.5, "others")}
    monkeypatch.setattr(accuracy, "find_entry", rows.get)
    answers = [answer(name, [0.5, 0.3, 0.2]) for name in "abcd"]
    html = accuracy.accuracy_plots(answers, View())
    plots = re.findall(r'aria-label="Accuracy of 2 models against: ([^"]*)"', html)
    assert plots == ["parameters, millions", "multiply-adds, millions", "latency, ms", "training, processor minutes"]
    assert "2,000 test pictures of tiles" in plain(html)
    assert html.count('<path class="dots"') == 2 * 5  # in each plot, and in the legend
    assert accuracy.accuracy_plots(answers[2:], View()) == ""  # one of another data set, and one that has no row
    rows["b"] = row("b", 0.9, minutes=0.0)
    assert "training, processor" not in accuracy.accuracy_plots(answers, View())


def test_an_accuracy_has_an_interval():
    low, high = accuracy.span(row("a", 0.96))
    assert (round(low, 2), round(high, 2)) == (95.05, 96.77)  # (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)


@pytest.mark.parametrize(("low", "high", "ticks"), [(91.2, 97.9, (90, 92, 94, 96, 98)), (95.0, 95.0, None)])
def test_an_axis_of_places_begins_below_the_least(low: float, high: float, ticks: tuple[float, ...] | None):
    axis = charts.around("accuracy", low, high)
    assert axis.ticks[0] <= low <= high <= axis.ticks[-1]
    assert len(axis.ticks) >= 2
    assert ticks is None or axis.ticks == ticks


def test_a_card_says_how_its_model_was_tested(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readout, "find_entry", {"a": row("a", 0.9512)}.get)
    shown = [plain(results([answer(name, [0.5, 0.3, 0.2])], View())) for name in "ab"]
    assert "95.1 % of 2,000 test pictures right" in shown[0]
    assert "test pictures" not in shown[1]


# Strings


def test_both_languages_say_everything_with_the_same_placeholders():
    assert set(LANGUAGES) == {"en", "zh"}
    for key, (english, chinese) in STRINGS.items():
        assert english, key
        assert chinese, key
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] <= fields[1] if key == "took" else fields[1] <= fields[0], key  # only "took" adds in Chinese


def test_a_runtimes_reason_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch):
    chosen: list[str] = []
    for build in ("_on_openvino", "_on_torch"):
        monkeypatch.setattr(runtime, build, lambda folder, precision, why, *rest: chosen.append(why))
    for name in runtime.RUNTIMES:
        runtime.build_runtime(Path("net"), name)
    computed = {runtime.choose_precision(precision, native)[1] for precision in runtime.PRECISIONS for native in (0, 1)}
    assert len(chosen) == len(runtime.RUNTIMES)
    for sentence in (f"{why}; {how}." for why in chosen for how in computed):
        assert reason(sentence, "en") == sentence
        told = reason(sentence, "zh")
        names = {"OpenVINO", "CPU", "GPU", "torch", "compile", "bf", "fp", "int"}
        assert not set(re.findall("[A-Za-z]{2,}", told)) - names, told
    assert reason("torch, since it broke; fp32, as asked.", "zh") == "改用 torch，因为it broke；按要求使用 fp32。"


# Results out


def test_csv_and_json_hold_what_is_shown():
    answers = [answer("a", [0.7, 0.2, 0.1]), Answer("b", "B", 1, error="Gone."), answer("c", [0.1, 0.8, 0.1])]
    view = View(true_class="dog", epsilon=0.2)
    data = json.loads(export.as_json(answers, view))
    assert [model["model"] for model in data["models"]] == ["a", "b", "c"]
    assert data["models"][0]["predictions"][0] == {"label": "cat", "score": pytest.approx(0.7)}
    assert data["models"][0]["loss"]["cross_entropy"] == pytest.approx(-math.log(0.2))
    assert data["models"][1]["error"] == "Gone."
    rows = list(csv.DictReader(StringIO(export.as_csv(answers, view))))
    assert [(row["model"], row["rank"], row["label"]) for row in rows[:3]] == [
        ("a", "1", "cat"),
        ("a", "2", "dog"),
        ("a", "3", "cup"),
    ]
    assert rows[3]["error"] == "Gone."
    assert float(rows[0]["cross_entropy"]) == pytest.approx(-math.log(0.2))
    assert rows[0]["true_class"] == "dog"


# Links


def test_a_link_says_the_view_and_back():
    view = link.Link(
        "coffee", ("efficientnet_lite0", "timm/resnet18.a1_in1k"), 2.5, 40, "espresso", "cup, mug", 0.2, "zh"
    )
    query = link.compose(view)
    assert "models=efficientnet_lite0,timm/resnet18.a1_in1k" in query
    parsed = dict(parse_qsl(query))
    assert link.parse(parsed) == view


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ({"tau": "nan"}, "temperature", 1.0),
        ({"tau": "-3"}, "temperature", 0.1),
        ({"tau": "hot"}, "temperature", 1.0),
        ({"heat": "1e9"}, "opacity", 100),
        ({"sample": "../../etc/passwd"}, "sample", "chelsea"),
        ({"sample": "tile"}, "models", link.ZOO),
        ({"models": "a,a,b,c,d,e,f,g,h,i,j"}, "models", tuple("abcdefghi")),
        ({"models": " , "}, "models", link.DEFAULT_MODELS),
    ],
)
def test_a_link_that_makes_no_sense_takes_the_default(query: dict[str, str], field: str, value: object):
    assert getattr(link.parse(query), field) == value
