"""Runs the example of a card, as somebody would who copies it."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
PICTURE = re.compile(r"[\w]+\.(?:jpg|png)")


def run_card(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code of the folder's README.md has named at its end, run in `place` on a picture of the name it says."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    (code,) = CODE.findall(card.replace("path/to/this/folder", str(folder)))
    monkeypatch.chdir(place)
    for name in set(PICTURE.findall(code)):
        Image.new("RGB", (90, 70), "teal").save(name)
    names: dict[str, Any] = {}
    exec(code, names)
    return names
