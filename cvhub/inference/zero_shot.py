"""Asks a net that reads pictures and texts which of any labels a picture shows: CLIP's zero-shot classification."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.classify import Classification, Prediction, softmax
from cvhub.inference.passes import Passes
from cvhub.inference.runtime import build_runtime
from cvhub.inference.stream import answer_all
from cvhub.inference.tensors import read_tensor
from cvhub.inference.tokens import Tokens
from cvhub.load import load_processor, require_complete, resolve, task_of, tasks_of

Item = TypeVar("Item")

TASK = "zero-shot-image-classification"
TEMPLATES = ("This is a photo of {}.",)  # what transformers' pipeline makes of a label
TEXT_BATCH = 64
REMEMBERED = 4096  # texts whose embeddings are kept


class ZeroShot:
    """A MODEL of both towers, ready to answer. Embeddings are of length 1, so that their products are cosines.

    - `processor`: pictures → (N, C, H, W); `image_runtime`, `text_runtime`: what computes each tower.
    - `scale`, `bias`: a logit is scale · cosine + bias; `choose`: whether labels compete (softmax), as CLIP's do, or
      each is a question of its own (sigmoid), as SigLIP's.
    """

    def __init__(self, model: str, runtime: str = "auto", precision: str = "auto"):
        self.name = model
        self.folder = resolve(model)
        require_complete(self.folder)
        if TASK not in tasks_of(self.folder):
            raise CvhubError(f"{model} does {task_of(self.folder) or 'no task'}, expected a model for {TASK}.")
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        self.choose = config.get("loss", "softmax") == "softmax"
        self.tokens = Tokens(self.folder, config["text_config"])
        self.processor = load_processor(str(self.folder))
        self.image_runtime = build_runtime(self.folder, runtime, precision, "image")
        self.text_runtime = build_runtime(self.folder, runtime, precision, "text")
        self._image_passes, self._text_passes = Passes(self.image_runtime), Passes(self.text_runtime)
        weights = self.folder / "model.safetensors"
        scale, bias = (read_tensor(weights, f"logit_{name}") for name in ("scale", "bias"))
        self.scale = 1.0 if scale is None else float(np.exp(scale))
        self.bias = 0.0 if bias is None else float(bias)
        self._remembered: dict[str, np.ndarray] = {}

    # --- Embeddings ---

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Pictures → (N, E)."""
        return self._embed_pixels(np.stack([self._pixels(image) for image in images]))

    def embed_image(self, image: Image.Image) -> tuple[np.ndarray, float]:
        """A picture → (E,), and the milliseconds of the forward pass."""
        answer = self._image_passes.run(self._pixels(image)[None])
        return answer.outputs["embeds"][0], answer.milliseconds

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts → (M, E). What was asked before is remembered."""
        known = self._remembered
        # Another thread may make room meanwhile: each text is looked for once.
        found = {text: embedding for text in texts if (embedding := known.get(text)) is not None}
        missing = sorted({text for text in texts if text not in found}, key=len)  # those of a batch are about as long
        for start in range(0, len(missing), TEXT_BATCH):
            batch = missing[start : start + TEXT_BATCH]
            found |= zip(batch, self._text_passes.run(self.tokens(batch)).outputs["embeds"], strict=True)
        if len(known) + len(missing) > REMEMBERED:
            known.clear()
        known |= {text: found[text] for text in missing[:REMEMBERED]}
        return np.stack([found[text] for text in texts])

    def embed_labels(self, labels: Sequence[str], templates: Sequence[str] = TEMPLATES) -> np.ndarray:
        """(K, E): of each label the mean over the sentences that the templates make of it (section 3.1.4)."""
        check_labels(labels)
        check_templates(templates)
        self._check_apart(labels)
        sentences = [template.replace("{}", label) for label in labels for template in templates]
        parts = self.embed_texts(sentences).reshape(len(labels), len(templates), -1).mean(1)
        return parts / np.linalg.norm(parts, axis=1, keepdims=True)

    def _check_apart(self, labels: Sequence[str]) -> None:
        """Raises `CvhubError` where two labels are the same to the net, as those that differ in capitals may be."""
        read: dict[bytes, str] = {}
        for label, row in zip(labels, self.tokens(labels), strict=True):
            if (other := read.setdefault(row.tobytes(), label)) is not label:
                raise CvhubError(f"The net reads the labels {other!r} and {label!r} alike: each would have half.")

    # --- Answers ---

    def logits(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Embeddings (N, E), (M, E) → (N, M)."""
        return self.scale * images @ texts.T + self.bias

    def scores(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Logits (…, K) → probabilities, of one among the labels or of each by itself."""
        if self.choose:
            return softmax(logits, temperature)
        return softmax(np.stack([logits, np.zeros_like(logits)], axis=-1), temperature)[..., 0]

    def top(self, logits: np.ndarray, labels: Sequence[str], k: int = 5, temperature: float = 1.0) -> list[Prediction]:
        """The `k` likeliest of the labels, best first, of one picture's logits (K,)."""
        if k < 1:
            raise CvhubError(f"top k is {k}, expected at least 1.")
        scores = self.scores(logits, temperature)
        best: list[int] = np.argsort(-logits, kind="stable")[:k].tolist()
        return [Prediction(labels[index], index, float(scores[index])) for index in best]

    def answers(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        labels: np.ndarray,
        batch_size: int = 16,
    ) -> Iterator[tuple[Item, np.ndarray | str]]:
        """Each item with its picture's logits (K,) for labels (K, E), or with what is wrong with it."""
        for item, embedding in self.embeddings(items, open_item, batch_size):
            yield item, embedding if isinstance(embedding, str) else self.logits(embedding, labels)

    def embeddings(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        batch_size: int = 16,
    ) -> Iterator[tuple[Item, np.ndarray | str]]:
        """Any number of pictures, in order, in flat memory: each item with its embedding (E,), or with a sentence."""
        return answer_all(items, open_item, self._pixels, self._embed_batch, batch_size)

    # --- Parts ---

    def _pixels(self, image: Image.Image) -> np.ndarray:
        try:
            return self.processor([image])[0]
        except ValueError as error:
            raise CvhubError(f"{self.name} can't take the picture: {error}") from error

    def _embed_batch(self, pixel_values: list[np.ndarray]) -> Iterator[np.ndarray]:
        """A forward pass for each run of equal sizes."""
        for _, group in itertools.groupby(pixel_values, key=np.shape):
            yield from self._embed_pixels(np.stack(list(group)))

    def _embed_pixels(self, pixel_values: np.ndarray) -> np.ndarray:
        return self._image_passes.run(pixel_values).outputs["embeds"]


class Asked:
    """A net and the labels that it is asked about, which together answer as a `Classifier` does."""

    def __init__(self, net: ZeroShot, labels: Sequence[str], templates: Sequence[str] = TEMPLATES):
        self.net, self.name, self.labels = net, net.name, list(labels)
        self._embedded = net.embed_labels(labels, templates)

    def answers(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        batch_size: int = 16,
    ) -> Iterator[tuple[Item, Classification | str]]:
        """Each item with its classification, or with what is wrong with it."""
        for item, answer in self.net.answers(items, open_item, self._embedded, batch_size):
            yield item, answer if isinstance(answer, str) else Classification(answer, None, math.nan)


def check_labels(labels: Sequence[str]) -> None:
    """Raises `CvhubError` where there are none, one is empty, or two are the same."""
    if not labels:
        raise CvhubError("There are no labels, expected at least one.")
    for number, label in enumerate(labels, 1):
        if not label.strip():
            raise CvhubError(f"Label {number} of {len(labels)} is empty.")
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise CvhubError(f"The label {twice!r} is given twice: its probability would be shared.")


def check_templates(templates: Sequence[str]) -> None:
    """Raises `CvhubError` where there are none, or one has no place for the label."""
    if not templates:
        raise CvhubError("There are no templates, expected at least one.")
    for template in templates:
        if "{}" not in template:
            raise CvhubError(f"The template {template!r} has no {{}}, where the label goes.")
