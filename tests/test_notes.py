"""docs/notes.md: no statement about a family of the catalogue is left without its evidence."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvhub.catalog import CATALOG

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "notes.md"
FAMILIES = {entry.family for entry in CATALOG}

TEST_ID = re.compile(r"`(tests/\w+\.py)::(\w+)`")
FIGURE = re.compile(r"`(docs/[\w./-]+\.(?:png|svg))`")
PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}")  # four digits until 2014
PLACE = re.compile(r"\w+ (?:et al\. )?\d{4}, (?:section|table|figure|eq\.) \d")


@dataclass(frozen=True)
class Row:
    families: tuple[str, ...]
    id: str
    statement: str
    status: str
    evidence: str


def read_rows(page: str) -> Iterator[Row]:
    families: tuple[str, ...] = ()
    for line in page.splitlines():
        if line.startswith("## "):
            families = tuple(line.split("`")[1::2])
        elif line.startswith("| ") and not line.startswith(("| id |", "| --- ")):
            identifier, statement, status, evidence = (cell.strip() for cell in line.strip("|").split("|"))
            yield Row(families, identifier, statement, status, evidence)


def names_of_tests(file: Path) -> set[str]:
    """Names of the test functions of a file, read without running it."""
    if not file.is_file():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def problem_of(row: Row, families: set[str]) -> str | None:
    """What is wrong with a row, or None."""
    if row.status == "open":
        if here := families & set(row.families):
            return f"{min(here)} is in the catalogue, the statement waits still"
        waits = row.evidence in {f"waits for `{family}`" for family in row.families}
        return None if waits else "an open row says which family it waits for"
    missing = [
        f"{file}::{name}" for file, name in TEST_ID.findall(row.evidence) if name not in names_of_tests(ROOT / file)
    ]
    missing += [figure for figure in FIGURE.findall(row.evidence) if not (ROOT / figure).is_file()]
    if missing:
        return f"{', '.join(missing)} does not exist"
    if row.status == "corrected":
        return None if PLACE.search(row.evidence) else "a correction names the place in the paper"
    if row.status != "shown":
        return f"unknown status {row.status!r}"
    if not any(kind.search(row.evidence) for kind in (TEST_ID, FIGURE, PAPER)):
        return "no test, figure or paper shows it"
    return None


ROWS = list(read_rows(PAGE.read_text(encoding="utf-8")))


def test_every_row_of_a_family_in_the_catalogue_has_its_evidence() -> None:
    problems = {row.id: problem for row in ROWS if (problem := problem_of(row, FAMILIES))}
    assert not problems


def test_ids_are_unique() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("statement", ["vanishing gradients", "64 output channels", "half the input channels"])
def test_what_the_papers_contradict_is_corrected(statement: str) -> None:
    (row,) = [row for row in ROWS if statement in row.statement and "resnet" in row.families]
    assert row.status == "corrected"
    assert TEST_ID.search(row.evidence)


@pytest.mark.parametrize(
    ("family", "status", "evidence", "problem"),
    [
        ("resnet", "open", "waits for `resnet`", "waits still"),
        ("not_yet_here", "open", "", "which family"),
        ("resnet", "shown", "everybody knows", "no test"),
        ("resnet", "shown", "`tests/test_notes.py::test_not_written`", "test_not_written does not exist"),
        ("resnet", "shown", "`docs/never_drawn.png`", "never_drawn.png does not exist"),
        ("resnet", "corrected", "`tests/test_notes.py::test_ids_are_unique`", "place in the paper"),
        ("resnet", "guessed", "`tests/test_notes.py::test_ids_are_unique`", "unknown status"),
    ],
)
def test_a_bad_row_is_found(family: str, status: str, evidence: str, problem: str) -> None:
    row = Row((family,), "X1", "a statement", status, evidence)
    assert problem in (problem_of(row, FAMILIES) or "")
