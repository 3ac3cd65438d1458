"""The Words tab: its handlers on tiny nets, its numbers, and in Chromium what a visitor types."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from cvhub import catalog
from cvhub.catalog import Entry
from cvhub.explain.contrast import contrast
from cvhub.inference.pool import default_pool
from cvhub.inference.writing import Writer
from cvhub.inference.zero_shot import ZeroShot
from cvhub.ui import numerals
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.strings import speaker, text
from cvhub.ui.words import (
    caption_handlers,
    loss_handlers,
    match_handlers,
    matrix,
    nets,
    prompts,
    zero_shot_handlers,
)
from cvhub.ui.words.caption_handlers import CaptionSession
from cvhub.ui.words.match_handlers import MatchSession
from cvhub.ui.words.state import WordsSession
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM, served
from tests.test_blip import theirs_of, words
from tests.test_ui_segment_page import NO_MODEL, PHONE, fits, no_violation
from tests.test_zero_shot import WORDS, save

APPLE = sample_file("apple")
LABELS = "apple\nfish\nhouse"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Tiny nets, which the catalogue lists as bundled while this file is tested."""
    from cvhub.convert import convert_checkpoint

    place = tmp_path_factory.mktemp("words")
    folders = {
        "tiny_clip": save(place / "clip", text_config=WORDS | {"max_position_embeddings": 40}),
        "tiny_siglip": save(place / "siglip", loss="sigmoid", logit_bias_init_value=-3),
    }
    for name, kind in (("tiny_itm", "matching"), ("tiny_writer", "captions")):
        theirs_of(kind, sep_token_id=41).save_pretrained(place / f"{kind}-theirs")
        words().save_pretrained(place / f"{kind}-theirs")
        convert_checkpoint(place / f"{kind}-theirs", place / kind)
        folders[name] = place / kind
    tasks = {"tiny_writer": nets.CAPTIONS}
    before = catalog.CATALOG
    rows = (
        Entry(name, name, "any", tasks.get(name, nets.CONTRASTIVE), "bundled", str(folder), "emoji", 0, 1, "apache-2.0")
        for name, folder in folders.items()
    )
    catalog.CATALOG = (*before, *rows)
    yield folders
    catalog.CATALOG = before
    for name in folders:
        default_pool().drop(name)


def name_picture(session: WordsSession, **choices: Any) -> list[tuple[Any, ...]]:
    asked = {
        "picture": APPLE, "model": "tiny_clip", "labels": LABELS, "templates": "{}", "temperature": 1.0, "word": "",
        "files": None, "language": "en",
    }  # fmt: skip
    return list(zero_shot_handlers.name_picture(session, *(asked | choices).values()))


def view_of(shown: list[tuple[Any, ...]]) -> str:
    """The last answer, without its tags."""
    return re.sub(r"<[^>]*>", " ", shown[-1][2])


def shown_bars(html: str) -> dict[str, float]:
    """Label → percent."""
    found = re.findall(r'data-class="([^"]*)" aria-label="[^"]*, ([\d.]+) %\. Show', html)
    return {label: float(percent) for label, percent in found}


# --- Nets and prompts ------------------------------------------------------------------------------------------------


def test_bundled_nets_come_first_and_say_what_they_know(tiny: dict[str, Path]) -> None:
    names = [name for _, name in nets.choices(nets.CONTRASTIVE)]
    bundled = {entry.name for entry in catalog.CATALOG if entry.source == "bundled"}
    assert [name in bundled for name in names] == sorted((name in bundled for name in names), reverse=True)
    assert {"tiny_clip", "tiny_siglip", "tiny_itm", "drawings_clip"} <= bundled
    assert {"clip_vit_b32", "clip_vit_b32_laion", "blip_itm_base"} <= set(names)
    assert nets.first(nets.CAPTIONS) == "drawings_blip"
    assert "writes English" in nets.knowledge("drawings_blip", speaker("en"))
    assert "not photos" in nets.knowledge("tiny_clip", speaker("en"))
    told = nets.knowledge("clip_vit_b32", speaker("en"))
    assert "photos" in told
    assert "605 MB" in told  # 151 million parameters of 4 bytes
    assert nets.knowledge("owner/name", speaker("en")) == ""


