"""Segments pictures that a network can't be given at once: tile by tile into a file of ids, row by row, so that
neither the picture nor its mask is ever in memory. A net that sees all pictures small is given a reduced one."""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.large_things import ThingRows
from cvhub.inference.mask_file import MaskWriter, bits_for
from cvhub.inference.reducing import factor_for, reduce_picture
from cvhub.inference.segment import MAX_PIXELS, THRESHOLDS, Segmenter
from cvhub.inference.segments import Segment, enlarged
from cvhub.inference.tiling import Progress, TilePlan, run_tiles
from cvhub.inference.windows import Windows

SIDE = 512  # pixels that a tile answers for
OVERLAP = 64  # of neighbouring tiles of a net that pads

STRIP = 64  # rows of the mask that are written at once

Maps = dict[str, np.ndarray]
Rows = Iterator[Iterator[Maps]]  # of each row of tiles the pieces, from left to right


def plan_tiles(segmenter: Segmenter, side: int | None = None, overlap: int | None = None) -> TilePlan:
    """Tiles as the network takes them, which answer for about `side` pixels, unless said `SIDE`: with its margin, or
    where it pads overlapping by about `overlap`."""
    config = segmenter.config
    wanted = SIDE if side is None else side
    if config.margin:
        return TilePlan(config.fitting_size(wanted + 2 * config.margin), config.margin, stride=config.size_step)
    stride = config.smallest_input  # a pixel of its coarsest map
    whole = max(4, wanted // stride) * stride
    shared = min(OVERLAP if overlap is None else overlap, whole // 2 - stride)
    return TilePlan(whole, overlap=shared, stride=stride)


class TileForward:
    """What `run_tiles` asks for: the maps of some tiles, at the size that they answer for, one after another along K.

    `names` and `depths` of the maps are known once it was called.
    """

    def __init__(self, segmenter: Segmenter):
        if segmenter.processor.do_resize:
            raise CvhubError(f"{segmenter.name} sees all pictures at one size: tiles are for nets that keep sizes.")
        self.segmenter = segmenter
        self.depths: dict[str, int] = {}

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        pixel_values = self.segmenter.processor([Image.fromarray(tile) for tile in tiles])
        margin = self.segmenter.config.margin
        height, width = (side - 2 * margin for side in pixel_values.shape[2:])
        maps = self.segmenter.passes.run(pixel_values).outputs
        self.depths = {name: values.shape[1] for name, values in maps.items()}
        return np.concatenate([enlarged(values, (height, width)) for values in maps.values()], axis=1)

    def split(self, values: np.ndarray) -> Maps:
        """(K, rows, columns) → the maps by their names, each (K', rows, columns)."""
        ends = np.cumsum(list(self.depths.values()))[:-1]
        return dict(zip(self.depths, np.split(values, ends), strict=True))


def segment_large(
    segmenter: Segmenter,
    windows: Windows,
    file: Path,
    task: str = "semantic",
    progress: Progress | None = None,
    threshold: float | None = None,
) -> list[Segment]:
    """Writes a picture's mask into `file`, a PNG, and says what its segments are.

    `progress(done, total)` counts tiles, or the rows of a picture that is reduced; what it raises stops the work, and
    no file is left. Segments below `threshold` are left out, unless said those of `THRESHOLDS`; classes have no score.
    """
    segmenter.check_task(task)
    if segmenter.processor.do_resize:
        return _write_reduced(segmenter, windows, file, task, progress, threshold)
    forward = TileForward(segmenter)
    pieces = run_tiles(windows, forward, plan_tiles(segmenter), progress=progress)
    rows = ((forward.split(piece.values) for piece in row) for _, row in groupby(pieces, key=lambda piece: piece.top))
    if task == "semantic":
        return _write_classes(segmenter, rows, windows, file)
    return _write_things(segmenter, rows, windows, file, task, THRESHOLDS[task] if threshold is None else threshold)


def _write_reduced(
    segmenter: Segmenter, windows: Windows, file: Path, task: str, progress: Progress | None, threshold: float | None
) -> list[Segment]:
    """Each pixel of the reduced picture's mask stands for a square of the picture's."""
    factor = factor_for(windows.height, windows.width, MAX_PIXELS)
    answer = segmenter.segment(reduce_picture(windows, factor, progress), task, threshold)
    bits = bits_for(int(answer.mask.max(initial=0)))
    with MaskWriter(file, windows.height, windows.width, bits) as writer:
        for row in answer.mask:
            squares = np.broadcast_to(row.repeat(factor)[: windows.width], (factor, windows.width))
            writer.write(squares[: windows.height - writer.rows_written])
    return answer.segments


def _write_classes(segmenter: Segmenter, rows: Rows, windows: Windows, file: Path) -> list[Segment]:
    found: dict[int, Segment] = {}
    bits = bits_for(len(segmenter.labels))
    with MaskWriter(file, windows.height, windows.width, bits) as writer:
        for row in rows:
            masks = []
            for maps in row:
                mask, segments = segmenter.read_maps(maps, maps["logits"].shape[1:], "semantic")
                found |= {segment.id: segment for segment in segments}
                masks.append(mask.astype(np.min_scalar_type(len(segmenter.labels))))
            writer.write(np.concatenate(masks, axis=1))
    return [found[number] for number in sorted(found)]


def _write_things(
    segmenter: Segmenter, rows: Rows, windows: Windows, file: Path, task: str, threshold: float
) -> list[Segment]:
    """A thing's worth is known when all of it was seen: until then its pixels wait on disk, compressed."""
    sizes: list[list[int]] = []  # of each strip, those of its pieces
    with (
        tempfile.TemporaryFile() as waiting,
        closing(ThingRows(segmenter.reader.processor, windows.height, windows.width)) as things,
    ):
        for row in rows:
            packed = [[zlib.compress(strip.data, 1) for strip in strips(codes)] for codes in things.add(row)]
            sizes += [[waiting.write(piece) for piece in strip] for strip in zip(*packed, strict=True)]
        table, segments = things.ids_of_codes(task, threshold, segmenter.labels)
        waiting.seek(0)
        with MaskWriter(file, windows.height, windows.width, bits_for(len(segments))) as writer:
            for strip in sizes:
                pieces = [np.frombuffer(zlib.decompress(waiting.read(size)), np.int32) for size in strip]
                height = sum(map(len, pieces)) // windows.width
                codes = np.concatenate([piece.reshape(height, -1) for piece in pieces], axis=1)
                writer.write(table[codes + things.kinds])
    return segments


def strips(codes: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time."""
    return (codes[top : top + STRIP] for top in range(0, len(codes), STRIP))
