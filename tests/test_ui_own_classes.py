"""Your own classes in Chromium: a visitor teaches two, sees them answer, and takes the model home."""

import json
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM
from tests.test_own_classes import photos

__all__ = ["photos"]

pytestmark = NEEDS_CHROMIUM


def test_a_visitor_teaches_two_classes(open_page: Any, photos: dict[str, list[str]], tmp_path: Path):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(color_scheme="dark")
    page.get_by_role("button", name="Your own classes").click()
    for number, (name, files) in enumerate(photos.items(), 1):
        page.get_by_role("textbox", name=f"Class {number}").fill(name)
        page.locator(f"#own-files-{number} input[type=file]").set_input_files(files)
        expect(page.locator(f"#own-files-{number}")).to_contain_text(Path(files[-1]).stem)
    page.get_by_role("button", name="Learn", exact=True).click()
    expect(page.locator("#own-note")).to_contain_text("6 of 6 pictures", timeout=FIRST_ANSWER)
    own = page.locator('.card[data-model="cat, coffee"]')
    expect(own.locator(".bars li").first).to_contain_text("cat", timeout=FIRST_ANSWER)
    with page.expect_download() as started:
        page.locator("#own-download").click()
    started.value.save_as(tmp_path / "own.zip")
    with zipfile.ZipFile(tmp_path / "own.zip") as archive:
        assert json.loads(archive.read("config.json"))["id2label"] == {"0": "cat", "1": "coffee"}
    page.get_by_role("button", name="Another class").click()
    page.get_by_role("textbox", name="Class 3").wait_for()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