def test_defaults_follow_the_language_until_they_are_changed() -> None:
    english, chinese = prompts.labels("en"), prompts.labels("zh")
    assert prompts.in_language(english, "zh") == chinese
    assert prompts.in_language(chinese, "en") == english
    assert prompts.in_language(f"{english}\nmoon", "zh") is None
    assert prompts.retell(prompts.captions("en"), "zh") == prompts.captions("zh")
    assert len(prompts.CAPTIONS["en"]) == len(prompts.CAPTIONS["zh"]) == len(DRAWINGS)
    assert prompts.lines(" a \n\n b\r\n") == ["a", "b"]


# --- Zero-shot -------------------------------------------------------------------------------------------------------


def test_the_bars_are_the_nets_probabilities(tiny: dict[str, Path]) -> None:
    shown = name_picture(WordsSession(), temperature=2.0, templates="a {}\nno {}")
    net = ZeroShot(str(tiny["tiny_clip"]))
    logits = net.logits(
        net.embed_images([Image.open(APPLE)]), net.embed_labels(prompts.lines(LABELS), ["a {}", "no {}"])
    )
    expected = net.scores(logits, 2.0)[0]
    assert shown_bars(shown[-1][2]) == pytest.approx(
        {label: 100 * p for label, p in zip(prompts.lines(LABELS), expected, strict=True)}, abs=0.06
    )


def test_labels_that_do_not_compete_are_questions_of_their_own(tiny: dict[str, Path]) -> None:
    html = name_picture(WordsSession(), model="tiny_siglip")[-1][2]
    net = ZeroShot(str(tiny["tiny_siglip"]))
    logits = net.logits(net.embed_images([Image.open(APPLE)]), net.embed_labels(prompts.lines(LABELS), ["{}"]))[0]
    expected = dict(zip(prompts.lines(LABELS), 100 / (1 + np.exp(-logits)), strict=True))
    assert shown_bars(html) == pytest.approx(expected, abs=0.15)  # in bf16 perhaps
    assert "1 ⁄ (1 + exp(" in html


def test_the_picture_is_embedded_once(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    session = WordsSession()
    name_picture(session)
    net = nets.contrastive("tiny_clip", speaker("en"))
    monkeypatch.setattr(net.image_runtime, "run", lambda inputs: pytest.fail("the picture is known"))
    shown = name_picture(session, labels=f"{LABELS}\nmoon")
    assert "moon" in shown_bars(shown[-1][2])
    assert not isinstance(shown[-1][1], str)  # nor is it sent again


def test_probabilities_come_before_the_heat_map(tiny: dict[str, Path]) -> None:
    session = WordsSession()
    *_, first, last = name_picture(session, word="a word of mine")
    assert 'class="heat"' not in first[2]
    assert 'class="heat"' in last[2]
    assert shown_bars(first[2]) == shown_bars(last[2])
    (known,) = name_picture(session, word="a word of mine", temperature=3.0)
    assert 'class="heat"' in known[2]


def test_the_matrix_holds_cosines_of_all_pictures(tiny: dict[str, Path]) -> None:
    files = [sample_file("sun"), sample_file("tree")]
    html = name_picture(WordsSession(), files=files)[-1][2]
    net = nets.contrastive("tiny_clip", speaker("en"))
    images = net.embed_images([Image.open(file) for file in (APPLE, *files)])
    cosines = images @ net.embed_labels(prompts.lines(LABELS), ["{}"]).T
    cells = re.findall(r'<td style="--share:[\d.]+">([^<]*)</td>', html)
    assert cells == [matrix.number(value) for value in cosines.ravel()]


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"labels": " \n\n"}, "There are no labels, expected at least one."),
        ({"labels": "cat\ndog\ncat"}, "The label &#x27;cat&#x27; is given twice"),
        ({"labels": "word " * 10_000}, "has 10,002 tokens, this model reads 40 at most"),
        ({"labels": "\n".join(map(str, range(10_000)))}, "10,000 sentences, the limit is 4,096"),
        ({"templates": ""}, "There are no templates"),
        ({"templates": "a photo"}, "has no {}, where the label goes"),
        ({"picture": None}, "No picture yet."),
        ({"model": None}, "No net for this comes with this version"),
        ({"model": "/etc"}, "neither a model of the list nor a Hub id"),
        ({"model": "tiny_writer"}, "does image-text-to-text, expected a model for zero-shot-image-classification"),
        ({"files": [APPLE] * 13}, "13 pictures are too many here, the limit is 12"),
        ({"model": "clip_vit_b32"}, "HF_HUB_OFFLINE"),
    ],
)
def test_what_can_not_be_answered_is_one_sentence(
    choices: dict[str, Any], sentence: str, tiny: dict[str, Path]
) -> None:
    shown = name_picture(WordsSession(), **choices)[-1][2]
    assert sentence in shown
    assert shown.count('role="status"') == 1
    assert len(re.sub(r"<[^>]*>", "", shown)) < 300
    assert "Traceback" not in shown


