"""A cached folder is made once, whole, whatever happens."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cvhub.cache import build_once, cache_dir, write_folder


def test_cvhub_cache_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"
    monkeypatch.delenv("CVHUB_CACHE")
    assert cache_dir().name == "cvhub"


def test_twenty_threads_build_once(tmp_path: Path) -> None:
    builds = []

    def build(folder: Path) -> None:
        builds.append(folder)
        time.sleep(0.05)
        (folder / "file").write_text("whole")

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append((build_once(tmp_path / "made", build) / "file").read_text()))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["whole"] * 20
    assert len(builds) == 1


def _build_and_note(target: Path, notes: Path) -> None:
    def build(folder: Path) -> None:
        (notes / str(os.getpid())).touch()
        time.sleep(0.2)
        (folder / "file").write_text("whole")

    build_once(target, build)


@pytest.mark.fault
def test_four_processes_build_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_build_and_note, args=(tmp_path / "made", notes)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(notes.iterdir())) == 1


def _build_for_ever(target: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("torn")
        time.sleep(60)

    build_once(target, build)


@pytest.mark.fault
def test_a_kill_leaves_no_torn_folder(tmp_path: Path) -> None:
    """And the leftovers go with the next build."""
    target = tmp_path / "made"
    process = multiprocessing.get_context("spawn").Process(target=_build_for_ever, args=(target,))
    process.start()
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".made.*/half")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert list(tmp_path.glob(".made.*.partial"))
    assert not target.exists()

    build_once(target, lambda folder: (folder / "file").write_text("whole") and None)
    assert [file.name for file in target.iterdir()] == ["file"]
    assert not list(tmp_path.glob(".made.*.partial"))


@pytest.mark.fault
def test_a_failed_build_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        write_folder(tmp_path / "made", fail)
    assert list(tmp_path.iterdir()) == []
    write_folder(tmp_path / "made", lambda folder: (folder / "file").touch())
    assert (tmp_path / "made" / "file").is_file()
