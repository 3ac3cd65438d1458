"""Segments any number of files and writes their masks into a folder."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.images import decoded, find_pictures, name_of, reason_of
from cvhub.inference.large import segment_large
from cvhub.inference.mask_file import MaskWriter, bits_for
from cvhub.inference.segment import Segmentation, Segmenter
from cvhub.inference.segments import Segment
from cvhub.inference.tiling import Progress
from cvhub.inference.windows import open_windows, size_of

# What shows how far a large picture is: given its file, a context of what is called with tiles done and all tiles.
Shows = Callable[[Path], AbstractContextManager[Progress | None]]


@dataclass(frozen=True)
class Task:
    """A picture, and where its mask goes."""

    picture: Path
    mask: Path


@dataclass(frozen=True)
class MaskedFile:
    """A picture's mask on disk and its segments, or the sentence that says why there is none."""

    path: Path
    mask: Path
    segments: list[Segment]
    error: str | None = None


def plan_masks(paths: Iterable[Path], out: Path) -> Iterator[Task]:
    """The pictures of `paths`, files or folders, each with its mask's absolute path under `out`.

    A folder's pictures keep their subfolders, and a name that is taken gets a number. What lies in `out` is left out:
    these are the masks of an earlier run.
    """
    out = Path(os.path.abspath(out))
    taken: set[str] = set()
    for path in paths:
        for picture in find_pictures([path]):
            if picture != path and out in Path(os.path.abspath(picture)).parents:
                continue
            place = Path(picture.name) if picture == path else picture.relative_to(path)
            yield Task(picture, out / _free_name(place.with_suffix(".png"), taken))


def _free_name(wanted: Path, taken: set[str]) -> Path:
    """`wanted`, or with -2, -3 … where it is `taken`; some file systems don't tell A from a."""
    names = itertools.chain([wanted], (wanted.with_stem(f"{wanted.stem}-{number}") for number in itertools.count(2)))
    name = next(name for name in names if str(name).casefold() not in taken)
    taken.add(str(name).casefold())
    return name


def write_masks(
    segmenter: Segmenter,
    tasks: Iterable[Task],
    task: str = "semantic",
    batch_size: int = 1,
    max_pixels: int | None = None,
    shows: Shows = lambda picture: nullcontext(),
) -> Iterator[MaskedFile]:
    """Each picture's mask, in order and in flat memory: PNGs at the pictures' own sizes.

    Pictures that the network can't be given at once are taken in tiles, as `shows` shows. `max_pixels` is the limit of
    those that only decode whole.
    """

    def is_large(one: Task) -> bool:
        try:
            return not segmenter.fits(*size_of(one.picture, max_pixels))
        except CvhubError:  # opening it will say the same
            return False

    def opened(one: Task) -> AbstractContextManager[Image.Image]:
        return decoded(one.picture, max_pixels)

    def in_tiles(one: Task) -> list[Segment]:
        with open_windows(one.picture, max_pixels) as windows, shows(one.picture) as progress:
            return segment_large(segmenter, windows, one.mask, task, progress)

    segmenter.check_task(task)
    for large, group in itertools.groupby(tasks, is_large):
        if large:
            yield from (_written(one, partial(in_tiles, one)) for one in group)
        else:
            for one, answer in segmenter.answers(group, opened, task, batch_size=batch_size):
                yield _written(one, partial(_write_whole, answer, one.mask))


def _write_whole(answer: Segmentation | str, file: Path) -> list[Segment]:
    if isinstance(answer, str):
        raise CvhubError(answer)
    bits = bits_for(int(answer.mask.max(initial=0)))
    with MaskWriter(file, *answer.mask.shape, bits=bits) as writer:
        writer.write(answer.mask)
    return answer.segments


def _written(one: Task, write: Callable[[], list[Segment]]) -> MaskedFile:
    """What `write` says, once the mask's folder is there."""
    try:
        try:
            one.mask.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CvhubError(f"the folder {name_of(one.mask.parent)} cannot be made: {reason_of(error)}.") from None
        return MaskedFile(one.picture, one.mask, write())
    except CvhubError as error:
        return MaskedFile(one.picture, one.mask, [], str(error))
