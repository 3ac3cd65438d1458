"""Many pictures on Ray: the plain engine's answers, in parquet files that a restart leaves alone."""

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    (out / name_of_shard(first)).write_bytes(b"made before")
    command = ["from cvhub.cli import main", "from cvhub.commands import predict_ray", "predict_ray.SHARD = 2"]
    command += ["raise SystemExit(main())"]
    arguments = ("predict", resnet, pictures, "--engine", "ray", "--workers", "2", "--out", out, "--precision", "fp32")
    called = [sys.executable, "-c", "\n".join(command), *map(str, arguments), "--json"]
    done = subprocess.run(called, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # one picture is broken
    assert done.stderr.startswith("1 of 3 shards are there already.\n")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(report["n"] for report in reports) == [2, 2]
    assert (out / name_of_shard(first)).read_bytes() == b"made before"
    (out / name_of_shard(first)).unlink()
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


def test_answers_to_something_else_are_not_mixed(resnet: Path, tmp_path: Path) -> None:
    files, out = opened_folder(str(tmp_path))
    predict_ray.claim(options(resnet, "any", "--out", tmp_path), "", files, out)
    predict_ray.claim(options(resnet, "any", "--out", tmp_path), "", files, out)
    with pytest.raises(CvhubError, match="answers of which logits is False, not True"):
        predict_ray.claim(options(resnet, "any", "--out", tmp_path, "--logits"), "", files, out)


def test_what_is_not_there(tmp_path: Path) -> None:
    for address in (str(tmp_path / "nothing"), "memory://nothing"):
        with pytest.raises(CvhubError, match="does not exist or is empty"):
            list(list_items(address))
    with pytest.raises(CvhubError, match="nosuch://x can't be opened"):
        list(list_items("nosuch://x"))
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
