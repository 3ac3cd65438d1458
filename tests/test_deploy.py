"""`cvhub space deploy`: what is uploaded, and that it starts where nothing else of the project is."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.hub.deploy import deploy, space_files
from tests.test_space import project

__all__ = ["project"]

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds until the page is there


@pytest.fixture
def small(project: Path) -> Path:
    """The small project of `tests/test_space.py`, with a package and a README that shows two pictures."""
    for name in ("cvhub/__init__.py", "cvhub/page.css", "cvhub/notes.md", "cvhub/checkpoints/net/net.py", "docs/a.png"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    (project / "cvhub" / "checkpoints" / "net" / "README.md").write_text("# A net\n")
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text("")
    (project / "LICENSE").write_text("Apache-2.0\n")
    with (project / "README.md").open("a") as readme:
        readme.write("![The page](docs/a.png) ![A badge](https://somewhere/badge.svg) [more](docs/more.md)\n")
    return project


def test_what_the_page_needs_is_uploaded_and_nothing_else(small: Path) -> None:
    names = {"README.md", "requirements.txt", "app.py", "LICENSE", "docs/a.png"}
    names |= {"cvhub/__init__.py", "cvhub/code.py", "cvhub/page.css", "cvhub/checkpoints/net/README.md"}
    assert set(space_files(small)) == names


def test_what_git_does_not_know_stays_here(small: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(small), *arguments], check=True, capture_output=True)

    git("init")
    before = set(space_files(small))  # nothing is added yet, as where an unpacked archive lies in another checkout
    git("add", ".")
    (small / "cvhub" / "secrets.py").write_text("")
    (small / "cvhub" / "draft.css").write_text("")
    assert set(space_files(small)) == before
    git("add", "cvhub/draft.css")
    assert set(space_files(small)) == before | {"cvhub/draft.css"}


def test_a_space_holds_the_project_and_is_private_if_so(
    hub: LoopbackHub, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    assert deploy(small, "ann/page", private=True) == f"{hub.url}/spaces/ann/page"
    space = hub.repos["spaces/ann/page"]
    assert space.private
    assert set(space.files) == {".gitattributes", *space_files(small)}
    (small / "cvhub" / "page.css").unlink()
    (small / "app.py").write_text("pass\n")
    deploy(small, "ann/page")
    assert len(space.commits) == 3  # the Hub's own, and one each time
    assert set(space.files) == {".gitattributes", *space_files(small)}
    assert space.files["app.py"] == b"pass\n"
    assert space.private


def test_the_command_prints_the_address(
    hub: LoopbackHub, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    assert main(["space", "deploy", "ann/page", "--root", str(small), "--json"]) == 0
    assert capsys.readouterr().out == f'{{"url": "{hub.url}/spaces/ann/page"}}\n'


@pytest.mark.parametrize(
    ("spoil", "repo_id", "expected"),
    [
        ("spaces.yaml", "ann/page", "This project would not build as a Space: .* has no readable spaces.yaml"),
        ("docs/a.png", "ann/page", "README.md shows docs/a.png, and there is no such file"),
        ("", "page", "'page' is not a Hub id: expected OWNER/NAME"),
        ("", "bob/page", "Your token has no right to do this with bob/page"),
    ],
)
def test_a_space_that_can_not_be_is_one_sentence(
    hub: LoopbackHub, small: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, repo_id: str, expected: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    if spoil:
        (small / spoil).unlink()
    with pytest.raises(CvhubError, match=expected):
        deploy(small, repo_id)
    assert not hub.repos


def test_without_a_login_nothing_is_sent(hub: LoopbackHub, small: Path) -> None:
    with pytest.raises(CvhubError, match="Pushing to ann/page needs a Hub token"):
        deploy(small, "ann/page")
    assert not hub.requests


@pytest.fixture
def deployed(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project's Space as its machine has it: a folder with what was uploaded."""
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    deploy(ROOT, "ann/cvhub")
    return Path(HfApi().snapshot_download("ann/cvhub", repo_type="space", local_dir=tmp_path / "app"))


@contextmanager
def started(folder: Path, place: Path) -> Iterator[str]:
    """The address of the page, started in that folder as a Space starts it, with its caches and log in `place`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone = {"SYSTEM": "spaces", "GRADIO_SERVER_PORT": str(port), "HF_HOME": str(place / "hf")}
    alone |= {"CVHUB_CACHE": str(place / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | alone
    with (place / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process, place / "log")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.2)


def test_what_was_uploaded_starts_alone_answers_and_wakes_on_an_empty_disk(deployed: Path, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    photo = handle_file(str(deployed / "cvhub" / "ui" / "samples" / "chelsea.jpg"))
    for place in (tmp_path / "first", tmp_path / "woken"):  # a Space that slept has lost what it had written
        place.mkdir()
        with started(deployed, place) as address:
            client = Client(address, verbose=False)
            (model,) = client.predict(photo, ["efficientnet_lite0"], 1.0, 1, api_name="/classify")["models"]
            assert "cat" in model["predictions"][0]["label"]
        assert "Traceback" not in (place / "log").read_text()
    assert not (deployed / "tests").exists()


@pytest.mark.fault
def test_a_run_from_before_the_sleep_is_gone_without_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvhub.training.jobs import Jobs
    from cvhub.ui.distill import handlers

    jobs = Jobs(tmp_path / "nothing" / "jobs")
    monkeypatch.setattr(handlers, "jobs", lambda: jobs)
    assert "There is no such run any more." in handlers.poll("a-run-of-yesterday", "a-run-of-yesterday", "", "en")[0]
    assert handlers.students("a-run-of-yesterday") == {}
    assert jobs.new_folder().is_dir()
