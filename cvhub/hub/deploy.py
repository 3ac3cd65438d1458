"""Uploads the project's own Space: what the page needs to start there, and nothing else, in one commit."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from cvhub.errors import CvhubError
from cvhub.hub.failures import explained
from cvhub.hub.push import check_repo_id, machine_token
from cvhub.hub.space import check, read_settings

PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")  # in Markdown; the group is its file or address
KEPT = ".gitattributes"  # which the Hub writes


def deploy(root: Path, repo_id: str, private: bool = False) -> str:
    """Makes the Space `repo_id` hold the project at `root`, and returns its address.

    A Space that isn't there is made, `private` if so; files of one that is there and are not the project's go. Raises
    `CvhubError` with one sentence when `cvhub space check` has objections or the Hub doesn't take it.
    """
    if problems := check(root):
        more = f" (and {len(problems) - 1} more: `cvhub space check`)" if len(problems) > 1 else ""
        raise CvhubError(f"This project would not build as a Space: {problems[0]}{more}")
    check_repo_id(repo_id)
    api = HfApi(token=machine_token(repo_id))
    files = space_files(root)
    with explained(repo_id):
        url = api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        old = set(api.list_repo_files(repo_id, repo_type="space")) - {KEPT, *files}
        operations = [CommitOperationAdd(name, file) for name, file in sorted(files.items())]
        deletions = [CommitOperationDelete(name) for name in sorted(old)]
        api.create_commit(repo_id, [*operations, *deletions], commit_message="Deploy", repo_type="space")
    return str(url)


def space_files(root: Path) -> dict[str, Path]:
    """Path in the Space → file: what starts the page, the package with its data, and the README with its pictures."""
    names = ["README.md", "requirements.txt", read_settings(root)["app_file"], "LICENSE"]
    shown = PICTURE.findall((root / "README.md").read_text(encoding="utf-8"))
    names += [picture for picture in shown if ":" not in picture]  # others are addresses
    files = {name: root / name for name in names}
    tracked = tracked_files(root)
    for file in package_files(root):
        name = file.relative_to(root).as_posix()
        if tracked is None or name in tracked:
            files[name] = file
    for name, file in files.items():
        if not file.is_file():
            raise CvhubError(f"README.md shows {name}, and there is no such file.")
    return files


def package_files(root: Path) -> Iterator[Path]:
    """The modules of `cvhub/`, and the data that pyproject.toml says an installation has."""
    package = root / "cvhub"
    for module in package.rglob("*.py"):
        if (module.parent / "__init__.py").is_file():  # not the code that a trained folder brings
            yield module
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for pattern in project["tool"]["setuptools"]["package-data"]["cvhub"]:
        yield from (file for file in package.glob(pattern) if file.is_file())


def tracked_files(root: Path) -> set[str] | None:
    """What git knows of a project, which notes and data that lie about are none of; None of what is no checkout."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return set(listed.split("\0")) - {""} or None