def test_errors_are_told_in_chinese(tiny: dict[str, Path]) -> None:
    assert "没有标签，至少应有一个。" in name_picture(WordsSession(), labels="", language="zh")[-1][2]
    assert "不在缓存中" in name_picture(WordsSession(), model="clip_vit_b32", language="zh")[-1][2]


def test_a_thousand_labels_are_answered(tiny: dict[str, Path]) -> None:
    shown = name_picture(WordsSession(), labels="\n".join(f"thing {n}" for n in range(1000)))
    assert len(shown_bars(shown[-1][2])) == 10
    assert "990 other labels share" in view_of(shown)
    assert "Of 1,000 labels the 8 are shown" in view_of(shown)


def test_emoji_and_right_to_left_text_are_labels_and_markup_is_none(tiny: dict[str, Path]) -> None:
    html = name_picture(WordsSession(), labels='🍎\nتفاحة\n<img src=x onerror="alert(1)">')[-1][2]
    assert set(shown_bars(html)) == {"🍎", "تفاحة", "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;"}
    assert '<span class="label" dir="auto">تفاحة</span>' in html
    assert "<img src=x" not in html


def test_a_word_too_long_for_a_heat_map_leaves_the_answer(tiny: dict[str, Path]) -> None:
    told = view_of(name_picture(WordsSession(), word="one " * 100))
    assert "tokens, this model reads 40 at most." in told
    assert "apple" in told
    assert "Several pictures by these labels" in told


def test_the_formula_has_the_nets_own_numbers(tiny: dict[str, Path]) -> None:
    """Also the bias, which a net that learned by a sigmoid adds."""
    net = nets.contrastive("tiny_siglip", speaker("en"))
    told = view_of(name_picture(WordsSession(), model="tiny_siglip"))
    bias = f"{'−' if net.bias < 0 else '+'} {numerals.three_digits(abs(net.bias))}"
    assert f"z = {numerals.three_digits(net.scale)} cos {bias}, cos being" in told
    scale = nets.contrastive("tiny_clip", speaker("en")).scale
    assert f"z = {numerals.three_digits(scale)} cos, cos being" in view_of(name_picture(WordsSession()))


def test_a_newer_question_ends_the_one_before(tiny: dict[str, Path]) -> None:
    session = WordsSession()
    name_picture(session)
    asked = (session, APPLE, "tiny_clip", "one\ntwo", "{}", 1.0, "three", None, "en")
    older = zero_shot_handlers.name_picture(*asked)
    next(older)
    name_picture(session)
    assert list(older) == []


def test_programs_get_labels_scores_and_cosines(tiny: dict[str, Path]) -> None:
    said = zero_shot_handlers.zero_shot(APPLE, "tiny_clip", LABELS, "{}", 1.0)
    assert sum(one["score"] for one in said["predictions"]) == pytest.approx(1)
    with pytest.raises(gr.Error, match="There are no labels"):
        zero_shot_handlers.zero_shot(APPLE, "tiny_clip", "", "{}", 1.0)


