"""The site's tutorials: every example runs, prints what it promises, and stands in both languages."""

import re
import shutil
from pathlib import Path

import pytest

from tests.examples import ROOT, as_python, read_blocks, run

SITE = ROOT / "docs" / "site"
TUTORIALS = sorted(file.stem for file in SITE.glob("en/tutorials/*.md"))
# Between the outputs of two blocks; nothing that is printed has it.
MARK = "\x1e"
# bf16, where a processor has it, rounds as that processor does.
PERCENT = re.compile(r"\d+\.\d+(?=%)")


def blocks_of(name: str, language: str = "en"):
    return read_blocks((SITE / language / "tutorials" / f"{name}.md").read_text(encoding="utf-8"))


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder in which the tutorials find the sample pictures where the repository has them."""
    shutil.copytree(ROOT / "cvhub" / "ui" / "samples", tmp_path / "cvhub" / "ui" / "samples")
    return tmp_path


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_from_top_to_bottom(name: str, workplace: Path) -> None:
    """In one process, as a reader's session would be."""
    blocks = blocks_of(name)
    programs = (as_python(block.code) if block.language == "console" else block.code for block in blocks)
    printed = run(f"print({MARK!r}, end='')\n".join(programs), workplace, {}).split(MARK)
    promised = {place: block.output for place, block in enumerate(blocks) if block.output is not None}
    assert promised
    assert {place: PERCENT.sub("", printed[place]) for place in promised} == {
        place: PERCENT.sub("", output) for place, output in promised.items()
    }
    for place, output in promised.items():
        told, expected = (list(map(float, PERCENT.findall(text))) for text in (printed[place], output))
        assert told == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_has_the_same_examples_in_chinese(name: str) -> None:
    assert blocks_of(name, "zh") == blocks_of(name)
