"""What may be killed at any moment: each does its work in a folder, and goes on there when it is done again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Imported once, by the process from which the works are forked.
IMPORTS = ["tests.faults.works", "openvino", "transformers", "cvhub.hub.download", "cvhub.training.trainer"]
IMPORTS += ["cvhub.load", "cvhub.convert.importing", "cvhub.inference.openvino_runtime", "cvhub.inference.indexing"]

GENERATIONS = 150  # of a file, from 1 on


def note(folder: Path, number: int) -> None:
    """How far the work has come, for those who look at what a kill left; a write of its few bytes is whole."""
    with (folder / "notes").open("ab", buffering=0) as file:
        file.write(b"%d\n" % number)


def noted(folder: Path) -> int:
    """What was noted last."""
    notes = folder / "notes"
    return int(notes.read_text().split()[-1]) if notes.exists() and notes.stat().st_size else 0


Work = Callable[..., None]


def begin(pipe: Any, work: Work, *arguments: Any) -> None:
    """Does the work, and says when it begins."""
    pipe.send("begun")
    work(*arguments)


def download(folder: Path, url: str) -> None:
    """A repo from the loopback Hub at `url`."""
    from huggingface_hub import constants

    from cvhub.hub.download import download

    constants.ENDPOINT, constants.HF_HUB_OFFLINE = url, False
    constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_CACHE = str(folder / "hub")
    found = download("ann/net")
    (folder / "found").write_text(str(found))


def convert(folder: Path, source: Path) -> None:
    """A checkpoint of transformers' into the cache, as when its folder is named as MODEL."""
    from cvhub.cache import cache_in
    from cvhub.load import resolve

    with cache_in(folder):
        resolve(str(source))


def compile_net(folder: Path, source: Path) -> None:
    """A net of ours for OpenVINO, and what it answers."""
    from cvhub.cache import cache_in, write_file
    from cvhub.inference.runtime import build_runtime, example_pixels

    with cache_in(folder):
        answer = build_runtime(source, "openvino", "fp32").run(example_pixels(source, 1))["logits"]

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.save(file, answer)

    write_file(folder / "answer.npy", write)


def train(folder: Path, recipe: Any) -> None:
    """A checkpoint after each step; a step is noted before its own."""
    from transformers import TrainerCallback

    from cvhub.training.run import train

    class Notes(TrainerCallback):
        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            note(folder, state.global_step)

    train(recipe, folder / "run", watch=lambda trainer: Notes())


def index(folder: Path, photos: Path, model: Path) -> None:
    """Saved after each picture, which is noted before."""
    from cvhub.inference import indexing
    from cvhub.inference.zero_shot import ZeroShot

    indexing.SAVE_SECONDS = 0
    net, pictures = ZeroShot(str(model), "torch", "fp32"), indexing.FolderPictures(photos)
    indexing.build_index(net, pictures, folder / "index", 1, lambda done, total: note(folder, done))


def save(folder: Path) -> None:
    """One generation of a file after another, in place of the one before, noted when it is there."""
    from cvhub.cache import write_file

    file = folder / "state.json"
    first = json.loads(file.read_text())["generation"] + 1 if file.exists() else 1
    for generation in range(first, GENERATIONS + 1):
        content = json.dumps({"generation": generation, "filling": [generation] * 5000})
        write_file(file, lambda partial, content=content: partial.write_text(content))
        note(folder, generation)
