"""`cvhub predict` of segmenters: a line and a mask a file, options that don't fit, and pictures that come in tiles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cvhub.cli import main
from cvhub.inference import large, segment
from cvhub.inference.images import open_picture
from cvhub.inference.pool import default_pool
from cvhub.inference.segment import Segmenter
from tests.test_segment import photo, save
from tests.tiny import TinyFamily

NAMES = {0: "background", 1: "disk", 2: "sky", 3: "ring", 4: "sea"}
ON_TORCH = ("--runtime", "torch", "--precision", "fp32")


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("unet") / "net", "unet", id2label=NAMES)


@pytest.fixture(scope="module")
def panoptic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("panoptic") / "net", "panoptic_deeplab", id2label=NAMES, thing_ids=(1, 3))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "net"
    TinyFamily("resnet").model().save_pretrained(folder)
    return folder


def predict(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, list[Any], str]:
    """Exit code, JSON objects of stdout, stderr."""
    code = main(["predict", *map(str, arguments), *ON_TORCH, "--json"])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def ids_of(report: dict[str, Any], mode: str = "L") -> np.ndarray:
    """A mask's ids, seen to be those that the line names."""
    assert Path(report["mask"]).is_absolute()
    mask = open_picture(Path(report["mask"]))
    assert mask.mode == mode
    ids = np.asarray(mask).astype(int)
    assert set(np.unique(ids).tolist()) - {0} == {one["id"] for one in report["segments_info"]}
    return ids


def segmenter_of(folder: Path) -> Segmenter:
    found = default_pool().get(str(folder), "torch", "fp32")
    assert isinstance(found, Segmenter)
    return found


# Files


