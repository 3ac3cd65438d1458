"""The command line through its entry points: output, exit codes, and nothing but JSON on stdout with --json."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torchvision
from PIL import Image
from safetensors.torch import save_file

from cvhub import telling
from cvhub.catalog import CATALOG
from cvhub.cli import main
from tests.tiny import TinyFamily

SAMPLES = Path(__file__).parent.parent / "cvhub" / "ui" / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of ours, complete."""
    from cvhub.models.image_processing import CvImageProcessor

    path = tmp_path_factory.mktemp("tiny")
    TinyFamily("mobilenet_v2").model().save_pretrained(path)
    CvImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}).save_pretrained(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, list[Any], str]:
    """Exit code, JSON objects of stdout, stderr. Every line of stdout must be JSON."""
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_models_lists_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, _ = run(capsys, "models")
    assert code == 0
    assert [row["name"] for row in rows] == [entry.name for entry in CATALOG]
    keys = {"name", "family", "task", "source", "dataset", "num_labels", "parameters", "metrics", "licence"}
    assert all(row.keys() == keys for row in rows)
    assert main(["models", "--task", "image-classification"]) == 0
    classifiers = [entry.name for entry in CATALOG if entry.task == "image-classification"]
    task, head, *rows, blank, sources = capsys.readouterr().out.splitlines()
    assert (task, blank) == ("image-classification", "")
    assert head.split() == ["name", "parameters", "weights", "data", "from"]
    assert [row.split()[0] for row in rows] == classifiers
    assert {row.index(" M  ") for row in rows} == {head.index("parameters") + len("parameters") - 2}
    assert "hub: downloaded when first named" in sources


def test_models_has_a_table_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines[:-1] if line[:1].strip()] == list(dict.fromkeys(entry.task for entry in CATALOG))


def test_info_counts_layers(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, (report,), _ = run(capsys, "info", folder, "--size", "48x64")
    assert code == 0
    assert report["size"] == [48, 64]
    assert report["parameters"] == sum(layer["parameters"] for layer in report["layers"])
    assert report["multiply_adds"] == sum(layer["multiply_adds"] for layer in report["layers"])
    assert main(["info", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.split()[:5] == ["layer", "kind", "output", "parameters", "multiply-adds"]
    assert "multiply-adds at 32x32" in told
    assert "receptive field of the last map: " in told


def test_who_waits_for_a_first_use_is_told_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "SILENT_SECONDS", 0.01)
    with telling.loading("some_net"):
        time.sleep(0.2)
    captured = capsys.readouterr()
    assert captured.err.startswith("some_net is being loaded; its first use ")
    assert captured.out == ""
    monkeypatch.setattr(telling, "SILENT_SECONDS", 0.2)
    with telling.loading("some_net"):
        pass
    time.sleep(0.4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("sample", "word"), [("chelsea.jpg", "cat"), ("coffee.jpg", "espresso")])
def test_the_default_model_names_what_photos_show(sample: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, (report,), _ = run(capsys, "predict", "efficientnet_lite0", SAMPLES / sample)
    assert code == 0
    assert word in report["predictions"][0]["label"]


def test_predict_says_where_no_picture_is(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    code, reports, told = run(capsys, "predict", folder, tmp_path)
    assert (code, reports) == (1, [])
    assert told == f"There is no picture in {tmp_path}.\n"


def test_predict_goes_on_after_a_bad_file(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), "red").save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    Image.new("L", (1, 1)).save(tmp_path / "图.png")
    missing = tmp_path / "missing.png"
    code, rows, _ = run(capsys, "predict", folder, tmp_path, missing, "--top-k", 2, "--batch-size", 2)
    assert code == 1
    assert [Path(row["path"]).name for row in rows] == ["a.png", "b.jpg", "图.png", "missing.png"]
    assert ["error" in row for row in rows] == [False, True, False, True]
    assert len(rows[0]["predictions"]) == 2
    assert all(len(row["error"]) <= 300 for row in rows if "error" in row)


def test_predict_for_people(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), "red").save(tmp_path / "a.png")
    assert main(["predict", str(folder), str(tmp_path), "nowhere.png"]) == 1
    captured = capsys.readouterr()
    assert "%" in captured.out
    assert "nowhere.png" in captured.err


def test_both_runtimes_agree(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    answers = []
    for runtime in ("openvino", "torch"):
        picture = SAMPLES / "coffee.jpg"
        _, (report,), _ = run(capsys, "predict", folder, picture, "--runtime", runtime, "--precision", "fp32")
        answers.append(report["predictions"])
    for ours, theirs in zip(*answers, strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_convert_and_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    save_file(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "w.safetensors")
    ours, back = tmp_path / "ours", tmp_path / "back"
    arguments = ("--arch", "resnet18", "--set", "label_smoothing=0.1")
    code, (report,), _ = run(capsys, "convert", tmp_path / "w.safetensors", ours, *arguments)
    assert (code, report["dest"]) == (0, str(ours))
    assert json.loads((ours / "config.json").read_text())["label_smoothing"] == 0.1
    assert main(["convert", str(ours), str(back), "--to", "timm"]) == 0
    assert json.loads((back / "config.json").read_text())["architecture"] == "resnet18"


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "no such model", "a.png"],
        ["convert", "nowhere.pth", "dest"],
        ["info", "nothing"],
        ["predict", "efficientnet_lite0", "a.png", "--precision", "int8"],
    ],
)
def test_a_failure_is_one_sentence_and_code_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cvhub: ")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["predict", "m"],
        ["predict", "m", "p", "--top-k", "0"],
        ["info", "m", "--size", "12"],
        ["convert", "a", "b", "--set", "x"],
        ["models", "--task", "poetry"],
    ],
)
def test_bad_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: cvhub" in capsys.readouterr().err


def test_space_check_of_this_project(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["space", "check", "--root", str(Path(__file__).parent.parent)]) == 0
    assert main(["space", "check", "--root", str(tmp_path)]) == 1
    assert "spaces.yaml" in capsys.readouterr().out


def test_module_and_a_reader_that_stops() -> None:
    """`python -m cvhub models | head -1` ends without a traceback."""
    command = f"{sys.executable} -m cvhub models --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ, check=True)
    assert json.loads(done.stdout)["name"] == CATALOG[0].name
    assert done.stderr == ""
