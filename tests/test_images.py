"""Opening pictures: odd but valid ones open, damaged ones and those beyond the limits are one sentence."""

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from cvhub.errors import CvhubError
from cvhub.inference import images
from cvhub.inference.images import decoded, find_pictures, open_picture
from cvhub.models.pixels import to_mode

WIDTH, HEIGHT = 24, 16
# The kinds of files that are read, and how to write them without loss where that is possible.
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "PPM": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG2000": {},
}


@pytest.fixture
def photo() -> Image.Image:
    """A smooth picture, so that lossy kinds keep it, with no symmetry."""
    across, down = np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT)[:, None]
    red, green, blue = 255 * across + 0 * down, 200 * down + 0 * across, 120 * across * down
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def grey(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo.convert("L"))


def encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **(KINDS[kind] | settings))
    return buffer.getvalue()


def refusal(source: Path | io.BytesIO) -> str:
    """The sentence that says why `source` isn't opened."""
    with pytest.raises(CvhubError) as caught:
        open_picture(source)
    sentence = str(caught.value)
    assert len(sentence) <= 300
    assert sentence.isprintable()
    assert sentence.endswith(".")
    if isinstance(source, Path):
        assert source.stem[:20].replace("\0", "�") in sentence
    return sentence


def distance(image: Image.Image, expected: Image.Image) -> float:
    """Mean difference of two pictures' grey values."""
    assert image.size == expected.size
    return float(np.abs(grey(to_mode(image, "RGB")).astype(float) - grey(expected)).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_whatever_its_name(kind: str, photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "Фото 猫.txt"
    path.write_bytes(encoded(photo, kind))
    assert distance(open_picture(path), photo) < 6
    assert distance(open_picture(io.BytesIO(path.read_bytes())), photo) < 6


ODD: dict[str, Callable[[Image.Image], bytes]] = {
    "16-bit PNG": lambda photo: encoded(Image.fromarray(grey(photo).astype(np.uint16) * 257), "PNG"),
    "16-bit TIFF": lambda photo: encoded(Image.fromarray(grey(photo).astype(np.uint16) * 257), "TIFF"),
    "32-bit TIFF": lambda photo: encoded(Image.fromarray(grey(photo).astype(np.int32)), "TIFF"),
    "float TIFF": lambda photo: encoded(Image.fromarray(grey(photo).astype(np.float32) / 255), "TIFF"),
    "CMYK JPEG": lambda photo: encoded(photo.convert("CMYK"), "JPEG"),
    "CMYK TIFF": lambda photo: encoded(photo.convert("CMYK"), "TIFF"),
    "LAB TIFF": lambda photo: encoded(photo.convert("LAB"), "TIFF"),
    "progressive JPEG": lambda photo: encoded(photo, "JPEG", progressive=True),
    "grey": lambda photo: encoded(photo.convert("L"), "PNG"),
    "grey with alpha": lambda photo: encoded(photo.convert("LA"), "PNG"),
    "palette": lambda photo: encoded(photo.quantize(), "PNG"),
    "palette with transparency": lambda photo: encoded(photo.quantize(), "PNG", transparency=bytes([255] * 256)),
    "alpha": lambda photo: encoded(photo.convert("RGBA"), "PNG"),
    "alpha WebP": lambda photo: encoded(photo.convert("RGBA"), "WEBP"),
    "broken EXIF": lambda photo: encoded(photo, "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_but_valid(name: str, photo: Image.Image) -> None:
    assert distance(open_picture(io.BytesIO(ODD[name](photo))), photo) < 6


def test_one_bit() -> None:
    board = Image.fromarray(np.indices((8, 8)).sum(axis=0) % 2 == 0)
    assert np.array_equal(np.asarray(open_picture(io.BytesIO(encoded(board, "PNG")))), np.asarray(board))


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_extreme_proportions(size: tuple[int, int]) -> None:
    image = open_picture(io.BytesIO(encoded(Image.new("RGB", size, (200, 10, 30)), "PNG")))
    assert image.size == size
    assert image.getpixel((0, 0)) == (200, 10, 30)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_animated_gives_its_first_frame(kind: str, photo: Image.Image) -> None:
    later = [photo.transpose(Image.Transpose.ROTATE_180), Image.new("RGB", photo.size)]
    image = open_picture(io.BytesIO(encoded(photo, kind, save_all=True, append_images=later)))
    assert distance(image, photo) < 6
    assert distance(image, later[0]) > 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(kind: str, orientation: int, photo: Image.Image) -> None:
    turns = Image.Transpose
    undo = {
        2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
        6: turns.ROTATE_90, 7: turns.TRANSVERSE, 8: turns.ROTATE_270,
    }  # fmt: skip
    stored = photo.transpose(undo[orientation]) if orientation in undo else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert distance(open_picture(io.BytesIO(encoded(stored, kind, exif=exif))), photo) < 3


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(kind: str, photo: Image.Image, tmp_path: Path) -> None:
    data = encoded(photo, kind)
    needed = len(data) - (2 if kind == "GIF" else 0)  # its end mark comes after the last pixel
    for length in {1, 4, 16, len(data) // 3, len(data) // 2, len(data) - 12, needed - 1}:
        path = tmp_path / f"cut{length}"
        path.write_bytes(data[:length])
        assert "damaged" in refusal(path)


def test_a_wrong_byte_anywhere_in_a_png_is_seen(photo: Image.Image) -> None:
    data = encoded(photo, "PNG")
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 0x10
        assert "damaged" in refusal(io.BytesIO(bytes(broken))), place


def test_no_picture(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    assert "empty" in refusal(empty)
    text = tmp_path / "letter.jpg"
    text.write_text("Dear Sir or Madam, " * 20)
    assert "no picture" in refusal(text)
    assert "JPEG, PNG" in refusal(text)
    drawing = tmp_path / "drawing.eps"  # Pillow would start Ghostscript
    drawing.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert "no picture" in refusal(drawing)


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not exist" in refusal(tmp_path / "absent.jpg")
    assert "folder" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("long" * 100))
    assert "cannot be read" in refusal(tmp_path / "null\0byte")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "no regular file" in refusal(tmp_path / "pipe.jpg")

    def forbidden(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "secret.jpg").touch()
    monkeypatch.setattr(Path, "open", forbidden)
    assert "cannot be read: Permission denied" in refusal(tmp_path / "secret.jpg")


@pytest.mark.parametrize(
    "name", ["n" * 250 + ".jpg", "two\nlines.jpg", os.fsdecode(b"latin-\xe9.jpg"), "猫" * 80 + ".jpg"]
)
def test_names_in_sentences(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("RGB", (9, 9)).save(tmp_path / "whole.bmp")
    path.write_bytes((tmp_path / "whole.bmp").read_bytes()[:-99])
    with pytest.raises(CvhubError) as caught, decoded(path):
        pass
    sentence = str(caught.value)
    assert len(sentence) <= 300
    assert sentence.encode().decode().isprintable()
    assert sentence.startswith(name[:3])
    assert ".jpg" in sentence


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


CLAIMS = {
    "PNG": png_claiming(60_000, 60_000),
    "PNG, little above": png_claiming(8193, 6144),
    "PPM": b"P6 60000 60000 255\n" + bytes(100),
    "BMP": b"BM" + struct.pack("<IIIIiiHH", 154, 0, 54, 40, 60_000, 60_000, 1, 24) + bytes(124),
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"," + bytes(20),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_too_many_pixels_are_refused_before_they_are_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert f"{images.MAX_PIXELS:,}" in refusal(io.BytesIO(CLAIMS[name]))


def test_the_limits_are_the_stated_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 30)
    assert open_picture(io.BytesIO(encoded(Image.new("RGB", (6, 5)), "PNG"))).size == (6, 5)
    assert "31x1 pixels" in refusal(io.BytesIO(encoded(Image.new("RGB", (31, 1)), "PNG")))

    path = tmp_path / "padded.png"
    path.write_bytes(encoded(Image.new("RGB", (6, 5)), "PNG"))
    os.truncate(path, images.MAX_FILE_BYTES)
    assert open_picture(path).size == (6, 5)
    os.truncate(path, images.MAX_FILE_BYTES + 1)
    assert "200 MB" in refusal(path)


@pytest.mark.parametrize(("large_pixels", "together"), [(0, 1), (WIDTH * HEIGHT, 4)])
def test_large_pictures_are_in_memory_one_at_a_time(
    large_pixels: int, together: int, photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "LARGE_PIXELS", large_pixels)
    path = tmp_path / "photo.png"
    photo.save(path)
    inside, most = 0, 0
    counting = threading.Lock()
    company = threading.Barrier(together)  # a block is left when as many as may are in it

    def open_it() -> None:
        nonlocal inside, most
        with decoded(path):
            with counting:
                inside += 1
                most = max(most, inside)
            company.wait(timeout=60)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == together


def test_find_pictures(tmp_path: Path) -> None:
    for name in (
        "b.jpg",
        "a/z.PNG",
        "a/10.webp",
        "c/d/e.tiff",
        "notes.txt",
        ".hidden.jpg",
        ".cache/x.jpg",
        "a/Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = list(find_pictures([tmp_path]))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/10.webp", "a/z.PNG", "b.jpg", "c/d/e.tiff"]
    assert found == sorted(found)


def test_find_pictures_leaves_files_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [tmp_path / "notes.txt", tmp_path / "absent.jpg", tmp_path / ("long" * 100)]
    given[0].touch()
    assert list(find_pictures(given)) == given

    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert list(find_pictures([tmp_path])) == [tmp_path]
