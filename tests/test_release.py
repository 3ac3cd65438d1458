"""What a release is made of: the wheel holds what git knows of cvhub and runs alone, and what is missing is said."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import cvhub
import release
from tests.examples import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release.build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_all_of_cvhub_and_nothing_else(wheel: Path) -> None:
    assert list(release.wheel_problems(wheel, ROOT)) == []
    names = zipfile.ZipFile(wheel).namelist()
    outside = {name.partition("/")[0] for name in names if not name.startswith("cvhub/")}
    assert outside == {f"cvhub-{cvhub.__version__}.dist-info"}


def test_what_a_wheel_lacks_or_has_too_much_of_is_said(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(other, "w") as part:
        for name in whole.namelist():
            if name != "cvhub/load.py":
                part.writestr(name, b"")
        part.writestr("cvhub/notes.txt", b"")
    monkeypatch.setattr(release, "LARGEST", 1000)
    lacks, surplus, size = release.wheel_problems(other, ROOT)
    assert lacks.startswith("The wheel lacks cvhub/load.py:")
    assert surplus.startswith("The wheel holds cvhub/notes.txt,")
    assert size.startswith("The wheel has ")


PROGRAM = """
import cvhub, sys
from pathlib import Path
assert Path(cvhub.__file__).is_relative_to(sys.argv[1]), cvhub.__file__
from cvhub.cli import main
from cvhub.ui.app import build
from cvhub.ui.samples import FOLDER
build()
sys.exit(main(["predict", "digits_resnet", str(Path(FOLDER) / "digit.jpg"), "--top-k", "1", "--runtime", "torch"]))
"""


def test_the_wheel_alone_answers_and_builds_the_page(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    # What was started by coverage would count lines of the copy.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = inherited | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", PROGRAM, str(installed)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3"


# --- The other files -------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of a release that names its version, ready."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8")) | {"date-released": "2027-01-31"}
    (tmp_path / "CITATION.cff").write_text(yaml.safe_dump(citation), encoding="utf-8")
    changes = f"# Changes\n\n## {cvhub.__version__} – 2027-01-31\n"
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    return tmp_path


def problems_of(project: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (project / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return list(release.problems(project, cvhub.__version__))


def test_nothing_stands_between_a_ready_project_and_its_release(project: Path) -> None:
    assert problems_of(project) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("# Changes\n", "The newest version in CHANGELOG.md is none"),
        ("## 9.9 – 2027-01-31\n", "The newest version in CHANGELOG.md is 9.9"),
        (f"## {cvhub.__version__} – unreleased\n", "CHANGELOG.md says 'unreleased'"),
        (
            f"## {cvhub.__version__} – 2027-02-01\n",
            "CITATION.cff has date-released 2027-01-31, CHANGELOG.md 2027-02-01",
        ),
    ],
)
def test_a_changelog_that_is_not_ready_is_said(project: Path, changes: str, said: str) -> None:
    (problem,) = problems_of(project, CHANGELOG_md=changes)
    assert problem.startswith(said)


def test_a_citation_of_another_version_is_said(project: Path) -> None:
    (problem,) = problems_of(project, CITATION_cff="version: 9.9\ndate-released: 2027-01-31\n")
    assert problem == f"CITATION.cff is of version 9.9, cvhub/__init__.py of {cvhub.__version__}."


def test_the_changelog_and_the_citation_are_of_this_version() -> None:
    """A version is named in three files, and they agree on every commit; only the date waits for the release."""
    waiting = [problem for problem in release.problems(ROOT, cvhub.__version__) if "date" not in problem]
    assert waiting == []
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["license"] == "Apache-2.0"
