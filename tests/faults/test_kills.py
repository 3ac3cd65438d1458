"""Killed at random moments, a hundred times in all: what was done stays whole, and the next start goes on.

`make faults` does all of them; a few belong to every day's tests. The processes are forked from one that has imported
what they need, so that a kill hits the work and not the imports. Works that go on where they were note how far they
had come: so it is seen what a kill has cost.
"""

import json
import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvhub.hub.folder import check_folder
from cvhub.inference.picture_index import PictureIndex
from cvhub.training.folder import WORK
from cvhub.training.trainer import step_of
from tests.faults import works
from tests.loopback_hub import serving
from tests.test_index import encoded
from tests.test_training import assert_same_weights, data, tiny_recipe  # noqa: F401 (data: a fixture)
from tests.test_zero_shot import save as save_clip
from tests.tiny import TinyFamily

pytestmark = pytest.mark.fault

LONGEST = 300  # seconds of a work, on a busy machine
FEW = 2  # kills of every day

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(works.IMPORTS)


def start(work: works.Work, *arguments: Any) -> Any:
    """A process that is about to do the work."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=works.begin, args=(theirs, work, *arguments), daemon=True)
    process.start()
    assert ours.poll(LONGEST)
    assert ours.recv() == "begun"
    return process


def seconds_of(process: Any) -> float:
    """Until the process has done its work."""
    begin = time.monotonic()
    process.join(LONGEST)
    assert process.exitcode == 0
    return time.monotonic() - begin


def killed(
    kills: int,
    work: works.Work,
    folder: Path,
    *arguments: Any,
    left: Callable[[Path], object],
    done: Callable[[Path], object],
    goes_on: bool,
) -> None:
    """Kills the work so many times, at random moments. `left` checks what a kill left, `done` what is there at an end.

    Work that `goes_on` is killed again and again until it ends by itself, other work ends after each kill; then it
    begins anew, in a folder of its own. A kill that comes too late is none, and isn't counted.
    """
    usual, chance = folder.with_name("usual"), np.random.default_rng(kills)
    usual.mkdir()
    seconds = seconds_of(start(work, usual, *arguments))
    done(usual)
    hits, ends = [], 0
    while len(hits) < kills:
        place = folder / str(ends)
        place.mkdir(parents=True, exist_ok=True)
        process = start(work, place, *arguments)
        process.join(seconds * chance.uniform())
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        hit = process.exitcode != 0
        if hit:
            left(place)
            hits.append(works.noted(place))
        if not (hit and goes_on) or len(hits) == kills:
            seconds_of(start(work, place, *arguments))
            done(place)
            ends += 1
    print(f"{work.__name__}: {kills} kills, {ends} ends; noted before: {hits}")


def times(share: int) -> pytest.MarkDecorator:
    """A few kills every day, and the share of the hundred that this work has in `make faults`."""
    return pytest.mark.parametrize("kills", [FEW, pytest.param(share - FEW, marks=pytest.mark.full)])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_download_is_fetched_to_its_end(kills: int, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": np.random.default_rng(0).bytes(20_000_000)}

    def left(place: Path) -> None:
        for file in place.glob("hub/models--*/snapshots/*/*"):
            assert file.read_bytes() == files[file.name]

    def done(place: Path) -> None:
        assert contents(Path((place / "found").read_text())) == files

    with serving() as hub:
        hub.add("ann/net", files)
        killed(kills, works.download, tmp_path / "killed", hub.url, left=left, done=done, goes_on=False)


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_conversion_leaves_nothing_torn(kills: int, tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    ResNetForImageClassification(ResNetConfig(layer_type="basic", **sizes)).save_pretrained(tmp_path / "theirs")

    def left(place: Path) -> None:
        for folder in place.glob("models/v*/*"):
            if folder.is_dir() and not folder.name.startswith("."):
                assert check_folder(folder) == "resnet"
                (usual,) = tmp_path.glob(f"usual/models/v*/{folder.name}")
                assert contents(folder) == contents(usual)

    def done(place: Path) -> None:
        assert list(place.glob("models/v*/theirs*/model.safetensors"))
        left(place)
        assert not list(place.glob("models/v*/*.partial"))

    killed(kills, works.convert, tmp_path / "killed", tmp_path / "theirs", left=left, done=done, goes_on=False)


@times(15)
@pytest.mark.timeout(3600)
def test_a_killed_compilation_answers_next_time(kills: int, tmp_path: Path) -> None:
    from cvhub.convert.family import HALF, resize_then_crop
    from cvhub.convert.importing import save_processor

    net = TinyFamily("resnet").model()
    net.save_pretrained(tmp_path / "net")
    save_processor(tmp_path / "net", resize_then_crop(32, 32, 2, **HALF), net.config)

    def left(place: Path) -> None:
        if (place / "answer.npy").exists():
            done(place)

    def done(place: Path) -> None:
        usual = np.load(tmp_path / "usual" / "answer.npy")
        np.testing.assert_allclose(np.load(place / "answer.npy"), usual, atol=1e-4)

    killed(kills, works.compile_net, tmp_path / "killed", tmp_path / "net", left=left, done=done, goes_on=False)


@times(10)
@pytest.mark.timeout(3600)
def test_a_killed_training_loses_one_interval_at_most(kills: int, data: Path, tmp_path: Path) -> None:  # noqa: F811
    recipe = tiny_recipe(data, budget={"epochs": 12, "save_minutes": 1e-6}, optimiser={"ema": 0.9})

    def left(place: Path) -> None:
        saved = [step_of(folder) for folder in place.glob(f"run/{WORK}/checkpoint-*")]
        moved_up = (place / "run" / "config.json").exists()
        assert moved_up or max(saved, default=0) >= works.noted(place) - 1

    def done(place: Path) -> None:
        assert works.noted(place) == 48
        assert_same_weights(place / "run", tmp_path / "usual" / "run")

    killed(kills, works.train, tmp_path / "killed", recipe, left=left, done=done, goes_on=True)


@times(15)
@pytest.mark.timeout(3600)
def test_a_killed_index_keeps_what_it_had(kills: int, tmp_path: Path) -> None:
    model, photos = save_clip(tmp_path / "clip"), tmp_path / "photos"
    photos.mkdir()
    for seed in range(60):
        (photos / f"{seed:02}.png").write_bytes(encoded(seed))

    def left(place: Path) -> None:
        whole = (place / "index" / "manifest.json").exists()
        assert (len(PictureIndex.load(place / "index").entries) if whole else 0) >= works.noted(place) - 1

    def done(place: Path) -> None:
        ours, theirs = (PictureIndex.load(folder / "index") for folder in (place, tmp_path / "usual"))
        assert ours.complete
        assert len(ours.entries) == 60
        assert ours.entries == theirs.entries
        np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=1e-6)

    killed(kills, works.index, tmp_path / "killed", photos, model, left=left, done=done, goes_on=True)


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_save_leaves_the_old_file_or_the_new(kills: int, tmp_path: Path) -> None:
    def left(place: Path) -> None:
        if (place / "state.json").exists():
            state = json.loads((place / "state.json").read_text())
            assert state["filling"] == [state["generation"]] * 5000
            assert state["generation"] >= works.noted(place)
        else:
            assert works.noted(place) == 0

    def done(place: Path) -> None:
        left(place)
        assert works.noted(place) == works.GENERATIONS

    killed(kills, works.save, tmp_path / "killed", left=left, done=done, goes_on=True)
