"""Takes the pictures of the page that the README shows: `make screenshots`. Starts the page itself, in a free port.

classify.png, zoo.png, explore.png, distill.png, segment.png and words.png (wide), classify-phone.png (390 px) and
classify-dark.png, in docs/; `python docs/screenshots.py FILE …` takes those named. Needs Chromium from the system.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, FloatRect, Page, expect, sync_playwright

from cvhub.ui.strings import text

DOCS = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What stands in a tab once its first sample is answered.
ANSWERED = {
    "distill": ["#compare-view table"],
    "segment": ["#segment-losses table", "segment-view canvas"],
    "words": ["#zero-shot-view .matrix"],
}
FIRST_ANSWER = 300_000  # milliseconds: on an empty cache three models are converted first


@dataclass(frozen=True)
class Shot:
    """One picture: how the page is opened, how much of it is shown, and which tab, in Explore with which figure."""

    file: str
    query: str
    context: dict[str, Any]
    height: int
    tab: str = "classify"
    figure: str = ""


SHOTS = (
    Shot("classify.png", "?sample=chelsea", {"viewport": {"width": 1440, "height": 1120}}, 1120),
    Shot(
        "classify-phone.png",
        "?sample=chelsea",
        {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
        1900,
    ),
    Shot(
        "classify-dark.png",
        "?sample=coffee&class=espresso",
        {"viewport": {"width": 1440, "height": 1120}, "color_scheme": "dark"},
        1120,
    ),
    Shot("zoo.png", "?sample=tile&lang=en", {"viewport": {"width": 1440, "height": 1120}}, 3420),
    Shot("explore.png", "?lang=en", {"viewport": {"width": 1440, "height": 900}}, 900, "explore", "gradient"),
    Shot("distill.png", "?lang=en", {"viewport": {"width": 1440, "height": 1120}}, 1142, "distill"),
    Shot("segment.png", "?lang=en", {"viewport": {"width": 1440, "height": 1120}}, 1500, "segment"),
    Shot("words.png", "?lang=en", {"viewport": {"width": 1440, "height": 1120}}, 1180, "words"),
)


def main() -> None:
    from cvhub.ui import app

    if not Path(CHROMIUM).exists():
        raise SystemExit(f"{CHROMIUM} is not installed: apt-get install chromium")
    demo = app.build()
    app.launch(demo, server_port=None, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for shot in SHOTS:
            if shot.file in (sys.argv[1:] or [shot.file]):
                take(browser, str(demo.local_url), shot)
        browser.close()
    demo.close()


def take(browser: Browser, address: str, shot: Shot) -> None:
    context = browser.new_context(locale="en-US", **shot.context)
    page = context.new_page()
    page.goto(address + shot.query)
    page.locator("#losses table").wait_for(timeout=FIRST_ANSWER)
    expect(page.locator(".blank")).to_have_count(0, timeout=FIRST_ANSWER)
    page.get_by_role("tab", name=text(f"tab_{shot.tab}", "en")).click()
    for element in ANSWERED.get(shot.tab, ()):
        page.locator(element).wait_for(timeout=FIRST_ANSWER)
    if shot.figure:
        choose_figure(page, shot.figure)
    page.evaluate("document.activeElement.blur()")
    page.evaluate("document.fonts.ready")
    clip: FloatRect = {"x": 0, "y": 0, "width": shot.context["viewport"]["width"], "height": shot.height}
    page.screenshot(path=DOCS / shot.file, full_page=True, clip=clip)
    print(DOCS / shot.file)
    context.close()


def choose_figure(page: Page, name: str) -> None:
    page.locator(f"#claims input[value={name}]").check(force=True)
    expect(page.locator("#claims-drawing h2")).to_have_text(text(f"{name}_title", "en"), timeout=FIRST_ANSWER)


if __name__ == "__main__":
    main()
