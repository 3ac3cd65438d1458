"""Pages in processes of their own, as a user starts them."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.settings import ROOT

GIVE_UP_SECONDS = 120
POLL_SECONDS = 0.01

APP = (str(ROOT / "app.py"),)
EMPTY_PAGE = ("-c", "import gradio as gr\nwith gr.Blocks() as demo: pass\ndemo.launch(quiet=True)")


@dataclass(frozen=True)
class Server:
    """A page that answers; `started` is the `perf_counter` of its process's start, `ready` that of its first answer."""

    url: str
    process: int  # its number
    started: float
    ready: float


@contextlib.contextmanager
def serve(
    program: Sequence[str], python: str = sys.executable, folder: Path = ROOT, **variables: str
) -> Iterator[Server]:
    """Runs `python PROGRAM…` until its page answers, with these environment variables, and ends it afterwards."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/"
    started = time.perf_counter()
    process = subprocess.Popen(
        [python, *program],
        cwd=folder,
        env=environment() | {"GRADIO_SERVER_PORT": str(port)} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(url, process)
        yield Server(url, process.pid, started, time.perf_counter())
    finally:
        process.terminate()
        process.wait()


def environment() -> dict[str, str]:
    """Ours, with the repository on the path and nothing that asks the network."""
    return os.environ | {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


def _wait(url: str, process: subprocess.Popen) -> None:
    end = time.perf_counter() + GIVE_UP_SECONDS
    while time.perf_counter() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url) as answer:
            if answer.status == 200:
                return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{process.args} gave no page at {url} (exit code {process.poll()}).")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
