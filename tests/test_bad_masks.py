"""Odd and broken masks and pictures, in training and in measuring, through the command line: a clear sentence, or the
right answer."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from cvhub.cli import main
from cvhub.evaluation.truth import mask_values
from cvhub.training.curves import read_curve
from cvhub.training.recipe_file import read_recipe
from tests.test_panoptic_deeplab import TINY as PANOPTIC
from tests.test_segment import save
from tests.test_unet import TINY as UNET

NAMES = ("background", "square")
MAP = "0=background,1=square,255=ignore"


def png(values: Any, kind: str = "PNG") -> dict[str, Any]:
    file = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


def picture(height: int = 48, width: int = 40) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def mask(height: int = 48, width: int = 40) -> np.ndarray:
    """A square, or what fits of it."""
    values = np.zeros((height, width), np.uint8)
    values[:20, :20] = 1
    return values


def write(folder: Path, rows: list[tuple[Any, Any]]) -> Path:
    """A data set of pictures and masks, each as `png` gives it."""
    (folder / "data").mkdir(parents=True)
    columns = {"image": [row[0] for row in rows], "mask": [row[1] for row in rows]}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(dict.fromkeys(columns, datasets.Image())))
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def good_rows(count: int) -> list[tuple[Any, Any]]:
    return [(png(picture()), png(mask()))] * count


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "another size": (lambda: png(mask(48, 41)), "the mask in mask has 48x41 pixels, the picture has 48x40."),
    "float": (lambda: png(mask().astype(np.float32), "TIFF"), "a mask has the mode F, expected whole numbers in one"),
    "colour": (lambda: png(picture()), "a mask has the mode RGB, expected whole numbers in one channel."),
    "out of range": (lambda: png(np.full((48, 40), 7, np.uint8)), "has the value 7, which is none of 0=background, 1="),
    "negative": (lambda: png(np.full((48, 40), -1, np.int32), "TIFF"), "has the value -1, expected whole numbers from"),
    "huge": (lambda: png(np.full((48, 40), 2**31 - 1, np.int32), "TIFF"), "has the value 2147483647, which is none of"),
    "damaged": (
        lambda: {"bytes": png(mask())["bytes"][:60], "path": None},
        "a mask can't be read: the picture is",
    ),
    "missing": (lambda: None, "a mask can't be read: there is no picture in this row."),
}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("net") / "net", "unet", num_labels=2, id2label=dict(enumerate(NAMES)))


def evaluate(capsys: pytest.CaptureFixture[str], net: Path, data: Path) -> tuple[int, dict[str, Any] | None, str]:
    told = ("--target", "mask", "--map", MAP, "--runtime", "torch", "--json")
    code = main(["evaluate", str(net), str(data), *told])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def train(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[Any, Any]],
    family: str = "unet",
    config: dict[str, Any] = UNET,
    size: int = 32,
    validation: float = 0.0,
) -> tuple[int, str]:
    """Exit code and stderr of a run of one epoch on `rows`, into `folder`/run."""
    data = {"source": str(write(folder / "data set", rows)), "target": "mask", "validation": validation}
    tables = {
        "data": data | {"map": dict(pair.split("=") for pair in MAP.split(","))},
        "picture": {"size": size},
        "model": {"family": family, "config": json.loads(json.dumps(config))},
        "optimiser": {"name": "adamw", "batch": 2},
        "budget": {"epochs": 1},
    }
    (folder / "recipe.toml").write_text(read_recipe(tables).as_toml(), encoding="utf-8")
    capsys.readouterr()  # of what writing the data set said
    code = main(["train", str(folder / "recipe.toml"), "--out", str(folder / "run")])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mask_is_named_and_the_rest_measured(
    name: str, net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    make, sentence = BAD[name]
    code, report, _ = evaluate(capsys, net, write(tmp_path, [*good_rows(2), (png(picture()), make())]))
    assert report is not None
    assert (code, report["n"], report["failed"]) == (1, 2, 1)
    assert any(line.startswith("row 2 of train: ") and sentence in line for line in caplog.messages)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mask_stops_training_with_its_row(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, sentence = BAD[name]
    code, err = train(tmp_path, capsys, [*good_rows(2), (png(picture()), make())])
    assert code == 1
    line = err.splitlines()[-1]  # `datasets` may have shown a bar before
    assert line.startswith("cvhub: row 2 of train of ")
    assert sentence in line


def test_16_and_1_bit_masks_are_read() -> None:
    deep = np.asarray([[0, 300, 65535]], np.uint16)
    assert mask_values(png(deep)).tolist() == deep.tolist()
    assert mask_values(png(Image.fromarray(deep > 0))).tolist() == [[0, 1, 1]]


def test_an_empty_truth_is_measured_by_what_is_known(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of background alone, the squares that are found are all wrong; of nothing at all, nothing can be said."""
    empty, unknown = np.zeros((48, 40), np.uint8), np.full((48, 40), 255, np.uint8)
    code, report, _ = evaluate(capsys, net, write(tmp_path / "empty", [(png(picture()), png(empty))]))
    assert (code, report is not None) == (0, True)
    assert report is not None
    assert report["iou"] == 0
    assert report["per_class"]["background"]["iou"] == pytest.approx(report["pixel_accuracy"])
    code, report, _ = evaluate(capsys, net, write(tmp_path / "unknown", [(png(picture()), png(unknown))]))
    assert report is not None
    assert (code, report["n"]) == (0, 1)
    assert "miou" not in report
    assert report["per_class"]["square"] == {"iou": None, "dice": None, "boundary_f": None}


