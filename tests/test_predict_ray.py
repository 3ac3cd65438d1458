"""Many pictures on Ray: the plain engine's answers, in parquet files that a restart leaves alone."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from cvhub.cli import build_parser, main
from cvhub.commands import predict_ray
from cvhub.commands.predict_ray import Item, Worker, cut, list_items, name_of_shard, opened_folder, write_table
from cvhub.errors import CvhubError
from tests import test_inference, test_segment
from tests.test_inference import photo

COUNT = 5


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return test_inference.save(tmp_path_factory.mktemp("ray") / "tiny", test_inference.tiny("resnet", num_labels=12))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures, a broken one, and what is no picture."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for seed in range(COUNT):
        photo(seed).save(folder / ("more" if seed % 2 else "") / f"{seed}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    (folder / ".hidden.png").write_bytes(b"not looked at")
    return folder


def options(*arguments: object) -> argparse.Namespace:
    return build_parser().parse_args(["predict", *map(str, arguments), "--engine", "ray", "--precision", "fp32"])


def worker(model: Path, out: Path, *arguments: object) -> Worker:
    given = options(model, "any", "--out", out, *arguments)
    return Worker(vars(given) | {"out": str(out)}, "")


def rows_in(out: Path) -> list[dict[str, Any]]:
    found = [row for file in sorted(out.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return sorted(({key: value for key, value in row.items() if value is not None} for row in found), key=path_of)


def path_of(row: dict[str, Any]) -> str:
    return row["path"]


def plain(capsys: pytest.CaptureFixture[str], model: Path, pictures: Path) -> list[dict[str, Any]]:
    main(["predict", str(model), str(pictures), "--precision", "fp32", "--json"])
    return sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=path_of)


def test_on_two_processes_the_answers_are_those_of_the_plain_engine(
    resnet: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a shard that is there already is left as it is."""
    pytest.importorskip("ray", reason="needs the extra scale")
    monkeypatch.setattr(predict_ray, "SHARD", 2)
    out = tmp_path / "out"
    first, *others = cut(list(list_items(str(pictures))))
    assert len(others) == 2
    out.mkdir()
    made = out / f"{name_of_shard(first)}.parquet"
    made.write_bytes(b"made before")
    command = ["from cvhub.cli import main", "from cvhub.commands import predict_ray", "predict_ray.SHARD = 2"]
    command += ["raise SystemExit(main())"]
    arguments = ("predict", resnet, pictures, "--engine", "ray", "--workers", "2", "--out", out, "--precision", "fp32")
    called = [sys.executable, "-c", "\n".join(command), *map(str, arguments), "--json"]
    done = subprocess.run(called, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # one picture is broken
    assert done.stderr.startswith("1 of 3 shards are there already.\n")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(report["n"] for report in reports) == [2, 2]
    assert made.read_bytes() == b"made before"
    made.unlink()
    known = [str(item) for item in first]
    assert rows_in(out) == [row for row in plain(capsys, resnet, pictures) if row["path"] not in known]


def test_a_bad_picture_is_a_row_with_its_error(
    resnet: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = list(list_items(str(pictures)))
    report = worker(resnet, tmp_path / "out").answer(shard)
    assert (report["n"], report["failed"]) == (COUNT + 1, 1)
    rows, expected = rows_in(tmp_path / "out"), plain(capsys, resnet, pictures)
    assert [row for row in rows if "error" not in row] == [row for row in expected if "error" not in row]
    (bad,) = [row for row in rows if "error" in row]
    assert bad["path"].endswith("broken.jpg")
    assert "no picture that can be read" in bad["error"]


def test_logits_for_students(resnet: Path, pictures: Path, tmp_path: Path) -> None:
    from cvhub.inference.classify import Classifier

    worker(resnet, tmp_path / "out", "--logits").answer([Item(str(pictures / "0.png"))])
    (row,) = rows_in(tmp_path / "out")
    (answer,) = Classifier(str(resnet), precision="fp32").predict([photo(0)])
    assert row["logits"] == pytest.approx(answer.logits.tolist(), rel=1e-4, abs=1e-5)


def test_a_segmenters_masks_are_pngs_of_the_pictures_size(pictures: Path, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    unet = test_segment.save(tmp_path / "net", "unet")
    worker(unet, tmp_path / "out").answer([Item(str(pictures / "0.png"))])
    (row,) = rows_in(tmp_path / "out")
    assert Image.open(BytesIO(row["mask"])).size == photo(0).size
    assert {"id", "label_id", "label"} <= row["segments_info"][0].keys()


@pytest.mark.parametrize("layout", ["datasets", "bytes"])
def test_rows_of_parquet(layout: str, resnet: Path, pictures: Path, tmp_path: Path) -> None:
    """Over several groups of rows, one of which is empty of pictures."""
    files = [(pictures / "0.png").read_bytes(), None, (pictures / "more" / "1.png").read_bytes()]
    column = [file and {"bytes": file, "path": None} for file in files] if layout == "datasets" else files
    table = tmp_path / "data" / "train.parquet"
    table.parent.mkdir()
    pq.write_table(pa.table({"label": [1, 2, 3], "image": column}), table, row_group_size=2)
    items = list(list_items(str(tmp_path / "data")))
    assert list(map(str, items)) == [f"{table}#{row}" for row in range(3)]
    worker(resnet, tmp_path / "out").answer(items)
    worker(resnet, tmp_path / "files").answer([Item(str(pictures / "0.png")), Item(str(pictures / "more" / "1.png"))])
    first, empty, last = rows_in(tmp_path / "out")
    assert "there is no picture" in empty["error"]
    expected = [row["predictions"] for row in rows_in(tmp_path / "files")]
    for row, predictions in zip((first, last), expected, strict=True):
        assert [one["label"] for one in row["predictions"]] == [one["label"] for one in predictions]


def test_pictures_of_other_file_systems(resnet: Path, pictures: Path, tmp_path: Path) -> None:
    """fsspec reads a zip as it reads an object store: files that have no path here."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for file in sorted(pictures.rglob("[0-9].png")):
            archive.write(file, f"deep/{file.name}")
    for address in (f"zip://deep::{tmp_path}/x.zip", f"zip://::{tmp_path}/x.zip"):
        items = list(list_items(address))
        assert [str(item) for item in items] == [f"zip://deep/{i}.png::{tmp_path}/x.zip" for i in range(COUNT)]
    assert worker(resnet, tmp_path / "out").answer(items)["failed"] == 0
    files, out = opened_folder("memory://answers")
    write_table(files, f"{out}/part.parquet", [{"path": "a", "error": "b"}])
    assert [entry.rpartition("/")[2] for entry in files.ls(out, detail=False)] == ["part.parquet"]
    assert pq.read_table(files.open(f"{out}/part.parquet")).to_pylist()[0]["error"] == "b"


@pytest.fixture
def run(resnet: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command on the pictures, in shards of two, with one worker in this process; its exit code."""

    def work(given: argparse.Namespace, task: str, shards: list[list[Item]]) -> Iterator[dict[str, Any]]:
        one = Worker(vars(given), task)
        return map(one.answer, shards)

    monkeypatch.setattr(predict_ray, "SHARD", 2)
    monkeypatch.setattr(predict_ray, "work", work)

    def run(*arguments: object, model: Path = resnet, out: Path = tmp_path / "out") -> int:
        given = ("predict", model, pictures, *arguments, "--engine", "ray", "--out", out, "--runtime", "torch")
        return main([str(argument) for argument in given])

    return run


@pytest.mark.fault
def test_a_restart_does_nothing_twice_and_tells_what_failed_before(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 1  # one picture is broken
    before = rows_in(tmp_path / "out")
    capsys.readouterr()
    assert run("--top-k", 5) == 1  # as many as without
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "3 of 3 shards are there already.\n")
    assert rows_in(tmp_path / "out") == before


def test_answers_are_of_the_pictures_as_they_are(run: Callable[..., int], pictures: Path, tmp_path: Path) -> None:
    """One that was mended, one that changed, one that is new, one that is gone."""
    run()
    photo(7).save(pictures / "broken.jpg")
    photo(8).save(pictures / "0.png")
    photo(9).save(pictures / "00.png")
    (pictures / "2.png").unlink()
    assert run() == 0
    rows = rows_in(tmp_path / "out")
    assert [row["path"] for row in rows] == sorted(map(str, pictures.rglob("[0-9b]*.*g")))
    run(out=tmp_path / "fresh")
    assert rows == rows_in(tmp_path / "fresh")


def test_answers_among_the_pictures_are_not_taken_for_some(run: Callable[..., int], pictures: Path) -> None:
    run(out=pictures / "answers")
    before = rows_in(pictures / "answers")
    run(out=pictures / "answers")
    assert rows_in(pictures / "answers") == before
    assert len(before) == COUNT + 1


@pytest.mark.fault
def test_what_could_not_be_reached_is_asked_for_again(
    run: Callable[..., int], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"image": [(pictures / "0.png").read_bytes()]}), pictures / "more.parquet")
    (pictures / "broken.jpg").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict_ray, "row_of", mock.Mock(side_effect=TimeoutError("slow down")))
        assert run() == 1
    assert "Pictures that could not be reached: 1. The same command asks for them again." in capsys.readouterr().err
    assert run() == 0
    assert len(rows_in(tmp_path / "out")) == COUNT + 1


