"""Asks a net that writes: what a picture shows (BLIP's captions), or the answer to a question about it."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.classify import softmax
from cvhub.inference.passes import Passes
from cvhub.inference.runtime import RuntimeUnavailable, build_runtime
from cvhub.inference.stream import answer_all
from cvhub.inference.tokens import check_unicode
from cvhub.load import load_config, load_model, load_processor, load_tokenizer, require_complete, resolve, task_of

Item = TypeVar("Item")

log = logging.getLogger(__name__)

CAPTIONS, ANSWERS = "image-text-to-text", "visual-question-answering"
TASKS = (CAPTIONS, ANSWERS)
MOST_WORDS = 20  # tokens that are written unless said otherwise
MOST_BEAMS = 16


@dataclass(frozen=True)
class Step:
    """A token of a caption as it is written.

    - `token`: its number in the vocabulary; `text`: all that is written up to it; `ends`: whether it is the end.
    - `probability`: what the net gave it among all tokens.
    - `attention` (layers, heads, rows, columns): what was taken from each patch of the picture to choose it. What is
      missing to 1 came from the class token.
    """

    token: int
    text: str
    ends: bool
    probability: float
    attention: np.ndarray


class Writer:
    """A MODEL that captions pictures or answers questions, ready to answer. `generate` is transformers', whose steps
    keep what the picture and the words before have said; what a step computes, the runtime does, a question's reading
    aside, which is torch's.

    - `processor`: pictures → (N, C, H, W); `tokenizer`: transformers'; `reason`: a sentence on runtime and precision.
    """

    def __init__(self, model: str, runtime: str = "auto", precision: str = "auto"):
        self.name = model
        self.folder = resolve(model)
        require_complete(self.folder)
        self.task = task_of(self.folder)
        if self.task not in TASKS:
            raise CvhubError(f"{model} does {self.task or 'no task'}, expected a model for {' or '.join(TASKS)}.")
        self.processor = load_processor(str(self.folder))
        self.tokenizer: Any = load_tokenizer(str(self.folder))
        self._config = load_config(str(self.folder))
        encoder = build_runtime(self.folder, runtime, precision, "tokens")
        self._encoder = Passes(encoder)
        self.precision, self.reason = encoder.precision, encoder.reason
        self._decoder = self._build_decoder(runtime)
        self._question_encoder = self._on_torch("text_encoder") if self.task == ANSWERS else None

    def _build_decoder(self, runtime: str) -> Any:
        """On OpenVINO where the picture's encoder is, or else on torch."""
        if self._encoder.runtime.name == "openvino":
            from cvhub.inference.openvino_decoder import OpenVINODecoder

            try:
                return OpenVINODecoder(self.folder, self.precision)
            except RuntimeUnavailable as error:
                if runtime == "openvino":
                    raise
                log.warning("torch writes for %s: %s", self.name, error)
                self.reason = f"{self.reason.rstrip('.')}; torch writes, since {error}"
        return self._on_torch("text_decoder")

    def _on_torch(self, part: str) -> Any:
        """A module of the net. Where bf16 is computed its matrices are kept in it, not rounded anew for each word."""
        from torch import bfloat16, nn

        module = getattr(load_model(str(self.folder)), part)
        if self.precision == "bf16":
            for layer in module.modules():
                if isinstance(layer, (nn.Linear, nn.Embedding)):
                    layer.to(bfloat16)
        return module

    @contextmanager
    def _computing(self) -> Iterator[None]:
        import torch

        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            yield

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

    def steps(
        self, image: Image.Image, top_p: float | None = None, seed: int = 0, most: int = MOST_WORDS
    ) -> Iterator[Step]:
        """A caption token by token, as each is chosen: the likeliest, or with `top_p` one of the nucleus by chance."""
        if top_p is not None and not 0 < top_p <= 1:
            raise CvhubError(f"top p is {top_p}, expected more than 0 and at most 1.")
        tokens, grid = self._look(image)
        chance = np.random.default_rng(seed)
        ids, cache = [self._config.text_config.bos_token_id], None
        while len(ids) <= most:
            logits, attention, cache = self._continue(ids[-1:], tokens, cache)
            p = softmax(logits[0])
            ids.append(choose_token(p, top_p, chance))
            step = self._step(ids, p, attention[0], grid)
            yield step
            if step.ends:
                return

    def best_beam(self, image: Image.Image, beams: int, most: int = MOST_WORDS) -> list[Step]:
        """The tokens that beam search finds, as `write` does with `num_beams`, all at once."""
        import torch

        from cvhub.models.blip import write

        check_beams(beams)
        tokens, grid = self._look(image)
        begun = torch.tensor([[self._config.text_config.bos_token_id]])
        with self._computing():
            found = write(self._decoder, begun, tokens, None, {"num_beams": beams, "max_new_tokens": most})
        ids: list[int] = found[0].tolist()
        logits, attention, _ = self._continue(ids[:-1], tokens, None)
        return [
            self._step(ids[: place + 2], softmax(logits[place]), attention[place], grid) for place in range(len(logits))
        ]

    def _look(self, image: Image.Image) -> tuple[Any, tuple[int, int]]:
        """The picture's tokens (1, S, D), and rows and columns of the places that the last of them are of."""
        import torch

        if self.task != CAPTIONS:
            raise CvhubError(f"{self.name} does {self.task}, expected a model for {CAPTIONS}.")
        pixels = self._pixels(image)[None]
        tokens = torch.from_numpy(self._encoder.run(pixels).outputs["tokens"])
        return tokens, self._grid(*pixels.shape[2:])

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of a ViT's patches, or of a convolutional encoder's last map."""
        from cvhub.inference.patches import patch_grid

        vision = self._config.vision_config
        if hasattr(vision, "patch_size"):
            return patch_grid(vision.patch_size, vision.fill_patches, height, width)
        return vision.map_sizes(height)[-1], vision.map_sizes(width)[-1]

    def _continue(self, ids: list[int], tokens: Any, cache: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """Logits (T, V) and attention to the picture (T, layers, heads, S) at each of the ids that the cache lacks."""
        import torch

        with self._computing():
            output = self._decoder(
                torch.tensor([ids]), encoder_hidden_states=tokens, cache=cache, output_attentions=True
            )
        attention = torch.stack(output.cross_attentions)[:, 0]  # (layers, heads, T, S)
        return output.logits[0].float().numpy(), attention.permute(2, 0, 1, 3).float().numpy(), output.cache

    def _step(self, ids: list[int], p: np.ndarray, attention: np.ndarray, grid: tuple[int, int]) -> Step:
        """The last of the ids, whose probability was p (V,) and attention (layers, heads, S)."""
        patches = attention[..., -grid[0] * grid[1] :].reshape(*attention.shape[:2], *grid)
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        ends = ids[-1] == self._config.text_config.sep_token_id
        return Step(ids[-1], text, ends, float(p[ids[-1]]), patches)

    def _write_each(
        self, pixel_values: list[np.ndarray], question: str, settings: dict[str, Any]
    ) -> Iterator[list[str]]:
        for text in self._write(pixel_values, question, settings):
            yield [text]

    def _write(self, pixel_values: list[np.ndarray], question: str, settings: dict[str, Any]) -> Iterator[str]:
        """A run of `generate` for each run of equal sizes."""
        import torch

        from cvhub.models.blip import write

        for _, group in itertools.groupby(pixel_values, key=np.shape):
            pixels = np.stack(list(group))
            begun = torch.full((len(pixels), 1), self._config.text_config.bos_token_id)
            with self._computing():
                seen = torch.from_numpy(self._encoder.run(pixels).outputs["tokens"])
                if self._question_encoder is not None:
                    ids = self._read(question).expand(len(pixels), -1)
                    seen = self._question_encoder(ids, encoder_hidden_states=seen).last_hidden_state
                ids = write(self._decoder, begun, seen, None, {"max_new_tokens": MOST_WORDS} | settings)
            yield from (text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True))

    def _read(self, question: str) -> Any:
        """A question as ids (1, T)."""
        if not question.strip():
            raise CvhubError(f"{self.name} answers questions, but none was asked.")
        check_unicode([question])
        ids = self.tokenizer(question, return_tensors="pt").input_ids
        most = self._config.text_config.max_position_embeddings
        if ids.shape[1] > most:
            raise CvhubError(f"the question has {ids.shape[1]:,} tokens, this model reads {most} at most.")
        return ids

    def _pixels(self, image: Image.Image) -> np.ndarray:
        try:
            return self.processor([image])[0]
        except ValueError as error:
            raise CvhubError(f"{self.name} can't take the picture: {error}") from error


def check_beams(beams: int) -> None:
    if not 1 <= beams <= MOST_BEAMS:
        raise CvhubError(f"beams are {beams}, expected 1 to {MOST_BEAMS}.")


def choose_token(p: np.ndarray, top_p: float | None, chance: np.random.Generator) -> int:
    """Of tokens of probability p (V,) the likeliest; with `top_p` one of the nucleus by chance: of the fewest that have
    so much of the probability together (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751, section 3.1)."""
    if top_p is None:
        return int(p.argmax())
    order = np.argsort(-p, kind="stable")
    count = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
    nucleus = order[:count]
    return int(chance.choice(nucleus, p=p[nucleus] / p[nucleus].sum()))