@pytest.mark.parametrize("task", [None, "semantic", "instance", "panoptic"])
def test_a_line_and_a_mask_a_file(
    task: str | None, panoptic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [(70, 48), (1, 40), (33, 90), (1, 1)]
    for number, size in enumerate(sizes):
        photo(number, size).save(tmp_path / f"{number}.png")
    said = ("--task", task) if task else ()
    code, rows, _ = predict(capsys, panoptic, tmp_path, "--out", tmp_path / "masks", *said)
    assert code == 0
    assert [row["path"] for row in rows] == [str(tmp_path / f"{number}.png") for number in range(4)]
    for number, (size, row) in enumerate(zip(sizes, rows, strict=True)):
        assert row.keys() == {"path", "mask", "segments_info"}
        assert row["mask"] == str(tmp_path / "masks" / f"{number}.png")
        answer = segmenter_of(panoptic).segment(photo(number, size), task or "semantic")
        assert np.array_equal(ids_of(row), answer.mask)
        assert row["segments_info"] == [
            {"id": one.id, "label_id": one.label_id, "label": one.label, "score": one.score} for one in answer.segments
        ]
        assert all((one["score"] is None) == (task in (None, "semantic")) for one in row["segments_info"])


def test_the_rest_goes_on_after_a_bad_file(unet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo().save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).save(tmp_path / "c.png")
    photo().convert("RGBA").save(tmp_path / "图.png")
    missing = tmp_path / "missing.png"
    code, rows, _ = predict(capsys, unet, tmp_path, missing, "--out", tmp_path / "masks", "--batch-size", 2)
    assert code == 1
    assert ["error" in row for row in rows] == [False, True, False, False, True]
    assert all(row.keys() == {"path", "error"} for row in rows if "error" in row)
    assert ids_of(rows[2]).shape == (3, 4)
    assert {file.name for file in (tmp_path / "masks").iterdir()} == {"a.png", "c.png", "图.png"}


def test_masks_of_equal_names_do_not_meet(unet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's masks keep its subfolders; two of one name are numbered. A second run finds no masks as pictures."""
    names = ["one/a.png", "one/a.bmp", "one/deep/a.png", "two/A.png", "a.png", "a-2.png"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo(number, (20 + number, 20)).save(tmp_path / name)
    paths = [tmp_path / name for name in ("one", "two", "a.png", "a-2.png")]
    code, rows, _ = predict(capsys, unet, *paths, "--out", tmp_path / "one" / "masks")
    assert code == 0
    masks = [str(Path(row["mask"]).relative_to(tmp_path / "one" / "masks")) for row in rows]
    assert masks == ["a.png", "a-2.png", "deep/a.png", "A-3.png", "a-4.png", "a-2-2.png"]
    widths = [open_picture(Path(row["path"])).width for row in rows]
    assert [ids_of(row).shape[1] for row in rows] == widths
    assert predict(capsys, unet, *paths, "--out", tmp_path / "one" / "masks")[1] == rows


def test_many_ids_take_16_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "net", "unet", num_labels=300)
    photo().save(tmp_path / "a.png")
    code, rows, _ = predict(capsys, folder, tmp_path / "a.png", "--out", tmp_path / "masks")
    assert code == 0
    assert ids_of(rows[0], "I;16").max() > 255


def test_for_people(panoptic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo().save(tmp_path / "a.png")
    arguments = ["predict", str(panoptic), str(tmp_path / "a.png"), "nowhere.png", "--out", str(tmp_path / "masks")]
    assert main([*arguments, *ON_TORCH]) == 1
    captured = capsys.readouterr()
    assert str(tmp_path / "masks" / "a.png") in captured.out
    assert "1  sky" in captured.out
    assert "nowhere.png does not exist" in captured.err


def test_a_mask_that_cannot_be_written_is_the_files_error(
    unet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    photo().save(tmp_path / "photos" / "a.png")
    photo().save(tmp_path / "photos" / "sub" / "b.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "sub").write_text("a file")
    code, rows, _ = predict(capsys, unet, tmp_path / "photos", "--out", tmp_path / "masks")
    assert code == 1
    assert ["error" in row for row in rows] == [False, True]
    assert "sub cannot be made: File exists" in rows[1]["error"]


# Options


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("unet", ["--out", "masks", "--top-k", "3"], "--top-k is for classifiers, and"),
        ("unet", ["--out", "masks", "--task", "panoptic"], "can't do --task panoptic, only semantic"),
        ("unet", ["--out", "masks", "--task", "poetry"], "invalid choice: 'poetry'"),
        ("unet", ["--out", "a.png"], "'a.png' is a file, expected a folder"),
        ("unet", ["--out", "."], "--out . is a folder of pictures, masks need another"),
        ("unet", ["--out", "masks", "--max-pixels", "0"], "'0' is not a number from 1 on"),
        ("classifier", ["--task", "semantic"], "--task is for segmenters, and"),
        ("classifier", ["--out", "masks"], "--out is for segmenters and --engine ray, and"),
    ],
)
def test_options_that_do_not_fit_are_code_2(
    kind: str,
    options: list[str],
    message: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    photo().save("a.png")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(request.getfixturevalue(kind)), "a.png", *options, *ON_TORCH])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "usage: cvhub predict" in captured.err
    assert captured.out == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


# Tiles


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are taken in tiles from 80x80 on."""
    monkeypatch.setattr(segment, "MAX_PIXELS", 128 * 128)
    monkeypatch.setattr(large, "SIDE", 64)
    monkeypatch.setattr(large, "OVERLAP", 16)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_tiles_of_valid_convolutions_give_the_whole_pictures_mask(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "net", "unet, valid", id2label=NAMES)
    picture = tmp_path / f"large.{suffix}"
    pixels = np.asarray(photo(0, (200, 300)))
    if suffix == "tif":
        tifffile.imwrite(picture, pixels, tile=(64, 64), photometric="rgb")
    else:
        Image.fromarray(pixels).save(picture)
    photo(1).save(tmp_path / "small.png")
    code, rows, err = predict(capsys, folder, picture, tmp_path / "small.png", "--out", tmp_path / "masks")
    assert code == 0
    monkeypatch.setattr(segment, "MAX_PIXELS", 2**22)
    answer = segmenter_of(folder).segment(Image.fromarray(pixels))
    assert (ids_of(rows[0]) == answer.mask).mean() > 0.9999  # two classes may be equally likely
    assert {one["label"] for one in rows[0]["segments_info"]} == {one.label for one in answer.segments}
    assert ids_of(rows[1]).shape == (48, 70)
    (line,) = err.splitlines()
    assert line.startswith(f"large.{suffix} ")
    assert "100 % · 20 of 20 tiles · done in" in line


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("kind", ["unet", "deeplab, mobile, coarse"])
@pytest.mark.parametrize("size", [(333, 90), (3, 7000)])
def test_tiles_of_nets_that_pad_give_nearly_the_whole_mask(
    kind: str,
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save(tmp_path / "net", kind, id2label=NAMES)
    photo(0, size).save(tmp_path / "large.png")
    code, (row,), err = predict(capsys, folder, tmp_path / "large.png", "--out", tmp_path / "masks")
    assert code == 0
    assert "tiles" in err
    monkeypatch.setattr(segment, "MAX_PIXELS", 2**22)
    assert (ids_of(row) == segmenter_of(folder).segment(photo(0, size)).mask).mean() > 0.9


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("task", ["instance", "panoptic"])
def test_things_in_tiles_have_ids_of_their_own(
    task: str, panoptic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(0, (333, 190)).save(tmp_path / "large.png")
    code, (row,), err = predict(capsys, panoptic, tmp_path / "large.png", "--out", tmp_path / "masks", "--task", task)
    assert (code, "tiles" in err) == (0, True)
    assert ids_of(row).shape == (190, 333)
    labels = [one["label"] for one in row["segments_info"]]
    assert set(labels) <= {"disk", "ring"} if task == "instance" else labels[-1] == "sea"
    assert all(one["score"] > 0 for one in row["segments_info"])


def test_masks_have_a_folder_unless_told(
    unet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo().save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    code, (row,), _ = predict(capsys, unet, "a.png")
    assert code == 0
    assert Path(row["mask"]) == tmp_path / "masks" / "a.png"


@pytest.mark.usefixtures("small_tiles")
def test_max_pixels_moves_the_limit_of_what_only_decodes_whole(
    unet: Path, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.asarray(photo(0, (200, 150)))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", pixels, tile=(32, 32), photometric="rgb")
    code, rows, _ = predict(capsys, unet, tmp_path, "--out", tmp_path / "masks", "--max-pixels", 29_999)
    assert code == 1
    assert "a.png has 200x150 pixels, the limit is 29,999." in rows[0]["error"]
    assert ids_of(rows[1]).shape == (150, 200)
    assert predict(capsys, unet, tmp_path / "a.png", "--out", tmp_path / "masks", "--max-pixels", 30_000)[0] == 0
    assert predict(capsys, classifier, tmp_path / "a.png", "--max-pixels", 29_999)[0] == 1
    assert predict(capsys, classifier, tmp_path / "a.png", "--max-pixels", 30_000)[0] == 0


@pytest.mark.usefixtures("small_tiles")
def test_a_damaged_tile_is_the_files_error(unet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.asarray(photo(0, (300, 200))), tile=(64, 64), photometric="rgb", compression="zlib")
    file.write_bytes(file.read_bytes()[:-200])
    photo().save(tmp_path / "b.png")
    code, rows, _ = predict(capsys, unet, tmp_path, "--out", tmp_path / "masks")
    assert code == 1
    assert rows[0] == {"path": str(file), "error": "a.tif is damaged: its end is missing."}
    assert [mask.name for mask in (tmp_path / "masks").iterdir()] == ["b.png"]


@pytest.mark.usefixtures("small_tiles")
def test_ctrl_c_stops_with_a_sentence_and_leaves_no_part_of_a_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "net", "unet", id2label=NAMES)
    photo(0, (300, 200)).save(tmp_path / "a.png")
    runtime = segmenter_of(folder).runtime
    answer, asked = runtime.run, []

    def stops(pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(pixel_values.shape)
        if len(asked) == 9:  # the first row of tiles, seven, is written
            raise KeyboardInterrupt
        return answer(pixel_values)

    monkeypatch.setattr(runtime, "run", stops)
    code, rows, err = predict(capsys, folder, tmp_path / "a.png", "--out", tmp_path / "masks")
    assert (code, rows) == (130, [])
    assert err.splitlines()[-1] == "cvhub: stopped."
    assert list((tmp_path / "masks").iterdir()) == []


# Other commands


@pytest.mark.parametrize("kind", ["unet", "unet, valid", "deeplab", "panoptic_deeplab"])
def test_info_of_segmenters(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "net", kind)
    assert main(["info", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert min(report["size"]) >= 256
    model = segmenter_of(folder).runtime._module.model  # pyright: ignore[reportAttributeAccessIssue]
    asked = sum(values.numel() for name, values in model.named_parameters() if "auxiliary" not in name)
    assert report["parameters"] == model.num_parameters()
    assert sum(layer["parameters"] for layer in report["layers"]) == asked  # auxiliary heads speak in training only
    assert report["multiply_adds"] > 0
    assert main(["info", str(folder), "--size", "1x1"]) == 1
    assert "at least" in capsys.readouterr().err


def test_the_catalogue_lists_segmenters_by_task(capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("semantic-segmentation", "panoptic-segmentation"):
        assert main(["models", "--task", task, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert all(row["task"] == task for row in rows)
