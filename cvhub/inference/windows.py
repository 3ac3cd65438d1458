"""Reads a picture by windows: a TIFF's tiles as they are needed, so that it may be larger than memory; others whole.

Each tile or strip of a TIFF is decoded by Pillow as a small TIFF of its own. So a window has the pixels that the whole
picture would have, for every compression that Pillow's libtiff knows (a TIFF library without codecs of its own reads
neither LZW nor JPEG).
"""

import contextlib
import io
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2, TiffImageFile

from cvhub.errors import CvhubError
from cvhub.inference import images
from cvhub.inference.images import decoded, name_of, open_file, reason_of
from cvhub.models.pixels import is_grey, to_mode

CACHE_BYTES = 2**28  # of decoded tiles at most; a row of 572-pixel windows needs that on 150,000 pixels of width
BIGTIFF = b"+"  # the third byte, where others have "*"
UNCOMPRESSED, OLD_JPEG = 1, 6  # values of the tag Compression
YCBCR = 6  # of PhotometricInterpretation
ROWS = 64  # into which one uncompressed strip is cut

# What says how the bytes of a tile become pixels.
PIXEL_TAGS = (
    Tag.BitsPerSample, Tag.Compression, Tag.PhotometricInterpretation, Tag.FillOrder, Tag.SamplesPerPixel,
    Tag.T4Options, Tag.T6Options, Tag.Predictor, Tag.ColorMap, Tag.InkSet, Tag.ExtraSamples, Tag.SampleFormat,
    Tag.JPEGTables, Tag.YCbCrSubSampling, Tag.YCbCrPositioning, Tag.ReferenceBlackWhite,
)  # fmt: skip


class Windows(Protocol):
    """A picture of `height` x `width` pixels that is read by windows."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The pixels of a window that lies within the picture, (height, width, 3) uint8, RGB."""
        ...


@contextlib.contextmanager
def open_windows(path: Path, max_pixels: int | None = None) -> Iterator[Windows]:
    """The picture in a file, upright, for a with block.

    A TIFF of tiles or strips may be of any size. Other pictures, and TIFFs that only decode whole (turned ones,
    separate planes, values of 32 bits, whose scale hangs on the largest one), are decoded once and may have
    `max_pixels` pixels, `images.MAX_PIXELS` unless said; so may a single tile. Raises CvhubError as `open_picture`
    does; reading a window raises it for a damaged tile.
    """
    name = name_of(path)
    with open_file(path, name) as file:
        tiff = _open_tiff(file, name, images.MAX_PIXELS if max_pixels is None else max_pixels)
        if tiff is not None:
            yield tiff
            return
    with decoded(path, max_pixels) as picture:
        yield PictureWindows(picture)


def size_of(path: Path, max_pixels: int | None = None) -> tuple[int, int]:
    """Height and width of what `open_windows` opens, from the file's head. Raises CvhubError as it does."""
    name = name_of(path)
    with open_file(path, name) as file:
        tiff = _open_tiff(file, name, images.MAX_PIXELS if max_pixels is None else max_pixels)
    if tiff is not None:
        return tiff.height, tiff.width
    return images.size_of(path, max_pixels)


class PictureWindows:
    """Windows of a decoded picture of any mode; an array is one by `Image.fromarray`."""

    def __init__(self, picture: Image.Image):
        # Grey of more than 8 bits has a scale that hangs on the whole picture. Colours are converted a window a time.
        self._picture = to_mode(picture, "L") if is_grey(picture) else picture
        self.width, self.height = picture.size

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        window = self._picture.crop((left, top, left + width, top + height))
        return np.asarray(to_mode(window, "RGB"))


@dataclass(frozen=True)
class _Grid:
    """Where the parts of a TIFF lie: tiles or strips of `part_height` x `part_width`, row by row."""

    height: int
    width: int
    part_height: int
    part_width: int
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    tiled: bool

    @property
    def down(self) -> int:
        return math.ceil(self.height / self.part_height)

    @property
    def across(self) -> int:
        return math.ceil(self.width / self.part_width)

    def part_shape(self, row: int) -> tuple[int, int]:
        """Tiles are stored whole, the last strip ends with the picture."""
        height = self.part_height if self.tiled else min(self.part_height, self.height - row * self.part_height)
        return height, self.part_width


