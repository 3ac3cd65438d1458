"""A full disk, a cache that can't be written, a clock that jumps, two processes on one: a sentence, or no harm."""

import errno
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cvhub import cache
from cvhub.cache import build_once, cache_in, write_file
from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.load import resolve
from cvhub.training.jobs import Jobs, Limits

pytestmark = pytest.mark.fault


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A small checkpoint of transformers', which is converted into the cache when it is named."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def refuse(number: int) -> Any:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refused


FAULTS = [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system"), (errno.EDQUOT, "quota")]


@pytest.mark.parametrize(("number", "said"), FAULTS)
@pytest.mark.parametrize("where", ["tempfile.mkdtemp", "pathlib.Path.mkdir", "os.fsync"])
def test_a_cache_that_takes_nothing_is_a_sentence(
    number: int, said: str, where: str, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its folder, at a conversion's own, and when what was written is to reach the disk. Later it is converted."""
    with monkeypatch.context() as patch:
        patch.setattr(where, refuse(number))
        with cache_in(tmp_path / "cache"), pytest.raises(CvhubError, match=f"cache .* can't be written.*{said}"):
            resolve(str(theirs))
    assert not list((tmp_path / "cache").glob("models/*/theirs*[!k]"))  # but a lock
    with cache_in(tmp_path / "cache"):
        assert (resolve(str(theirs)) / "model.safetensors").is_file()


def test_the_command_line_says_it_too(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse(errno.ENOSPC))
    assert main(["info", str(theirs)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("cvhub: The cache ")
    assert said[-1].endswith("can't be written (No space left on device): CVHUB_CACHE may name another place.")


def test_a_file_that_could_not_be_written_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "state", lambda file: file.write_text("before"))
    monkeypatch.setattr(cache.os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "state", lambda file: file.write_text("after"))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("state", "before")]


def _resolve_into(folder: Path, source: Path, notes: Path) -> None:
    with cache_in(folder):
        made = resolve(str(source))
    (notes / str(os.getpid())).write_text(str(made.stat().st_ino))


def test_two_processes_share_one_cache(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "cache", theirs, tmp_path / "notes")
    processes = [context.Process(target=_resolve_into, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len({file.read_text() for file in (tmp_path / "notes").iterdir()}) == 1  # one folder, made once


@pytest.mark.parametrize("hours", [-24 * 365, 24 * 365])
def test_a_clock_that_jumps_makes_nothing_old_or_new(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the cache stays there; a run that goes on is not stopped, nor deleted."""
    made = build_once(tmp_path / "made", lambda folder: (folder / "file").write_text("whole") and None)
    jobs = Jobs(tmp_path / "jobs", Limits(jobs_at_once=0))
    name = jobs.start(jobs.new_folder(), [], {})
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    assert build_once(tmp_path / "made", refuse(errno.ENOSPC)) == made
    jobs._forget_old()
    assert jobs.status(name, owner=True).job.state == "waiting"
    jobs.close()
