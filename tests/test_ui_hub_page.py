"""The Hub tab in Chromium: a visitor looks at models, opens them in other tabs, and publishes one."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)
from playwright.sync_api import expect

from cvhub.ui.strings import text
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM
from tests.test_hub import save_folder
from tests.test_ui_hub import foreign
from tests.test_ui_segment_page import NO_MODEL, PHONE, fits, no_violation

__all__ = ["foreign"]

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def hub_tab(open_page: Callable[..., Any], foreign: LoopbackHub) -> Callable[..., Any]:
    """Opens the tab and waits for the first model."""

    def hub_tab(language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_hub", language), exact=True).click()
        page.locator("#hub-files table").wait_for(timeout=FIRST_ANSWER)
        return page

    return hub_tab


def choose(page: Any, name: str, title: str) -> None:
    page.locator(f"#hub-list button[data-class={name}]").click()
    expect(page.locator("#hub-view .model-title")).to_have_text(title, timeout=FIRST_ANSWER)


def look(page: Any, hub_id: str) -> None:
    field = page.locator("#hub-any").get_by_role("textbox")
    field.fill(hub_id)
    field.press("Enter")


def test_a_row_is_looked_at_and_opened_in_classify(hub_tab: Callable[..., Any]) -> None:
    page = hub_tab()
    expect(page.locator("#hub-view .model-title")).to_have_text("EfficientNet-Lite0")
    page.locator("#hub-kind label").nth(1).click()
    choose(page, "digits_vit", "ViT (digits)")
    expect(page.locator("#hub-view")).to_contain_text("304 k", timeout=FIRST_ANSWER)
    expect(page.locator("#hub-files")).to_contain_text("cvhub_vit", timeout=FIRST_ANSWER)
    expect(page.locator("#hub-card")).to_contain_text("digits", timeout=FIRST_ANSWER)
    expect(page.locator("#hub-open-segment")).to_have_count(0)
    page.locator("#hub-open-classify").click()
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true", timeout=FIRST_ANSWER)
    page.locator(".card[data-model=digits_vit] .bars li").first.wait_for(timeout=FIRST_ANSWER)


def test_models_are_opened_where_they_belong(hub_tab: Callable[..., Any]) -> None:
    page = hub_tab()
    for name, title, tab, waits in (
        ("nuclei_unet", "U-Net (cell nuclei)", "segment", "#segments .facts"),
        ("drawings_blip", "BLIP (drawings)", "words", "#caption-view .written"),
        ("someone/net", "someone/net", "explore", "#tree h2"),
    ):
        page.get_by_role("tab", name="Hub", exact=True).click()
        if "/" in name:
            look(page, name)
        else:
            choose(page, name, title)
        expect(page.locator("#hub-view .model-title")).to_have_text(title, timeout=FIRST_ANSWER)
        page.locator(f"#hub-open-{tab}").click()
        expect(page.get_by_role("tab", name=text(f"tab_{tab}", "en"), exact=True)).to_have_attribute(
            "aria-selected", "true", timeout=FIRST_ANSWER
        )
        page.locator(waits).first.wait_for(timeout=FIRST_ANSWER)
    expect(page.locator("#tree")).to_contain_text("12.3 k parameters", timeout=FIRST_ANSWER)


def test_a_foreign_model_is_converted_downloaded_and_published(
    hub_tab: Callable[..., Any], foreign: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    page = hub_tab()
    look(page, "no id")
    expect(page.locator("#hub-parts")).to_contain_text("“no id” is neither", timeout=FIRST_ANSWER)
    look(page, "someone/net")
    expect(page.locator("#hub-view .model-title")).to_have_text("someone/net", timeout=FIRST_ANSWER)
    page.get_by_role("button", name="Convert to a folder").click()
    with page.expect_download(timeout=FIRST_ANSWER) as started:
        page.locator("#hub-download").click(timeout=FIRST_ANSWER)
    started.value.save_as(tmp_path / "net.zip")
    with zipfile.ZipFile(tmp_path / "net.zip") as archive:
        assert "net/resnet.py" in archive.namelist()
    page.get_by_role("tab", name="Publish").click()
    expect(page.locator("#publish-account")).to_have_text("You publish as ann.", timeout=FIRST_ANSWER)
    expect(page.locator("#publish-repo").get_by_role("textbox")).to_have_value("ann/net", timeout=FIRST_ANSWER)
    expect(page.locator("#publish-view table")).to_contain_text("resnet.py", timeout=FIRST_ANSWER)
    expect(page.locator("#publish-card")).to_contain_text('name = "ann/net"', timeout=FIRST_ANSWER)
    page.locator("#publish-push").click()
    expect(page.locator("#publish-note a")).to_have_attribute("href", f"{foreign.url}/ann/net", timeout=FIRST_ANSWER)
    assert foreign.repos["ann/net"].private
    assert "model.safetensors" in foreign.repos["ann/net"].files


def test_a_checkpoint_of_the_visit_can_be_published(hub_tab: Callable[..., Any], tmp_path: Path) -> None:
    save_folder("resnet", tmp_path / "net")
    page = hub_tab()
    page.get_by_role("tab", name="Publish").click()
    expect(page.locator("#publish-view")).to_contain_text("This visit has made nothing yet", timeout=FIRST_ANSWER)
    page.get_by_role("tab", name="Classify").click()
    page.get_by_role("button", name="Add a checkpoint").first.click()
    files = [tmp_path / "net" / name for name in ("config.json", "model.safetensors", "preprocessor_config.json")]
    page.locator("#checkpoint-files input[type=file]").set_input_files(files)
    expect(page.locator("#checkpoint-files")).to_contain_text("model")
    page.locator("#add-checkpoint").click()
    page.locator(".card[data-model=model] .bars li").first.wait_for(timeout=FIRST_ANSWER)
    page.get_by_role("tab", name="Hub", exact=True).click()
    page.get_by_role("tab", name="Models").click()
    page.get_by_role("tab", name="Publish").click()
    expect(page.locator("#publish-view h2")).to_have_text("model (Classify)", timeout=FIRST_ANSWER)
    expect(page.locator("#publish-account")).to_contain_text("Nobody is logged in", timeout=FIRST_ANSWER)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(scheme: str, hub_tab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    page = hub_tab(color_scheme=scheme)
    page.get_by_role("button", name="Pack as a folder").click()
    page.locator("#hub-download").wait_for(timeout=FIRST_ANSWER)
    page.wait_for_timeout(500)
    no_violation(page)
    page.get_by_role("tab", name="Publish").click()
    page.locator("#publish-view table").wait_for(timeout=FIRST_ANSWER)
    page.wait_for_timeout(500)
    no_violation(page)


def test_it_fits_a_phone_in_chinese(hub_tab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    page = hub_tab("zh", **PHONE)
    expect(page.locator("#hub-view")).to_contain_text("cvhub 的模型，家族为 mobilenet_v2。", timeout=FIRST_ANSWER)
    fits(page)
    page.get_by_role("button", name="打包为文件夹").click()
    page.locator("#hub-download").wait_for(timeout=FIRST_ANSWER)
    fits(page)
    page.get_by_role("tab", name="发布").click()
    page.locator("#publish-view table").wait_for(timeout=FIRST_ANSWER)
    fits(page)
    no_violation(page)
