"""Asks a classifier about pictures: a few at once, or any number of files."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.images import decoded
from cvhub.inference.passes import Passes
from cvhub.inference.runtime import Runtime, build_runtime
from cvhub.inference.stream import answer_all
from cvhub.inference.tensors import read_tensor
from cvhub.load import labels_of, load_processor, require_complete, resolve, task_of

Item = TypeVar("Item")


@dataclass(frozen=True)
class Prediction:
    """A class's name, index, and softmax probability."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Classification:
    """What a classifier said about one picture.

    `logits` (K,); `features` (C, h, w), the map before global pooling, or None; `milliseconds` of the forward pass,
    a batch's time divided by its pictures.
    """

    logits: np.ndarray
    features: np.ndarray | None
    milliseconds: float

    def top(self, labels: list[str], k: int = 5, temperature: float = 1.0) -> list[Prediction]:
        """The `k` likeliest classes, best first, with the softmax of logits / temperature."""
        if k < 1:
            raise CvhubError(f"top k is {k}, expected at least 1.")
        scores = softmax(self.logits, temperature)
        best = np.argsort(-scores, kind="stable")[:k].tolist()
        return [Prediction(labels[index], index, float(scores[index])) for index in best]


@dataclass(frozen=True)
class FileResult:
    """One file's classification, without features, or the sentence that says why there is none."""

    path: Path
    classification: Classification | None
    error: str | None


class Classifier:
    """A MODEL, ready to answer.

    - `name`: the MODEL as asked; `folder`: where it lies; `labels`: the classes' names by index.
    - `processor`: pictures → (N, C, H, W); `passes`: forward passes of the net.
    - `classifier_weight` (K, C): the last linear layer where the runtime gives features, else None.
    """

    def __init__(self, model: str, runtime: str = "auto", precision: str = "auto"):
        self.name = model
        self.folder = resolve(model)
        require_complete(self.folder)
        task = task_of(self.folder)
        if not task:
            raise CvhubError(f"{self.folder.name} holds a net without a classifier: features, but no classes.")
        if task != "image-classification":
            raise CvhubError(f"{model} does {task}, expected a model for image-classification.")
        self.labels = labels_of(self.folder)
        self.processor = load_processor(str(self.folder))
        self.passes = Passes(build_runtime(self.folder, runtime, precision))
        self.classifier_weight: np.ndarray | None = None
        if self.runtime.gives_features:
            self.classifier_weight = read_tensor(self.folder / "model.safetensors", "classifier.weight")

    @property
    def runtime(self) -> Runtime:
        """What computes."""
        return self.passes.runtime

    def predict(self, images: Sequence[Image.Image]) -> list[Classification]:
        """One forward pass for all pictures; one for each run of equal sizes where the processor keeps sizes."""
        return list(self._classify([self.pixels(image) for image in images], keep_features=True))

    def predict_files(self, paths: Iterable[Path], batch_size: int = 16) -> Iterator[FileResult]:
        """Any number of files, in order and in flat memory: the next are decoded while a batch is computed."""
        for path, answer in self.answers(paths, decoded, batch_size):
            if isinstance(answer, str):
                yield FileResult(path, None, answer)
            else:
                yield FileResult(path, answer, None)

    def answers(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        batch_size: int = 16,
    ) -> Iterator[tuple[Item, Classification | str]]:
        """`predict_files` for whatever `open_item` makes a picture of: each item with its classification, or with what
        is wrong with it where opening it raised a `CvhubError`."""
        return answer_all(items, open_item, self.pixels, partial(self._classify, keep_features=False), batch_size)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """What the network takes for a picture, (C, H, W)."""
        try:
            return self.processor([image])[0]
        except ValueError as error:
            raise CvhubError(f"{self.name} can't take the picture: {error}") from error

    def _classify(self, pixel_values: list[np.ndarray], keep_features: bool) -> Iterator[Classification]:
        """Pictures (C, H, W) of any sizes, in order: a forward pass for each run of equal ones."""
        for _, group in itertools.groupby(pixel_values, key=np.shape):
            answer = self.passes.run(np.stack(list(group)))
            for i, logits in enumerate(answer.outputs["logits"]):
                features = answer.outputs["features"][i] if keep_features and "features" in answer.outputs else None
                yield Classification(logits, features, answer.milliseconds)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """exp(z_k / T) / Σ_j exp(z_j / T) over the last axis, float64, safe for any logits and any T > 0."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise CvhubError(f"temperature is {temperature}, expected more than 0.")
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore", under="ignore"):  # -inf becomes probability 0
        powers = np.exp(shifted / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)
