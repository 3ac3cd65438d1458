"""What a segmenter's maps say, as a mask of ids and a list of segments: the processors' methods, and one numbering."""

import copy
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cvhub.models.dense_processing import CvPanopticProcessor, classes_in

BACKGROUND = ("background", "__background__")  # what data sets call a class that is no object

Maps = dict[str, np.ndarray]


@dataclass(frozen=True)
class Segment:
    """The pixels of a mask with the value `id`: their class, and how sure the net is, None of a semantic segment."""

    id: int
    label_id: int
    label: str
    score: float | None


class SegmentReader:
    """Maps of a net in a folder → mask (H, W) int32, whose 0 is background or nothing, and segments.

    - "semantic": a segment for each class that is seen. Its id is its label_id where class 0 is the background, else
      one more.
    - "instance": a segment for each thing, from 1 on; "panoptic": for each thing and each class of stuff, background
      left out, so that ids may have a gap.
    """

    def __init__(self, folder: Path, config: Any, labels: list[str]):
        self.labels = labels
        self.has_background = labels[0].lower() in BACKGROUND
        file, name = config.processor
        processor = getattr(importlib.import_module(f"cvhub.models.{file}"), name)
        has_own = (folder / "preprocessor_config.json").is_file()
        self.processor = processor.from_pretrained(folder) if has_own else processor()
        if "thing_ids" in config:
            self.processor.thing_ids = list(config.thing_ids)  # what the net was made for, whatever the file says

    def reduced(self, factor: int) -> "SegmentReader":
        """What reads maps of which each value is the mean of `factor` x `factor`: things are so much smaller."""
        reader = copy.copy(self)
        processor: Any = copy.copy(self.processor)
        reader.processor = processor
        if isinstance(processor, CvPanopticProcessor):
            processor.nms_kernel = max(3, 2 * round((processor.nms_kernel / factor - 1) / 2) + 1)  # odd, as it was
            processor.smallest_thing = max(1, round(processor.smallest_thing / factor**2))
            processor.smallest_stuff = max(1, round(processor.smallest_stuff / factor**2))
        return reader

    @torch.inference_mode()
    def read(self, maps: Maps, size: tuple[int, int], task: str, threshold: float) -> tuple[np.ndarray, list[Segment]]:
        """`maps` of one picture, each (C, h, w); the mask has `size`. A segment's score is at least `threshold`."""
        outputs = SimpleNamespace(**{name: torch.from_numpy(values)[None] for name, values in maps.items()})
        readers = {"semantic": self._semantic, "instance": self._instances, "panoptic": self._panoptic}
        mask, segments = readers[task](outputs, size, threshold)
        return mask.to(torch.int32).numpy(), segments

    def _semantic(self, outputs: Any, size: tuple[int, int], threshold: float) -> tuple[Tensor, list[Segment]]:
        (classes,) = self.processor.post_process_semantic_segmentation(outputs, target_sizes=[size])
        first = 0 if self.has_background else 1
        seen = [label_id for label_id in classes_in(classes) if label_id + first]
        return classes + first, [self._segment(label_id + first, label_id) for label_id in seen]

    def _instances(self, outputs: Any, size: tuple[int, int], threshold: float) -> tuple[Tensor, list[Segment]]:
        (found,) = self.processor.post_process_instance_segmentation(outputs, threshold=threshold, target_sizes=[size])
        things = [self._segment(row["id"] + 1, row["label_id"], row["score"]) for row in found["segments_info"]]
        return found["segmentation"] + 1, things  # from −1, nothing, and 0 on

    def _panoptic(self, outputs: Any, size: tuple[int, int], threshold: float) -> tuple[Tensor, list[Segment]]:
        (found,) = self.processor.post_process_panoptic_segmentation(outputs, threshold=threshold, target_sizes=[size])
        mask = found["segmentation"].long().clamp(min=0)  # −1 everywhere where there is no segment at all
        segments = [self._segment(row["id"], row["label_id"], row["score"]) for row in found["segments_info"]]
        kept = [segment for segment in segments if segment.label.lower() not in BACKGROUND]
        return mask * torch.isin(mask, torch.tensor([segment.id for segment in kept], dtype=torch.int64)), kept

    def _segment(self, number: int, label_id: int, score: float | None = None) -> Segment:
        return Segment(number, label_id, self.labels[label_id], score)


def cut_maps(maps: Maps, answered: tuple[int, int], kept: tuple[int, int]) -> Maps:
    """Maps (C, h, w) that answer for `answered` pixels → what they say of the first `kept` rows and columns."""
    if answered == kept:
        return maps
    cut = {}
    for name, values in maps.items():
        cut[name] = np.ascontiguousarray(enlarged(values[None], answered)[0, :, : kept[0], : kept[1]])
    return cut


@torch.inference_mode()
def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps (N, C, h, w) → (N, C, H, W) of `size`: not all nets enlarge their logits to what they answer for."""
    if values.shape[2:] == size:
        return values
    return F.interpolate(torch.from_numpy(values), size, mode="bilinear").numpy()
