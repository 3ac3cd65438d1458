"""The page in Chromium, for tests: a server in this process, a browser, and pages whose scripts must not fail."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from docs.screenshots import CHROMIUM, FLAGS

SAMPLES = Path(__file__).parent.parent / "cvhub" / "ui" / "samples"
FIRST_ANSWER = 90_000  # milliseconds: on an empty cache the first answer converts three models
SOON = 30_000  # for what is there at once where nothing else runs

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and os.environ.get("CVHUB_REQUIRE_BROWSER") != "1",
        reason=f"{CHROMIUM} is not installed; CVHUB_REQUIRE_BROWSER=1 makes this a failure",
    ),
    # Two cores run the browser, the page and the nets of other tests: who waited in vain asks once more, and pytest
    # says so ("rerun"). What is wrong twice fails.
    pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError", "AssertionError: Locator expected"]),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the page, served by this process."""
    with served() as address:
        yield address


@contextmanager
def served(build: Callable[[], Any] | None = None) -> Iterator[str]:
    """The address of the page, as it is now, or of what `build` makes instead.

    Gradio would take the first free port from 7860 on, which another process may take at the same moment.
    """
    from cvhub.ui import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demo = (build or app.build)()
    app.launch(demo, server_port=port, quiet=True)
    assert demo.local_url
    yield demo.local_url
    demo.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=SOON)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(server: str, browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page and waits for its first answer; scripts on it must not fail."""
    from playwright.sync_api import expect

    contexts, failures = [], []

    def open_page(query: str = "", wait: bool = True, **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}, "locale": "en-US"} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SOON)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(server + query)
        if wait:
            page.locator("#losses table").wait_for(timeout=FIRST_ANSWER)
            expect(page.locator(".blank")).to_have_count(0, timeout=FIRST_ANSWER)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not failures
