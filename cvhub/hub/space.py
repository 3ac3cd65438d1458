"""The Hugging Face Space's settings: `spaces.yaml` is their one source, and this checks what has to agree with it.

Key by key reference: https://huggingface.co/docs/hub/spaces-config-reference
"""

import ast
import re
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from cvhub.catalog import find_entry
from cvhub.errors import CvhubError

SETTINGS = "spaces.yaml"
KEYS = {
    "id": str,
    "title": str,
    "short_description": str,
    "license": str,
    "sdk": str,
    "sdk_version": str,
    "python_version": str,
    "app_file": str,
    "hardware": str,
    "scopes": list,
    "preloads": list,
}
# A Space there starts only with a function that asks for a GPU, which then runs in a process of its own: away from the
# nets that are kept ready here.
ZERO = "zero-"
LONGEST_DESCRIPTION = 60  # characters; the Hub refuses the push of a longer one
# https://huggingface.co/docs/hub/oauth#currently-supported-scopes, without openid and profile, which every Space has.
SCOPES = (
    "email",
    "read-billing",
    "read-repos",
    "gated-repos",
    "contribute-repos",
    "write-repos",
    "manage-repos",
    "read-collections",
    "write-collections",
    "inference-api",
    "jobs",
    "webhooks",
    "write-discussions",
)


def check(root: Path) -> list[str]:
    """What stands between the project at `root` and a Space that builds, a sentence each; empty when all is well."""
    try:
        settings = read_settings(root)
        requirements = read_requirements(root)
        # The other checks need every key.
        return key_problems(settings) or [
            *name_problems(settings, root),
            *version_problems(settings, root, requirements),
            *preload_problems(settings["preloads"], requirements),
            *readme_problems(settings, root),
            *import_problems(root, {*requirements, *read_extras(root)}),
        ]
    except CvhubError as error:
        return [str(error)]


def front_matter(settings: Mapping[str, Any]) -> str:
    """The YAML block at the top of README.md, from which the Hub builds the Space."""
    block = {key: settings[key] for key in ("title", "short_description", "license", "sdk", "sdk_version")}
    block |= {"python_version": settings["python_version"], "app_file": settings["app_file"]}
    block["suggested_hardware"] = settings["hardware"]
    if settings["scopes"]:
        block |= {"hf_oauth": True, "hf_oauth_scopes": settings["scopes"]}
    entries = [find_entry(name) for name in settings["preloads"]]
    on_hub = [entry.location for entry in entries if entry and entry.source == "hub"]
    if on_hub:
        block["preload_from_hub"] = on_hub
    return f"---\n{yaml.safe_dump(block, sort_keys=False, allow_unicode=True)}---\n"


