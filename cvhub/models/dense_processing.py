"""The image processors of segmenters: pixels in, and what the net says of them turned into maps and segments.

What the `post_process_…` methods return is what Mask2Former's processor, of transformers, returns.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.image_processing_utils import BatchFeature

from .grouping import find_centres, find_owners
from .image_processing import CvImageProcessor
from .pixels import PixelTransform

Sizes = Sequence[tuple[int, int]] | None


class Things(NamedTuple):
    """The things of a picture of `size`: `places` (P,) of their pixels in the flat map, and of each pixel the thing
    that owns it; of each thing its class, its area in pixels, which may be 0, and two scores: the mean probability of
    its class over its pixels, and the height of its centre."""

    size: tuple[int, int]
    places: np.ndarray
    owners: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    scores: np.ndarray
    heights: np.ndarray

    def drawn(self, values: np.ndarray, nothing: Any) -> Tensor:
        """(H, W), at each pixel of a thing the one of `values` (things,) that is the thing's, else `nothing`."""
        flat = np.full(self.size[0] * self.size[1], nothing, values.dtype)
        flat[self.places] = values.take(self.owners)
        return torch.from_numpy(flat.reshape(self.size))


class CvSemanticProcessor(CvImageProcessor):
    """Pictures → `pixel_values` at their own size; logits → a map of classes.

    A net of valid convolutions, whose logits lack `margin` pixels on each side, is given the picture mirrored at its
    borders (U-Net, figure 2), by so much that the sides are ones it takes: `smallest_input` and any number of
    `size_step` more. The config's `processor_fields` say these.
    """

    do_resize = False
    do_center_crop = False
    margin = 0
    smallest_input = 1
    size_step = 1

    def _preprocess(self, images: list, *args: Any, return_tensors: str | None = None, **settings: Any) -> BatchFeature:
        features = super()._preprocess(images, *args, return_tensors=None, **settings)
        if self.margin:
            pictures = np.asarray(features["pixel_values"])
            around = [self._around(side) for side in pictures.shape[2:]]
            features["pixel_values"] = np.pad(pictures, [(0, 0), (0, 0), *around], mode="reflect")
        return BatchFeature(dict(features), tensor_type=return_tensors)

    def _around(self, side: int) -> tuple[int, int]:
        """Pixels that the net wants before and behind a side of so many."""
        steps = -(-(side + 2 * self.margin - self.smallest_input) // self.size_step)
        return self.margin, self.smallest_input + max(0, steps) * self.size_step - side - self.margin

    def post_process_semantic_segmentation(self, outputs: Any, target_sizes: Sizes = None) -> list[Tensor]:
        """`outputs.logits` (N, K, h, w) → for each picture its classes (H, W), int64, at its size in `target_sizes`."""
        sizes = _sizes(outputs.logits, target_sizes)
        rows = zip(outputs.logits, sizes, strict=True)
        return [classes_of(_resized(self._without_margin(z, size)[None], size)[0]) for z, size in rows]

    def _without_margin(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """What a net of valid convolutions says of the picture, of `size`, alone: it may have been given more."""
        if not self.margin:
            return logits
        height, width = PixelTransform.from_config(self.to_dict()).size_of(size[1], size[0])
        return logits[:, :height, :width]


class CvPanopticProcessor(CvSemanticProcessor):
    """Panoptic-DeepLab's three maps → classes, things, or both (section 3.3 of Cheng et al. 2020).

    - `thing_ids`: the classes of things. `centre_threshold`: how high a centre's hill must be.
    - `nms_kernel`: pixels a side of the window in which a centre is the highest. `top_k`: centres at most.
    - `smallest_thing`, `smallest_stuff`: pixels below which a segment is dropped.
    """

    thing_ids = [1]
    centre_threshold = 0.1
    nms_kernel = 7
    top_k = 200
    smallest_thing = 1
    smallest_stuff = 1

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        target_sizes: Sizes = None,
        return_coco_annotation: bool = False,
        return_binary_maps: bool = False,
    ) -> list[dict]:
        """For each picture the things whose score, times their centre's height, is at least `threshold`.

        - `segmentation` (H, W) float32: −1 where there is none, else the thing's id, from 0 on; with
          `return_coco_annotation` the run lengths of each value, with `return_binary_maps` masks (things, H, W).
        - `segments_info`: `id`, `label_id`, `was_fused` and `score` of each. The two other thresholds are for nets
          that propose masks.
        """
        if return_coco_annotation and return_binary_maps:
            raise ValueError("return_coco_annotation and return_binary_maps can't both be True.")
        results = []
        for _, things in self._answers(outputs, target_sizes):
            scores = things.scores * things.heights
            kept = np.flatnonzero((scores >= threshold) & (things.areas >= max(1, self.smallest_thing)))
            new_ids = np.full(len(scores), -1, np.float32)
            new_ids[kept] = np.arange(len(kept))
            segmentation: Any = things.drawn(new_ids, -1).to(outputs.logits.device)
            rows = zip(things.labels[kept].tolist(), scores[kept].tolist(), strict=True)
            info = [_info(i, label, False, score) for i, (label, score) in enumerate(rows)]
            if return_coco_annotation:
                segmentation = run_lengths(segmentation)
            elif return_binary_maps and info:
                segmentation = torch.stack([segmentation == i for i in range(len(info))]).float()
            results.append({"segmentation": segmentation, "segments_info": info})
        return results

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        label_ids_to_fuse: set[int] | None = None,
        target_sizes: Sizes = None,
    ) -> list[dict]:
        """For each picture the things and the stuff whose score is at least `threshold`.

        - `segmentation` (H, W) int32: 0 where there is none, else the segment's id; float32 and −1 where there is no
          segment at all.
        - `segments_info`: `id`, `label_id`, `was_fused` and `score` of each. Stuff is one segment a class, and so are
          the classes of `label_ids_to_fuse`. The two other thresholds are for nets that propose masks.
        """
        results = []
        for logits, things in self._answers(outputs, target_sizes):
            listed = _Listed(threshold)
            numbers = np.zeros(len(things.labels), np.int32)
            rows = zip(things.labels.tolist(), things.areas.tolist(), things.scores.tolist(), strict=True)
            for i, (label, area, score) in enumerate(rows):
                if area >= max(1, self.smallest_thing):
                    numbers[i] = listed.add(label, score, label in (label_ids_to_fuse or ()))
            segmentation = things.drawn(numbers, 0).to(logits.device)
            of_no_thing = things.drawn(np.zeros(len(numbers), bool), True).to(logits.device)
            logits = _resized(logits[None], things.size)[0]
            classes = classes_of(logits)
            for label in classes_in(classes):
                mask = classes == label
                free = mask & of_no_thing
                if label not in self.thing_ids and mask.sum() >= self.smallest_stuff and free.any():
                    score = logits[:, mask].softmax(0)[label].mean()
                    segmentation[free] = listed.add(label, float(score), True)
            segmentation = segmentation if listed.info else torch.full_like(segmentation, -1, dtype=torch.float32)
            results.append({"segmentation": segmentation, "segments_info": listed.info})
        return results

    def _answers(self, outputs: Any, target_sizes: Sizes) -> Iterator[tuple[Tensor, Things]]:
        """Of each picture its logits (K, h, w) and its things."""
        sizes = _sizes(outputs.logits, target_sizes)
        for i, size in enumerate(sizes):
            maps = (outputs.logits, outputs.centres, outputs.offsets)
            logits, centres, offsets = (values[i].detach().float() for values in maps)
            yield logits, self._things(logits.cpu(), centres.cpu(), offsets.cpu(), size)

    def _things(self, logits: Tensor, centres: Tensor, offsets: Tensor, size: tuple[int, int]) -> Things:
        """Pixels of the classes of things, grouped; a thing has the class that most of its pixels have.

        In a larger picture only how far things are ahead takes its size as a whole; the rest is wanted at the pixels
        of things, which are few.
        """
        points, heights = find_centres(centres[0].numpy(), self.centre_threshold, self.nms_kernel, self.top_k)
        if not self.thing_ids or not len(points):
            nothing = np.zeros(0, np.int64)
            return Things(size, nothing, nothing, nothing, nothing, heights[:0], heights[:0])
        if size[0] * size[1] <= logits[0].numel():
            lead = lead_of(_resized(logits[None], size)[0], self.thing_ids)
        else:
            lead = _resized(lead_of(logits, self.thing_ids)[None, None], size)[0, 0]
        places = np.flatnonzero(lead.numpy() > 0)
        pixels = _seen_from(places, size, logits.shape[1:])
        owners = find_owners(_values_at(offsets, pixels, size, places) + pixels, points)
        # As many pixels have a say as the maps have at most: more would say the same again.
        step = max(1, lead.numel() // logits[0].numel())
        asked, of_asked = pixels[:, ::step], owners[::step]
        probabilities = torch.from_numpy(_values_at(logits, asked, size, places[::step])).softmax(0)
        shape = (len(points), len(self.thing_ids))
        ballots = of_asked * shape[1] + highest(probabilities[self.thing_ids]).numpy()  # for a thing's likeliest class
        votes = np.bincount(ballots, minlength=shape[0] * shape[1]).reshape(shape)
        labels, voters = np.asarray(self.thing_ids)[votes.argmax(1)], votes.sum(1)
        likely = probabilities.numpy()[labels[of_asked], np.arange(len(of_asked))]
        scores = np.bincount(of_asked, likely, minlength=shape[0]) / voters.clip(1)
        areas = np.bincount(owners, minlength=shape[0]) * (voters > 0)
        return Things(size, places, owners, labels, areas, scores.astype(np.float32), heights)


def classes_of(logits: Tensor) -> Tensor:
    """Logits or probabilities (K, H, W) → the likeliest class (H, W); a single logit is that of class 1 against 0."""
    return (logits[0] > 0).long() if len(logits) == 1 else highest(logits)


def classes_in(classes: Tensor) -> list[int]:
    """The classes that occur in a map (H, W), in order; `unique`, which would sort all pixels or hash them."""
    return classes.flatten().bincount().nonzero()[:, 0].tolist()


def lead_of(logits: Tensor, ids: Sequence[int]) -> Tensor:
    """How far (H, W) the likeliest class of `ids` is ahead of the likeliest other in logits (K, H, W)."""
    lowest = torch.full_like(logits[0], torch.finfo(logits.dtype).min)
    best, other = lowest, lowest
    for i, values in enumerate(logits):
        if i in ids:
            best = torch.maximum(best, values)
        else:
            other = torch.maximum(other, values)
    return best - other


def highest(maps: Tensor) -> Tensor:
    """(K, …) → at each place the first of the K maps that is the highest there; an argmax, many times as fast, since it
    goes through whole maps."""
    best, index = maps[0], torch.zeros(maps.shape[1:], dtype=torch.int16, device=maps.device)
    for i, values in enumerate(maps[1:], 1):
        index = torch.maximum(index, (values > best).short() * i)
        best = torch.maximum(best, values)
    return index.long()


class _Listed:
    """The segments of a panoptic map in the making."""

    def __init__(self, threshold: float):
        self.threshold = threshold
        self.info: list[dict[str, Any]] = []
        self._fused: dict[int, int] = {}

    def add(self, label: int, score: float, fused: bool) -> int:
        """The number of a segment, or of the one that it is a part of where its class is fused; 0 below threshold."""
        if score < self.threshold:
            return 0
        number = self._fused.get(label, len(self.info) + 1) if fused else len(self.info) + 1
        if number > len(self.info):
            self.info.append(_info(number, label, fused, score))
        if fused:
            self._fused[label] = number
        return number


def _info(number: int, label: Any, fused: bool, score: Any) -> dict[str, Any]:
    return {"id": number, "label_id": int(label), "was_fused": fused, "score": round(float(score), 6)}


def run_lengths(segmentation: Tensor) -> list[list[int]]:
    """(H, W) → for each value, −1 too, its runs, "first pixel, how many", pixels counted from 1, row by row."""
    flat, runs = segmentation.flatten(), []
    for value in flat.unique():
        inside = F.pad((flat == value).int(), (1, 1))
        changes = inside.diff().nonzero()[:, 0]  # beginnings and ends, in turn
        pairs = torch.stack([changes[::2] + 1, changes[1::2] - changes[::2]], dim=1)
        runs.append(pairs.flatten().tolist())
    return runs


def _sizes(logits: Tensor, target_sizes: Sizes) -> list[tuple[int, int]]:
    """The size of each picture's answer."""
    if target_sizes is None:
        return [(logits.shape[2], logits.shape[3])] * len(logits)
    if len(target_sizes) != len(logits):
        raise ValueError(f"there are {len(target_sizes)} target_sizes, expected {len(logits)}, one a picture.")
    return [(int(height), int(width)) for height, width in target_sizes]


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) → (N, C, H, W) float32, bilinear."""
    maps = maps.float()
    return maps if maps.shape[2:] == size else F.interpolate(maps, size, mode="bilinear")


def _seen_from(places: np.ndarray, size: tuple[int, int], shape: Sequence[int]) -> np.ndarray:
    """Places (P,) of a flat picture of `size` → their rows and columns (2, P) in maps of `shape`."""
    pixels = np.stack(np.divmod(places, size[1])).astype(np.float32)
    for line, own, other in zip(pixels, size, shape, strict=True):
        if own != other:
            line[:] = (line + 0.5) * np.float32(other / own) - 0.5
    return pixels


def _values_at(maps: Tensor, pixels: np.ndarray, size: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """What maps (C, h, w) say (C, P) at `pixels` of `_seen_from`: bilinear, but where the picture has their size."""
    if size == maps.shape[1:]:
        return maps.flatten(1).index_select(1, torch.from_numpy(places)).numpy()
    height, width = maps.shape[1:]
    grid = np.stack([(2 * pixels[1] + 1) / width - 1, (2 * pixels[0] + 1) / height - 1], axis=1)
    grid = torch.from_numpy(grid)[None, None]
    return F.grid_sample(maps[None], grid, padding_mode="border", align_corners=False)[0, :, 0].numpy()
