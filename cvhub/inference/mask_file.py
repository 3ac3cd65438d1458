"""Writes a mask as a PNG while its rows come in, so that a mask of any size needs the memory of a few rows: in grey,
and with more than 65,535 ids in colour, as COCO's panoptic masks are (https://cocodataset.org/#format-data).

The format is that of the PNG specification (https://www.w3.org/TR/png-3/): a signature, then chunks, of which IDAT ones
hold one zlib stream of all rows. No kept library streams it: Pillow wants the whole picture, pypng rests since 2022.
"""

import os
import struct
import uuid
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.images import name_of, reason_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_SIDE = 2**31 - 1  # pixels that the format can count
GREYSCALE, TRUECOLOUR = 0, 2  # the colour types
DEPTHS = {8: np.dtype(np.uint8), 16: np.dtype(">u2"), 24: np.dtype(np.uint8)}  # bits of an id: what its bytes are


def bits_for(highest: int) -> int:
    """Of ids from 0 to `highest`."""
    return next((bits for bits in DEPTHS if highest < 2**bits), max(DEPTHS))


def read_mask(path: Path) -> np.ndarray:
    """The ids (H, W), int64, of a mask that `MaskWriter` wrote."""
    with Image.open(path) as picture:
        values = np.asarray(picture, np.int64)
    return values if values.ndim == 2 else values @ (1, 256, 256**2)


class MaskWriter:
    """A PNG of `height` x `width` ids, 0 to 2^`bits` − 1, in a with block that writes its rows from top to bottom.

    Of 24 bits red holds the lowest 8. The file appears under its name when the block ends with all rows written, and
    takes the place of an older one; after a failure nothing is left and the older one stays. Raises CvhubError for bad
    sizes, rows that don't fit, too few of them, and a file that can't be written.
    """

    def __init__(self, path: Path, height: int, width: int, bits: int = 8):
        if bits not in DEPTHS:
            raise CvhubError(f"a mask of {bits} bits was asked for, expected 8, 16 or 24.")
        if not (1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE):
            raise CvhubError(f"a mask of {width}x{height} pixels was asked for, expected 1 to {LONGEST_SIDE:,} a side.")
        self.path, self.height, self.width, self.bits = path, height, width, bits
        self.rows_written = 0
        self._partial = path.with_name(f".{uuid.uuid4().hex}.partial")
        self._stream = zlib.compressobj()

    def __enter__(self) -> Self:
        try:
            self._file = self._partial.open("xb")
        except OSError as error:
            raise self._unwritable(error) from None
        self._file.write(SIGNATURE)
        kind = (8, TRUECOLOUR) if self.bits == 24 else (self.bits, GREYSCALE)
        self._write_chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, *kind, 0, 0, 0))
        return self

    def write(self, rows: np.ndarray) -> None:
        """The next rows, (h, width) of any integer type or bool."""
        self._check(rows)
        if self.bits == 24:
            rows = (rows[:, :, None] >> np.array([0, 8, 16]) & 255).reshape(len(rows), -1)
        stored = np.ascontiguousarray(rows.astype(DEPTHS[self.bits])).view(np.uint8)
        # Before each row stands its filter's number: 0, none, which suits areas of one value.
        lines = np.zeros((len(rows), 1 + self.bits // 8 * self.width), np.uint8)
        lines[:, 1:] = stored
        self._write_pixels(self._stream.compress(lines.data))
        self.rows_written += len(rows)

    def _check(self, rows: np.ndarray) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise CvhubError(f"rows of shape {rows.shape} came for a mask, expected (h, {self.width}).")
        if not (np.issubdtype(rows.dtype, np.integer) or rows.dtype == bool):
            raise CvhubError(f"rows of {rows.dtype} came for a mask, expected integers.")
        if self.rows_written + len(rows) > self.height:
            raise CvhubError(f"{self.rows_written + len(rows)} rows came for a mask of {self.height}.")
        if rows.size and not (rows.min() >= 0 and rows.max() < 2**self.bits):
            raise CvhubError(f"a mask of {self.bits} bits can't hold the ids {rows.min()} to {rows.max()}.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._file:
                if kind is None:
                    self._finish()
            if kind is None:
                os.replace(self._partial, self.path)
        except OSError as failure:
            raise self._unwritable(failure) from None
        finally:
            self._partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self.rows_written < self.height:
            raise CvhubError(f"{self.rows_written} rows came for a mask of {self.height}.")
        self._write_pixels(self._stream.flush())
        self._write_chunk(b"IEND", b"")

    def _write_pixels(self, compressed: bytes) -> None:
        try:
            if compressed:
                self._write_chunk(b"IDAT", compressed)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write_chunk(self, kind: bytes, data: bytes) -> None:
        """Length, kind, data, and a checksum of the latter two."""
        checksum = zlib.crc32(data, zlib.crc32(kind))
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))

    def _unwritable(self, error: OSError) -> CvhubError:
        return CvhubError(f"{name_of(self.path)} cannot be written: {reason_of(error)}.")
