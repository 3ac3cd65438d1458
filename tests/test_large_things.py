"""Things that come in pieces are those that the processor finds in the whole picture."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cvhub.inference import large_things
from cvhub.inference.large_things import PeakFinder, Shelf, ThingRows
from cvhub.inference.segments import Segment, SegmentReader
from cvhub.models.dense_processing import CvPanopticProcessor
from cvhub.models.grouping import find_centres
from cvhub.models.panoptic_deeplab import CvPanopticDeepLabConfig, instance_targets
from tests.test_panoptic_deeplab import disks

LABELS = ["background", "disk", "sky", "ring", "sea"]
SIZE = (96, 130)

Maps = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> SegmentReader:
    folder = tmp_path_factory.mktemp("reader")
    CvPanopticProcessor(top_k=10_000, smallest_thing=3, smallest_stuff=20).save_pretrained(folder)
    return SegmentReader(folder, CvPanopticDeepLabConfig(num_labels=5, thing_ids=(1, 3)), LABELS)


def noise_maps(seed: int) -> Maps:
    """What no net would say: classes in blobs, many centres, and offsets that lead anywhere within 40 pixels."""
    chance = np.random.default_rng(seed)
    smooth = lambda channels, width: gaussian_filter(chance.normal(size=(channels, *SIZE)), (0, width, width))  # noqa: E731
    maps = {"logits": 40 * smooth(5, 3), "centres": 3 * smooth(1, 2), "offsets": 35 * smooth(2, 2)}
    return {name: values.astype(np.float32) for name, values in maps.items()}


def true_maps() -> Maps:
    """Of a net that makes no mistake: things far apart, one of them in three bands."""
    instances = disks(*SIZE, (20, 20), (50, 60), (80, 110))
    centres, offsets = instance_targets(instances, 2.0)
    classes = torch.where(instances > 0, 1, 2 + 2 * (torch.arange(SIZE[0]) > 40)[:, None])
    classes[instances == 2] = 3
    logits = 10.0 * torch.nn.functional.one_hot(classes, 5).permute(0, 3, 1, 2)
    return {"logits": logits[0].numpy(), "centres": centres[0].numpy(), "offsets": offsets[0].numpy()}


def in_pieces(
    maps: Maps, processor: CvPanopticProcessor, heights: list[int], task: str, columns: int = 50
) -> tuple[np.ndarray, list[Segment]]:
    """The mask, put together of pieces of `columns` in rows of `heights`, the last of which is the rest."""
    ends = [end for end in np.cumsum(heights).tolist() if end < SIZE[0]]
    with closing(ThingRows(processor, *SIZE)) as things:
        codes = np.concatenate(
            [np.concatenate(list(things.add(pieces(row, columns))), 1) for row in cut(maps, ends, axis=1)]
        )
    table, segments = things.ids_of_codes(task, 0.1 if task == "instance" else 0.0, LABELS)
    return table[codes + things.kinds], segments


def cut(maps: Maps, ends: list[int], axis: int) -> Iterator[Maps]:
    parts = zip(*(np.split(values, ends, axis) for values in maps.values()), strict=True)
    return (dict(zip(maps, part, strict=True)) for part in parts)


def pieces(row: Maps, columns: int) -> Iterator[Maps]:
    return cut(row, list(range(columns, SIZE[1], columns)), axis=2)


def same(found: tuple[np.ndarray, list[Segment]], expected: tuple[np.ndarray, list[Segment]]) -> None:
    """Equal but for the numbers of the segments."""
    (mask, segments), (whole, all_segments) = found, expected
    assert mask.shape == whole.shape
    assert len(segments) == len(all_segments)
    of_whole = {one.id: one for one in all_segments}
    for one in segments:
        (number,) = np.unique(whole[mask == one.id]).tolist()
        other = of_whole[number]
        assert ((whole == number) == (mask == one.id)).all()
        assert (one.label_id, one.label) == (other.label_id, other.label)
        assert one.score == pytest.approx(other.score, abs=1e-5)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    heights=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    columns=st.integers(20, 140),
)
@pytest.mark.parametrize("task", ["instance", "panoptic"])
def test_pieces_give_the_whole_pictures_things(
    task: str, seed: int, heights: list[int], columns: int, reader: SegmentReader
) -> None:
    maps = noise_maps(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_things, "REACH", 40)
        expected = reader.read(maps, SIZE, task, 0.1 if task == "instance" else 0.0)
        assert len(expected[1]) > 10
        same(in_pieces(maps, reader.processor, heights, task, columns), expected)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    kernel=st.sampled_from([1, 3, 7]),
    rows=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    columns=st.integers(1, 40),
)
def test_peaks_of_pieces_are_those_of_the_whole_map(seed: int, kernel: int, rows: list[int], columns: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 6, (sum(rows), 32))  # so few that many are equal
    centres = torch.from_numpy(levels.astype(np.float32))
    finder = PeakFinder(CvPanopticProcessor(nms_kernel=kernel), *centres.shape)
    found = [finder.add(piece) for row in centres.split(rows) for piece in row.split(columns, dim=1)]
    points, heights = (torch.cat(parts) for parts in zip(*found, strict=True))
    expected, their_heights = find_centres(centres.numpy(), 0.1, kernel, centres.numel())
    known = dict(zip(map(tuple, expected.tolist()), their_heights.tolist(), strict=True))
    assert dict(zip(map(tuple, points.tolist()), heights.tolist(), strict=True)) == known
    assert len(points) == len(expected) > 0


@pytest.mark.parametrize("heights", [[1] * 96, [18, 4, 30], [200]], ids=["single", "several", "whole"])
def test_a_thing_over_several_rows_is_one(
    heights: list[int], reader: SegmentReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_things, "REACH", 16)
    mask, segments = in_pieces(true_maps(), reader.processor, heights, "panoptic", columns=20)
    assert [one.label for one in segments] == ["disk", "ring", "disk", "sky", "sea"]
    assert sorted(np.unique(mask)) == [1, 2, 3, 4, 5]
    same((mask, segments), reader.read(true_maps(), SIZE, "panoptic", 0.0))


def test_memory_is_that_of_some_rows(reader: SegmentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are given as soon as all centres within reach are known, and forgotten."""
    monkeypatch.setattr(large_things, "REACH", 16)
    things, maps = ThingRows(reader.processor, *SIZE), noise_maps(0)
    given = []
    for row in cut(maps, list(range(12, SIZE[0], 12)), axis=1):
        given += {len(codes) for codes in things.add(pieces(row, 50))}
        assert things.waiting is not None
        waiting = list(things.waiting)
        assert [values.shape[2] for values in waiting] == [50, 50, 30]
        assert waiting[0].shape[1] <= 16 + 3
        assert all(len(rows) <= 2 * 3 for rows in things.peaks.above.values())
        assert things.peaks.beside.shape[1] <= 2 * 3
        things.waiting = Shelf()
        for values in waiting:
            things.waiting.put(values)
    things.close()
    assert sum(given) == SIZE[0]
    assert given[:3] == [0, 5, 12]


def test_a_thing_without_a_centre_in_reach_is_none(reader: SegmentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = true_maps()
    maps["centres"] = np.zeros_like(maps["centres"])
    maps["centres"][0, 90, 120] = 1.0
    monkeypatch.setattr(large_things, "REACH", 16)
    mask, segments = in_pieces(maps, reader.processor, [30, 30], "instance", columns=20)
    assert [one.label for one in segments] == ["disk"]
    assert not mask[:60].any()
    assert mask[80, 110] == 1