class TiffWindows:
    """Windows of a TIFF's first page; only parts that a window touches are decoded, the latest of them are kept."""

    def __init__(self, file: BinaryIO, name: str, tags: ImageFileDirectory_v2, grid: _Grid):
        self.height, self.width = grid.height, grid.width
        self._file, self._name, self._tags, self._grid = file, name, tags, grid
        self._parts: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()  # the latest used last
        self._room = 1

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        grid = self._grid
        rows = range(top // grid.part_height, math.ceil((top + height) / grid.part_height))
        columns = range(left // grid.part_width, math.ceil((left + width) / grid.part_width))
        self._make_room(len(rows))
        window = np.empty((height, width, 3), np.uint8)
        for row in rows:
            for column in columns:
                down, across = row * grid.part_height - top, column * grid.part_width - left
                part = self._part(row, column)[max(0, -down) : height - down, max(0, -across) : width - across]
                down, across = max(0, down), max(0, across)
                window[down : down + part.shape[0], across : across + part.shape[1]] = part
        return window

    def _make_room(self, rows: int) -> None:
        """Windows come row by row: where all parts that a row of them touches are kept, each is decoded once."""
        part_bytes = 3 * self._grid.part_height * self._grid.part_width
        self._room = max(self._room, min(rows * self._grid.across, CACHE_BYTES // part_bytes))

    def _part(self, row: int, column: int) -> np.ndarray:
        if (row, column) in self._parts:
            self._parts.move_to_end((row, column))
        else:
            while len(self._parts) >= self._room:
                self._parts.popitem(last=False)
            self._parts[row, column] = self._decode(row, column)
        return self._parts[row, column]

    def _decode(self, row: int, column: int) -> np.ndarray:
        """A tile or strip, RGB. One of no bytes was left out by its writer and is black."""
        height, width = self._grid.part_shape(row)
        index = row * self._grid.across + column
        byte_count = self._grid.byte_counts[index]
        if byte_count == 0:
            return np.zeros((height, width, 3), np.uint8)
        try:
            self._file.seek(self._grid.offsets[index])
            data = self._file.read(byte_count)
            if len(data) < byte_count:
                raise ValueError("its end is missing")
            part = _as_picture(self._tags, height, width, data)
            return np.asarray(to_mode(part, "RGB"))
        except Exception as error:  # Pillow's readers raise nearly everything on broken files
            raise CvhubError(f"{self._name} is damaged: {reason_of(error)}.") from None


def _as_picture(tags: ImageFileDirectory_v2, height: int, width: int, data: bytes) -> TiffImageFile:
    """A tile or strip as a TIFF of its own, of one strip."""
    own = ImageFileDirectory_v2(prefix=tags.prefix)
    for tag in filter(tags.__contains__, PIXEL_TAGS):
        own.tagtype[tag] = tags.tagtype[tag]
        own[tag] = tags[tag]
    own[Tag.ImageWidth], own[Tag.ImageLength], own[Tag.RowsPerStrip] = width, height, height
    own[Tag.StripOffsets] = 0  # Pillow counts from the end of the tags
    own[Tag.StripByteCounts] = len(data)
    file = io.BytesIO()
    own.save(file)
    file.write(data)
    file.seek(0)
    return TiffImageFile(file)


def _open_tiff(file: BinaryIO, name: str, max_pixels: int) -> TiffWindows | None:
    """None for what is no TIFF, is broken, or only decodes whole: opening it as a picture says what it is."""
    try:
        header = file.read(16)
        tags = ImageFileDirectory_v2(header if header[2:3] == BIGTIFF else header[:8])
        file.seek(tags.next)
        tags.load(file)
        compression = tags.get(Tag.Compression, UNCOMPRESSED)
        if compression not in COMPRESSION_INFO:
            raise CvhubError(f"{name} is a TIFF compressed by method {compression}, which Pillow can't decode.")
        grid = _grid(tags) if _is_plain(tags) else None
        if grid is None or grid.part_height * grid.part_width > max_pixels:
            return None
        if _as_picture(tags, *grid.part_shape(0), b"").mode in ("I", "F"):
            return None
    except CvhubError:
        raise
    except Exception:  # as above
        return None
    return TiffWindows(file, name, tags, grid)


def _is_plain(tags: ImageFileDirectory_v2) -> bool:
    """Whether parts can be decoded one by one: they are upright, hold all channels and are no old-style JPEG."""
    upright, together = tags.get(Tag.Orientation, 1) == 1, tags.get(Tag.PlanarConfiguration, 1) == 1
    return upright and together and tags.get(Tag.Compression) != OLD_JPEG


def _grid(tags: ImageFileDirectory_v2) -> _Grid | None:
    """The tiles or strips, or None where some are missing."""
    height, width = tags[Tag.ImageLength], tags[Tag.ImageWidth]
    if tiled := Tag.TileOffsets in tags:
        part = tags[Tag.TileLength], tags[Tag.TileWidth]
        offsets, byte_counts = tags[Tag.TileOffsets], tags[Tag.TileByteCounts]
    else:
        part = min(tags.get(Tag.RowsPerStrip, height), height), width
        offsets, byte_counts = tags[Tag.StripOffsets], tags[Tag.StripByteCounts]
    grid = _Grid(height, width, *part, _tuple(offsets), _tuple(byte_counts), tiled)
    if len(grid.offsets) != grid.down * grid.across or len(grid.byte_counts) != len(grid.offsets):
        return None
    return _cut(grid, tags) if grid.part_shape(0) == (height, width) else grid


def _cut(grid: _Grid, tags: ImageFileDirectory_v2) -> _Grid:
    """Cuts a strip that is the whole picture, as many writers make it; uncompressed rows are found without decoding."""
    if tags.get(Tag.Compression, UNCOMPRESSED) != UNCOMPRESSED or tags.get(Tag.PhotometricInterpretation) == YCBCR:
        return grid
    bits = _tuple(tags.get(Tag.BitsPerSample, 1))
    samples = tags.get(Tag.SamplesPerPixel, 1)
    row_bytes = math.ceil(grid.width * (sum(bits) if len(bits) == samples else bits[0] * samples) / 8)
    tops = range(0, grid.height, ROWS)
    offsets = tuple(grid.offsets[0] + top * row_bytes for top in tops)
    byte_counts = tuple(min(ROWS, grid.height - top) * row_bytes for top in tops)
    return _Grid(grid.height, grid.width, ROWS, grid.width, offsets, byte_counts, tiled=False)


def _tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """Pillow gives a tag of one value as that value."""
    return value if isinstance(value, tuple) else (value,)