def read_settings(root: Path) -> dict[str, Any]:
    """`spaces.yaml` as a dict. Raises `CvhubError` when it is missing or not a YAML mapping."""
    try:
        settings = yaml.safe_load(_read(root, SETTINGS))
    except yaml.YAMLError as error:
        raise CvhubError(f"{SETTINGS} is not YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(settings, dict):
        raise CvhubError(
            f"{SETTINGS} holds {type(settings).__name__}, expected a mapping with the keys {', '.join(KEYS)}."
        )
    return settings


def read_requirements(root: Path) -> dict[str, SpecifierSet]:
    """`requirements.txt`: distribution → the versions it allows. Raises `CvhubError` when the file is missing."""
    lines = (line.partition("#")[0].strip() for line in _read(root, "requirements.txt").splitlines())
    parsed = [Requirement(line) for line in lines if line]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def read_extras(root: Path) -> set[str]:
    """The distributions of the extras, without `dev`: what the code may import where a user asks for it."""
    project = tomllib.loads(_read(root, "pyproject.toml"))["project"]
    extras = {name: lines for name, lines in project.get("optional-dependencies", {}).items() if name != "dev"}
    return {canonicalize_name(Requirement(line).name) for lines in extras.values() for line in lines}


def key_problems(settings: Mapping[str, Any]) -> list[str]:
    """Keys that are unknown, missing or of the wrong type."""
    problems = [
        f"{SETTINGS} has the unknown key {key!r}, expected {', '.join(KEYS)}." for key in settings if key not in KEYS
    ]
    for key, kind in KEYS.items():
        if key not in settings:
            problems.append(f"{SETTINGS} lacks the key {key!r}.")
        elif not isinstance(settings[key], kind):
            expected = "text (a version stands in quotes)" if kind is str else "a list"
            problems.append(f"{key} in {SETTINGS} is {settings[key]!r}, expected {expected}.")
    return problems


def name_problems(settings: Mapping[str, Any], root: Path) -> Iterator[str]:
    """Values that name something which does not exist."""
    from huggingface_hub import SpaceHardware
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(settings["id"])
    except HFValidationError:
        yield f"id in {SETTINGS} is {settings['id']!r}, expected a repo's name, such as 'cvhub' or 'someone/cvhub'."
    if settings["sdk"] != "gradio":
        yield f"sdk in {SETTINGS} is {settings['sdk']!r}, expected 'gradio', which the page is built with."
    if not (root / settings["app_file"]).is_file():
        yield f"app_file in {SETTINGS} is {settings['app_file']!r}, and there is no such file."
    flavours = [flavour.value for flavour in SpaceHardware]
    if settings["hardware"] not in flavours:
        yield f"hardware in {SETTINGS} is {settings['hardware']!r}, expected one of {', '.join(flavours)}."
    if settings["hardware"].startswith(ZERO):
        yield f"hardware in {SETTINGS} is {settings['hardware']!r}: the page computes on processors, never on ZeroGPU."
    for scope in settings["scopes"]:
        if scope not in SCOPES:
            yield f"scopes in {SETTINGS} has {scope!r}, expected some of {', '.join(SCOPES)}."
    length = len(settings["short_description"])
    if length > LONGEST_DESCRIPTION:
        yield f"short_description in {SETTINGS} has {length} characters, the Hub takes {LONGEST_DESCRIPTION}."


def version_problems(
    settings: Mapping[str, Any], root: Path, requirements: Mapping[str, SpecifierSet]
) -> Iterator[str]:
    """Versions and a licence that contradict requirements.txt and pyproject.toml."""
    project = tomllib.loads(_read(root, "pyproject.toml"))["project"]
    allowed = {
        "sdk_version": requirements.get("gradio", SpecifierSet()),
        "python_version": SpecifierSet(project["requires-python"]),
    }
    for key, versions in allowed.items():
        value = settings[key]
        if not re.fullmatch(r"\d+(\.\d+){1,2}", value) or value not in versions:
            yield f"{key} in {SETTINGS} is {value!r}, the project needs {versions}."
    if settings["license"] != project["license"].lower():
        yield f"license in {SETTINGS} is {settings['license']!r}, pyproject.toml says {project['license']!r}."


def preload_problems(names: list[str], requirements: Mapping[str, SpecifierSet]) -> Iterator[str]:
    """Preloads that are not in the catalogue, or whose package the Space would not install."""
    for name in names:
        entry = find_entry(name)
        if entry is None:
            yield f"preloads in {SETTINGS} has {name!r}, which is not in the catalogue (`cvhub models`)."
        elif entry.source == "package" and canonicalize_name(entry.location) not in requirements:
            yield f"preloads in {SETTINGS} has {name!r}, whose package {entry.location} is not in requirements.txt."


def readme_problems(settings: Mapping[str, Any], root: Path) -> Iterator[str]:
    """The first line of README.md that differs from `front_matter`."""
    expected = front_matter(settings).splitlines()
    found = _read(root, "README.md").splitlines()[: len(expected)]
    found += [""] * (len(expected) - len(found))
    for number, (line, wanted) in enumerate(zip(found, expected, strict=True), start=1):
        if line != wanted:
            yield f"README.md's front matter differs from {SETTINGS}: line {number} is {line!r}, expected {wanted!r}."
            return


def import_problems(root: Path, installed: Collection[str]) -> Iterator[str]:
    """Packages that app.py or cvhub/ imports and that are none of those `installed`, each with a file that needs it."""
    importers: dict[str, Path] = {}
    for file in sorted([*root.glob("*.py"), *root.glob("cvhub/**/*.py")]):
        for module in imported_packages(file):
            importers.setdefault(module, file.relative_to(root))
    providers = packages_distributions()
    for module, file in sorted(importers.items()):
        # What isn't installed here, such as an extra's package, is taken to be called as it is imported.
        names = {canonicalize_name(name) for name in providers.get(module, [module])}
        if names.isdisjoint(installed):
            known = f" ({' or '.join(sorted(names))})" if module in providers else ""
            yield f"{file} imports {module}{known}, which neither requirements.txt nor an extra installs."


def imported_packages(file: Path) -> Iterator[str]:
    """Top-level names of what a Python file imports, at its top or in a function, but for Python's own and cvhub."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules = [node.module]
        tops = {module.partition(".")[0] for module in modules}
        yield from tops - sys.stdlib_module_names - {"cvhub"}


def _read(root: Path, name: str) -> str:
    try:
        return (root / name).read_text(encoding="utf-8")
    except OSError:
        raise CvhubError(f"{root} has no readable {name}: name the folder of a clone of the project.") from None
