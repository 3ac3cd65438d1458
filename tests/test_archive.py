"""A visitor's zip as class folders: no picture takes another's place, and a class has one name everywhere."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cvhub.evaluation.class_folders import find_class_folders
from cvhub.training.archive import FEWEST_PICTURES, LONGEST_NAME, unpack


def zipped(file: Path, *labels: str) -> Path:
    made = io.BytesIO()
    Image.new("L", (2, 2)).save(made, "PNG")
    with zipfile.ZipFile(file, "w") as archive:
        for label in labels:
            for number in range(FEWEST_PICTURES):
                archive.writestr(f"{label}/{number}.png", made.getvalue())
    return file


LONG = LONGEST_NAME * "x"


@pytest.mark.parametrize(
    ("labels", "folders"),
    [
        (("C#", "C*", "C_"), ["C_", "C_-2", "C_-3"]),
        ((f"{LONG}a", f"{LONG}b"), [LONG, f"{LONG}-2"]),
        (("Cat", "cat"), ["Cat", "cat-2"]),  # one folder where capitals don't count
        (("jack-o'-lantern", "salt & pepper"), ["jack-o'-lantern", "salt & pepper"]),
        (("?_hidden", "seen"), ["_hidden", "seen"]),  # with two of these before it, it would be no class
    ],
)
def test_each_class_keeps_its_pictures_and_one_name(
    labels: tuple[str, ...], folders: list[str], tmp_path: Path
) -> None:
    counts = unpack(zipped(tmp_path / "a.zip", *labels), tmp_path / "out")
    assert counts == dict.fromkeys(folders, FEWEST_PICTURES)
    found = find_class_folders(tmp_path / "out")
    assert found is not None
    assert found.classes == sorted(counts)
    assert len(found.splits["train"]) == len(labels) * FEWEST_PICTURES
