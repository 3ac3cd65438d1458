"""A full disk, a cache that can't be written, a clock that jumps, two processes on one: a sentence, or no harm."""

import errno
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cvhub import cache
from cvhub.cache import build_once, cache_in, write_file, writing
from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.load import resolve
from cvhub.training.jobs import Jobs, Limits
from tests.faults.disks import no_large_files

pytestmark = pytest.mark.fault


def save_theirs(folder: Path, width: int) -> Path:
    """A small checkpoint of transformers', which is converted into the cache when it is named."""
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes: dict[str, Any] = {"embedding_size": width, "hidden_sizes": [width, 2 * width], "depths": [1, 1]}
    ResNetForImageClassification(ResNetConfig(**sizes, layer_type="basic", num_labels=3)).save_pretrained(folder)
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return save_theirs(tmp_path / "theirs", width=8)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Its weights are larger than what `no_large_files` lets pass, all else is smaller."""
    return save_theirs(tmp_path / "large", width=32)


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


def test_weights_that_a_disk_does_not_take_are_no_fault_of_the_models(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """safetensors has an error of its own for it."""
    dest = tmp_path / "made" / "net"
    with cache_in(tmp_path / "cache"):
        with no_large_files(), pytest.raises(CvhubError, match=r"cache .* can't be written \(File too large\)"):
            resolve(str(large))
        with no_large_files():
            assert main(["convert", str(large), str(dest)]) == 1
        assert capsys.readouterr().err.strip().splitlines()[-1] == f"cvhub: {dest} can't be written: File too large."
        assert not list(dest.parent.iterdir())
        assert (resolve(str(large)) / "model.safetensors").is_file()
    assert main(["convert", str(large), str(dest)]) == 0


def test_what_openvino_can_not_write_is_a_sentence(large: Path, tmp_path: Path) -> None:
    """It says no more than that its stream has failed."""
    from cvhub.inference.runtime import build_runtime, example_pixels

    net = tmp_path / "net"
    assert main(["convert", str(large), str(net)]) == 0
    with cache_in(tmp_path / "cache"):
        with no_large_files(), pytest.raises(CvhubError, match=r"cache .* can't be written \(.*iostream error\)"):
            build_runtime(net, "openvino", "fp32")
        assert build_runtime(net, "openvino", "fp32").run(example_pixels(net, 1))["logits"].shape == (1, 3)


def test_what_torch_can_not_write_is_a_sentence(tmp_path: Path) -> None:
    import torch

    said, file = r"net\.pth can't be written: .*unexpected pos", tmp_path / "net.pth"
    with no_large_files(), pytest.raises(CvhubError, match=said), writing(file):
        torch.save(torch.zeros(100_000), file)


def test_another_error_is_not_taken_for_the_disks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path / "net"):
        (tmp_path / "nowhere" / "net").write_text("")


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