# --- Caption ---------------------------------------------------------------------------------------------------------


def write(session: CaptionSession, **choices: Any) -> list[str]:
    asked = {
        "picture": APPLE, "model": "tiny_writer", "method": "greedy", "beams": 3, "top_p": 0.9, "seed": 0,
        "language": "en",
    }  # fmt: skip
    return [str(view) for _, _, view, _ in caption_handlers.write_caption(session, *(asked | choices).values())]


def test_a_caption_grows_word_by_word(tiny: dict[str, Path]) -> None:
    views = write(CaptionSession())[1:]  # before, the net is loaded
    counts = [view.count("<li>") for view in views]
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    (expected,) = Writer(str(tiny["tiny_writer"])).write([Image.open(APPLE)])
    assert [f'<strong dir="auto">{expected}' in view for view in views[-2:]] == [True, True]
    assert [view.count('role="status"') for view in (views[0], views[-1])] == [0, 1]  # read aloud once
    assert "nats a token" in views[-1]


@pytest.mark.parametrize(("method", "views"), [("beams", 1), ("nucleus", None)])
def test_other_ways_write_other_captions(method: str, views: int | None, tiny: dict[str, Path]) -> None:
    session = CaptionSession(model="tiny_writer")
    shown = write(session, method=method)
    assert views is None or len(shown) == views
    assert session.written is not None
    if method == "nucleus":
        texts = [session.written.text]
        for seed in (1, 2, 3):
            write(session, method=method, seed=seed)
            texts.append(session.written.text)
        assert len(set(texts)) > 1


def test_words_show_their_own_probability(tiny: dict[str, Path]) -> None:
    session = CaptionSession()
    html = write(session)[-1]
    assert session.written is not None
    for word in session.written.words:
        assert f'<b dir="auto">{word.text}</b><span class="number">{numerals.percent(word.probability)}</span>' in html


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"picture": None}, "No picture yet."),
        ({"model": ""}, "No net for this comes with this version"),
        ({"model": "tiny_clip"}, "does zero-shot-image-classification, expected a model for image-text-to-text"),
        ({"model": "blip_caption_base"}, "HF_HUB_OFFLINE"),
        ({"method": "guess"}, "expected one of greedy, beams, nucleus"),
    ],
)
def test_what_can_not_be_written_is_one_sentence(choices: dict[str, Any], sentence: str, tiny: dict[str, Path]) -> None:
    assert sentence in write(CaptionSession(), **choices)[-1]


def test_programs_get_the_caption(tiny: dict[str, Path]) -> None:
    said = caption_handlers.caption_picture(APPLE, "tiny_writer", "greedy", 3, 0.9, 0)
    assert said["caption"] == " ".join(word["text"] for word in said["words"])
    assert said["loss"] > 0


# --- A sentence of one's own -----------------------------------------------------------------------------------------


def judge(model: str, sentence: str = "w5 w6", session: MatchSession | None = None, **choices: Any) -> str:
    asked: dict[str, Any] = {"picture": APPLE, "model": model, "sentence": sentence, "language": "en"} | choices
    return str(list(match_handlers.judge_sentence(session or MatchSession(), **asked))[-1][2])


def test_a_sentence_is_judged_among_the_drawings(tiny: dict[str, Path]) -> None:
    html = judge("tiny_clip", "a red thing")
    net = nets.contrastive("tiny_clip", speaker("en"))
    images = net.embed_images([Image.open(sample_file(sample)) for sample in DRAWINGS])
    found = contrast(images, net.embed_texts(["a red thing", *prompts.CAPTIONS["en"][1:]]), 1 / net.scale)
    pays = (found.picture_losses[0] + found.text_losses[0]) / 2
    assert f"<b>{numerals.nats(float(pays))}</b>" in html
    assert "no head that judges a single pair; BLIP (drawings), " in html
    assert "(ITM)" not in html


