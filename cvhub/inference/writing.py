"""Asks a net that writes: what a picture shows (BLIP's captions), or the answer to a question about it."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.runtime import choose_precision
from cvhub.inference.stream import answer_all
from cvhub.load import load_model, load_processor, load_tokenizer, require_complete, resolve, task_of

Item = TypeVar("Item")

CAPTIONS, ANSWERS = "image-text-to-text", "visual-question-answering"
TASKS = (CAPTIONS, ANSWERS)
MOST_WORDS = 20  # tokens that are written unless said otherwise


class Writer:
    """A MODEL that captions pictures or answers questions, ready to answer. It runs on torch: `generate` is
    transformers', whose steps keep what the picture and the words before have said.

    - `processor`: pictures → (N, C, H, W); `tokenizer`: transformers'; `reason`: a sentence on runtime and precision.
    """

    def __init__(self, model: str, runtime: str = "auto", precision: str = "auto"):
        from cvhub.inference.torch_runtime import has_native_bf16

        self.name = model
        self.folder = resolve(model)
        require_complete(self.folder)
        self.task = task_of(self.folder)
        if self.task not in TASKS:
            raise CvhubError(f"{model} does {self.task or 'no task'}, expected a model for {' or '.join(TASKS)}.")
        if runtime == "openvino":
            raise CvhubError(f"{model} writes word by word, which runs on torch here: choose --runtime torch or auto.")
        self.precision, why = choose_precision(precision, has_native_bf16())
        self.reason = f"torch, which writes word by word; {why}."
        self.processor = load_processor(str(self.folder))
        self.tokenizer: Any = load_tokenizer(str(self.folder))
        self._model = load_model(str(self.folder))

    def write(self, images: Sequence[Image.Image], question: str = "", **settings: Any) -> list[str]:
        """A caption, or the answer to the question, for each picture; `settings` are those of `generate`."""
        return list(self._write([self._pixels(image) for image in images], question, settings))

    def answers(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        question: str = "",
        batch_size: int = 16,
        **settings: Any,
    ) -> Iterator[tuple[Item, list[str] | str]]:
        """Each item with what was written of it, alone in a list, or with the sentence that says what is wrong."""
        compute = partial(self._write_each, question=question, settings=settings)
        return answer_all(items, open_item, self._pixels, compute, batch_size)

    def _write_each(
        self, pixel_values: list[np.ndarray], question: str, settings: dict[str, Any]
    ) -> Iterator[list[str]]:
        for text in self._write(pixel_values, question, settings):
            yield [text]

    def _write(self, pixel_values: list[np.ndarray], question: str, settings: dict[str, Any]) -> Iterator[str]:
        """A run of `generate` for each run of equal sizes."""
        import torch

        for _, group in itertools.groupby(pixel_values, key=np.shape):
            pixels = torch.from_numpy(np.stack(list(group)))
            given: dict[str, Any] = {"pixel_values": pixels}
            if self.task == ANSWERS:
                given["input_ids"] = self._read(question).expand(len(pixels), -1)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
                ids = self._model.generate(**given, **({"max_new_tokens": MOST_WORDS} | settings))
            yield from (text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True))

    def _read(self, question: str) -> Any:
        """A question as ids (1, T)."""
        if not question.strip():
            raise CvhubError(f"{self.name} answers questions, but none was asked.")
        ids = self.tokenizer(question, return_tensors="pt").input_ids
        most = self._model.config.text_config.max_position_embeddings
        if ids.shape[1] > most:
            raise CvhubError(f"the question has {ids.shape[1]:,} tokens, this model reads {most} at most.")
        return ids

    def _pixels(self, image: Image.Image) -> np.ndarray:
        try:
            return self.processor([image])[0]
        except ValueError as error:
            raise CvhubError(f"{self.name} can't take the picture: {error}") from error
