"""Files of visitors stay within a limit of disk: the oldest go first, and none that is being worked with."""

import os
import tempfile
from pathlib import Path

import gradio as gr
import pytest

from cvhub.ui import uploads

NOW = 10_000.0


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gr.Blocks:
    """A page with five uploads of 10 bytes, the last two just come, and one that a component keeps; the limit is 25."""
    monkeypatch.setattr(uploads, "MOST_BYTES", 25)
    with gr.Blocks() as demo:
        image = gr.Image()
    for age, name in enumerate(["new", "newer", "old", "older", "oldest"]):
        file = tmp_path / name
        file.write_bytes(bytes(10))
        written = NOW - (1 if age < 2 else 1000 * age)
        os.utime(file, (written, written))
        demo.upload_file_set.add(str(file))
    image.keep_in_cache = {str(tmp_path / "oldest")}
    return demo


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_oldest_files_go_until_the_rest_fits(page: gr.Blocks, tmp_path: Path) -> None:
    uploads.tidy(page, NOW - uploads.SAFE_SECONDS)
    assert names(tmp_path) == {"new", "newer", "oldest"}
    assert {Path(file).name for file in page.upload_file_set} == names(tmp_path)


def test_what_fits_stays(page: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 50)
    before = names(tmp_path)
    uploads.tidy(page, NOW)
    assert names(tmp_path) == before


def test_files_that_are_gone_are_forgotten(page: gr.Blocks, tmp_path: Path) -> None:
    (tmp_path / "old").unlink()
    (tmp_path / "older").unlink()
    uploads.tidy(page, NOW - uploads.SAFE_SECONDS)
    assert names(tmp_path) == {"new", "newer", "oldest"}
    assert len(page.upload_file_set) == 3


@pytest.mark.parametrize("chosen", ["", "elsewhere"])
def test_what_a_page_makes_goes_with_it(chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", chosen)
    with uploads.folder_of_its_own():
        uploaded = Path(os.environ["GRADIO_TEMP_DIR"])
        made = Path(tempfile.mkdtemp(prefix="cvhub-checkpoint-"))
        assert made.is_relative_to(tmp_path)
        assert uploaded.is_relative_to(tmp_path) or uploaded.name == chosen
        assert not made.is_relative_to(uploaded)  # whose files anybody may fetch who knows their names
    assert list(tmp_path.iterdir()) == []
    assert tempfile.tempdir == str(tmp_path)
    assert os.environ.get("GRADIO_TEMP_DIR", "") == chosen
