"""What may be killed at any moment: each does its work in a folder, and goes on there when it is done again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GENERATIONS = 150


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
    from cvhub.cache import cache_in
    from cvhub.inference.runtime import build_runtime, example_pixels

    with cache_in(folder):
        answer = build_runtime(source, "openvino", "fp32").run(example_pixels(source, 1))["logits"]
    np.save(folder / "answer.npy", answer)


def train(folder: Path, recipe: Any) -> None:
    """A checkpoint after each step."""
    from cvhub.training.run import train

    train(recipe, folder / "run")


def index(folder: Path, photos: Path, model: Path) -> None:
    """Saved after each batch."""
    from cvhub.inference import indexing
    from cvhub.inference.zero_shot import ZeroShot

    indexing.SAVE_SECONDS = 0
    net = ZeroShot(str(model), "torch", "fp32")
    indexing.build_index(net, indexing.FolderPictures(photos), folder / "index", 1)


def save(folder: Path) -> None:
    """One generation of a file after another, in place of the one before."""
    from cvhub.cache import write_file

    file = folder / "state.json"
    first = json.loads(file.read_text())["generation"] + 1 if file.exists() else 0
    for generation in range(first, GENERATIONS):
        content = json.dumps({"generation": generation, "filling": [generation] * 5000})
        write_file(file, lambda partial, content=content: partial.write_text(content))


Work = Callable[..., None]
