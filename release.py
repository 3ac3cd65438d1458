"""Says what stands between this commit and a release, builds the wheel, and looks into it: `make release-check`.

Prints a sentence for each problem and the wheel's size; exit code 1 where there is a problem. dist/ has the wheel then.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

import cvhub
from cvhub.hub import space

ROOT = Path(__file__).parent
LARGEST = 100_000_000  # bytes of a wheel, PyPI's limit
# What the wheel is made from; of cvhub/ all that git knows.
SOURCES = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "cvhub")
VERSION = re.compile(r"^## (?P<version>\S+) – (?P<date>.+)$", re.MULTILINE)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def problems(root: Path, version: str) -> Iterator[str]:
    """What CITATION.cff and CHANGELOG.md of the project at `root` lack for a release of `version`, a sentence each."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    newest = VERSION.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if citation["version"] != version:
        yield f"CITATION.cff is of version {citation['version']}, cvhub/__init__.py of {version}."
    if newest is None or newest["version"] != version:
        found = newest["version"] if newest else "none"
        yield f"The newest version in CHANGELOG.md is {found}, expected {version}, as `## {version} – YYYY-MM-DD`."
    elif not DATE.fullmatch(newest["date"]):
        yield f"CHANGELOG.md says {newest['date']!r} of {version}, expected its date, YYYY-MM-DD."
    elif str(citation.get("date-released")) != newest["date"]:
        yield f"CITATION.cff has date-released {citation.get('date-released')}, CHANGELOG.md {newest['date']}."


def tracked(root: Path, *paths: str) -> list[str]:
    """The files under `paths` that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z", *paths], cwd=root, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.split("\0") if path]


def build_wheel(root: Path, folder: Path) -> Path:
    """Builds the wheel into `folder`, from what git knows: what else lies about, old builds too, can't slip in."""
    with tempfile.TemporaryDirectory() as place:
        for path in tracked(root, *SOURCES):
            target = Path(place, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, target)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
        subprocess.run([*command, "--wheel-dir", str(folder)], cwd=place, check=True)
    return max(folder.glob("cvhub-*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def wheel_problems(wheel: Path, root: Path) -> Iterator[str]:
    """What the wheel lacks or has too much of, and whether it is too large, a sentence each."""
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = set(tracked(root, "cvhub"))
    if missing := sorted(expected - found):
        yield f"The wheel lacks {', '.join(missing)}: a glob of package-data in pyproject.toml has to name it."
    if surplus := sorted(found - expected):
        yield f"The wheel holds {', '.join(surplus)}, which git doesn't know."
    if wheel.stat().st_size > LARGEST:
        yield f"The wheel has {wheel.stat().st_size:,} bytes, at most {LARGEST:,} may be uploaded."


def main() -> int:
    wheel = build_wheel(ROOT, ROOT / "dist")
    found = [*problems(ROOT, cvhub.__version__), *space.check(ROOT), *wheel_problems(wheel, ROOT)]
    if changed := subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True, text=True).stdout:
        found.append(f"Not committed yet:\n{changed.rstrip()}")
    print("\n".join(found) or "Nothing stands between this commit and a release.")
    print(f"{wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.1f} MB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
