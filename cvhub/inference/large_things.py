"""Tells one thing from the next in a picture that comes in bands: what `CvPanopticProcessor` does with a whole one, in
the memory of some rows."""

import numpy as np
import torch
from torch import Tensor

from cvhub.inference.segments import BACKGROUND, Segment
from cvhub.models.dense_processing import CvPanopticProcessor, classes_of, find_centres, group_pixels, highest

REACH = 256  # pixels from a thing's centre to any of its own, at most: what a tile shows is no larger
COLUMNS = 512  # that are grouped at once

Maps = dict[str, np.ndarray]


class ThingBands:
    """Maps of a panoptic net, band by band → codes of the pixels; at the end `ids_of_codes` says what these are.

    A code is a thing's number from 1 on, −1 − label of a pixel of stuff, and 0 of a thing's pixel that has no centre
    within `REACH`. There may be more than the processor's `top_k` things.
    """

    def __init__(self, processor: CvPanopticProcessor, height: int):
        self.processor, self.height = processor, height
        self.thing_ids = torch.tensor(processor.thing_ids)
        self.first = self.sought = 0  # the rows that `maps` begin with, and above which all centres are found
        self.maps: Maps = {}
        self.points, self.heights = torch.zeros(0, 2), torch.zeros(0)
        # Of each thing, how many of its pixels are likeliest which class of things, and the probabilities' sums.
        self.votes = self.sums = torch.zeros(0, len(self.thing_ids), dtype=torch.float64)
        self.stuff_areas = self.stuff_sums = torch.zeros(0, dtype=torch.float64)  # of each class

    @torch.inference_mode()
    def add(self, band: Maps) -> np.ndarray:
        """The codes, (rows, width) int32, of the next rows that are sure: all centres within their reach are known."""
        self.maps = {name: np.concatenate([self.maps.get(name, new[:, :0]), new], 1) for name, new in band.items()}
        end = self.first + self.maps["centres"].shape[1]
        halo = self.processor.nms_kernel // 2  # a centre is the highest of so many rows before and after
        self._find_centres(end if end == self.height else end - halo, halo)
        sure = end if end == self.height else max(self.first, end - halo - REACH)
        codes = self._group(sure - self.first)
        self.maps = {name: values[:, sure - self.first :].copy() for name, values in self.maps.items()}
        self.first = sure
        return codes

    def _find_centres(self, until: int, halo: int) -> None:
        """Those of the rows from `sought` on."""
        start = max(self.first, self.sought - halo)
        centres = torch.from_numpy(self.maps["centres"][0, start - self.first :])
        processor = self.processor
        points, heights = find_centres(centres, processor.centre_threshold, processor.nms_kernel, centres.numel())
        points[:, 0] += start
        new = (points[:, 0] >= self.sought) & (points[:, 0] < until)
        self.points, self.heights = torch.cat([self.points, points[new]]), torch.cat([self.heights, heights[new]])
        more = self.votes.new_zeros(int(new.sum()), len(self.thing_ids))
        self.votes, self.sums = torch.cat([self.votes, more]), torch.cat([self.sums, more])
        self.sought = max(self.sought, until)

    def _group(self, rows: int) -> np.ndarray:
        """The codes of the first `rows` of the maps, some columns at a time."""
        width = self.maps["logits"].shape[2]
        codes = np.zeros((rows, width), np.int32)
        for left in range(0, width if rows else 0, COLUMNS):
            block = np.s_[:, :rows, left : left + COLUMNS]
            logits, offsets = (torch.from_numpy(self.maps[name][block]) for name in ("logits", "offsets"))
            codes[block[1:]] = self._codes(logits.softmax(0), offsets, left)
        return codes

    def _codes(self, probabilities: Tensor, offsets: Tensor, left: int) -> np.ndarray:
        """Of a block (K, h, w) whose first column is `left`."""
        classes = classes_of(probabilities)
        origin = torch.tensor([self.first, left])
        inside = (self.points >= origin - REACH) & (self.points < origin + torch.tensor(classes.shape) + REACH)
        near = inside.all(1).nonzero()[:, 0]
        of_things = torch.isin(classes, self.thing_ids)
        found = group_pixels(offsets, self.points[near] - origin, of_things)
        ids = torch.cat([near.new_zeros(1), near + 1])[found]
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
