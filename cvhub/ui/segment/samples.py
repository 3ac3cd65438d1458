"""The Segment tab's sample pictures: scenes that a program drew, whose truth is exact, and photos.

The scenes are of the test part of the series that `python -m cvhub.training.scenes` makes, so no net was trained on
them.
"""

import filecmp
import functools
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cvhub import catalog
from cvhub.ui import samples

if TYPE_CHECKING:
    from cvhub.catalog import Entry
    from cvhub.training.scenes import Scene

SCENES = {"scene_1": 0, "scene_2": 1, "scene_3": 2}  # sample: its place in the test part
PHOTOS = {"chelsea": "pets", "coins": "nuclei"}  # sample: the data set whose nets know what is in it
SAMPLES = (*SCENES, *PHOTOS)
SEED, SIDE = 0, 192
THUMBNAIL = 96  # pixels


def dataset_of(sample: str) -> str:
    return "scenes" if sample in SCENES else PHOTOS[sample]


def segmenters() -> "list[Entry]":
    return [entry for entry in catalog.CATALOG if entry.task.endswith("-segmentation")]


def model_for(sample: str) -> str | None:
    """The first bundled net that was trained on pictures such as this sample."""
    bundled = [entry for entry in segmenters() if entry.source == "bundled"]
    return next((entry.name for entry in bundled if entry.dataset == dataset_of(sample)), None)


def first_choice() -> tuple[str, str | None]:
    """The sample and the net that a visitor sees first: the first pair that fits, else the first bundled net."""
    fitting = [(sample, name) for sample in SAMPLES if (name := model_for(sample))]
    others = [(SAMPLES[0], entry.name) for entry in segmenters() if entry.source == "bundled"]
    return next(iter([*fitting, *others]), (SAMPLES[0], None))


def sample_file(sample: str) -> str:
    """Where a sample lies; a scene is drawn when it is asked for first."""
    return str(scene_files()[sample]) if sample in SCENES else samples.sample_file(sample)


@functools.cache
def scene(sample: str) -> "Scene":
    from cvhub.training.scenes import SPLITS, make_scene

    return make_scene(SEED, SPLITS["test"] + SCENES[sample], SIDE)


@functools.cache
def scene_files() -> dict[str, Path]:
    """PNGs of all scenes, in a folder that goes with the process."""
    folder = Path(_folder().name)
    files = {sample: folder / f"{sample}.png" for sample in SCENES}
    for sample, file in files.items():
        scene(sample).image.save(file)
    return files


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cvhub-scenes-")


def scene_in(picture: Path) -> "Scene | None":
    """The scene that a file is, however it came to the server; files of other sizes are not read."""
    for sample, file in scene_files().items():
        if picture.is_file() and filecmp.cmp(picture, file, shallow=False):
            return scene(sample)
    return None


def thumbnail(sample: str) -> bytes:
    """The JPEG on a sample's radio button."""
    if sample not in SCENES:
        return samples.thumbnail(sample)
    content = io.BytesIO()
    small = scene(sample).image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(content, "JPEG", quality=80)
    return content.getvalue()
