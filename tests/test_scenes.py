"""Synthetic scenes: the same ones everywhere, truth that agrees with itself, too hard for colour, and a data set."""

import hashlib
from pathlib import Path

import datasets
import numpy as np
import pytest
from scipy import ndimage
from sklearn.cluster import KMeans

from cvhub.errors import CvhubError
from cvhub.training.scene_layout import MAX_THINGS, MIN_THINGS, MIN_VISIBLE
from cvhub.training.scenes import CLASSES, SPLITS, Scene, main, make_scene, write_dataset

THING = np.array([row.is_thing for row in CLASSES])


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(0, index) for index in range(50)]


# --- The same everywhere ---------------------------------------------------------------------------------------------


def test_a_scene_is_a_function_of_seed_and_index() -> None:
    first, second = make_scene(3, 7, 128), make_scene(3, 7, (128, 128))
    assert first.image.tobytes() == second.image.tobytes()
    assert np.array_equal(first.semantic, second.semantic)
    assert np.array_equal(first.instances, second.instances)


def test_labels_are_those_of_every_other_machine() -> None:
    """Whoever changes the layout on purpose changes this sum; data sets written before are then others."""
    scene = make_scene(0, 0)
    content = scene.semantic.tobytes() + scene.instances.astype("<u2").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "186eba559d06f227"


def test_other_seeds_and_indices_are_other_scenes() -> None:
    keys = [(0, 0), (0, 1), (1, 0), (0, SPLITS["test"]), (2**32 - 1, 2**32 - 1)]
    assert len({make_scene(*key, 128).semantic.tobytes() for key in keys}) == len(keys)


