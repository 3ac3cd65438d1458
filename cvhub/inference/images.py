"""Opening pictures that strangers bring: what is odd but valid opens, what is damaged or too big is one sentence."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cvhub.errors import CvhubError

MAX_FILE_BYTES = 200_000_000
MAX_PIXELS = 8192 * 6144  # a telephone's 50 megapixels; decoded and turned, 400 MB
LARGE_PIXELS = 16 * 2**20  # of such pictures `decoded` holds one at a time

# Pillow opens more kinds than these, some of them by starting other programs. The common ones first: the first five
# need no further plugin to be imported.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000")
# What marks a picture file in a folder.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".webp")
SUFFIXES += (".tif", ".tiff", ".avif", ".jp2", ".j2k")
SIDEWAYS = (5, 6, 7, 8)  # EXIF's orientations in which the file's rows are columns
PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"  # the last chunk, of which Pillow looks at the name only

LONGEST_NAME = 120  # characters of a file's name in a message

_large_picture = threading.Lock()

# Sizes are checked here, and broken metadata is no reason to bother anybody.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_picture(source: Path | BinaryIO, max_pixels: int | None = None) -> Image.Image:
    """The picture in a file, fully decoded: its first frame, upright (EXIF), in the colour mode it has.

    Raises CvhubError for what is missing, unreadable, damaged, no picture, above `MAX_FILE_BYTES`, or above
    `max_pixels`, which is `MAX_PIXELS` unless said.
    """
    with _recognised(source, max_pixels) as image:
        return _decode(image, name_of(source))


@contextlib.contextmanager
def decoded(source: Path | BinaryIO, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """`open_picture` for a with block, where many threads open pictures: large ones wait for each other."""
    with _recognised(source, max_pixels) as image:
        large = image.width * image.height > LARGE_PIXELS
        with _large_picture if large else contextlib.nullcontext():
            yield _decode(image, name_of(source))


def size_of(source: Path | BinaryIO, max_pixels: int | None = None) -> tuple[int, int]:
    """Height and width of the upright picture, without decoding it. Raises CvhubError as `open_picture` does."""
    with _recognised(source, max_pixels) as image:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def find_pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """A folder gives its picture files in order of their names, subfolders included, hidden ones not; a file itself.

    What can't be listed gives itself too, so that opening it says what is wrong.
    """
    for path in paths:
        if os.path.isdir(path):  # Path.is_dir raises where a name is too long or a folder forbidden
            yield from _pictures_in(path)
        else:
            yield path


def _pictures_in(folder: Path) -> Iterator[Path]:
    try:
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError:
        yield folder
        return
    for child in children:
        if os.path.isdir(child):
            if not child.is_symlink():  # it may lead back up
                yield from _pictures_in(child)
        elif child.suffix.lower() in SUFFIXES:
            yield child


@contextlib.contextmanager
def _recognised(source: Path | BinaryIO, max_pixels: int | None) -> Iterator[Image.Image]:
    """The picture of which the header is read and within the limits, and the pixels are not decoded yet."""
    name = name_of(source)
    with open_file(source, name) if isinstance(source, Path) else contextlib.nullcontext(source) as file:
        yield _recognise(file, name, MAX_PIXELS if max_pixels is None else max_pixels)


def open_file(path: Path, name: str) -> BinaryIO:
    """A regular file, open for reading; raises CvhubError for what is missing, unreadable or no regular file."""
    try:
        if path.is_dir():
            raise CvhubError(f"{name} is a folder, expected a picture file.")
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise CvhubError(f"{name} is no regular file.")
        return path.open("rb")
    except FileNotFoundError:
        raise CvhubError(f"{name} does not exist.") from None
    except (OSError, ValueError) as error:
        raise CvhubError(f"{name} cannot be read: {reason_of(error)}.") from None


def _recognise(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise CvhubError(f"{name} is empty.")
    if size > MAX_FILE_BYTES:
        raise CvhubError(f"{name} has {size / 1e6:.0f} MB, the limit is {MAX_FILE_BYTES / 1e6:.0f} MB.")
    if Image.MAX_IMAGE_PIXELS and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow has one limit a process; each picture is held to ours below
    try:
        image = Image.open(file, formats=FORMATS)
        if image.format == "PNG":
            image = _check_sums(image, file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CvhubError(f"{name} claims far more than {max_pixels:,} pixels, which is the limit.") from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise CvhubError(f"{name} is no picture that can be read: damaged, or none of {known}.") from None
    except Exception as error:  # Pillow's readers raise nearly everything on broken files
        raise CvhubError(f"{name} is damaged: {reason_of(error)}.") from None
    if image.width * image.height > max_pixels:
        raise CvhubError(f"{name} has {image.width}x{image.height} pixels, the limit is {max_pixels:,}.")
    return image


def _check_sums(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Opens a PNG again, once its checksums are found right: decoding alone skips those of the pixels."""
    image.verify()
    file.seek(-8, os.SEEK_CUR)
    if file.read(len(PNG_END)) != PNG_END:
        raise ValueError("its end is missing")
    file.seek(0)
    return Image.open(file, formats=FORMATS)


def _decode(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # as above
        raise CvhubError(f"{name} is damaged: {reason_of(error)}.") from None
    with contextlib.suppress(Exception):  # the pixels are good even where the metadata is broken
        ImageOps.exif_transpose(image, in_place=True)
    return image


def name_of(source: Path | BinaryIO) -> str:
    """What messages call the file: its name, printable, the middle left out where it is long."""
    if not isinstance(source, Path):
        return "the picture"
    name = "".join(letter if letter.isprintable() else "�" for letter in source.name or str(source))
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def reason_of(error: Exception) -> str:
    """The first line of what was raised, short and without its full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = next(iter(text.strip().splitlines()), "") or type(error).__name__
    return line[:100].rstrip(".")