def test_training_on_empty_truths_goes_on_and_on_nothing_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = (png(picture()), png(np.zeros((48, 40), np.uint8)))
    unknown = (png(picture()), png(np.full((48, 40), 255, np.uint8)))
    for number, loss in enumerate(("bce_dice", "cross_entropy")):
        config = UNET | {"loss": loss}
        assert train(tmp_path / str(number), capsys, [*good_rows(2), empty, unknown], config=config)[0] == 0
        assert all(np.isfinite(row["loss"]) for row in read_curve(tmp_path / str(number) / "run" / "curves.csv"))
    code, err = train(tmp_path / "nothing", capsys, [unknown] * 3)
    assert (code, "no pixel of the pictures trained on has a class, all are ignored" in err) == (1, True)


SIZES = [(1, 1), (1, 70), (90, 1), (3, 5), (33, 47)]


@pytest.mark.parametrize("kind", ["unet", "unet, valid", "unet, nearest, with a backbone", "deeplab, mobile, coarse"])
def test_pictures_of_any_size_are_measured(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Smaller than a tile, than the net's stride, a row of pixels: all of their pixels count."""
    net = save(tmp_path / "net", kind, num_labels=2, id2label=dict(enumerate(NAMES)))
    rows = [(png(picture(*size)), png(mask(*size))) for size in SIZES]
    code, report, _ = evaluate(capsys, net, write(tmp_path / "data set", rows))
    assert report is not None
    assert (code, report["n"], report["failed"]) == (0, len(SIZES), 0)
    assert 0 <= report["pixel_accuracy"] <= 1


VALID = UNET | {"padding": False, "auxiliary_weights": ()}


@pytest.mark.parametrize(
    ("family", "config", "size"),
    [("unet", UNET, 32), ("unet", VALID, 44), ("panoptic_deeplab", PANOPTIC, 32)],
    ids=["padded", "valid", "panoptic"],
)
def test_pictures_of_any_size_are_trained_on_and_held_out(
    family: str, config: dict[str, Any], size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(png(picture(*size)), png(mask(*size))) for size in SIZES * 2]
    code, err = train(tmp_path, capsys, rows, family=family, config=config, size=size, validation=0.5)
    assert code == 0, err
    (last,) = read_curve(tmp_path / "run" / "curves.csv")[-1:]
    assert 0 <= last["validation_iou"] <= 1
    assert np.isfinite(last["validation_loss"])


def test_a_size_that_the_net_cannot_take_is_said_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = train(tmp_path / "valid", capsys, good_rows(3), config=VALID, size=45)
    assert (code, "picture.size is 45, which the net can't take: the next that it can is 48" in err) == (1, True)
    code, err = train(tmp_path / "padded", capsys, good_rows(3), size=1)
    assert (code, "picture.size is 1, which the net can't take" in err) == (1, True)
