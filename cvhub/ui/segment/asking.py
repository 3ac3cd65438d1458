"""Asking a segmenter about a picture: in one pass, or tile by tile with progress. Heavy imports wait for first use."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.cache import cache_in
from cvhub.errors import CvhubError
from cvhub.ui.answering import title_of
from cvhub.ui.segment.state import Question, Seen

if TYPE_CHECKING:
    from cvhub.inference.segment import Segmenter
    from cvhub.inference.windows import Windows

WHOLE = 2**20  # pixels that a network is given at once; larger pictures go through it in tiles
KEPT = 2**22  # pixels of a picture and its maps that a visit keeps; larger ones are reduced to fewer


@dataclass(frozen=True)
class Progress:
    done: int
    total: int


def load(model: str, runtime: str, precision: str) -> "Segmenter":
    """A segmenter ready to answer; what is made of a visit's own folder stays in it."""
    from cvhub.inference.pool import default_pool
    from cvhub.inference.segment import Segmenter

    own = Path(model) if Path(model).is_absolute() else None
    with cache_in(own and own / "cache"):
        segmenter = default_pool().get(model, runtime, precision)
    if not isinstance(segmenter, Segmenter):
        raise CvhubError(f"{model} names pictures, expected a model that segments them.")
    return segmenter


def ask(question: Question, model: str) -> Iterator[Progress | Seen]:
    """What the net in MODEL says of the picture: perhaps how far it is, at last the answer."""
    from cvhub.inference.reducing import factor_for, reduce_picture
    from cvhub.inference.windows import open_windows

    assert question.picture is not None
    segmenter = load(model, question.runtime, question.precision)
    with open_windows(Path(question.picture)) as windows:
        own = windows.height, windows.width
        if math.prod(own) > WHOLE and segmenter.processor.size_of(windows.width, windows.height) == own:
            yield from ask_tiles(question, segmenter, windows)
            return
        reduced = factor_for(*own, KEPT)  # by a net that sees all pictures small anyway
        image = reduce_picture(windows, reduced) if reduced > 1 else Image.fromarray(windows.read(0, 0, *own))
    answer = segmenter.segment(image)
    yield Seen(title_of(question.model), segmenter, image, own, answer, reduced, levels=ask_levels(segmenter, image))


def ask_levels(segmenter: "Segmenter", image: Image.Image) -> list[np.ndarray]:
    """The logits (K, h, w) of each auxiliary head, which speak in torch only; the net is read anew and not kept."""
    if not segmenter.config.auxiliary_weights:
        return []
    import torch

    from cvhub.inference.passes import turn
    from cvhub.inference.pool import building
    from cvhub.load import load_model

    with building:
        model = load_model(str(segmenter.folder))
    pixels = segmenter.processor([image])
    height, width = pixels.shape[2:]
    around = [(0, segmenter.config.fitting_size(side) - side) for side in (height, width)]
    with turn, torch.inference_mode():
        x = torch.from_numpy(np.pad(pixels, [(0, 0), (0, 0), *around], mode="reflect"))
        levels = model(x, output_auxiliary=True).auxiliary_logits or ()
    return [np.ascontiguousarray(level[0, :, :height, :width].float().numpy()) for level in levels]


def ask_tiles(question: Question, segmenter: "Segmenter", windows: "Windows") -> Iterator[Progress | Seen]:
    """The overlap-tile strategy: what the net says tile by tile, reduced as it comes to what a visit keeps."""
    from cvhub.inference.large import TileForward, plan_tiles
    from cvhub.inference.reducing import Reduced, factor_for, reduce_picture
    from cvhub.inference.tiling import run_tiles

    height, width = windows.height, windows.width
    reduced = factor_for(height, width, KEPT)
    told: list[Progress] = []
    ask_tile = TileForward(segmenter)
    tiles = run_tiles(
        windows,
        ask_tile,
        plan_tiles(segmenter, question.tile, question.overlap),
        progress=lambda done, total: told.append(Progress(done, total)),
    )
    joined, start = None, time.perf_counter()
    for top, left, values in tiles:
        if joined is None:
            joined = Reduced(len(values), height, width, reduced)
        joined.add(values, top, left)
        yield told[-1]
    assert joined is not None
    milliseconds = (time.perf_counter() - start) * 1000
    maps = ask_tile.split(joined.mean())
    if "offsets" in maps:
        maps["offsets"] /= reduced  # they lead so many pixels far
    reader = segmenter.reduced(reduced)
    yield Seen(
        title_of(question.model),
        reader,
        reduce_picture(windows, reduced),
        (height, width),
        read(reader, maps, milliseconds),
        reduced,
        told[-1].total,
    )


def read(segmenter: "Segmenter", maps: dict[str, np.ndarray], milliseconds: float) -> Any:
    """Maps as an answer, for the first task of the net."""
    from cvhub.inference.segment import Segmentation

    blank = np.zeros(maps["logits"].shape[1:], np.int32)
    return segmenter.read_again(Segmentation(blank, [], maps, milliseconds, 0.0), "semantic")