# --- Truth that agrees with itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [128, 256, (128, 256), (211, 137)])
def test_any_size(size: int | tuple[int, int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    scene = make_scene(1, 2, size)
    assert (scene.image.mode, scene.image.size) == ("RGB", (width, height))
    assert (scene.semantic.dtype, scene.semantic.shape) == (np.uint8, (height, width))
    assert (scene.instances.dtype, scene.instances.shape) == (np.uint16, (height, width))


def test_things_are_numbered_from_1_and_have_one_class_of_things(scenes: list[Scene]) -> None:
    for scene in scenes:
        count = int(scene.instances.max())
        assert MIN_THINGS <= count <= MAX_THINGS
        assert np.array_equal(np.unique(scene.instances), np.arange(count + 1))
        assert np.array_equal(THING[scene.semantic], scene.instances > 0)
        for number in range(1, count + 1):
            assert len(np.unique(scene.semantic[scene.instances == number])) == 1


def test_enough_of_each_thing_is_in_sight_and_in_few_pieces(scenes: list[Scene]) -> None:
    for scene in scenes:
        for number in range(1, int(scene.instances.max()) + 1):
            pieces, _ = ndimage.label(scene.instances == number, np.ones((3, 3)))
            areas = np.bincount(pieces.ravel())[1:]
            assert areas.sum() >= MIN_VISIBLE
            assert areas.max() >= 0.4 * areas.sum()


def test_every_class_occurs_and_things_of_one_class_touch(scenes: list[Scene]) -> None:
    assert set(np.concatenate([np.unique(scene.semantic) for scene in scenes])) == set(range(len(CLASSES)))
    touching = 0
    for scene in scenes:
        same_class = scene.semantic[:, :-1] == scene.semantic[:, 1:]
        touching += bool((same_class & (scene.instances[:, :-1] != scene.instances[:, 1:])).any())
    assert touching > len(scenes) / 2


def test_the_picture_shows_its_truth(scenes: list[Scene]) -> None:
    """Colours change more at the borders of what is labelled than elsewhere, and nowhere is a scene black or white."""
    for scene in scenes:
        pixels = np.asarray(scene.image).astype(float)
        change = abs(np.diff(pixels, axis=1)).sum(axis=2)
        border = np.diff(scene.instances.astype(int), axis=1) != 0
        assert change[border].mean() > 1.2 * change[~border].mean()
        assert 40 < pixels.mean() < 220


@pytest.mark.parametrize(
    ("seed", "index", "size", "message"),
    [
        (0, 0, 64, "64x64 pixels"),
        (0, 0, (128, 127), "128x127 pixels"),
        (0, 0, (300, 160), "300x160 pixels"),
        (-1, 0, 160, "seed of a scene is -1"),
        (0, 2**32, 160, "index of a scene is 4294967296"),
    ],
)
def test_what_gives_no_scene_is_refused(seed: int, index: int, size: int | tuple[int, int], message: str) -> None:
    with pytest.raises(CvhubError, match=message):
        make_scene(seed, index, size)


# --- Too hard for colour ---------------------------------------------------------------------------------------------


def panoptic_quality(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Of pictures as (truth, answer), each a map of class · 2¹⁶ + instance: Σ IoU / (TP + FP/2 + FN/2) of each class,
    a mean over those that occur; a pair of segments matches where IoU > 1/2 (Kirillov et al. 2019,
    https://arxiv.org/abs/1801.00868, eq. 1)."""
    overlap, found, there = (np.zeros(len(CLASSES)) for _ in range(3))
    for truth, answer in pairs:
        (true_ids, true_places, true_areas), (ids, places, areas) = (
            np.unique(field, return_inverse=True, return_counts=True) for field in (truth, answer)
        )
        both = np.zeros((len(true_ids), len(ids)))
        np.add.at(both, (true_places.ravel(), places.ravel()), 1)
        iou = both / (true_areas[:, None] + areas - both)
        rows, columns = np.nonzero((iou > 0.5) & (true_ids[:, None] >> 16 == ids >> 16))
        np.add.at(overlap, true_ids[rows] >> 16, iou[rows, columns])
        np.add.at(there, true_ids >> 16, 1)
        np.add.at(found, ids >> 16, 1)
    # TP + FP/2 + FN/2 is half of all segments, those found and those there.
    occur = there + found > 0
    return float((2 * overlap[occur] / (there + found)[occur]).mean())


def segments(semantic: np.ndarray, instances: np.ndarray) -> np.ndarray:
    return semantic.astype(np.int64) << 16 | instances  # fewer than 2¹⁶ in a scene


def cluster_colours(scene: Scene, clusters: int) -> np.ndarray:
    """Connected components, (H, W) from 0 on, of the clusters that k-means finds among the colours."""
    colours = np.asarray(scene.image, np.float32).reshape(-1, 3)
    means = KMeans(clusters, n_init=1, random_state=0).fit(colours[::13])
    nearest = means.predict(colours).reshape(scene.semantic.shape)
    components, count = np.zeros(nearest.shape, np.int64), 0
    for cluster in range(clusters):
        pieces, more = ndimage.label(nearest == cluster)
        components += np.where(pieces > 0, pieces - 1 + count, 0)
        count += more
    return components


def name_components(scene: Scene, components: np.ndarray, smallest: int) -> np.ndarray:
    """An oracle: the class that most of each component has, of one below `smallest` pixels the class of stuff."""
    votes = np.zeros((components.max() + 1, len(CLASSES)), int)
    np.add.at(votes, (components, scene.semantic), 1)
    votes[votes.sum(axis=1) < smallest] *= ~THING
    labels = votes.argmax(axis=1)[components]
    return segments(labels, np.where(THING[labels], components, 0))


def test_panoptic_quality() -> None:
    """Truth answers itself with 1. Half of a thing has an IoU of 1/2 and is no match, and the stuff keeps 48/56."""
    truth = np.zeros((8, 8), np.int64)
    truth[2:6, 2:6] = segments(np.array(4), np.array(1))
    assert panoptic_quality([(truth, truth)]) == 1
    half = truth.copy()
    half[2:4] = 0
    assert panoptic_quality([(truth, half)]) == pytest.approx((48 / 56 + 0) / 2)


@pytest.mark.parametrize("clusters", range(4, 13, 2))
def test_clustering_colours_does_not_solve_it(scenes: list[Scene], clusters: int) -> None:
    """An oracle names every speck of stuff rightly, but the things come to pieces, and it stays below 0.4 even where
    it knows that no speck is a thing."""
    found = [(scene, cluster_colours(scene, clusters)) for scene in scenes[:20]]
    for smallest in (0, MIN_VISIBLE):
        pairs = [(segments(*scene[1:]), name_components(scene, pieces, smallest)) for scene, pieces in found]
        assert panoptic_quality(pairs) < 0.4


# --- The data set ----------------------------------------------------------------------------------------------------


def test_a_written_data_set_loads_again_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scenes"
    assert main([str(folder), "--seed", "5", "--train", "3", "--test", "2", "--size", "128"]) == 0
    out, err = capsys.readouterr()
    assert out == f"wrote {folder}\n"
    assert err == "train: 3/3 synthetic scenes\ntest: 2/2 synthetic scenes\n"
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 3, "test": 2}
    for name, split in loaded.items():
        assert all(isinstance(feature, datasets.Image) for feature in split.features.values())
        for i, row in enumerate(split):
            scene = make_scene(5, SPLITS[name] + i, 128)
            for column, truth in zip(Scene._fields, scene, strict=True):
                assert np.array_equal(np.asarray(row[column]), np.asarray(truth))
                assert np.asarray(row[column]).dtype == np.asarray(truth).dtype


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, 5, train=1, test=1, size=(128, 130))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for fact in ("license: cc0-1.0", "- synthetic", "# Synthetic", "128x130", "seed 5", "| 3 | disc | thing |"):
        assert fact in card


def test_a_data_set_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main([str(tmp_path / "full"), "--train", "1", "--test", "1"]) == 1
    assert main([str(tmp_path / "new"), "--train", "1", "--test", "1", "--size", "64"]) == 1
    assert main([str(tmp_path / "new"), "--train", "1", "--test", "0"]) == 1
    sentences = capsys.readouterr().err.splitlines()
    for sentence, words in zip(sentences, ("holds something", "64x64", "have 0 scenes"), strict=True):
        assert words in sentence
    assert not (tmp_path / "new").exists()
