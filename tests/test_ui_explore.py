"""The Explore tab in Chromium: every figure opens, the tree unfolds, by mouse and by keyboard, in both languages."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from cvhub.ui.figures import FIGURES
from cvhub.ui.strings import text
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM

NO_MODEL = "?models=tests"  # the Classify tab has nothing to load, and says so
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def explore(open_page):
    """Opens the tab, with its first figure drawn, or with an architecture."""

    def explore(architectures: bool = False, language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_explore", language)).click()
        page.locator("#claims-drawing h2").wait_for(timeout=FIRST_ANSWER)
        if architectures:
            page.get_by_role("tab", name=text("part_architecture", language)).click()
            page.locator("#walk h3").wait_for(timeout=FIRST_ANSWER)
        return page

    return explore


def open_figure(page: Any, name: str, language: str = "en") -> None:
    page.locator(f"#claims input[value={name}]").check(force=True)
    expect(page.locator("#claims-drawing h2")).to_have_text(text(f"{name}_title", language), timeout=FIRST_ANSWER)


def fits(page: Any) -> None:
    """Nothing reaches beyond a phone's screen."""
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = "[...document.querySelectorAll('.main *')].filter(e => e.getBoundingClientRect().right > 391)"
    assert page.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []


def no_violation(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_figure_opens_with_its_own_controls(explore):
    page = explore()
    for figure in FIGURES:
        open_figure(page, figure.NAME)
        assert page.locator("#claims-drawing .summary").text_content().strip()
        assert page.locator("#claims-drawing a").get_attribute("href") == figure.PAPER
        expect(page.locator(".controls:visible .block")).to_have_count(len(figure.CONTROLS))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_figures_fit_a_phone_in_both_languages(explore, language: str):
    page = explore(language=language, **PHONE)
    for figure in FIGURES:
        open_figure(page, figure.NAME, language)
        fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_any_figure(explore, scheme: str):
    page = explore(color_scheme=scheme)
    for figure in FIGURES:
        open_figure(page, figure.NAME)
        no_violation(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_an_architecture(explore, scheme: str):
    page = explore(architectures=True, color_scheme=scheme)
    page.get_by_role("button", name=text("config", "en")).click()
    page.locator("#config textarea").wait_for()
    no_violation(page)


def test_a_figure_is_chosen_and_changed_by_keyboard(explore):
    page = explore()
    page.locator(f"#claims input[value={FIGURES[0].NAME}]").focus()
    for _ in range([figure.NAME for figure in FIGURES].index("depthwise")):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#claims-drawing .summary")).to_contain_text("K = 3 and N = 512", timeout=FIRST_ANSWER)
    page.locator("#depthwise_out_channels input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#claims-drawing .summary")).to_contain_text("N = 520")
    page.locator("#depthwise_kernel input").nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#claims-drawing .summary")).to_contain_text("K = 5 and N = 520")


def test_the_language_switch_draws_the_figure_again_as_it_was(explore):
    page = explore()
    open_figure(page, "gradient")
    page.locator("#gradient_layers").get_by_text("20", exact=True).click()
    summary = page.locator("#claims-drawing .summary")
    expect(summary).to_contain_text("to 14 times", timeout=FIRST_ANSWER)
    in_english = summary.text_content()
    page.get_by_text("中文", exact=True).click()
    expect(page.locator("#claims-drawing h2")).to_have_text(text("gradient_title", "zh"), timeout=FIRST_ANSWER)
    assert page.locator("#gradient_layers input:checked").input_value() == "20"
    page.get_by_text("English", exact=True).click()
    expect(summary).to_have_text(in_english, timeout=FIRST_ANSWER)


def test_the_tree_unfolds_by_keyboard(explore):
    page = explore(architectures=True)
    closed = page.locator("#tree details:not([open]) > summary").first
    closed.focus()
    within = "document.activeElement.nextElementSibling.checkVisibility()"
    assert not page.evaluate(within)
    page.keyboard.press("Enter")
    assert page.evaluate(within)
    page.keyboard.press("Space")
    assert not page.evaluate(within)


def test_a_net_of_the_hub_is_taken_apart_and_why_no_picture_walks_is_said(explore):
    page = explore(architectures=True)
    page.locator("#model input").click()
    page.get_by_role("option", name="ResNet-50", exact=True).click()
    expect(page.locator("#tree h2")).to_have_text("ResNet-50", timeout=FIRST_ANSWER)
    expect(page.locator("#tree .times").first).to_have_text("×2")
    expect(page.locator("#walk")).to_contain_text("on the Hub (timm/resnet50.a1_in1k)")


def test_a_config_is_changed_and_shown_at_another_size_and_saved(explore, tmp_path: Path):
    page = explore(architectures=True)
    page.get_by_role("button", name=text("config", "en")).click()
    config = page.locator("#config textarea")
    config.fill(re.sub('"width_multiplier": 1.0', '"width_multiplier": 0.5', config.input_value()))
    page.locator("#show-config").click()
    expect(page.locator("#tree h2")).to_have_text("Your config", timeout=FIRST_ANSWER)
    expect(page.locator("#walk")).to_contain_text("This net is untrained")
    page.locator("#height input").fill("96")
    page.locator("#height input").press("Enter")
    expect(page.locator("#tree .costs")).to_contain_text("96 × 224 pixels", timeout=FIRST_ANSWER)
    with page.expect_download() as download:
        page.locator("#save-layers-json").click()
    download.value.save_as(tmp_path / "layers.json")
    saved = json.loads((tmp_path / "layers.json").read_text("utf-8"))
    assert (saved["height"], saved["width"]) == (96, 224)
    assert saved["parameters"] < 3e6
    config.fill("{}")
    page.locator("#show-config").click()
    expect(page.locator("#tree .summary")).to_contain_text("model_type is ''")


def test_another_picture_and_layer_walk_through(explore):
    page = explore(architectures=True)
    seen = page.locator("#walk img.pixels").first
    before = seen.get_attribute("src")
    page.locator("#walk-samples input[value=coffee]").check(force=True)
    expect(seen).not_to_have_attribute("src", before, timeout=FIRST_ANSWER)
    page.locator("#layer input").click()
    page.locator("#layer input").press_sequentially("head.conv")
    page.get_by_role("option", name=re.compile("head.conv")).click()
    expect(page.locator("#walk h3")).to_contain_text("head.conv: the 16 strongest of 1280", timeout=FIRST_ANSWER)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_architecture_fits_a_phone(explore, language: str):
    page = explore(architectures=True, language=language, **PHONE)
    for _ in range(3):
        page.locator("#tree details:not([open]) > summary:visible").last.click()
    fits(page)


def test_programs_take_nets_apart_and_draw_figures(server: str):
    from gradio_client import Client

    client = Client(server, verbose=False)
    found = client.predict("resnet18", 64, 64, api_name="/architecture")
    assert found["parameters"] == 11_689_512
    html = client.predict(3, 64, 128, 14, "zh", api_name="/figure_depthwise")
    assert text("depthwise_title", "zh") in html
