"""The API reference: a page a room of the package. mkdocstrings fills it from docstrings, and imports nothing."""

import ast
from pathlib import Path
from typing import Any

APPLICATIONS = ("commands", "ui")  # called by their users from a shell and a browser
WITHOUT_HEADING = "    options:\n      show_root_heading: false\n      show_root_toc_entry: false"


def settings(root: Path) -> dict[str, Any]:
    """mkdocstrings' part of the site's config."""
    options = {
        "docstring_style": None,  # ours are Markdown
        "heading_level": 3,
        "members_order": "source",
        "show_root_heading": True,
        "show_root_full_path": False,
        "show_source": False,
        "show_bases": False,
        "separate_signature": True,
        "show_signature_annotations": True,
    }
    return {"handlers": {"python": {"paths": [str(root)], "options": options}}}


def write(root: Path, folder: Path) -> list[dict[str, str]]:
    """Writes the pages of the package at `root`, and returns their part of the navigation."""
    folder.mkdir(parents=True)
    package = root / "cvhub"
    rooms = [file.parent.name for file in package.glob("*/__init__.py") if file.parent.name not in APPLICATIONS]
    pages = {"cvhub": folder / "index.md"} | {f"cvhub.{room}": folder / f"{room}.md" for room in sorted(rooms)}
    for name, page in pages.items():
        page.write_text(_page(name, root), encoding="utf-8")
    return [{name: f"reference/{page.name}"} for name, page in pages.items()]


def _page(name: str, root: Path) -> str:
    """What a package says of itself, then its modules; one that says nothing of itself is left out."""
    room = root.joinpath(*name.split("."))
    parts = [f"# {name}", _docstring(room / "__init__.py")]
    for module in sorted(room.glob("[!_]*.py")):
        if _docstring(module):
            parts += [f"## {name}.{module.stem}", f"::: {name}.{module.stem}\n{WITHOUT_HEADING}"]
    return "\n\n".join(parts) + "\n"


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
