"""What masks mean, and which rows are held out, is read the same way in training and in evaluation."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import open_rows
from cvhub.evaluation.truth import (
    IGNORED,
    MaskedRows,
    Truth,
    divide_groups,
    mask_values,
    parse_holdout,
    parse_map,
    read_truth,
    write_truth,
)

PETS = Truth("trimap", {"1": "pet", "2": "background", "3": "ignore"})
NUCLEI = Truth("instances", {"0": "background", "*": "nucleus"})
SCENES = Truth("semantic+instances", {"0": "sky", "1": "disc"})


def png(values: Any, dtype: Any = np.uint8) -> dict[str, Any]:
    """As `datasets` holds a mask that it hasn't decoded."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(values, dtype)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def test_values_become_classes_the_background_first() -> None:
    assert PETS.classes == ["background", "pet"]
    masks = PETS.read([png([[1, 2], [3, 1]])], (2, 2))
    assert masks.labels.tolist() == [[1, 0], [IGNORED, 1]]
    assert not masks.instances.any()


def test_every_other_value_is_a_thing() -> None:
    assert NUCLEI.classes == ["background", "nucleus"]
    masks = NUCLEI.read([png([[0, 7], [300, 7]], np.uint16)], (2, 2))
    assert masks.labels.tolist() == [[0, 1], [1, 1]]
    assert masks.instances.tolist() == [[0, 7], [300, 7]]


def test_classes_and_things_may_have_a_column_each() -> None:
    masks = SCENES.read([png([[0, 1]]), png([[0, 4]], np.uint16)], (1, 2))
    assert masks.labels.tolist() == [[0, 1]]
    assert masks.instances.tolist() == [[0, 4]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_a_mask_may_have_any_mode_of_whole_numbers(mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8) * (255 if mode == "1" else 1)).convert(mode).save(
        buffer, "PNG"
    )
    assert mask_values({"bytes": buffer.getvalue(), "path": None}).tolist() == [[0, 1], [1, 0]]


def test_colours_are_no_classes() -> None:
    with pytest.raises(CvhubError, match="mode RGB, expected whole numbers in one channel"):
        mask_values(png(np.zeros((2, 2, 3))))


def test_a_mask_of_another_size_and_an_unknown_value_are_named() -> None:
    with pytest.raises(CvhubError, match="mask in trimap has 1x2 pixels, the picture has 2x2"):
        PETS.read([png([[1, 2]])], (2, 2))
    with pytest.raises(CvhubError, match="mask in trimap has the value 9, which is none of 1=pet"):
        PETS.read([png([[1, 9]])], (1, 2))


@pytest.mark.parametrize("text", ["1", "a=pet", "1=", "=pet", "1=pet,,2=x"])
def test_a_wrong_map_is_one_sentence(text: str) -> None:
    with pytest.raises(CvhubError, match="is not VALUE=CLASS"):
        parse_map(text)


def test_maps_and_holdouts_are_read() -> None:
    assert parse_map("1=pet, 2=background,*=ignore") == {"1": "pet", "2": "background", "*": "ignore"}
    assert parse_holdout("image_id:0.1:7") == ("image_id", 0.1, 7)
    assert parse_holdout(":0.2") == ("", 0.2, 0)
    for text in ("image_id", "image_id:x:0", "image_id:0.1:y"):
        with pytest.raises(CvhubError, match="is not COLUMN:SHARE:SEED"):
            parse_holdout(text)
    with pytest.raises(CvhubError, match="a share of 1, expected more than 0 and less"):
        parse_holdout("image_id:1:0")


@given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.floats(0.05, 0.95), st.integers(0, 5))
def test_a_group_is_held_out_whole(groups: list[int], share: float, seed: int) -> None:
    kept, drawn = divide_groups(groups, share, seed)
    assert sorted([*kept, *drawn]) == list(range(len(groups)))
    assert not {groups[i] for i in kept} & {groups[i] for i in drawn}
    names = set(groups)
    assert len({groups[i] for i in drawn}) == max(1, round(share * len(names)))


def test_what_is_drawn_does_not_depend_on_the_rows_order() -> None:
    groups = ["a", "b", "a", "c", "d", "b"]
    _, drawn = divide_groups(groups, 0.5, 3)
    _, of_reversed = divide_groups(groups[::-1], 0.5, 3)
    assert {groups[i] for i in drawn} == {groups[::-1][i] for i in of_reversed}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 tiles of 4 pictures with their things, as a data set."""
    folder = tmp_path_factory.mktemp("tiles")
    rows: dict[str, list[Any]] = {"image": [], "instances": [], "image_id": []}
    for i in range(12):
        rows["image"].append(png(np.full((8, 8, 3), i)))
        rows["instances"].append(png(np.pad(np.full((2, 2), i + 1), 3)))
        rows["image_id"].append(f"picture {i // 3}")
    kinds = {"image": datasets.Image(), "instances": datasets.Image(), "image_id": datasets.Value("string")}
    (folder / "data").mkdir()
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def masked_rows(tiles: Path, truth: Truth) -> MaskedRows:
    return MaskedRows(open_rows(str(tiles), "train", streaming=False), truth)


def test_rows_are_divided_by_group(tiles: Path) -> None:
    rows = masked_rows(tiles, Truth("instances", NUCLEI.map, "image_id:0.25:0"))
    assert (len(rows.kept), len(rows.held_out)) == (9, 3)
    assert len(set(rows.groups(rows.held_out))) == 1
    assert not set(rows.groups(rows.held_out)) & set(rows.groups(rows.kept))
    picture, masks = rows.contents(5)
    assert picture["bytes"]
    assert rows.truth.read(masks, (8, 8)).instances.max() == 6


def test_a_missing_column_is_named(tiles: Path) -> None:
    with pytest.raises(CvhubError, match="no column 'mask', only image, instances, image_id"):
        masked_rows(tiles, Truth("mask", NUCLEI.map))
    with pytest.raises(CvhubError, match="no column 'patient', which --holdout names"):
        masked_rows(tiles, Truth("instances", NUCLEI.map, "patient:0.1:0"))
    with pytest.raises(CvhubError, match=r"column image_id of .* holds no pictures"):
        masked_rows(tiles, Truth("image_id", NUCLEI.map))


def test_a_folder_remembers_its_truth(tmp_path: Path) -> None:
    assert read_truth(tmp_path) is None
    truth = Truth("instances", NUCLEI.map, "image_id:0.1:0")
    write_truth(truth, tmp_path)
    assert read_truth(tmp_path) == truth
