"""The page in Chromium, with the real models: what a visitor sees, by mouse and by keyboard, and what programs get."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from PIL import Image
from playwright.sync_api import expect

from cvhub.ui.classify.link import ZOO
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM, SAMPLES

MODELS = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]

pytestmark = NEEDS_CHROMIUM


def settled(page: Any, sentence: str | re.Pattern[str]) -> None:
    """Waits until the sentence above the cards reads like this."""
    expect(page.locator(".summary")).to_contain_text(sentence, timeout=FIRST_ANSWER)


def top_labels(page: Any) -> list[str]:
    """The likeliest class of each card."""
    return page.locator(".card .bars li:first-child .label").all_text_contents()


def card(page: Any, model: str) -> Any:
    return page.locator(f'.card[data-model="{model}"]')


def bar(page: Any, model: str, place: int) -> Any:
    return card(page, model).locator(".bar").nth(place)


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each forward pass took, while a test runs."""
    from cvhub.inference.classify import Classifier

    passes: list[int] = []
    predict = Classifier.predict

    def counted(self: Classifier, images: list[Any]) -> Any:
        passes.append(len(images))
        return predict(self, images)

    monkeypatch.setattr(Classifier, "predict", counted)
    return passes


# What a visitor sees


def test_the_first_sample_is_answered_before_anything_is_asked(open_page):
    page = open_page()
    labels = top_labels(page)
    assert len(labels) == 3
    assert all("cat" in label or "tabby" in label for label in labels), labels
    facts = card(page, MODELS[0]).locator(".facts").first.text_content()
    assert re.search(r"[\d.]+ ms · 4\.65 M parameters · 3\d\d M multiply-adds · [\d.]+ MB of memory", facts)
    assert re.search(r"OpenVINO.*(fp32|bf16), ", card(page, MODELS[0]).locator(".why").text_content())


