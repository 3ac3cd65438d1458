"""Pictures of any size in overlapping tiles: the time a megapixel takes, and the memory that all of it takes."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import cpus
from benchmarks.report import Report, Table
from benchmarks.settings import Settings

SIDES = (4096, 8192, 16384)
TILE = 512  # pixels a side, of the TIFF
MODEL = "nuclei_panoptic"
# The paper's U-Net, a quarter as wide.
VALID_UNET = {"widths": (16, 32, 64, 128, 256), "num_channels": 3, "num_labels": 2}


def run(settings: Settings) -> Report:
    report = Report(
        "Large pictures",
        f"TIFFs of tiles of {TILE} pixels, from file to mask, {cpus()} threads, a new process each: seconds with the "
        "model ready, and the most memory that the process ever had.",
    )
    pictures = [_write_picture(settings.work / f"{side}.tif", side) for side in SIDES]
    unet = _write_unet(settings.work / "valid-unet")
    for title, model, task in (
        (f"{MODEL}, instances", MODEL, "instance"),
        ("valid U-Net, semantic", str(unet), "semantic"),
    ):
        table = Table([title, "megapixels", "seconds", "ms a megapixel", "to the smallest", "memory, MB"])
        pace = []
        _measured(model, pictures[0], task)  # converts the network, which takes memory of its own
        for side, picture in zip(SIDES, pictures, strict=True):
            seconds, megabytes = _measured(model, picture, task)
            pace.append(1000 * seconds / (side**2 / 1e6))
            numbers = f"{side**2 / 1e6:.0f}", f"{seconds:.1f}", f"{pace[-1]:.0f}", f"{pace[-1] / pace[0]:.2f}"
            table.rows.append([f"{side}²", *numbers, f"{megabytes:,.0f}"])
        report.tables.append(table)
    return report


def _measured(model: str, picture: Path, task: str) -> tuple[float, float]:
    """Seconds and megabytes, as a process of its own tells them."""
    command = [sys.executable, "-m", "benchmarks.tiles", model, str(picture), task]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    return found["seconds"], found["megabytes"]


def measure(model: str, picture: Path, task: str) -> dict[str, float]:
    """In this process: a first tile for what is only done once, then all of them."""
    from cvhub.inference.large import segment_large
    from cvhub.inference.segment import Segmenter
    from cvhub.inference.windows import PictureWindows, open_windows

    segmenter = Segmenter(model)
    mask = picture.with_suffix(".mask.png")
    with open_windows(picture) as windows:
        from PIL import Image

        first = PictureWindows(Image.fromarray(windows.read(0, 0, TILE, TILE)))
        segment_large(segmenter, first, mask, task)
        start = time.perf_counter()
        segments = segment_large(segmenter, windows, mask, task)
        seconds = time.perf_counter() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": megabytes, "segments": len(segments)}


def _write_picture(file: Path, side: int) -> Path:
    """Discs of nuclei's size on a dark ground, a tile again and again."""
    import tifffile
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (TILE, TILE), (20, 20, 24))
    draw = ImageDraw.Draw(tile)
    for x, y, radius in np.random.default_rng(0).uniform((16, 16, 6), (TILE - 16, TILE - 16, 14), (120, 3)).tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (150, 150, 160))
    tiles = (np.asarray(tile) for _ in range((side // TILE) ** 2))
    form = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(file, tiles, tile=(TILE, TILE), **form)
    return file


def _write_unet(folder: Path) -> Path:
    """Weights are random: they don't change the time."""
    import torch

    from cvhub.models.dense_processing import CvSemanticProcessor
    from cvhub.models.unet import CvUNetConfig, CvUNetForSemanticSegmentation

    torch.manual_seed(0)
    net = CvUNetForSemanticSegmentation(CvUNetConfig(**VALID_UNET))
    net.save_pretrained(folder)
    CvSemanticProcessor(**net.config.processor_fields).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    model, picture, task = sys.argv[1:]
    print(json.dumps(measure(model, Path(picture), task)))
