"""Synthetic panoptic scenes: countable things over regions of stuff, each a pure function of a seed and an index.

Made to train a panoptic net without any download, from `make_scene` itself or from a data set of such scenes:

    python -m cvhub.training.scenes DIR --seed 0 --train 2000 --test 300 --size 160
"""

import argparse
import io
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.training.scene_layout import CLASSES, lay_out_stuff, place_things
from cvhub.training.scene_painting import paint

MIN_SIDE, MAX_SIDE = 128, 256  # pixels; in less, small things lose their shape
# Each split's first index of the series, so far apart that none reaches into another.
SPLITS = {"train": 0, "test": 2**31}
ROWS_AT_ONCE = 50

CARD = """\
---
license: cc0-1.0
pretty_name: Synthetic panoptic scenes
task_categories:
- image-segmentation
tags:
- synthetic
- panoptic-segmentation
---

# Synthetic panoptic scenes

Drawn by a program, not photographed: {train} scenes to train on and {test} to test on, {height}x{width} pixels each, by
`python -m cvhub.training.scenes` with the seed {seed}. Wavy regions of stuff hold 3 to 12 things, which touch and hide
each other. Stuff and things share the few colours of a scene and are patterned alike, so that shape and texture tell
them apart and colour does not.

| column | what it is |
|---|---|
| `image` | the picture, RGB |
| `semantic` | the class of each pixel, 8 bits |
| `instances` | 0 where there is stuff, else the number of the thing, from 1 on, 16 bits |

| id | class | kind |
|---|---|---|
{classes}

Row i of `train` is `make_scene({seed}, i, ({height}, {width}))`, row i of `test` has the index {first_test} + i: no
scene is in both. Released under CC0 1.0.
"""


class Scene(NamedTuple):
    """A synthetic picture (RGB) and its panoptic truth.

    `semantic` (H, W) uint8: class ids, places in `CLASSES`. `instances` (H, W) uint16: 0 where there is stuff, else
    1 to n, the thing's number; a larger number lies on top of a smaller one.
    """

    image: Image.Image
    semantic: np.ndarray
    instances: np.ndarray


def make_scene(seed: int, index: int, size: int | tuple[int, int] = 160) -> Scene:
    """Scene `index` of the series `seed`; `size` is (height, width) in pixels, or both in one number.

    The layout and the colours are drawn from two streams, spawned of `SeedSequence([seed, index])`, and nothing else
    is asked, neither fonts nor files. The labels are the same on every machine, the colours up to rounding.

    Raises `CvhubError` where a side is not within 128 and 256, or `seed` or `index` not within 0 and 2³² − 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (height, width)):
        raise CvhubError(f"A scene of {height}x{width} pixels is no use: each side has {MIN_SIDE} to {MAX_SIDE}.")
    for name, number in (("seed", seed), ("index", index)):
        if not 0 <= number < 2**32:  # a second word would be taken for the other number
            raise CvhubError(f"The {name} of a scene is {number}, expected 0 to {2**32 - 1}.")
    layout, colours = map(np.random.default_rng, np.random.SeedSequence([seed, index]).spawn(2))
    regions = lay_out_stuff(layout, height, width)
    things, instances = place_things(layout, height, width)
    semantic = np.zeros((height, width), np.uint8)
    for region in regions:
        semantic[region.distance < 0] = region.label
    for number, thing in enumerate(things, start=1):
        semantic[instances == number] = thing.label
    return Scene(paint(colours, regions, things, height, width), semantic, instances)


def write_dataset(
    folder: Path,
    seed: int,
    train: int = 2000,
    test: int = 300,
    size: int | tuple[int, int] = 160,
    progress: Callable[[str, int, int], None] = lambda split, done, scenes: None,
) -> None:
    """Writes so many scenes to train on and to test on, as a folder that `datasets.load_dataset` reads.

    Row i of a split is `make_scene(seed, SPLITS[split] + i, size)`, so the splits share no scene. The columns are
    `image` (PNG, RGB), `semantic` (PNG, 8 bits) and `instances` (PNG, 16 bits), as in `Scene`. `progress` is told
    the split, the scenes done and the scenes in all.

    Raises `CvhubError` where the folder holds something already, or a split has no scenes or too many; and as
    `make_scene` does, before anything is written.
    """
    import datasets

    counts = {"train": train, "test": test}
    for split, scenes in counts.items():
        if not 1 <= scenes <= 2**31:
            raise CvhubError(f"The split {split} is to have {scenes} scenes, expected 1 to {2**31}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CvhubError(f"{folder} holds something already, expected a new or an empty folder.")
    make_scene(seed, 0, size)
    (folder / "data").mkdir(parents=True)
    features = datasets.Features({column: datasets.Image() for column in Scene._fields})
    for split, scenes in counts.items():
        file = folder / "data" / f"{split}-00000-of-00001.parquet"
        rows = (_encode(make_scene(seed, SPLITS[split] + i, size)) for i in range(scenes))
        _write_rows(file, features.arrow_schema, rows, lambda done, split=split: progress(split, done, counts[split]))
    (folder / "README.md").write_text(_card(seed, counts, size), encoding="utf-8")


def _encode(scene: Scene) -> dict[str, dict[str, bytes | None]]:
    pictures = {"image": scene.image} | {
        column: Image.fromarray(getattr(scene, column)) for column in ("semantic", "instances")
    }
    row = {}
    for column, picture in pictures.items():
        file = io.BytesIO()
        picture.save(file, "PNG")
        row[column] = {"bytes": file.getvalue(), "path": None}
    return row


def _write_rows(file: Path, schema: Any, rows: Iterator[dict[str, Any]], progress: Callable[[int], None]) -> None:
    """A Parquet file of any number of rows, of which `ROWS_AT_ONCE` are in memory."""
    import pyarrow  # comes with datasets
    from pyarrow import parquet

    done = 0
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(itertools.islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
            done += len(group)
            progress(done)


def _card(seed: int, counts: dict[str, int], size: int | tuple[int, int]) -> str:
    height, width = (size, size) if isinstance(size, int) else size
    classes = "\n".join(
        f"| {label} | {name} | {'thing' if is_thing else 'stuff'} |" for label, (name, is_thing) in enumerate(CLASSES)
    )
    return CARD.format(seed=seed, height=height, width=width, classes=classes, first_test=SPLITS["test"], **counts)


def main(arguments: list[str] | None = None) -> int:
    """`python -m cvhub.training.scenes`: exit code 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser("python -m cvhub.training.scenes", description="Writes synthetic panoptic scenes.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new or an empty folder")
    parser.add_argument("--seed", type=int, default=0, help="the series of scenes (0)")
    parser.add_argument("--train", type=int, default=2000, help="scenes to train on (2000)")
    parser.add_argument("--test", type=int, default=300, help="scenes to test on (300)")
    parser.add_argument("--size", type=int, default=160, help="height and width in pixels (160)")
    options = parser.parse_args(arguments)
    try:
        write_dataset(options.folder, options.seed, options.train, options.test, options.size, _show)
    except CvhubError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {options.folder}")
    return 0


def _show(split: str, done: int, scenes: int) -> None:
    """One line a split, which renews itself on a terminal; elsewhere only the last."""
    if done == scenes or sys.stderr.isatty():
        start, end = ("\r", "\n" if done == scenes else "") if sys.stderr.isatty() else ("", "\n")
        print(f"{start}{split}: {done}/{scenes} synthetic scenes", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
