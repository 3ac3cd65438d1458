"""Asks a segmenter about pictures: one, or any number of files."""

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference import images
from cvhub.inference.images import decoded
from cvhub.inference.passes import Passes
from cvhub.inference.runtime import Runtime, build_runtime
from cvhub.inference.stream import answer_all
from cvhub.load import labels_of, load_config, load_processor, require_complete, resolve, task_of

if TYPE_CHECKING:
    from cvhub.inference.segments import Segment, SegmentReader

# What each kind of net can be asked for.
TASKS = {
    "semantic-segmentation": ("semantic",),
    "panoptic-segmentation": ("semantic", "instance", "panoptic"),
}
# A thing's score is the mean probability of its class times the height of its centre, which few reach high above the
# 0.1 from which a centre counts; of panoptic segments every pixel belongs to one, sure or not. Classes have no score.
THRESHOLDS = {"semantic": 0.0, "instance": 0.1, "panoptic": 0.0}
MAX_PIXELS = 2**22  # that a network is given at once: U-Net's first level alone then fills a gigabyte

Item = TypeVar("Item")


@dataclass(frozen=True)
class Segmentation:
    """What a segmenter said about one picture.

    - `mask` (H, W) int32, at the picture's own size: a segment's id at each of its pixels, 0 for background or nothing.
    - `segments`: what the ids are. `labels`: the classes' names by index.
    - `maps`: what the network answered, float32: "logits" (K, h, w) and of a panoptic net "centres" (1, h, w) and
      "offsets" (2, h, w), where h and w are the size at which it saw the picture, or smaller by its stride.
    - `milliseconds` of the forward pass, a batch's time divided by its pictures; `reading_milliseconds` from the maps
      to mask and segments.
    """

    mask: np.ndarray
    segments: "list[Segment]"
    maps: dict[str, np.ndarray]
    milliseconds: float
    reading_milliseconds: float

    @property
    def logits(self) -> np.ndarray:
        return self.maps["logits"]

    def probabilities(self) -> np.ndarray:
        """(K, h, w) float32 of the logits: a softmax over the classes, and of a single logit 1 − σ and σ."""
        logits = self.logits
        if len(logits) == 1:
            logits = np.concatenate([np.zeros_like(logits), logits])
        powers = np.exp(logits - logits.max(axis=0))
        return powers / powers.sum(axis=0)


@dataclass(frozen=True)
class SegmentedFile:
    """One file's segmentation, or the sentence that says why there is none."""

    path: Path
    segmentation: Segmentation | None
    error: str | None


@dataclass(frozen=True)
class _Framed:
    """A picture as the network takes it, (C, H', W'), mirrored around it; its height and width within, and its own."""

    pixel_values: np.ndarray
    seen: tuple[int, int]
    own: tuple[int, int]


