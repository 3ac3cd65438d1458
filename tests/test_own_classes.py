"""Your own classes, behind the page: pictures in, a judged model in the visit, and a folder to take home."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from cvhub.load import load_model
from cvhub.ui.classify import handlers, own_classes
from cvhub.ui.classify.own_classes import MAX_CLASSES
from cvhub.ui.state import Session
from tests.browser import SAMPLES

BASE = "efficientnet_lite0"


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, list[str]]:
    """Three crops of two photos, by what is on them."""
    files: dict[str, list[str]] = {}
    for name, sample in (("cat", "chelsea"), ("coffee", "coffee")):
        with Image.open(SAMPLES / f"{sample}.jpg") as photo:
            crops = [photo.copy(), ImageOps.mirror(photo), photo.crop((20, 20, photo.width - 20, photo.height - 20))]
        files[name] = [str(tmp_path / f"{name}{number}.png") for number in range(len(crops))]
        for crop, file in zip(crops, files[name], strict=True):
            crop.save(file)
    return files


def learn(session: Session, rows: list[tuple[str, list[str] | None]], language: str = "en") -> Any:
    rows = rows + [("", None)] * (MAX_CLASSES - len(rows))
    names, files = zip(*rows, strict=True)
    return own_classes.learn(session, BASE, [BASE], language, *names, *files)


def test_what_is_learned_joins_the_visit_and_goes_with_it(photos: dict[str, list[str]]):
    session = Session()
    _, models, said, mistaken, download = learn(session, list(photos.items()))
    assert "6 of 6 pictures are named rightly (100.0 %)" in said
    assert models["value"] == [BASE, "cat, coffee"]
    assert mistaken["visible"] is False
    folder = session.checkpoints["cat, coffee"]
    with zipfile.ZipFile(download["value"]) as archive:
        assert {"config.json", "model.safetensors", "README.md", "mobilenet_v2.py"} <= set(archive.namelist())
    assert load_model(str(folder)).config.id2label == {0: "cat", 1: "coffee"}
    handlers.forget(session)
    assert not folder.exists()


def test_mistaken_pictures_are_shown(photos: dict[str, list[str]]):
    swapped = {"cat": [*photos["cat"], photos["coffee"][0]], "coffee": photos["coffee"][1:]}
    _, _, said, mistaken, _ = learn(Session(), list(swapped.items()))
    shown = {caption: picture for picture, caption in mistaken["value"]}
    assert f"{6 - len(mistaken['value'])} of 6 pictures" in said
    assert shown["cat, taken for coffee"].size == Image.open(photos["coffee"][0]).size


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("cat", "cat"), ("", None)], "1 classes are given; it takes at least two."),
        ([("cat", "cat"), ("dog", None)], "Class 2 has a name without pictures, or pictures without a name."),
        ([("cat", "cat"), ("", "coffee")], "Class 2 has a name without pictures, or pictures without a name."),
        ([("cat", "cat"), (" cat ", "coffee")], "Two classes are called “cat”."),
        ([("cat", "cat"), ("one", "one")], "“one” has 1 pictures; a class takes 2 to 50."),
        ([("cat", "cat"), ("torn", "torn")], "torn.png is no picture that can be read"),
    ],
)
def test_what_can_not_be_learned_is_a_sentence(photos: dict[str, list[str]], rows: Any, sentence: str, tmp_path: Path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    files = photos | {"one": photos["cat"][:1], "torn": [str(tmp_path / "torn.png")] * 2}
    session = Session()
    _, _, said, _, download = learn(session, [(name, files[key] if key else None) for name, key in rows])
    assert sentence in said
    assert download["visible"] is False
    assert not session.checkpoints


def test_errors_are_told_in_chinese(photos: dict[str, list[str]], tmp_path: Path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    torn = [str(tmp_path / "torn.png")] * 2
    assert "torn.png 不是可读的图片" in learn(Session(), [("a", torn), ("b", torn)], "zh")[2]
