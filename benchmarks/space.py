"""The Space's start, acted out: a fresh environment from requirements.txt, the deployed files alone, empty caches."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.photos import sample
from benchmarks.report import Report, Table
from benchmarks.servers import Server, serve
from benchmarks.settings import ROOT, Settings
from cvhub.hub.deploy import space_files
from cvhub.hub.space import read_settings
from cvhub.ui.classify.link import DEFAULT_MODELS

SPACE = {"SYSTEM": "spaces", "SPACE_ID": "someone/cvhub", "GRADIO_SERVER_NAME": "127.0.0.1", "PYTHONPATH": ""}


def run(settings: Settings) -> Report:
    report = Report(
        "Start of a Space",
        "Seconds, once each. Installed: requirements.txt into a fresh environment. Then from the page's start in a "
        "folder as `cvhub space deploy` leaves it: until it is there, and until a program's question of a photo "
        f"to {len(DEFAULT_MODELS)} models is answered. {os.cpu_count()} threads.",
    )
    app, python = copy_files(settings.work / "app"), settings.work / "environment" / "bin" / "python"
    table = Table(["", "seconds"])
    table.rows.append(["installed", f"{install(app, python):.0f}"])
    for name in ("caches empty", "again"):
        page, answer = start(app, python, settings.work / "home")
        table.rows += [[f"page there, {name}", f"{page:.1f}"], [f"first answer, {name}", f"{answer:.1f}"]]
    report.tables.append(table)
    report.missing.append("the Hub's own machines, which may be slower, and their memory of 16 GB.")
    return report


def copy_files(app: Path) -> Path:
    """The Space's files, as the Hub would have them."""
    for name, file in space_files(ROOT).items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, app / name)
    return app


def install(app: Path, python: Path) -> float:
    """Seconds to make an environment as the Hub does: the requirements, and Gradio of the Space's version."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    gradio = f"gradio[oauth,mcp]=={read_settings(ROOT)['sdk_version']}"
    command = [python, "-m", "pip", "install", "--quiet", "-r", app / "requirements.txt", gradio]
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def start(app: Path, python: Path, home: Path) -> tuple[float, float]:
    """Seconds from the start until the page is there, and until the first question is answered."""
    caches = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "CVHUB_CACHE": str(home / "cvhub")}
    with serve(("app.py",), python=str(python), folder=app, **SPACE, **caches) as server:
        ask(server, home)
        return server.ready - server.started, time.perf_counter() - server.started


def ask(server: Server, home: Path) -> None:
    from gradio_client import Client, handle_file

    home.mkdir(parents=True, exist_ok=True)
    sample().save(home / "photo.jpg")
    photo = handle_file(str(home / "photo.jpg"))
    client = Client(server.url, verbose=False)
    answers = client.predict(photo, list(DEFAULT_MODELS), 1.0, 1, api_name="/classify")["models"]
    assert all("predictions" in answer for answer in answers), answers