def other_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["3"] = "something else"
    (folder / "config.json").write_text(json.dumps(config))


def other_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "arguments", "what"),
    [
        (None, ["--logits"], "logits is False, not True"),
        (None, ["--precision", "bf16"], "precision is 'auto', not 'bf16'"),
        (None, ["more.png"], "paths is "),
        (other_labels, [], "config is "),
        (other_weights, [], "weights is "),
    ],
)
def test_answers_to_something_else_are_not_mixed(
    change: Callable[[Path], None] | None,
    arguments: list[str],
    what: str,
    run: Callable[..., int],
    resnet: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = shutil.copytree(resnet, tmp_path / "model")
    run(model=model)
    if change:
        change(model)
    given = [str(pictures / name) if name.endswith(".png") else name for name in arguments]
    photo(0).save(pictures / "more.png")
    capsys.readouterr()
    assert run(*given, model=model) == 1
    assert f"holds answers of which {what}" in capsys.readouterr().err


def test_a_question_that_was_refused_can_be_put_right(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet = test_segment.save(tmp_path / "net", "unet")
    assert run("--task", "panoptic", model=unet) == 1
    assert "can't do task 'panoptic', only semantic." in capsys.readouterr().err
    run("--task", "semantic", model=unet)
    assert len(rows_in(tmp_path / "out")) == COUNT + 1


def test_a_segmenter_takes_large_pictures_in_tiles(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = test_segment.save(tmp_path / "net", "unet")
    monkeypatch.setattr("cvhub.inference.segment.MAX_PIXELS", 64 * 64)
    photo(3, (100, 90)).save(pictures / "large.png")
    worker(unet, tmp_path / "out").answer([Item(str(pictures / "large.png"))])
    main(["predict", str(unet), str(pictures / "large.png"), "--precision", "fp32", "--out", str(tmp_path / "masks")])
    (row,) = rows_in(tmp_path / "out")
    assert row["mask"] == (tmp_path / "masks" / "large.png").read_bytes()


def test_names_that_are_odd(resnet: Path, pictures: Path, tmp_path: Path) -> None:
    """Not in UTF-8, or with what chains file systems elsewhere."""
    folder = tmp_path / "a::b"
    folder.mkdir()
    shutil.copy(pictures / "0.png", folder / os.fsdecode(b"caf\xe9 #1.png"))
    assert worker(resnet, tmp_path / "out").answer(list(list_items(str(folder))))["failed"] == 0
    (row,) = rows_in(tmp_path / "out")
    assert row["path"].endswith("/a::b/caf\N{REPLACEMENT CHARACTER} #1.png")


def test_what_is_not_there(tmp_path: Path) -> None:
    for address in (str(tmp_path / "nothing"), "memory://nothing"):
        with pytest.raises(CvhubError, match="does not exist or is empty"):
            list(list_items(address))
    with pytest.raises(CvhubError, match="nosuch://x can't be opened"):
        list(list_items("nosuch://x"))
    (tmp_path / "0.parquet").write_bytes(b"PAR1")
    with pytest.raises(CvhubError, match=r"0.parquet is no parquet file that can be read"):
        list(list_items(str(tmp_path)))
    (tmp_path / "0.parquet").unlink()
    pq.write_table(pa.table({"label": [1]}), tmp_path / "a.parquet")
    with pytest.raises(CvhubError, match="no column of pictures, only label"):
        list(list_items(str(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.png", "--engine", "ray"], "--out names their folder"),
        (["s3://bucket/a.png"], "s3://bucket/a.png is for --engine ray"),
        (["a.png", "--workers", "2"], "--workers is for --engine ray"),
        (["a.png", "--logits"], "--logits is for --engine ray"),
    ],
)
def test_options_of_the_other_engine(
    arguments: list[str], expected: str, resnet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(resnet), *arguments])
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err
