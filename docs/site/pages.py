"""Gathers the site's pages in a folder: those in docs/site, those of the repository, and those made from the code."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs.site import families, quality, reference

# Language → its name, and where the sites lie as seen from its own.
LANGUAGES = {"en": ("English", {"en": "./", "zh": "./zh/"}), "zh": ("中文", {"en": "../", "zh": "./"})}
# Pages that lie elsewhere in the repository, where they are read too.
BORROWED = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "distillation.md": "docs/distillation.md",
    "notes.md": "docs/notes.md",
    "scale.md": "docs/scale.md",
    "speed.md": "benchmarks/RESULTS.md",
}


def write(root: Path, folder: Path) -> list[Path]:
    """Writes the pages of the project at `root`, and returns the configs from which Zensical builds them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "docs" / "site" / "en", folder / "en", ignore=shutil.ignore_patterns("families", "nav.yml"))
    shutil.copytree(root / "docs" / "site" / "zh", folder / "zh", ignore=shutil.ignore_patterns("nav.yml"))
    for page, source in BORROWED.items():
        text = (root / source).read_text(encoding="utf-8")
        (folder / "en" / page).write_text(without_links_into_the_repository(text), encoding="utf-8")
    made = {
        "families": families.write(root, folder / "en" / "families"),
        "reference": reference.write(root, folder / "en" / "reference"),
    }
    quality.write(folder / "en" / "quality.md")
    return [_write_config(root, folder, language, made) for language in LANGUAGES]


def without_links_into_the_repository(text: str) -> str:
    """A page as it is, but that files which are no pages are named and not linked."""
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)


def _write_config(root: Path, folder: Path, language: str, made: dict[str, list[dict[str, str]]]) -> Path:
    site = root / "docs" / "site"
    config = yaml.safe_load((site / "site.yml").read_text(encoding="utf-8"))
    navigation = yaml.safe_load((site / language / "nav.yml").read_text(encoding="utf-8"))
    config |= {
        "nav": list(_navigation(navigation, made)),
        "docs_dir": language,
        "site_dir": "site" if language == "en" else f"site/{language}",
    }
    config["theme"]["language"] = language
    places = LANGUAGES[language][1]
    config["extra"]["alternate"] = [
        {"name": name, "link": places[other], "lang": other} for other, (name, _) in LANGUAGES.items()
    ]
    if language == "en":
        config["plugins"] = ["search", {"mkdocstrings": reference.settings(root)}]
    file = folder / f"{language}.yml"
    file.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def _navigation(entries: list[dict[str, Any]], made: dict[str, list[dict[str, str]]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        ((title, target),) = entry.items()
        yield {title: target if isinstance(target, list) else made.get(target, target)}
