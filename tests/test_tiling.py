"""Pictures of any size: tiles give the whole picture's answer, TIFFs are read by windows, masks written by rows."""

import io
import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import uniform_filter
from torch import nn

from cvhub.errors import CvhubError
from cvhub.inference import images, reducing, windows
from cvhub.inference.images import open_picture
from cvhub.inference.mask_file import MaskWriter, bits_for, read_mask
from cvhub.inference.reducing import Reduced, reduce_picture
from cvhub.inference.tiling import Piece, TilePlan, read_mirrored, run_tiles
from cvhub.inference.windows import PictureWindows, TiffWindows, open_windows
from cvhub.models.pixels import to_mode

SIZES = st.integers(1, 100)
several = settings(max_examples=40)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)


class Recorder:
    """Windows of an array that remember where they were read."""

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.reads: list[tuple[int, int, int, int]] = []

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        assert 0 <= top < top + height <= self.height
        assert 0 <= left < left + width <= self.width
        self.reads.append((top, left, height, width))
        return self.pixels[top : top + height, left : left + width]


class SmallUNet(nn.Module):
    """Valid 3x3 convolutions around one pooling, with the cropped skip: 8 pixels are lost on each side, stride 2."""

    margin, stride = 8, 2

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3)
        self.bottom = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.up = nn.Conv2d(8, 2, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.down(pixels)
        y = nn.functional.interpolate(self.bottom(x), scale_factor=2)
        crop = (x.shape[2] - y.shape[2]) // 2
        return self.up(torch.cat([x[:, :, crop:-crop, crop:-crop], y], dim=1))[:, :, 1:-1, 1:-1]


@pytest.fixture(scope="module")
def unet() -> Callable[[np.ndarray], np.ndarray]:
    torch.manual_seed(0)
    net = SmallUNet()

    def forward(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).numpy()

    return forward


def whole_answer(pixels: np.ndarray, forward: Callable[[np.ndarray], np.ndarray], margin: int) -> np.ndarray:
    """The network's answer to the whole mirrored picture, in one run; 1 row or column more makes its sides even."""
    height, width = pixels.shape[:2]
    mirrored = np.pad(pixels, ((margin, margin + height % 2), (margin, margin + width % 2), (0, 0)), "reflect")
    return forward(mirrored[None])[0, :, :height, :width]


def assembled(pieces: Iterator[Piece]) -> np.ndarray:
    """The pieces beside and under each other, seen to follow one another."""
    rows, height = [], 0
    for top, row in itertools.groupby(pieces, key=lambda piece: piece.top):
        parts, width = [], 0
        for _, left, values in row:
            assert (top, left) == (height, width)
            assert values.dtype == np.float32
            parts.append(values)
            width += values.shape[2]
        rows.append(np.concatenate(parts, axis=2))
        height += rows[-1].shape[1]
    return np.concatenate(rows, axis=1)


# Tiles.


@several
@given(height=SIZES, width=SIZES, answered=st.integers(4, 40), overlap=st.integers(0, 10), batch_size=st.integers(1, 5))
def test_tiles_of_a_valid_net_give_the_whole_pictures_answer(
    unet: Callable, height: int, width: int, answered: int, overlap: int, batch_size: int
) -> None:
    answered = 2 * answered + 4 * overlap
    plan = TilePlan(answered + 2 * SmallUNet.margin, SmallUNet.margin, overlap, SmallUNet.stride)
    pixels = noise(height, width)
    answer = assembled(run_tiles(Recorder(pixels), unet, plan, batch_size))
    np.testing.assert_allclose(answer, whole_answer(pixels, unet, SmallUNet.margin), rtol=0, atol=1e-6)


def test_tiles_that_start_between_strides_would_not(unet: Callable) -> None:
    """What the plan's stride is for: pooled from an odd pixel on, the answers are others."""
    pixels = noise(40, 40)
    shifted = unet(np.pad(pixels, ((8, 8), (8, 8), (0, 0)), "reflect")[None, 1:-1])[0]
    whole = whole_answer(pixels, unet, SmallUNet.margin)
    assert np.abs(shifted - whole[:, 1:-1]).max() > 0.01


@pytest.mark.parametrize("length", [1, 388, 389, 772, 773, 1156])
def test_tiles_of_the_papers_size(length: int) -> None:
    """572 pixels in, 388 out, which are no multiple of U-Net's stride of 16: tiles start every 384 pixels."""
    recorder = Recorder(noise(1, length))
    seen: list[np.ndarray] = []

    def forward(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return pixels[:, 92:-92, 92:-92, :1].transpose(0, 3, 1, 2).astype(np.float32)

    answer = assembled(run_tiles(recorder, forward, TilePlan(572, margin=92, stride=16)))
    assert len(seen) == {1: 1, 388: 1, 389: 2, 772: 2, 773: 3, 1156: 3}[length]
    # One row is less than a tile: it shrinks to U-Net's smallest, 4 pixels out, and in width to one that it takes.
    assert {tile.shape[1] for tile in seen} == {188}
    assert {tile.shape[2] for tile in seen} == {188 if length == 1 else 572}
    np.testing.assert_allclose(answer[0], recorder.pixels[:, :, 0], rtol=1e-6)


@several
@given(height=SIZES, width=SIZES, steps=st.integers(1, 6), overlap=st.integers(0, 3), batch_size=st.integers(1, 5))
def test_padded_tiles_are_blended_with_weights_that_sum_to_one(
    height: int, width: int, steps: int, overlap: int, batch_size: int
) -> None:
    side, stride = 8 * (2 * overlap + steps), 8
    pixels = noise(height, width)
    shapes = set()

    def forward(tiles: np.ndarray) -> np.ndarray:
        shapes.add(tiles.shape[1:3])
        return tiles.transpose(0, 3, 1, 2).astype(np.float32)

    plan = TilePlan(side, overlap=8 * overlap, stride=stride)
    answer = assembled(run_tiles(Recorder(pixels), forward, plan, batch_size))
    np.testing.assert_allclose(answer, pixels.transpose(2, 0, 1), rtol=1e-5)
    small = [min(side, -(-length // stride) * stride) for length in (height, width)]
    assert shapes == {tuple(small)}


def test_the_blend_is_linear() -> None:
    """Where tiles answer with their number, the answer climbs from one to the next over the shared pixels."""
    numbers = iter(range(2))
    answer = assembled(
        run_tiles(
            Recorder(noise(8, 12)),
            lambda tiles: np.full((1, 1, 8, 8), next(numbers), np.float32),
            TilePlan(8, overlap=4),
        )
    )
    assert answer[0, 3].tolist() == [0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1]


def test_overlap_hides_what_a_padded_net_does_at_a_tiles_border() -> None:
    pixels = noise(96, 96)

    def forward(tiles: np.ndarray) -> np.ndarray:
        return uniform_filter(tiles[..., :1].astype(np.float32), 5, mode="constant", axes=(1, 2)).transpose(0, 3, 1, 2)

    def error(overlap: int) -> float:
        answer = assembled(run_tiles(Recorder(pixels), forward, TilePlan(32, overlap=overlap)))
        return float(np.abs(answer - forward(pixels[None])[0])[:, 4:-4, 4:-4].max())

    assert error(16) < error(0) / 4


def test_batches_progress_and_one_shape() -> None:
    batches, progress = [], []

    def forward(tiles: np.ndarray) -> np.ndarray:
        batches.append(tiles.shape)
        return tiles[..., :1].transpose(0, 3, 1, 2).astype(np.float32)

    pieces = run_tiles(Recorder(noise(70, 50)), forward, TilePlan(32), 4, lambda *counts: progress.append(counts))
    places = [(top, left, *values.shape[1:]) for top, left, values in pieces]
    heights, widths = ((0, 32), (32, 32), (64, 6)), ((0, 32), (32, 18))
    assert places == [(top, left, rows, columns) for top, rows in heights for left, columns in widths]
    assert batches == [(4, 32, 32, 3), (2, 32, 32, 3)]
    assert progress == [(4, 6), (6, 6)]


def test_a_piece_is_given_before_more_is_read_and_closing_stops() -> None:
    recorder = Recorder(noise(160, 64))
    pieces = run_tiles(recorder, lambda tiles: tiles.transpose(0, 3, 1, 2).astype(np.float32), TilePlan(32, overlap=8))
    next(pieces)
    assert recorder.reads == [(0, 0, 32, 32)]
    pieces.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(recorder.reads) == 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"side": 30, "stride": 8}, "side is expected to be a multiple of stride"),
        ({"side": 32, "overlap": 20}, "twice the overlap"),
        ({"side": 32, "margin": 16}, "at least stride plus overlap"),
        ({"side": 40, "margin": 16, "stride": 16}, "at least stride plus overlap"),
        ({"side": 0}, "at least stride plus overlap"),
        ({"side": 32, "stride": 0}, "stride is at least 1"),
        ({"side": 32, "margin": -1}, "margin and overlap are at least 0"),
    ],
)
def test_impossible_plans_are_refused(numbers: dict[str, int], message: str) -> None:
    with pytest.raises(CvhubError, match=message):
        TilePlan(**numbers)


def test_an_answer_of_another_size_is_refused() -> None:
    def shrinks(tiles: np.ndarray) -> np.ndarray:
        return np.zeros((len(tiles), 2, 30, 30), np.float32)

    with pytest.raises(CvhubError, match=r"answers 32x32 pixels in shape \(1, 2, 30, 30\), expected \(1, K, 32, 32\)"):
        next(run_tiles(Recorder(noise(32, 32)), shrinks, TilePlan(32)))


# Windows.


@several
@given(height=st.integers(1, 12), width=st.integers(1, 12), before=st.integers(0, 30), after=st.integers(0, 30))
def test_beyond_the_border_the_picture_is_mirrored(height: int, width: int, before: int, after: int) -> None:
    pixels = noise(height, width)
    expected = np.pad(pixels, ((before, after), (after, before), (0, 0)), "reflect")
    window = read_mirrored(Recorder(pixels), -before, -after, height + before + after, width + before + after)
    assert np.array_equal(window, expected)


def by_tifffile(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def by_pillow(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "TIFF", **options)
    return file.getvalue()


def jpeg_tiles(pixels: np.ndarray, side: int) -> bytes:
    """A tiled TIFF of JPEG streams, which Pillow compresses."""

    def streams() -> Iterator[bytes]:
        for top in range(0, pixels.shape[0], side):
            for left in range(0, pixels.shape[1], side):
                tile = np.zeros((side, side, 3), np.uint8)
                part = pixels[top : top + side, left : left + side]
                tile[: part.shape[0], : part.shape[1]] = part
                file = io.BytesIO()
                Image.fromarray(tile).save(file, "JPEG", subsampling=0)
                yield file.getvalue()

    file = io.BytesIO()
    tifffile.imwrite(file, streams(), shape=pixels.shape, dtype=np.uint8, tile=(side, side), photometric="rgb")
    return relabelled(file.getvalue(), {"Compression": 7, "PhotometricInterpretation": 6})


def relabelled(tiff: bytes, tags: dict[str, int]) -> bytes:
    """The TIFF with other values in tags of its first page: tifffile writes only compressions that it can do itself."""
    file = io.BytesIO(tiff)
    with tifffile.TiffFile(file, mode="r+") as opened:
        for name, value in tags.items():
            opened.pages.first.tags[name].overwrite(value)
    return file.getvalue()


HEIGHT, WIDTH = 75, 101
RGB = noise(HEIGHT, WIDTH)
GREY16 = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
TILE = {"tile": (32, 16)}
BY_WINDOWS: dict[str, Callable[[], bytes]] = {
    "tiles": lambda: by_tifffile(RGB, photometric="rgb", **TILE),
    "deflate tiles": lambda: by_tifffile(RGB, photometric="rgb", compression="zlib", predictor=True, **TILE),
    "JPEG tiles": lambda: jpeg_tiles(RGB, 32),
    "big-endian tiles": lambda: by_tifffile(GREY16, photometric="minisblack", byteorder=">", **TILE),
    "BigTIFF": lambda: by_tifffile(RGB, photometric="rgb", bigtiff=True, compression="zlib", **TILE),
    "strips": lambda: by_tifffile(RGB, photometric="rgb", rowsperstrip=7),
    "one strip": lambda: by_tifffile(RGB, photometric="rgb", rowsperstrip=HEIGHT),
    "one strip of one bit": lambda: by_pillow(Image.fromarray(RGB[:, :, 0]).convert("1"), tiffinfo={278: HEIGHT}),
    "LZW strips": lambda: by_pillow(Image.fromarray(RGB), compression="tiff_lzw", tiffinfo={278: 8}),
    "JPEG strips": lambda: by_pillow(Image.fromarray(RGB), compression="jpeg", tiffinfo={278: 16}),
    "PackBits strips": lambda: by_pillow(Image.fromarray(RGB), compression="packbits", tiffinfo={278: 10}),
    "fax": lambda: by_pillow(Image.fromarray(RGB[:, :, 0]).convert("1"), compression="group4", tiffinfo={278: 16}),
    "grey": lambda: by_tifffile(RGB[:, :, 0], photometric="minisblack", **TILE),
    "white is 0": lambda: by_tifffile(RGB[:, :, 0], photometric="miniswhite", **TILE),
    "16 bits": lambda: by_tifffile(GREY16, photometric="minisblack", compression="zlib", **TILE),
    "16 bits, dim": lambda: by_tifffile(GREY16 // 300, photometric="minisblack", **TILE),
    "16 bits a colour": lambda: by_tifffile(np.stack([GREY16] * 3, axis=2), photometric="rgb", **TILE),
    "transparent": lambda: by_tifffile(
        noise(HEIGHT, WIDTH, 4), photometric="rgb", extrasamples=["unassalpha"], compression="zlib", **TILE
    ),
    "palette": lambda: by_tifffile(
        RGB[:, :, 0], photometric="palette", colormap=GREY16.ravel()[:768].reshape(3, 256), **TILE
    ),
    "CMYK": lambda: by_pillow(Image.fromarray(RGB).convert("CMYK"), compression="tiff_lzw", tiffinfo={278: 9}),
    "further pages": lambda: by_tifffile(np.stack([RGB, 255 - RGB]), photometric="rgb", **TILE),
}
WHOLE: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded_png(Image.fromarray(RGB)),
    "32 bits": lambda: by_tifffile(GREY16.astype(np.int32), photometric="minisblack", **TILE),
    "float": lambda: by_tifffile(GREY16 / np.float32(65535), photometric="minisblack", **TILE),
    "turned": lambda: by_tifffile(RGB, photometric="rgb", extratags=[(274, 3, 1, 6, True)], rowsperstrip=HEIGHT),
    "planes": lambda: by_tifffile(RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", rowsperstrip=75),
    "transparent palette": lambda: encoded_png(Image.fromarray(RGB[:, :, 0]).convert("P"), transparency=7),
    "16-bit PNG": lambda: encoded_png(Image.fromarray(GREY16)),
}


def encoded_png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("name", [*BY_WINDOWS, *WHOLE])
def test_windows_have_the_pixels_of_the_whole_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    path.write_bytes((BY_WINDOWS | WHOLE)[name]())
    picture = np.asarray(to_mode(open_picture(path), "RGB"))
    with open_windows(path) as opened:
        assert isinstance(opened, TiffWindows if name in BY_WINDOWS else PictureWindows)
        assert (opened.height, opened.width) == picture.shape[:2]
        for top, left, height, width in [(0, 0, 1, 1), (30, 10, 40, 50), (0, 0, *picture.shape[:2])]:
            window = opened.read(top, left, height, width)
            assert window.dtype == np.uint8
            assert np.array_equal(window, picture[top : top + height, left : left + width])


@pytest.mark.parametrize("parts", [TILE, {"rowsperstrip": 10}, {"rowsperstrip": 200}])
def test_each_part_is_decoded_once_and_a_row_of_them_kept(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(200, 120)
    path = tmp_path / "picture.tif"
    path.write_bytes(by_tifffile(pixels, photometric="rgb", **parts))
    decoded, kept = [], []
    decode = TiffWindows._decode

    def count(self: TiffWindows, row: int, column: int) -> np.ndarray:
        decoded.append((row, column))
        kept.append(sum(part.nbytes for part in self._parts.values()))
        return decode(self, row, column)

    monkeypatch.setattr(TiffWindows, "_decode", count)
    with open_windows(path) as opened:
        for _ in run_tiles(opened, lambda tiles: tiles.transpose(0, 3, 1, 2), TilePlan(32, margin=0, overlap=8)):
            pass
    assert len(decoded) == len(set(decoded)) > 1
    assert max(kept) <= 3 * (32 + 2 * 64) * 128  # rows that a tile and two parts cover


def test_a_window_decodes_only_what_it_touches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.tif"
    path.write_bytes(by_tifffile(RGB, photometric="rgb", **TILE))
    monkeypatch.setattr(windows, "CACHE_BYTES", 3 * 32 * 16)  # one tile
    with open_windows(path) as opened:
        assert isinstance(opened, TiffWindows)
        opened.read(33, 17, 10, 16)
        assert list(opened._parts) == [(1, 2)]
        assert np.array_equal(opened.read(0, 0, HEIGHT, WIDTH), RGB)


def test_a_tiff_is_read_above_the_limit_and_others_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, png, strip = tmp_path / "tiles.tif", tmp_path / "picture.png", tmp_path / "strip.tif"
    tiles.write_bytes(by_tifffile(RGB, photometric="rgb", **TILE))
    strip.write_bytes(by_pillow(Image.fromarray(RGB), compression="tiff_lzw", tiffinfo={278: HEIGHT}))
    Image.fromarray(RGB).save(png)
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    monkeypatch.setattr(images, "MAX_FILE_BYTES", len(strip.read_bytes()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Pillow's own limit is half of what it opens, moved too
    with open_windows(tiles) as opened:
        assert np.array_equal(opened.read(0, 0, HEIGHT, WIDTH), RGB)
    for path in (png, strip):
        with pytest.raises(CvhubError, match="the limit"), open_windows(path):
            pass
        with open_windows(path, max_pixels=HEIGHT * WIDTH) as opened:
            assert np.array_equal(opened.read(0, 0, HEIGHT, WIDTH), RGB)


def test_damaged_tiffs_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    data = by_tifffile(RGB, photometric="rgb", compression="zlib", **TILE)
    path.write_bytes(data[:-100])
    with open_windows(path) as opened:
        opened.read(0, 0, 10, 10)
        with pytest.raises(CvhubError, match=r"^picture.tif is damaged: its end is missing\.$"):
            opened.read(HEIGHT - 1, WIDTH - 1, 1, 1)
    for length in (0, 5, 40, 200):
        path.write_bytes(data[:length])
        with pytest.raises(CvhubError, match=r"^picture.tif is"), open_windows(path):
            pass
    with pytest.raises(CvhubError, match=r"^absent.tif does not exist\.$"), open_windows(tmp_path / "absent.tif"):
        pass


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(relabelled(by_tifffile(RGB, photometric="rgb", **TILE), {"Compression": 33005}))
    with pytest.raises(CvhubError, match="compressed by method 33005, which Pillow can't decode"), open_windows(path):
        pass


def test_tiles_left_out_are_black(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    parts = iter([b"", b"\xff" * 256])
    tifffile.imwrite(path, parts, shape=(16, 32), dtype=np.uint8, tile=(16, 16), photometric="minisblack")
    with open_windows(path) as opened:
        window = opened.read(0, 0, 16, 32)
    assert not window[:, :16].any()
    assert (window[:, 16:] == 255).all()


# Masks.


@pytest.mark.parametrize(
    ("bits", "dtype"), [(8, np.uint8), (8, np.int64), (16, np.uint16), (16, np.int32), (24, np.int64)]
)
@pytest.mark.parametrize("size", [(1, 1), (64, 50), (7, 200)])
def test_a_mask_is_read_back(bits: int, dtype: type, size: tuple[int, int], tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 2**bits, size).astype(dtype)
    with MaskWriter(tmp_path / "mask.png", *size, bits=bits) as writer:
        for top in range(0, size[0], 5):
            writer.write(ids[top : top + 5])
    mask = open_picture(tmp_path / "mask.png")  # which checks the sums too
    assert mask.mode == {8: "L", 16: "I;16", 24: "RGB"}[bits]
    values = np.asarray(mask, np.int64)
    assert np.array_equal(values if bits < 24 else values[..., 0] + 256 * values[..., 1] + 65536 * values[..., 2], ids)
    assert np.array_equal(read_mask(tmp_path / "mask.png"), ids)
    assert os.listdir(tmp_path) == ["mask.png"]


@pytest.mark.parametrize(
    ("highest", "bits"), [(0, 8), (255, 8), (256, 16), (65535, 16), (65536, 24), (2**24 - 1, 24), (2**24, 24)]
)
def test_a_mask_has_as_many_bits_as_its_ids_need(highest: int, bits: int) -> None:
    """2^24 things are more than a mask can hold: writing that one says so."""
    assert bits_for(highest) == bits


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 5), np.uint8), "3 rows came for a mask of 4"),
        (np.zeros((5, 5), np.uint8), "5 rows came for a mask of 4"),
        (np.zeros((4, 6), np.uint8), r"shape \(4, 6\) came for a mask, expected \(h, 5\)"),
        (np.full((4, 5), 256), "8 bits can't hold the ids 256 to 256"),
        (np.full((4, 5), -1), "8 bits can't hold the ids -1 to -1"),
        (np.zeros((4, 5)), "rows of float64 came for a mask"),
    ],
)
def test_a_failed_mask_leaves_what_was_there(rows: np.ndarray, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_text("older")
    with pytest.raises(CvhubError, match=message), MaskWriter(path, 4, 5) as writer:
        writer.write(rows)
    assert os.listdir(tmp_path) == ["mask.png"]
    assert path.read_text() == "older"


def test_a_mask_left_early_leaves_no_file(tmp_path: Path) -> None:
    def leave() -> None:
        with MaskWriter(tmp_path / "mask.png", 4, 5) as writer:
            writer.write(np.zeros((4, 5), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert os.listdir(tmp_path) == []


def test_a_mask_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match=r"mask\.png cannot be written: No such file"):
        MaskWriter(tmp_path / "absent" / "mask.png", 4, 5).__enter__()
    with pytest.raises(CvhubError, match="12 bits was asked for, expected 8, 16 or 24"):
        MaskWriter(tmp_path / "mask.png", 4, 5, bits=12)
    with pytest.raises(CvhubError, match="5x0 pixels was asked for"):
        MaskWriter(tmp_path / "mask.png", 0, 5)


# A reduced picture


def test_a_mean_of_squares_needs_no_whole_picture() -> None:
    values = np.random.default_rng(0).random((2, 11, 13), np.float32)
    reduced = Reduced(2, 11, 13, 4)
    for top, rows in ((0, 5), (5, 2), (7, 4)):
        for left, columns in ((0, 6), (6, 1), (7, 6)):
            reduced.add(values[:, top : top + rows, left : left + columns], top, left)
    for i, j in ((0, 0), (2, 3), (1, 2)):
        expected = values[:, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean((1, 2))
        np.testing.assert_allclose(reduced.mean()[:, i, j], expected, rtol=1e-5)


def test_a_picture_is_reduced_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducing, "ROWS", 10)  # which 4 doesn't divide
    told: list[tuple[int, int]] = []
    reduced = reduce_picture(PictureWindows(Image.fromarray(RGB)), 4, lambda done, total: told.append((done, total)))
    assert reduced.size == (math.ceil(WIDTH / 4), math.ceil(HEIGHT / 4))
    whole = Image.fromarray(RGB[: HEIGHT // 4 * 4, : WIDTH // 4 * 4]).reduce(4)
    difference = np.asarray(reduced).astype(int)[: whole.height, : whole.width] - np.asarray(whole)
    assert np.abs(difference).max() <= 1  # of rounding
    assert told[-1] == (HEIGHT, HEIGHT)
