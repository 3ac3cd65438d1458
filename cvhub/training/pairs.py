"""Pictures with texts, and batches of them: each time a picture comes with one of the texts that are said of it."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import open_rows, source_of
from cvhub.evaluation.pairs import Pairing, PairRows
from cvhub.inference.images import open_picture
from cvhub.models.pixels import to_mode
from cvhub.training.batches import Key, PictureBatches, borrowed_chance, seed_all
from cvhub.training.data import DECODERS
from cvhub.training.recipe import Recipe

# Of a list of keywords so many are said at once.
MOST_KEYWORDS = 3

Said = list[str | list[str]]  # of a picture: texts, and lists of keywords


class Pairs:
    """Pictures, decoded in mode "RGB" or "L" and kept in memory, each with what is said of it, never nothing."""

    def __init__(self, pixels: list[np.ndarray], said: list[Said]):
        self.pixels = pixels
        self.said = said

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.pixels + other.pixels, self.said + other.said)

    def every_text(self) -> Iterator[str]:
        for said in self.said:
            for text in said:
                yield from [text] if isinstance(text, str) else text


@dataclass(frozen=True)
class PairSet:
    """What is trained on and what is held out."""

    train: Pairs
    held_out: Pairs | None


def load_pairs(recipe: Recipe, mode: str) -> PairSet:
    """The pairs that `[data]` and `[words]` name: what `holdout` draws is left alone, of the rest `validation` is."""
    sources = (recipe.data.source, *recipe.words.sources)
    parts = [_load(recipe, source, mode) for source in sources]
    train, held_out = parts[0]
    for more, more_held_out in parts[1:]:
        train, held_out = train + more, held_out + more_held_out
    if len(train) < 2:
        raise CvhubError(f"{' and '.join(sources)} leave {len(train)} pairs to train on, expected at least 2.")
    return PairSet(train, held_out if len(held_out) else None)


def pairing_of(recipe: Recipe) -> Pairing:
    words = recipe.words
    watched = f"{recipe.data.validation}:{recipe.data.holdout_seed}" if recipe.data.validation else ""
    return Pairing(words.texts or words.columns[0], recipe.data.holdout, words.one_per, watched)


def _load(recipe: Recipe, source: str, mode: str) -> tuple[Pairs, Pairs]:
    rows = PairRows(open_rows(source, recipe.data.split, streaming=False), pairing_of(recipe))
    columns = [column for column in recipe.words.columns if column in rows.rows.features]
    if not columns:
        raise CvhubError(f"{source} has none of the columns {', '.join(recipe.words.columns)}.")
    said = [[*filter(None, map(_cleaned, values))] for values in zip(*map(rows.values, columns), strict=True)]
    return _decoded(rows, rows.kept, said, mode), _decoded(rows, rows.once(rows.watched), said, mode)


def _cleaned(value: Any) -> str | list[str]:
    """Without what stands for a space in the names of folders and files; nothing where nothing is said."""
    if isinstance(value, (list, tuple)):
        return [*filter(None, map(_spaced, value))]
    return _spaced(value)


def _spaced(value: Any) -> str:
    return " ".join(str(value or "").replace("_", " ").replace("/", " ").split())


def _decoded(rows: PairRows, indices: np.ndarray, said: list[Said], mode: str) -> Pairs:
    told = [index for index in indices.tolist() if said[index]]

    def decode(index: int) -> np.ndarray:
        try:
            return np.array(to_mode(open_picture(source_of(rows.content(index))), mode))
        except CvhubError as error:
            raise CvhubError(f"row {index} of {rows.rows.name} of {rows.rows.dataset}: {error}") from None

    with ThreadPoolExecutor(DECODERS) as threads:
        return Pairs(list(threads.map(decode, told)), [said[index] for index in told])


class PairBatches(PictureBatches):
    """Keys → `pixel_values` (N, C, H, W) float32, `input_ids` and `attention_mask` (N, L): a picture and its text.

    `read` makes numbers of texts, as a tokenizer does; a text stands in one of the `templates`.
    """

    def __init__(self, pictures: Pairs, read: Callable[..., Any], templates: Sequence[str], *args: Any, **kwargs: Any):
        super().__init__(pictures, *args, **kwargs)
        self.said = pictures.said
        self.read = read
        self.templates = templates

    def __getitems__(self, keys: Sequence[Key]) -> dict[str, Tensor]:
        with borrowed_chance():
            texts = [self._text(key) for key in keys]
            return {"pixel_values": self.pixel_values(keys)} | read_texts(self.read, texts)

    def _text(self, key: Key) -> str:
        """What is said of a picture in this epoch."""
        seed_all(self.seed, "text", key.epoch, key.index)
        said = random.choice(self.said[key.index])
        if not isinstance(said, str):
            said = ", ".join(random.sample(said, min(len(said), random.randint(1, MOST_KEYWORDS))))
        return random.choice(self.templates).replace("{}", said)


def read_texts(read: Callable[..., Any], texts: Sequence[str]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (N, L), cut where a text is longer than the net reads."""
    found = read(list(texts), padding=True, truncation=True, return_tensors="pt")
    return {name: found[name] for name in ("input_ids", "attention_mask")}