def test_a_net_that_reads_english_compares_english_captions(tiny: dict[str, Path]) -> None:
    assert [nets.language_of(name, "zh") for name in ("drawings_clip", "drawings_blip", "clip_vit_b32", None)] == [
        "zh", "en", "en", "en",
    ]  # fmt: skip
    session, say = MatchSession(), speaker("zh")
    for model, language, expected in (
        ("tiny_clip", "zh", prompts.CAPTIONS["zh"]),
        ("owner/name", "en", prompts.CAPTIONS["en"]),
    ):
        net = nets.contrastive("tiny_clip", say)
        matched, _ = match_handlers.judge(session, net, APPLE, "x", nets.language_of(model, language), say)
        assert matched.texts[1:] == list(expected[1:])


def test_a_net_with_a_matching_head_says_whether_it_fits(
    tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvhub.inference import matching

    session = MatchSession()
    html = judge("tiny_itm", session=session)
    net = nets.contrastive("tiny_itm", speaker("en"))
    p = matching.match(net, matching.picture_tokens(net, Image.open(APPLE)), "w5 w6")
    assert f"It fits with a probability of {numerals.percent(p)}." in html
    assert f"<b>{numerals.nats(-np.log(p))}</b>" in html
    monkeypatch.setattr(matching, "picture_tokens", lambda net, image: pytest.fail("the picture is known"))
    assert "It fits with a probability" in judge("tiny_itm", "w9", session)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"sentence": " "}, "Type a sentence about the picture."),
        ({"sentence": "word " * 10_000}, "has 10,002 tokens, this model reads 40 at most"),
        ({"picture": None}, "No picture yet."),
        ({"model": "blip_itm_base"}, "HF_HUB_OFFLINE"),
    ],
)
def test_what_can_not_be_judged_is_one_sentence(choices: dict[str, Any], sentence: str, tiny: dict[str, Path]) -> None:
    asked: dict[str, Any] = {"model": "tiny_clip", "sentence": "a cat"} | choices
    assert sentence in judge(**asked)


# --- The loss of a batch ---------------------------------------------------------------------------------------------


def measure(session: WordsSession | None = None, **choices: Any) -> tuple[Any, ...]:
    asked = {
        "files": None, "texts": prompts.captions("en"), "model": "tiny_clip", "temperature": 0.2, "language": "en",
    }  # fmt: skip
    return list(loss_handlers.contrast_batch(session or WordsSession(model="tiny_clip"), **(asked | choices)))[-1]


def test_the_loss_is_that_of_the_batch(tiny: dict[str, Path]) -> None:
    html = measure()[2]
    net = nets.contrastive("tiny_clip", speaker("en"))
    images = net.embed_images([Image.open(sample_file(sample)) for sample in DRAWINGS])
    found = contrast(images, net.embed_texts(prompts.CAPTIONS["en"]), 0.2)
    assert f"This batch of 6 pairs costs {found.loss:.3f} nats." in html
    assert "ln 6 = 1.792" in html
    assert f"<b>{found.loss:.3f}</b>" in html  # the sum of both halves
    cells = re.findall(r'<td(?: class="pair")? style="--share:[\d.]+">([^<]*)</td>', html)
    expected = np.concatenate([found.cosines.ravel(), found.among_texts.ravel(), found.among_pictures.ravel()])
    assert cells == [matrix.number(value) for value in expected]
    assert html.count('class="pair"') == 3 * 6


def test_another_net_is_asked_at_its_own_temperature(tiny: dict[str, Path]) -> None:
    session = WordsSession()
    net = nets.contrastive("tiny_clip", speaker("en"))
    slider = measure(session, temperature=0.9)[-1]
    assert slider["value"] == pytest.approx(np.clip(1 / net.scale, 0.005, 1), abs=0.0026)
    assert "value" not in measure(session, temperature=0.9)[-1]


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"texts": "one\ntwo"}, "There are 6 pictures and 2 texts, expected as many of each."),
        ({"texts": ""}, "There are 6 pictures and 0 texts"),
        ({"files": [APPLE], "texts": "one"}, "One picture has nothing to be told from"),
        ({"files": [APPLE] * 13, "texts": "one"}, "13 pictures are too many here"),
        ({"temperature": 0}, "temperature is 0, expected more than 0."),
    ],
)
def test_what_makes_no_batch_is_one_sentence(choices: dict[str, Any], sentence: str, tiny: dict[str, Path]) -> None:
    assert sentence in measure(**choices)[2]


