"""Results out: a mask as PNG, its segments as COCO JSON, its objects as CSV, all at the picture's own size."""

import csv
import io
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.ui.pictures import encoded
from cvhub.ui.segment.reading import measured, things_in
from cvhub.ui.segment.state import Seen

if TYPE_CHECKING:
    from cvhub.inference.segment import Segmentation

COLUMNS = ("id", "class_id", "class", "score", "area", "centroid_x", "centroid_y", "x", "y", "width", "height")


def at_own_size(seen: Seen, found: "Segmentation") -> "Segmentation":
    """The mask as large as the picture, unless that is larger than pictures that are decoded may be."""
    from cvhub.inference.images import MAX_PIXELS

    if found.mask.shape == seen.own or math.prod(seen.own) > MAX_PIXELS:
        return found
    enlarged = found.mask.repeat(seen.reduced, axis=0).repeat(seen.reduced, axis=1)
    return replace(found, mask=np.ascontiguousarray(enlarged[: seen.own[0], : seen.own[1]]))


def as_png(seen: Seen, found: "Segmentation") -> str:
    """The ids as a grey PNG of 8 or 16 bits, as a data URI."""
    mask = at_own_size(seen, found).mask
    return encoded(Image.fromarray(mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.uint16)), "png")


def as_csv(seen: Seen, found: "Segmentation", task: str) -> str:
    """A row an object, in pixels: area, centroid, and the box's corner and sides."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for thing in things_in(seen, at_own_size(seen, found), task)[1]:
        x0, y0, x1, y1 = thing.box
        score = "" if thing.score is None else f"{thing.score:.6f}"
        x, y = (f"{value:.2f}" for value in thing.centroid)
        writer.writerow(
            [thing.id, thing.label_id, thing.label, score, thing.area, x, y, x0, y0, x1 - x0, y1 - y0]
        )  # fmt: skip
    return text.getvalue()


def as_coco(seen: Seen, found: "Segmentation", name: str) -> str:
    """COCO's format of instances (https://cocodataset.org/#format-data): each segment's mask as run lengths."""
    found = at_own_size(seen, found)
    height, width = found.mask.shape
    segments = {segment.id: segment for segment in found.segments}
    annotations = [
        {
            "id": thing.id,
            "image_id": 1,
            "category_id": thing.label_id,
            "segmentation": run_lengths(found.mask == thing.id),
            "area": thing.area,
            "bbox": [thing.box[0], thing.box[1], thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]],
            "iscrowd": 0,
            **({} if thing.score is None else {"score": thing.score}),
        }
        for thing in measured(found.mask, segments)
    ]
    report: dict[str, Any] = {
        "images": [{"id": 1, "file_name": name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for number, label in enumerate(seen.labels)],
    }
    return json.dumps(report, ensure_ascii=False)


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) bool as COCO's uncompressed RLE: column by column, lengths of 0s and of 1s in turn, 0s first."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes.tolist(), len(flat)]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if len(flat) and flat[0] else counts}
