"""What all tests share: no network, folders of their own, fixed seeds, and the families' tiny nets."""

import os
import random
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from cvhub import telling
from cvhub.models import FAMILIES
from tests.tiny import TinyFamily

pytest_plugins = ("tests.browser",)

SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="cvhub-tests-"))
# Before anything imports torch or huggingface_hub; the processes that tests start inherit it.
os.environ |= {
    "CVHUB_CACHE": str(SESSION_FOLDER / "cvhub"),
    "HF_HOME": str(SESSION_FOLDER / "huggingface"),
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_TEMP_DIR": str(SESSION_FOLDER / "gradio"),  # a page that ends deletes what pages beside it still show
}
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny nets gain nothing from more, and lose much beside other work

# The same examples in every run, and as much time for each as a busy machine takes.
settings.register_profile("cvhub", derandomize=True, database=None, deadline=None)
settings.load_profile("cvhub")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's file first: processes take whole files in turn, and the longest must not come last."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> TinyFamily:
    return TinyFamily(request.param)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    if "numpy" in sys.modules:  # a test without it shouldn't wait for its import
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _no_remarks_on_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine adds no line to what a command says."""
    monkeypatch.setattr(telling, "SILENT_SECONDS", 3600)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """A connection to another machine fails, and not as an `OSError`, which code may take for bad luck."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test reaches for the network: {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


def pytest_unconfigure() -> None:
    shutil.rmtree(SESSION_FOLDER, ignore_errors=True)
