"""The documentation site: it builds without a warning and fetches nothing, and what it shows is what the code says."""

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, get_origin

import pytest
import yaml

from cvhub import cli
from cvhub.catalog import CATALOG
from cvhub.errors import CvhubError
from cvhub.models import FAMILIES
from docs.site import families, pages, quality
from docs.site.__main__ import build
from tests.examples import ROOT
from tests.test_notes import TEST_ID, names_of_tests
from tests.tiny import TinyFamily

SITE = ROOT / "docs" / "site"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pages from which the site is built."""
    folder = tmp_path_factory.mktemp("site")
    pages.write(ROOT, folder)
    return folder


def targets(navigation: Any) -> set[str]:
    """The pages that a navigation leads to."""
    if isinstance(navigation, str):
        return {navigation}
    entries = navigation if isinstance(navigation, list) else navigation.values()
    return set().union(*map(targets, entries))


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_the_navigation_leads_to_every_page(language: str, written: Path) -> None:
    config = yaml.safe_load((written / f"{language}.yml").read_text(encoding="utf-8"))
    found = {file.relative_to(written / language).as_posix() for file in (written / language).rglob("*.md")}
    assert targets(config["nav"]) == found


def test_chinese_pages_are_pages_in_english_too(written: Path) -> None:
    chinese = {file.relative_to(written / "zh") for file in (written / "zh").rglob("*.md")}
    assert chinese
    assert not [page for page in chinese if not (written / "en" / page).is_file()]


@pytest.mark.skipif(find_spec("zensical") is None, reason="the extra `docs` is not installed")
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    site = build(tmp_path)
    html = {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert {f"families/{name}/index.html" for name in FAMILIES} <= html.keys()
    assert '<html lang="zh"' in html["zh/index.html"]
    # A page that names a module which mkdocstrings didn't find would show its directive.
    assert not [page for page, text in html.items() if "<p>::: " in text]
    fetched = (
        r"<(?:script|img|iframe)[^>]+src=\"?https?://|<link[^>]+rel=\"?(?:stylesheet|preconnect|icon)[^>]+https?://"
    )
    assert not [page for page, text in html.items() if re.search(fetched, text)]


def test_every_test_that_stands_for_one_of_transformers_exists() -> None:
    page = (SITE / "en" / "common_tests.md").read_text(encoding="utf-8")
    assert TEST_ID.findall(page)
    assert not [f"{file}::{name}" for file, name in TEST_ID.findall(page) if name not in names_of_tests(ROOT / file)]
    files = set(re.findall(r"`(tests/\w+\.py)`", page)) - {"tests/test_modeling_common.py"}  # which is transformers'
    assert not [file for file in files if not (ROOT / file).is_file()]


# --- The pages of families -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_page_shows_what_its_code_says(name: str, written: Path) -> None:
    page = (written / "en" / "families" / f"{name}.md").read_text(encoding="utf-8")
    config = TinyFamily(name).class_for("AutoConfig")
    for field, kind in vars(config).get("__annotations__", {}).items():
        assert page.count(f"| `{field}` |") == (get_origin(kind) is not ClassVar)
    for entry in (entry for entry in CATALOG if entry.family == name):
        assert f"| `{entry.name}` | {entry.dataset} |" in page
    assert "<svg" in page


def test_what_is_written_is_about_a_family_that_is_there() -> None:
    assert {file.stem for file in SITE.glob("en/families/*.md")} == set(FAMILIES)


def test_a_family_without_its_text_is_refused_by_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match=r"docs/site/en/families/imaginary.md is missing: say there what the paper's"):
        families.read_written(tmp_path, "imaginary")


def test_a_text_whose_head_lacks_something_is_refused_by_a_sentence(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "site" / "en" / "families" / "resnet.md"
    page.parent.mkdir(parents=True)
    page.write_text("---\nyear: 2015\n---\n# ResNet\n", encoding="utf-8")
    with pytest.raises(CvhubError, match=r"resnet.md has year, expected year, config, size, speed"):
        families.read_written(tmp_path, "resnet")


def test_a_table_of_the_benchmarks_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "RESULTS.md", tmp_path / "benchmarks")
    with pytest.raises(CvhubError, match="no table headed ResNet-51"):
        families.speed.tables(tmp_path, ["ResNet-50", "ResNet-51"])


# --- Measured quality ------------------------------------------------------------------------------------------------


def test_every_command_of_measured_quality_is_one(written: Path) -> None:
    """As far as the command line's own reading goes: names of options, and what is written behind them."""
    page = (written / "en" / "quality.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ cvhub (evaluate .*)$", page, re.MULTILINE)
    assert {command.split()[1] for command in commands} == {entry.name for entry in CATALOG if entry.metrics}
    for command in commands:
        options = cli.parse(shlex.split(command))
        assert options.dataset.isupper()


def test_a_command_chooses_the_rows_that_a_card_names() -> None:
    rows = ["train", "all but those held out by a|b:0.2:0", "all but those watched by 0.1:0", "one a a|b", "texts in c"]
    result = {
        "task": {"type": "zero-shot-image-classification"},
        "dataset": {"name": "emoji", "split": ", ".join(rows)},
        "metrics": [{"type": "recall@1", "value": 0.5}],
    }
    told = "cvhub evaluate net EMOJI --split train --learnt --holdout 'a|b:0.2:0' --watched 0.1:0 --one-per 'a|b'"
    assert quality.command("net", result) == f"{told} --texts c"
