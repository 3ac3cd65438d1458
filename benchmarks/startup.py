"""How long until something is there: the import, the command line's answer, the page, its first answer painted."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks import nets, servers
from benchmarks.photos import sample
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import seconds, take_single_turns
from cvhub.ui.classify.link import DEFAULT_MODELS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LITE = nets.LITE
MODEL = "efficientnet_lite0"  # the same net with ImageNet's weights
IMPORT = "import cvhub"
PREDICT, PIPELINE = f"cvhub predict {MODEL} photo.jpg", "transformers pipeline, the same net and photo"
EMPTY, PAGE = "empty Blocks page answers", "cvhub page answers"
PAINTED = "cvhub page, first answer painted in Chromium"
PEERS = {PREDICT: PIPELINE, PAGE: EMPTY}
TIMED_IMPORT = "import time; start = time.perf_counter(); import cvhub; print(time.perf_counter() - start)"
RUN_PIPELINE = """
import sys
from transformers import pipeline
print(pipeline("image-classification", model=sys.argv[1])(sys.argv[2]))
"""
FIRST_ANSWER = "#results button[data-class]"  # a bar, which only an answered model has


def run(settings: Settings) -> Report:
    report = Report(
        "Start-up",
        f"Seconds from the start of the process, caches warm, {settings.rounds} times in turns. The page answers when "
        "its address does; the first answer is painted when the first bar stands in Chromium, which is open already.",
    )
    photo = settings.work / "photo.jpg"
    sample().save(photo)
    contenders: dict[str, Callable[[], float]] = {
        IMPORT: _import_seconds,
        PREDICT: lambda: _process_seconds("-m", "cvhub", "predict", MODEL, str(photo)),
        PIPELINE: lambda: _process_seconds("-c", RUN_PIPELINE, str(nets.timm_folder(LITE, settings.work)), str(photo)),
        EMPTY: lambda: _page_seconds(servers.EMPTY_PAGE),
        PAGE: lambda: _page_seconds(servers.APP),
    }
    for model in DEFAULT_MODELS:
        _process_seconds("-m", "cvhub", "predict", model, str(photo))
    for warm_up in contenders.values():
        warm_up()
    times = take_single_turns(contenders, settings.rounds)
    if chromium := shutil.which("chromium"):
        times |= _paint(chromium, settings.rounds)
    else:
        report.missing.append("the first answer painted: chromium is not installed.")
    table = Table(["", "seconds", "× its peer"])
    for name, taken in times.items():
        ratio = f"{taken / times[PEERS[name]]:.2f}" if name in PEERS else ""
        table.rows.append([name, f"{taken:.3f}", ratio])
    report.tables.append(table)
    return report


def _import_seconds() -> float:
    answer = subprocess.run(
        [sys.executable, "-c", TIMED_IMPORT], env=servers.environment(), capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def _process_seconds(*arguments: str) -> float:
    command = [sys.executable, *arguments]
    return seconds(lambda: subprocess.run(command, env=servers.environment(), capture_output=True, check=True))


def _page_seconds(program: tuple[str, ...]) -> float:
    with servers.serve(program) as server:
        return server.ready - server.started


def _paint(chromium: str, rounds: int) -> dict[str, float]:
    """From the start of our process to the first answer in the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            _paint_seconds(browser)  # the page's own caches
            return take_single_turns({PAINTED: lambda: _paint_seconds(browser)}, rounds)
        finally:
            browser.close()


def _paint_seconds(browser: "Browser") -> float:
    with servers.serve(servers.APP) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector(FIRST_ANSWER, timeout=1e3 * servers.GIVE_UP_SECONDS)
        painted = time.perf_counter() - server.started
        page.close()
    return painted