def test_alike_texts_are_said_to_be_wrong_for_each_other(tiny: dict[str, Path]) -> None:
    html = measure(files=[APPLE, sample_file("sun")], texts="same\nsame")[2]
    assert "Some texts are alike" in html


def test_another_loss_that_the_net_learned_is_named(tiny: dict[str, Path]) -> None:
    assert "This net learned another one" in measure(WordsSession(model="tiny_siglip"), model="tiny_siglip")[2]
    assert "This net learned another one" not in measure()[2]


def test_programs_get_the_loss(tiny: dict[str, Path]) -> None:
    said = loss_handlers.contrast(None, prompts.captions("en"), "tiny_clip", 0.2)
    assert said["loss"] == pytest.approx(np.mean(said["picture_losses"] + said["text_losses"]), abs=1e-5)
    with pytest.raises(gr.Error, match="expected as many of each"):
        loss_handlers.contrast(None, "one", "tiny_clip", 0.2)


# --- Without nets of its own -----------------------------------------------------------------------------------------


def test_rows_of_the_hub_alone_ask_for_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(entry for entry in catalog.CATALOG if entry.source == "hub")
    monkeypatch.setattr(catalog, "CATALOG", rows)
    assert nets.first(nets.CONTRASTIVE) is None
    assert "Choose one of the Hub on the left" in name_picture(WordsSession(), model=None)[-1][2]
    assert "请在左侧选择" in write(CaptionSession(), model=None, language="zh")[-1]


# --- In Chromium -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tiny: dict[str, Path]) -> Iterator[str]:
    for name in tiny:
        default_pool().get(name)  # converted before a page waits for it
    with served() as address:
        yield address


