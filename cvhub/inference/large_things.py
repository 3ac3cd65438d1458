"""Tells one thing from the next in a picture that comes in pieces: what `CvPanopticProcessor` does with a whole one, in
the memory of some pieces."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from cvhub.inference.segments import BACKGROUND, Segment
from cvhub.models.dense_processing import CvPanopticProcessor, classes_of, highest
from cvhub.models.grouping import find_centres, group_pixels

REACH = 256  # pixels from a thing's centre to any of its own, at most: what a tile shows is no larger

Maps = dict[str, np.ndarray]


class ThingRows:
    """Maps of a panoptic net, rows of pieces → codes of the pixels; at the end `ids_of_codes` says what these are.

    A code is a thing's number from 1 on, −1 − label of a pixel of stuff, and 0 of a thing's pixel that has no centre
    within `REACH`. There may be more than the processor's `top_k` things. Maps wait on disk, but for the centres, until
    they were needed or `close` is called.
    """

    def __init__(self, processor: CvPanopticProcessor, height: int, width: int):
        self.processor, self.height = processor, height
        self.thing_ids = torch.tensor(processor.thing_ids)
        self.first = 0  # of the rows that wait
        self.waiting: Shelf | None = None
        self.peaks = PeakFinder(processor, height, width)
        self.points, self.heights = torch.zeros(0, 2), torch.zeros(0)
        # Of each thing, how many of its pixels are likeliest which class of things, and the probabilities' sums.
        self.votes = self.sums = torch.zeros(0, len(self.thing_ids), dtype=torch.float64)
        self.stuff_areas = self.stuff_sums = torch.zeros(0, dtype=torch.float64)  # of each class

    def close(self) -> None:
        if self.waiting is not None:
            self.waiting.close()

    @torch.inference_mode()
    def add(self, row: Iterable[Maps]) -> Iterator[np.ndarray]:
        """The codes of the next rows that are sure, since all centres within their reach are known: in pieces
        (rows, columns) int32, left to right.

        `row`: the next rows, in pieces from left to right, of which each row has the same.
        """
        new, found = Shelf(), []
        for maps in row:
            new.put(np.concatenate([maps["logits"], maps["offsets"]]))
            found.append(self.peaks.add(torch.from_numpy(maps["centres"][0])))
        self._add_things(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        end = self.peaks.top
        sure = end if end == self.height else max(self.first, end - self.peaks.halo - REACH)
        yield from self._codes_until(sure - self.first, new)
        self.first = sure

    def _codes_until(self, rows: int, new: "Shelf") -> Iterator[np.ndarray]:
        """The codes of the first `rows`, piece by piece of what waits and is `new` below it; the rest waits."""
        above, self.waiting = self.waiting or repeat(None), Shelf()
        left = 0
        for waited, below in zip(above, new, strict=False):  # above the first row is nothing
            maps = below if waited is None else np.concatenate([waited, below], axis=1)
            logits, offsets = torch.from_numpy(maps[:-2]), torch.from_numpy(maps[-2:])
            yield self._codes(logits[:, :rows].softmax(0), offsets[:, :rows], left)
            self.waiting.put(maps[:, rows:])
            left += maps.shape[2]

    def _add_things(self, points: Tensor, heights: Tensor) -> None:
        self.points, self.heights = torch.cat([self.points, points]), torch.cat([self.heights, heights])
        more = self.votes.new_zeros(len(points), len(self.thing_ids))
        self.votes, self.sums = torch.cat([self.votes, more]), torch.cat([self.sums, more])

    def _codes(self, probabilities: Tensor, offsets: Tensor, left: int) -> np.ndarray:
        """Of a block (K, h, w) whose first column is `left`."""
        classes = classes_of(probabilities)
        origin = torch.tensor([self.first, left])
        inside = (self.points >= origin - REACH) & (self.points < origin + torch.tensor(classes.shape) + REACH)
        near = inside.all(1).nonzero()[:, 0]
        of_things = torch.isin(classes, self.thing_ids)
        found = group_pixels(offsets.numpy(), (self.points[near] - origin).numpy(), of_things.numpy())
        ids = torch.cat([near.new_zeros(1), near + 1])[torch.from_numpy(found)]
        self._count(ids, classes, of_things, probabilities.double())
        return torch.where(of_things, ids, -1 - classes).int().numpy()

    def _count(self, ids: Tensor, classes: Tensor, of_things: Tensor, probabilities: Tensor) -> None:
        likeliest = highest(probabilities[self.thing_ids])
        grouped, count = ids > 0, len(self.thing_ids)
        votes = torch.bincount((ids[grouped] - 1) * count + likeliest[grouped], minlength=self.votes.numel())
        self.votes = self.votes + votes.reshape(self.votes.shape)
        for place, label in enumerate(self.thing_ids):
            weights = probabilities[label][grouped]
            self.sums[:, place] += torch.bincount(ids[grouped] - 1, weights, minlength=len(self.sums))
        stuff, kinds = classes[~of_things], len(probabilities)
        if not len(self.stuff_areas):
            self.stuff_areas = self.stuff_sums = probabilities.new_zeros(kinds)
        self.stuff_areas = self.stuff_areas + torch.bincount(stuff, minlength=kinds)
        self.stuff_sums = self.stuff_sums + torch.bincount(stuff, probabilities.amax(0)[~of_things], minlength=kinds)

    @property
    def kinds(self) -> int:
        """How many classes there are."""
        return len(self.stuff_areas)

    def ids_of_codes(self, task: str, threshold: float, labels: list[str]) -> tuple[np.ndarray, list[Segment]]:
        """A table of ids by code + `kinds`, and the segments with a score of at least `threshold`."""
        table = np.zeros(self.kinds + 1 + len(self.points), np.int64)
        segments: list[Segment] = []

        def keep(code: int, label: int, score: float) -> None:
            segments.append(Segment(len(segments) + 1, label, labels[label], round(score, 6)))
            table[code + self.kinds] = len(segments)

        areas = self.votes.sum(1)
        places = self.votes.argmax(1)
        scores = self.sums.gather(1, places[:, None])[:, 0] / areas.clamp(min=1)
        scores = scores * self.heights if task == "instance" else scores
        least = max(1, self.processor.smallest_thing)
        for thing in ((scores >= threshold) & (areas >= least)).nonzero()[:, 0].tolist():
            keep(thing + 1, int(self.thing_ids[places[thing]]), float(scores[thing]))
        scores = self.stuff_sums / self.stuff_areas.clamp(min=1)
        large = self.stuff_areas >= max(1, self.processor.smallest_stuff)
        for label in (large & (scores >= threshold)).nonzero()[:, 0].tolist() if task == "panoptic" else ():
            if labels[label].lower() not in BACKGROUND:
                keep(-1 - label, label, float(scores[label]))
        return table, segments


class PeakFinder:
    """Finds in a map that comes in pieces what `find_centres` does in a whole one."""

    def __init__(self, processor: CvPanopticProcessor, height: int, width: int):
        self.threshold, self.kernel = processor.centre_threshold, processor.nms_kernel
        self.halo = self.kernel // 2  # a peak is the highest of so many pixels on each side
        self.shape = torch.tensor([height, width])
        self.top = self.left = 0  # of the next piece
        # What is left of the pieces before, for peaks that those to come decide on: columns, and by column rows.
        self.beside, self.above = torch.zeros(0, 0), dict[int, Tensor]()

    def add(self, piece: Tensor) -> tuple[Tensor, Tensor]:
        """Peaks (n, 2) and heights (n,) that are sure with the next piece (h, w), a row of them after the other."""
        start = torch.tensor([self.top, self.left])
        end = start + torch.tensor(piece.shape)
        rows = torch.cat([self.above.get(self.left, piece[:0]), piece])
        block = torch.cat([self.beside, rows], dim=1) if self.left else rows
        self.above[self.left] = _last(rows, 2 * self.halo, 0)
        self.beside = _last(block, 2 * self.halo, 1)
        found = find_centres(block.numpy(), self.threshold, self.kernel, block.numel())
        points, heights = map(torch.from_numpy, found)
        points += end - torch.tensor(block.shape)
        until = torch.where(end == self.shape, end, end - self.halo)
        sure = ((points >= start - self.halo) & (points < until)).all(1)
        finished = bool(end[1] == self.shape[1])
        self.top, self.left = (int(end[0]), 0) if finished else (self.top, int(end[1]))
        return points[sure], heights[sure]


def _last(values: Tensor, count: int, dim: int) -> Tensor:
    """At most `count` rows or columns, in memory of their own."""
    count = min(count, values.shape[dim])
    return values.narrow(dim, values.shape[dim] - count, count).clone()


class Shelf:
    """Arrays on disk, taken in the order in which they were put there."""

    def __init__(self):
        self._file, self._count = tempfile.TemporaryFile(), 0  # noqa: SIM115, closed once all was taken, or by `close`

    def put(self, values: np.ndarray) -> None:
        np.save(self._file, values)
        self._count += 1

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._file:
            self._file.seek(0)
            for _ in range(self._count):
                yield np.load(self._file)
