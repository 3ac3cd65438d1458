"""A folder of photos made searchable: from its files to CLIP's embeddings, beside the transformers pipeline's."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import cpus
from benchmarks.photos import make_photos
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.words import clip_folders
from cvhub.errors import CvhubError

COUNT = 5_000
WARM_UP = 64  # photos
BATCH = 16
PIPELINE = "transformers pipeline"

Embed = Callable[[Path], None]  # of all photos in a folder


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    photos, few = settings.work / "photos-to-index", settings.work / "few-photos"
    make_photos(photos, COUNT)
    make_photos(few, WARM_UP)
    report = Report(
        "Indexing",
        f"{COUNT:,} photos from their files to embeddings of CLIP ViT-B/32, batches of {BATCH}, {cpus()} threads, each "
        "once: ours until the index is on the disk, the pipeline's until the last picture's features are there.",
    )
    times = {}
    for name, embed in (_ours(settings.work), (PIPELINE, _theirs(settings.work))):
        embed(few)
        start = time.perf_counter()
        embed(photos)
        times[name] = time.perf_counter() - start
    table = Table(["indexing", "photos a second", f"× {PIPELINE}"])
    for name, taken in times.items():
        table.rows.append([name, f"{COUNT / taken:.1f}", f"{times[PIPELINE] / taken:.2f}"])
    report.tables.append(table)
    return report


def _ours(work: Path) -> tuple[str, Embed]:
    from cvhub.inference.indexing import FolderPictures, build_index
    from cvhub.inference.zero_shot import ZeroShot

    net = ZeroShot(str(clip_folders(work)[1]))

    def embed(folder: Path) -> None:
        made = build_index(net, FolderPictures(folder), work / f"index-of-{folder.name}", BATCH)
        if made.failed:
            raise CvhubError(f"{made.failed[0].place} was not indexed: {made.failed[0].error}")

    return f"cvhub index, {net.image_runtime.name} {net.image_runtime.precision}", embed


def _theirs(work: Path) -> Embed:
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection, pipeline

    source, _ = clip_folders(work)
    model: Any = CLIPVisionModelWithProjection.from_pretrained(source)
    processor = CLIPImageProcessor.from_pretrained(source)
    pipe: Any = pipeline("image-feature-extraction", model=model, image_processor=processor)

    def embed(folder: Path) -> None:
        paths = [str(path) for path in sorted(folder.iterdir())]
        found = sum(1 for _ in pipe(paths, batch_size=BATCH))
        if found != len(paths):
            raise CvhubError(f"the pipeline embedded {found} of {len(paths)} photos.")

    return embed