@pytest.fixture
def words_tab(open_page: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a view of the tab, answered."""

    def words_tab(part: str = "zero_shot", language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_words", language), exact=True).click()
        if part != "zero_shot":
            page.get_by_role("tab", name=text(f"part_{part}", language), exact=True).click()
        page.locator(ANSWERED[part]).first.wait_for(timeout=FIRST_ANSWER)
        return page

    return words_tab


ANSWERED = {
    "zero_shot": "#zero-shot-view .heat",
    "caption": "#match-view table",
    "contrast": "#contrast-view .softmaxed table",
}


@pytest.mark.browser
class TestInChromium:
    pytestmark = NEEDS_CHROMIUM

    def test_probabilities_follow_the_labels_as_they_are_typed(self, words_tab) -> None:
        page = words_tab()
        labels = page.locator("#zero-shot-labels textarea")
        expect(page.locator("#zero-shot-view .bar")).to_have_count(7)
        labels.fill("cup\ncat")
        expect(page.locator("#zero-shot-view .bar")).to_have_count(2)
        labels.press_sequentially("\n🍎")
        expect(page.locator('#zero-shot-view .bar[data-class="🍎"]')).to_have_count(1)
        labels.press_sequentially("\ncup")
        expect(page.locator("#zero-shot-view .summary")).to_contain_text("The label 'cup' is given twice")
        labels.fill("")
        expect(page.locator("#zero-shot-view .summary")).to_have_text("There are no labels, expected at least one.")
        labels.fill("قطة\ncup")
        expect(page.locator("#zero-shot-view .bar")).to_have_count(2)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("part", ANSWERED)
    def test_axe_finds_no_violation(self, part: str, scheme: str, words_tab) -> None:
        page = words_tab(part, color_scheme=scheme)
        page.wait_for_timeout(500)
        no_violation(page)

    def test_a_bar_and_a_typed_word_have_heat_maps(self, words_tab) -> None:
        page = words_tab()
        heat = page.locator("#zero-shot-view .heat")
        before = heat.get_attribute("src")
        bar = page.locator("#zero-shot-view .bar").last
        label = bar.get_attribute("data-class")
        bar.click()
        expect(page.locator("#zero-shot-view figcaption")).to_have_text(f"Heat map of “{label}”")
        expect(heat).not_to_have_attribute("src", str(before))
        expect(page.locator("#zero-shot-word input")).to_have_value(str(label))
        word = page.locator("#zero-shot-word input")
        word.fill("a leaf")
        word.press("Enter")
        expect(page.locator("#zero-shot-view figcaption")).to_have_text("Heat map of “a leaf”")

    def test_templates_and_samples_are_taken(self, words_tab) -> None:
        page = words_tab()
        page.locator("#zero-shot-templates-kind label").last.click()
        expect(page.locator("#zero-shot-templates textarea")).to_have_value(prompts.templates("ensemble", "en"))
        expect(page.locator("#zero-shot-view")).to_contain_text("42 sentences")  # 7 labels by 6 templates
        page.locator("#zero-shot-samples label").nth(6).click()
        expect(page.locator("#zero-shot-view .thumb").first).to_have_attribute("aria-label", "Cat, a photo")
        expect(page.locator("#zero-shot-view tbody tr")).to_have_count(7)

    def test_a_caption_is_written_and_a_sentence_judged(self, words_tab) -> None:
        page = words_tab("caption")
        expect(page.locator("#caption-view")).to_contain_text("nats a token", timeout=FIRST_ANSWER)
        seen = page.locator("#caption-view img").first
        first = seen.get_attribute("src")
        page.locator("#caption-samples label").nth(1).click()
        expect(seen).not_to_have_attribute("src", str(first), timeout=FIRST_ANSWER)  # it may be called the same
        expect(page.locator("#match-sentence textarea")).to_have_value("an orange fish")
        page.locator("#caption-method label").nth(2).click()
        expect(page.locator("#caption-seed")).to_be_visible()
        expect(page.locator("#caption-beams")).to_be_hidden()
        page.locator("#match-sentence textarea").fill("")
        expect(page.locator("#match-view .summary")).to_have_text("Type a sentence about the picture.")
        page.locator("#match-sentence textarea").fill("w5 w6")
        page.locator("#match-view table").first.wait_for()
        page.locator("#match-model input").click()
        page.get_by_role("option", name="tiny_itm").click()
        expect(page.locator("#match-view")).to_contain_text("the head that reads both (ITM)", timeout=FIRST_ANSWER)

    def test_the_loss_follows_temperature_and_texts(self, words_tab) -> None:
        page = words_tab("contrast")
        lead = page.locator("#contrast-view .summary strong")
        before = lead.text_content()
        page.locator("#contrast-temperature input[type=number]").fill("0.5")
        page.locator("#contrast-temperature input[type=number]").press("Enter")
        expect(lead).not_to_have_text(str(before))
        expect(page.locator("#contrast-view h2").first).to_have_text("Symmetric loss at τ = 0.5")
        page.locator("#contrast-texts textarea").fill("one\ntwo")
        expect(page.locator("#contrast-view .summary")).to_contain_text("6 pictures and 2 texts")

    def test_it_fits_a_phone_in_chinese(self, words_tab) -> None:
        page = words_tab(language="zh", **PHONE)
        expect(page.locator("#zero-shot-labels textarea")).to_have_value(prompts.labels("zh"))
        expect(page.locator('#zero-shot-view .bar[data-class="苹果"]')).to_have_count(1)
        fits(page)
        for part in ("caption", "contrast"):
            page.get_by_role("tab", name=text(f"part_{part}", "zh"), exact=True).click()
            page.locator(ANSWERED[part]).first.wait_for(timeout=FIRST_ANSWER)
            fits(page)
        expect(page.locator("#contrast-texts textarea")).to_have_value(prompts.captions("zh"))