def test_an_uploaded_photo_is_named(open_page, tmp_path: Path):
    page = open_page()
    photo = shutil.copy(SAMPLES / "coffee.jpg", tmp_path / "Tässchen 咖啡.jpg")
    page.locator("#picture input[type=file]").set_input_files(photo)
    settled(page, "espresso")
    assert "espresso" in top_labels(page)[0]
    assert page.locator("#samples input:checked").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(open_page, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(color_scheme=scheme)
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    page.get_by_role("button", name=re.compile("^Advanced")).click()
    page.get_by_role("button", name="Add a checkpoint").click()
    page.locator("#hub-id").wait_for()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_satellite_tile_compares_all_that_know_it(open_page, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(color_scheme=scheme)
    page.locator("#samples input[value=tile]").check(force=True)
    expect(page.locator(".card")).to_have_count(len(ZOO), timeout=FIRST_ANSWER)
    expect(page.locator(".blank")).to_have_count(0, timeout=2 * FIRST_ANSWER)  # so many are converted first
    expect(page.locator(".plots [role=img]")).to_have_count(4, timeout=FIRST_ANSWER)
    for name in ZOO:
        expect(card(page, name).locator(".costs")).to_contain_text("of 2,000 test pictures right", timeout=FIRST_ANSWER)
        expect(card(page, name).locator(".bar")).to_have_count(5, timeout=FIRST_ANSWER)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator("#samples input[value=coffee]").check(force=True)
    settled(page, "espresso")
    expect(page.locator(".card")).to_have_count(3, timeout=FIRST_ANSWER)
    expect(page.locator(".plots")).to_have_count(0, timeout=FIRST_ANSWER)


def test_keyboard_alone_is_enough(open_page):
    page = open_page()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab never reached {selector}")

    tab_to("#theme-switch")
    page.keyboard.press("Enter")
    assert page.evaluate("document.body.classList.contains('dark')")
    tab_to("#samples input[value=coffee]")
    page.keyboard.press("Space")
    settled(page, "espresso")
    tab_to("#temperature input[type=range]")
    before = bar(page, MODELS[0], 0).locator(".percent").text_content()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("b => document.querySelector('.bar .percent').textContent < b", arg=before)
    unchanged = "() => window.last === (window.last = document.querySelector('#results').innerHTML)"
    page.wait_for_function(unchanged, polling=1000)  # the answers to all ten keys have come
    tab_to(f'.card[data-model="{MODELS[0]}"] .bar')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.getAttribute('aria-pressed') === 'true'")
    page.locator("#models input").focus()
    page.keyboard.press("Backspace")
    expect(page.locator(".card")).to_have_count(2)
    page.keyboard.type("Lite2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(3)


def test_a_class_that_is_picked_while_lists_still_wait_for_the_server_stays_picked(open_page):
    """Whoever tabs to a bar leaves the lists of classes, which asks for the view as it was: that answer comes late."""
    page = open_page()
    held: list[Any] = []
    questions = "**/gradio_api/run/**"
    page.locator("#heat-class input").focus()
    page.route(questions, lambda route: held.append(route))
    for _ in range(2):  # through both lists; the bar is focused as it would be by Tab, a dozen of them later
        page.keyboard.press("Tab")
    bar(page, MODELS[0], 1).focus()
    page.keyboard.press("Enter")
    while held:  # the server takes one at a time, and what an answer leads to stands behind all that wait
        with page.expect_response(questions):
            held.pop(0).continue_()
        page.wait_for_timeout(500)
    page.unroute(questions)
    label = bar(page, MODELS[0], 1).get_attribute("data-class")
    expect(bar(page, MODELS[0], 1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#heat-class input")).to_have_value(label)
    expect(bar(page, MODELS[0], 1)).to_be_focused()


def test_a_phone_needs_no_sideways_scroll(open_page):
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.get_by_role("button", name=re.compile("^Advanced")).click()
    page.get_by_role("button", name="Add a checkpoint").click()
    page.locator("#hub-id").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = "[...document.querySelectorAll('.main *')].filter(e => e.getBoundingClientRect().right > 391).length"
    assert page.evaluate(beyond) == 0
    assert card(page, MODELS[1]).bounding_box()["y"] > card(page, MODELS[0]).bounding_box()["y"] + 200


def test_the_language_switch_re_labels_everything(open_page):
    from cvhub.ui.strings import text

    page = open_page()
    parts = [page.locator(part) for part in ("#header", ".inputs", "#results", "#losses")]
    in_english = [part.inner_text() for part in parts]
    keys = ["tagline", "tab_classify", "models", "temperature", "heat_class", "true_class", "checkpoint", "save_csv"]
    for language, other in (("zh", "en"), ("en", "zh")):
        page.get_by_text("中文" if language == "zh" else "English", exact=True).click()
        page.get_by_text(text("temperature_info", language)).wait_for()
        expect(page.locator("#losses table")).to_contain_text(text("loss_ce", language))
        shown = page.locator("body").inner_text()
        for key in keys:
            assert text(key, language) in shown
            assert text(key, other) not in shown
        assert page.evaluate("document.documentElement.lang").startswith(language)
    assert [part.inner_text() for part in parts] == in_english


def test_a_chinese_browser_is_greeted_in_chinese(open_page):
    page = open_page(locale="zh-CN")
    page.get_by_text("经典视觉网络", exact=False).wait_for()
    settled(page, "认为是")


def test_temperature_rescales_without_a_forward_pass(open_page, forwards: list[int]):
    page = open_page("?tau=1")
    forwards.clear()
    percent = bar(page, MODELS[0], 0).locator(".percent")
    before = float(percent.text_content().rstrip(" %"))
    page.locator("#temperature input[type=number]").fill("4")
    page.wait_for_function("b => parseFloat(document.querySelector('.bar .percent').textContent) < b / 2", arg=before)
    assert "τ = 4" in page.locator("#losses").text_content()
    assert forwards == []


def test_clicking_a_bar_shows_that_class_in_every_heat_map(open_page, forwards: list[int]):
    page = open_page()
    forwards.clear()
    label = bar(page, MODELS[1], 2).locator(".label").text_content()
    heats = page.locator("img.heat")
    before = [heat.get_attribute("src") for heat in heats.all()]
    bar(page, MODELS[1], 2).click()
    expect(page.locator(".heat-map + .facts")).to_have_text([f"Class activation map for {label}"] * 3)
    assert all(now.get_attribute("src") != then for now, then in zip(heats.all(), before, strict=True))
    assert page.locator("#heat-class input").input_value() == label
    assert forwards == []
    page.locator("#opacity input[type=number]").fill("0")
    page.wait_for_function("getComputedStyle(document.querySelector('img.heat')).opacity === '0'")


def test_the_loss_is_read_against_the_class_that_is_typed(open_page):
    page = open_page()
    box = page.locator("#true-class input")
    box.click()
    page.get_by_role("option").nth(1).wait_for(state="attached")  # the classes have come, after the mean's
    box.press_sequentially("espresso")
    page.get_by_role("option", name="espresso", exact=True).click()
    page.get_by_text("Loss if “espresso” is true").wait_for()
    row = page.locator("#losses tbody tr").first
    p, cross_entropy = (float(row.locator("td b").nth(i).text_content()) for i in (0, 1))
    assert p < 0.01 < 4 < cross_entropy


# When something is missing or wrong


def test_a_damaged_picture_gets_one_sentence_and_the_next_one_an_answer(open_page, tmp_path: Path):
    page = open_page()
    whole = (SAMPLES / "coffee.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    page.locator("#picture input[type=file]").set_input_files(tmp_path / "torn.jpg")
    settled(page, "torn.jpg")
    sentence = page.locator(".summary").text_content()
    assert len(sentence) <= 300
    assert "Traceback" not in page.locator("body").inner_text()
    assert page.locator(".card").count() == 0
    page.locator("#samples label").nth(1).click()
    settled(page, "espresso")


def test_a_picture_that_browsers_cannot_draw_is_shown_and_named(open_page, tmp_path: Path):
    page = open_page()
    Image.open(SAMPLES / "coffee.jpg").convert("CMYK").save(tmp_path / "coffee.tiff")
    page.locator("#picture input[type=file]").set_input_files(tmp_path / "coffee.tiff")
    settled(page, "espresso")
    content = page.locator("#picture .image-frame img").evaluate("image => getComputedStyle(image).content")
    assert content.startswith('url("data:image/jpeg')


def test_a_model_that_fails_says_so_in_its_card_and_the_others_answer(open_page):
    page = open_page("?models=nobody/nothing,efficientnet_lite0,tests")
    failed = card(page, "nobody/nothing").locator(".error").text_content()
    assert "nobody/nothing" in failed
    assert len(failed) <= 300
    assert "“tests” is neither a model of the list nor a Hub id" in card(page, "tests").locator(".error").text_content()
    assert "cat" in top_labels(page)[0]


def test_nothing_chosen_is_a_sentence(open_page):
    page = open_page()
    page.get_by_role("button", name="Remove Image").click()
    settled(page, "No picture yet.")
    page.locator("#samples label").first.click()
    settled(page, "cat")
    for left in (2, 1, 0):
        page.locator("#models .token-remove:visible").first.click()
        expect(page.locator("#models .token")).to_have_count(left)
    settled(page, "No model chosen.")


def test_models_come_and_go_and_keep_their_colours(open_page, forwards: list[int]):
    page = open_page()
    forwards.clear()
    colour = "e => getComputedStyle(e).backgroundColor"
    before = card(page, MODELS[1]).locator(".dot").evaluate(colour)
    page.locator("#models .token-remove").first.click()
    card(page, MODELS[0]).wait_for(state="detached")
    assert card(page, MODELS[1]).locator(".dot").evaluate(colour) == before
    chip = page.locator("#models .token").first.evaluate("e => getComputedStyle(e, '::before').backgroundColor")
    assert chip == before
    assert forwards == []


# Any checkpoint


def test_an_uploaded_checkpoint_joins_the_models(open_page, tmp_path: Path):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("mobilenetv2_035", num_classes=5).state_dict(), tmp_path / "tiny.safetensors")
    kinds = [f"kind {i}" for i in range(5)]
    config = {"architecture": "mobilenetv2_035", "num_classes": 5, "label_names": kinds}
    (tmp_path / "config.json").write_text(json.dumps(config))
    page = open_page()
    page.get_by_role("button", name="Add a checkpoint").click()
    page.locator("#checkpoint-files input[type=file]").set_input_files(
        [tmp_path / "tiny.safetensors", tmp_path / "config.json"]
    )
    page.locator("#checkpoint-files [aria-label='config.json']").wait_for(state="attached", timeout=FIRST_ANSWER)
    page.locator("#add-checkpoint").click()
    expect(card(page, "tiny").locator(".label").first).to_contain_text("kind ", timeout=FIRST_ANSWER)
    assert page.locator(".card").count() == 4


def test_a_file_that_is_no_checkpoint_fails_in_its_own_card(open_page, tmp_path: Path):
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors here")
    (tmp_path / "config.json").write_text("{}")
    page = open_page()
    page.get_by_role("button", name="Add a checkpoint").click()
    page.locator("#add-checkpoint").click()
    page.get_by_text("Give a Hub id, or one .safetensors file and one config.json.").wait_for()
    page.locator("#checkpoint-files input[type=file]").set_input_files(
        [tmp_path / "broken.safetensors", tmp_path / "config.json"]
    )
    page.locator("#checkpoint-files [aria-label='config.json']").wait_for(state="attached", timeout=FIRST_ANSWER)
    page.locator("#add-checkpoint").click()
    card(page, "broken").locator(".error").wait_for(timeout=FIRST_ANSWER)
    assert page.locator(".card .bars").count() == 3


# Results out, links, programs


def test_results_are_saved_as_csv_and_json(open_page, tmp_path: Path):
    page = open_page()
    for button, name in (("#save-csv", "cvhub.csv"), ("#save-json", "cvhub.json")):
        with page.expect_download() as download:
            page.locator(button).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    models = json.loads((tmp_path / "cvhub.json").read_text("utf-8"))["models"]
    assert [model["predictions"][0]["label"] for model in models] == top_labels(page)
    with open(tmp_path / "cvhub.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == [model for model in MODELS for _ in range(5)]
    assert float(rows[0]["score"]) == pytest.approx(models[0]["predictions"][0]["score"])


def test_a_copied_link_opens_the_same_view(open_page):
    page = open_page(
        "?sample=coffee&models=efficientnet_lite2,efficientnet_lite0&tau=2&heat=30&class=cup&true=espresso&eps=0.2&lang=en",
        permissions=["clipboard-read", "clipboard-write"],
    )
    settled(page, "espresso")
    page.get_by_text("Loss if “espresso” is true").wait_for()
    assert [c.get_attribute("data-model") for c in page.locator(".card").all()] == [MODELS[2], MODELS[0]]
    assert page.locator(".heat-map + .facts").all_text_contents() == ["Class activation map for cup"] * 2
    assert "ε = 0.2" in page.locator("#losses").text_content()
    page.locator("#copy-link").click()
    page.get_by_text("The link to this view is copied.").wait_for()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('coffee'))")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(copied).query) == {
        "sample": ["coffee"],
        "models": ["efficientnet_lite2,efficientnet_lite0"],
        "tau": ["2"],
        "heat": ["30"],
        "class": ["cup"],
        "true": ["espresso"],
        "eps": ["0.2"],
        "lang": ["en"],
    }
    assert page.url == copied


def test_programs_get_labels_and_scores(server: str):
    from gradio_client import Client, handle_file

    client = Client(server, verbose=False)
    said = client.predict(handle_file(SAMPLES / "chelsea.jpg"), MODELS, 1.0, 1000, api_name="/classify")
    assert [model["model"] for model in said["models"]] == MODELS
    for model in said["models"]:
        assert model["milliseconds"] > 0
        scores = [prediction["score"] for prediction in model["predictions"]]
        assert sum(scores) == pytest.approx(1, abs=1e-6)
        assert scores == sorted(scores, reverse=True)
        assert "cat" in model["predictions"][0]["label"]


def test_programs_are_told_what_is_wrong(server: str, tmp_path: Path):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    client = Client(server, verbose=False)
    said = client.predict(handle_file(SAMPLES / "coffee.jpg"), ["/etc", MODELS[0]], 1.0, 1, api_name="/classify")
    assert "neither a model of the list nor a Hub id" in said["models"][0]["error"]
    assert "espresso" in said["models"][1]["predictions"][0]["label"]
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(AppError, match=r"note\.png"):
        client.predict(handle_file(tmp_path / "note.png"), MODELS, 1.0, 5, api_name="/classify")


def call_classify(server: str, body: bytes) -> str:
    """What the API streams back."""
    call = Request(f"{server}gradio_api/call/classify", body, {"Content-Type": "application/json"})
    with urlopen(call, timeout=60) as response:
        event = json.load(response)["event_id"]
    with urlopen(f"{server}gradio_api/call/classify/{event}", timeout=60) as response:
        return response.read().decode()


def test_a_program_cannot_name_a_file_of_the_server(server: str, tmp_path: Path):
    picture = shutil.copy(SAMPLES / "coffee.jpg", tmp_path / "secret.jpg")
    named = {"path": str(picture), "meta": {"_type": "gradio.FileData"}}
    asked = json.dumps({"data": [named, MODELS[:1], 1.0, 5]}).encode()
    said = call_classify(server, asked)
    assert said.startswith("event: error")
    assert "espresso" not in said


def test_every_public_endpoint_is_named_and_typed(server: str):
    from gradio_client import Client

    client = Client(server, verbose=False)
    endpoints: Any = client.view_api(return_format="dict", print_info=False)
    assert not endpoints["unnamed_endpoints"]
    expected = {"/classify", "/answer", "/show", "/export_csv", "/export_json", "/compose_link"}
    assert expected <= set(endpoints["named_endpoints"])
    for name, endpoint in endpoints["named_endpoints"].items():
        for parameter in endpoint["parameters"]:
            assert parameter["python_type"]["type"] not in ("", "Any"), (name, parameter["parameter_name"])


def test_building_the_page_imports_nothing_heavy():
    code = (
        "import sys, cvhub.ui.app; cvhub.ui.app.build();"
        "print([name for name in ('torch', 'transformers', 'timm', 'openvino') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