def frame(config: Any, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Pixels that a network wants before and behind a picture of `size` (height, width), along each side."""
    margin = config.margin
    return [(margin, config.fitting_size(side + 2 * margin) - side - margin) for side in size]


class Segmenter:
    """A MODEL, ready to answer.

    - `name`: the MODEL as asked; `folder`: where it lies; `labels`: the classes' names by index.
    - `tasks`: what it can be asked for, some of "semantic", "instance", "panoptic". `has_background`: whether class 0
      is no object.
    - `processor`: pictures → (N, C, H, W), never cropped; `passes`: forward passes of the net; `config`: the net's.
    """

    def __init__(self, model: str, runtime: str = "auto", precision: str = "auto"):
        from cvhub.inference.segments import SegmentReader

        self.name = model
        self.folder = resolve(model)
        require_complete(self.folder)
        kind = task_of(self.folder)
        if kind not in TASKS:
            raise CvhubError(f"{model} does {kind or 'no task'}, expected a model for {' or '.join(TASKS)}.")
        self.labels = labels_of(self.folder)
        self.config = load_config(str(self.folder))
        # A net that knows no things can't tell them apart.
        self.tasks = TASKS[kind] if getattr(self.config, "thing_ids", ()) else TASKS["semantic-segmentation"]
        self.processor = replace(load_processor(str(self.folder)), do_center_crop=False)
        self.passes = Passes(build_runtime(self.folder, runtime, precision))
        self._reader = SegmentReader(self.folder, self.config, self.labels)
        self.has_background = self._reader.has_background

    @property
    def runtime(self) -> Runtime:
        """What computes."""
        return self.passes.runtime

    def segment(self, image: Image.Image, task: str = "semantic", threshold: float | None = None) -> Segmentation:
        """Of a picture of any size. Segments below `threshold` are left out, unless said those of `THRESHOLDS`."""
        self.check_task(task)
        return next(self._segment([self._frame(image)], task, threshold))

    def fits(self, height: int, width: int) -> bool:
        """Whether the network is given such a picture at once. A larger one it is given in tiles (`large.py`), or where
        it sees all pictures at one size, and whole ones are not even decoded, reduced."""
        if self.processor.do_resize:
            return height * width <= images.MAX_PIXELS
        around = frame(self.config, (height, width))
        rows, columns = (side + sum(pixels) for side, pixels in zip((height, width), around, strict=True))
        return rows * columns <= MAX_PIXELS

    def reduced(self, factor: int) -> "Segmenter":
        """This segmenter, as what reads maps of which each value is the mean of `factor` x `factor`."""
        segmenter = copy.copy(self)
        segmenter._reader = self._reader.reduced(factor)
        return segmenter

    @property
    def reader(self) -> "SegmentReader":
        """What reads maps."""
        return self._reader

    def pixels(self, image: Image.Image) -> np.ndarray:
        """What the network takes for a picture, (C, H, W), with what is mirrored around it."""
        return self._frame(image).pixel_values

    def read_maps(
        self, maps: dict[str, np.ndarray], size: tuple[int, int], task: str, threshold: float | None = None
    ) -> tuple[np.ndarray, "list[Segment]"]:
        """What maps (C, h, w) of the network say: a mask of `size`, (H, W) int32, and its segments."""
        return self._reader.read(maps, size, task, THRESHOLDS[task] if threshold is None else threshold)

    def read_again(self, answer: Segmentation, task: str, threshold: float | None = None) -> Segmentation:
        """An answer of this segmenter, read for another task or by another threshold, without a forward pass."""
        self.check_task(task)
        height, width = answer.mask.shape
        threshold = THRESHOLDS[task] if threshold is None else threshold
        return self._read(answer.maps, (height, width), task, threshold, answer.milliseconds)

    def segment_files(
        self, paths: Iterable[Path], task: str = "semantic", threshold: float | None = None, batch_size: int = 1
    ) -> Iterator[SegmentedFile]:
        """Any number of files, in order and in flat memory: the next are decoded while a batch is computed.

        Pictures of one size, one after another, are computed together, `batch_size` at most.
        """
        for path, answer in self.answers(paths, decoded, task, threshold, batch_size):
            if isinstance(answer, str):
                yield SegmentedFile(path, None, answer)
            else:
                yield SegmentedFile(path, answer, None)

    def answers(
        self,
        items: Iterable[Item],
        open_item: Callable[[Item], AbstractContextManager[Image.Image]],
        task: str = "semantic",
        threshold: float | None = None,
        batch_size: int = 1,
    ) -> Iterator[tuple[Item, Segmentation | str]]:
        """`segment_files` for whatever `open_item` makes a picture of: each item with its segmentation, or with what
        is wrong with it where opening it raised a `CvhubError`."""
        self.check_task(task)
        compute = partial(self._segment, task=task, threshold=threshold)
        return answer_all(items, open_item, self._frame, compute, batch_size)

    def check_task(self, task: str) -> None:
        """Raises CvhubError where this net can't do `task`."""
        if task not in self.tasks:
            raise CvhubError(f"{self.name} can't do task {task!r}, only {', '.join(self.tasks)}.")

    def _frame(self, image: Image.Image) -> _Framed:
        """What the network takes for a picture: where it wants more pixels, the picture is mirrored at its borders.

        A net without padding answers for `margin` pixels less on each side, so that the answer covers the picture
        (U-Net, section 2 and figure 2: one tile of the overlap-tile strategy).
        """
        try:
            seen = self.processor.size_of(*image.size)
            around = frame(self.config, seen)
            height, width = (side + sum(pixels) for side, pixels in zip(seen, around, strict=True))
            if height * width > MAX_PIXELS:  # where a picture has to be taken in tiles
                raise ValueError(f"the network would be given {width}x{height} pixels, the limit is {MAX_PIXELS:,}")
            pixel_values = self.processor([image])[0]
        except ValueError as error:
            raise CvhubError(f"{self.name} can't take the picture: {str(error).rstrip('.')}.") from error
        if (height, width) != seen:
            pixel_values = np.pad(pixel_values, [(0, 0), *around], mode="reflect")
        return _Framed(pixel_values, seen, (image.height, image.width))

    def _segment(self, batch: list[_Framed], task: str, threshold: float | None) -> Iterator[Segmentation]:
        """Pictures of any sizes, in order: a forward pass for each run of equal ones."""
        threshold = THRESHOLDS[task] if threshold is None else threshold
        for _, group in itertools.groupby(batch, key=lambda framed: framed.pixel_values.shape):
            pictures = list(group)
            answer = self.passes.run(np.stack([framed.pixel_values for framed in pictures]))
            for i, framed in enumerate(pictures):
                maps = {name: values[i] for name, values in answer.outputs.items()}
                yield self._read(self._cut(maps, framed), framed.own, task, threshold, answer.milliseconds)

    def _cut(self, maps: dict[str, np.ndarray], framed: _Framed) -> dict[str, np.ndarray]:
        """What a network says of the picture, without what was mirrored around it."""
        from cvhub.inference.segments import cut_maps

        height, width = (side - 2 * self.config.margin for side in framed.pixel_values.shape[1:])
        return cut_maps(maps, (height, width), framed.seen)

    def _read(
        self, maps: dict[str, np.ndarray], own: tuple[int, int], task: str, threshold: float, milliseconds: float
    ) -> Segmentation:
        start = time.perf_counter()
        mask, segments = self._reader.read(maps, own, task, threshold)
        return Segmentation(mask, segments, maps, milliseconds, (time.perf_counter() - start) * 1000)
