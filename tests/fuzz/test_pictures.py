"""Damaged pictures of every kind that is read: each opens, or is refused in a sentence."""

import functools
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from cvhub.inference.images import FORMATS, MAX_PIXELS, open_picture, size_of
from cvhub.inference.windows import open_windows
from cvhub.models.pixels import to_mode
from tests.browser import SAMPLES
from tests.fuzz.damage import damaged, fuzzed
from tests.fuzz.guard import Guard

WINDOW = 48
# A TIFF may be of any size, and is read in parts: its ways to be stored are more than any other kind's.
TIFFS: list[dict[str, Any]] = [
    {"compression": compression, **more}
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    for more in ({}, {"tiffinfo": {278: 16}}, {"big_tiff": True})
]


@functools.cache
def photo() -> Image.Image:
    with Image.open(SAMPLES / "coffee.jpg") as opened:
        return opened.convert("RGB").resize((80, 56))


def saved(image: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


@functools.cache
def files(kind: str) -> list[bytes]:
    """Real pictures in a kind of file: colours, grey, and what else the kind can hold."""
    modes = {"JPEG": "RGB L CMYK", "PPM": "RGB L 1", "BMP": "RGB L P 1", "AVIF": "RGB RGBA", "JPEG2000": "RGB L RGBA"}
    made = [saved(photo().convert(mode), kind) for mode in modes.get(kind, "RGB L P RGBA").split()]
    if kind == "JPEG":
        made += [(SAMPLES / name).read_bytes() for name in ("tile.jpg", "fish.jpg")]
        made.append(saved(photo(), kind, progressive=True, exif=photo().getexif().tobytes()))
    if kind in ("GIF", "PNG", "WEBP", "TIFF"):
        made.append(saved(photo(), kind, save_all=True, append_images=[photo().rotate(9)]))
    if kind in ("PNG", "TIFF"):
        deep = Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)
        made.append(saved(deep, kind))
    return made + ([saved(photo(), kind, **settings) for settings in TIFFS] if kind == "TIFF" else [])


def read(content: bytes | None, place: Path) -> str:
    """What a damaged file is found to be, whole and by windows."""
    file = place / "picture"
    file.write_bytes(b"no picture" if content is None else content)
    size = size_of(file)
    picture = open_picture(file)
    assert picture.size == size[::-1]
    assert picture.width * picture.height <= MAX_PIXELS
    to_mode(picture, "RGB")
    return f"{picture.format} {picture.size}"


def read_windows(content: bytes | None, place: Path) -> str:
    file = place / "picture"
    file.write_bytes(b"no picture" if content is None else content)
    with open_windows(file) as windows:
        height, width = min(WINDOW, windows.height), min(WINDOW, windows.width)
        for top, left in ((0, 0), (windows.height - height, windows.width - width)):
            window = windows.read(top, left, height, width)
            assert window.shape == (height, width, 3)
            assert window.dtype == np.uint8
        return f"{windows.height}x{windows.width}"


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], Guard]]:
    made: dict[Any, Guard] = {}

    def of(answer: Any) -> Guard:
        return made.get(answer) or made.setdefault(answer, Guard(answer, tmp_path_factory.mktemp("pictures")))

    yield of
    for each in made.values():
        each.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_picture_opens_or_is_refused(kind: str, guard: Callable[[Any], Guard]) -> None:
    @fuzzed(few=60, whole=1000)
    @given(damaged(files(kind)))
    def check(content: bytes) -> None:
        said = guard(read).ask(content)
        assert "MemoryError" not in said  # what is within the limit of pixels fits

    check()


@pytest.mark.parametrize("settings", range(len(TIFFS)))
def test_a_damaged_tiff_is_read_by_windows_or_refused(settings: int, guard: Callable[[Any], Guard]) -> None:
    @fuzzed(few=12, whole=70)
    @given(damaged([saved(photo(), "TIFF", **TIFFS[settings])]))
    def check(content: bytes) -> None:
        assert "MemoryError" not in guard(read_windows).ask(content)

    check()


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_that_are_whole_open(kind: str, guard: Callable[[Any], Guard]) -> None:
    for content in files(kind):
        assert guard(read).ask(content).startswith((kind, "MPO"))
        assert "x" in guard(read_windows).ask(content)
