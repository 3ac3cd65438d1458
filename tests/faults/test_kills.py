"""Killed at random moments, a hundred times in all: what was done stays whole, and the next start goes on.

`make faults` does all of them; a few belong to every day's tests. The processes are forked from one that has imported
what they need, so that a kill hits the work and not the imports.
"""

import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvhub.hub.folder import check_folder
from cvhub.inference.picture_index import PictureIndex
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
CONTEXT.set_forkserver_preload(["torch", "transformers", "openvino", "cvhub.training.run", "cvhub.inference.zero_shot"])


def begun(pipe: Any, work: works.Work, *arguments: Any) -> None:
    pipe.send("begun")
    work(*arguments)


def start(work: works.Work, *arguments: Any) -> Any:
    """A process that is about to do the work."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=begun, args=(theirs, work, *arguments), daemon=True)
    process.start()
    assert ours.poll(LONGEST)
    assert ours.recv() == "begun"
    return process


def seconds_of(work: works.Work, *arguments: Any) -> float:
    """Does the work to its end."""
    begin = time.monotonic()
    process = start(work, *arguments)
    process.join(LONGEST)
    assert process.exitcode == 0
    return time.monotonic() - begin


def killed(
    kills: int, check: Callable[[Path], object], work: works.Work, folder: Path, *arguments: Any, anew: bool
) -> None:
    """Kills the work at random moments, `check`s what is left after each kill, and lets it end at last.

    `anew` begins with an empty folder each time, for work that a moment's start would otherwise finish.
    """
    usual = folder.with_name("usual")
    usual.mkdir()
    seconds, chance = seconds_of(work, usual, *arguments), np.random.default_rng(kills)
    for kill in range(kills):
        place = folder / str(kill) if anew else folder
        place.mkdir(parents=True, exist_ok=True)
        process = start(work, place, *arguments)
        process.join(seconds * chance.uniform())
        process.kill()
        process.join()
        check(place)
        if anew:
            assert seconds_of(work, place, *arguments) < LONGEST
    assert seconds_of(work, place, *arguments) < LONGEST
    check(place)


def times(share: int) -> pytest.MarkDecorator:
    """A few kills every day, and the share of the hundred that this work has in `make faults`."""
    return pytest.mark.parametrize("kills", [FEW, pytest.param(share - FEW, marks=pytest.mark.full)])


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_download_is_fetched_to_its_end(kills: int, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": np.random.default_rng(0).bytes(20_000_000)}

    def check(place: Path) -> None:
        for file in place.glob("hub/models--*/snapshots/*/*"):
            assert file.read_bytes() == files[file.name]

    with serving() as hub:
        hub.add("ann/net", files)
        killed(kills, check, works.download, tmp_path / "killed", hub.url, anew=True)
    last = Path((tmp_path / "killed" / str(kills - 1) / "found").read_text())
    assert {file.name for file in last.iterdir()} == set(files)


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_conversion_leaves_nothing_torn(kills: int, tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    ResNetForImageClassification(ResNetConfig(layer_type="basic", **sizes)).save_pretrained(tmp_path / "theirs")

    def check(place: Path) -> None:
        made = [folder for folder in place.glob("models/v*/*") if folder.is_dir() and not folder.name.startswith(".")]
        for folder in made:
            assert check_folder(folder) == "resnet"
            (usual,) = tmp_path.glob(f"usual/models/v*/{folder.name}")
            for file in usual.iterdir():
                assert (folder / file.name).read_bytes() == file.read_bytes()

    killed(kills, check, works.convert, tmp_path / "killed", tmp_path / "theirs", anew=True)
    check(tmp_path / "killed" / str(kills - 1))
    assert not list((tmp_path / "killed" / str(kills - 1)).glob("models/v*/*.partial"))


@times(15)
@pytest.mark.timeout(3600)
def test_a_killed_compilation_answers_next_time(kills: int, tmp_path: Path) -> None:
    from cvhub.convert.family import HALF, resize_then_crop
    from cvhub.convert.importing import save_processor

    net = TinyFamily("resnet").model()
    net.save_pretrained(tmp_path / "net")
    save_processor(tmp_path / "net", resize_then_crop(32, 32, 2, **HALF), net.config)

    def check(place: Path) -> None:
        for answer in place.glob("answer.npy"):
            np.testing.assert_allclose(np.load(answer), np.load(tmp_path / "usual" / "answer.npy"), atol=1e-4)

    killed(kills, check, works.compile_net, tmp_path / "killed", tmp_path / "net", anew=True)
    assert (tmp_path / "killed" / str(kills - 1) / "answer.npy").exists()


@times(10)
@pytest.mark.timeout(3600)
def test_a_killed_training_loses_one_interval_at_most(kills: int, data: Path, tmp_path: Path) -> None:  # noqa: F811
    recipe = tiny_recipe(data, budget={"epochs": 12, "save_minutes": 1e-6}, optimiser={"ema": 0.9})
    steps = [0]

    def check(place: Path) -> None:
        found = [int(file.name.split("-")[1]) for file in place.glob("run/*/checkpoint-*")]
        steps.append(max(found, default=steps[-1]))
        assert steps[-1] >= steps[-2]

    killed(kills, check, works.train, tmp_path / "killed", recipe, anew=False)
    assert_same_weights(tmp_path / "killed" / "run", tmp_path / "usual" / "run")


@times(15)
@pytest.mark.timeout(3600)
def test_a_killed_index_keeps_what_it_had(kills: int, tmp_path: Path) -> None:
    model, photos, had = save_clip(tmp_path / "clip"), tmp_path / "photos", [0]
    photos.mkdir()
    for seed in range(60):
        (photos / f"{seed:02}.png").write_bytes(encoded(seed))

    def check(place: Path) -> None:
        if (place / "index" / "manifest.json").exists():
            had.append(len(PictureIndex.load(place / "index").entries))
        assert had == sorted(had)

    killed(kills, check, works.index, tmp_path / "killed", photos, model, anew=False)
    ours, theirs = (PictureIndex.load(tmp_path / name / "index") for name in ("killed", "usual"))
    assert ours.complete
    assert ours.entries == theirs.entries
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=1e-6)


@times(20)
@pytest.mark.timeout(3600)
def test_a_killed_save_leaves_the_old_file_or_the_new(kills: int, tmp_path: Path) -> None:
    last = [-1]

    def check(place: Path) -> None:
        if (place / "state.json").exists():
            state = json.loads((place / "state.json").read_text())
            assert state["filling"] == [state["generation"]] * 5000
            last.append(state["generation"])
        assert last == sorted(last)

    killed(kills, check, works.save, tmp_path / "killed", anew=False)
    assert last[-1] == works.GENERATIONS - 1
