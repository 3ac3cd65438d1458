"""Reading recipes: from the files that ship with cvhub or any other, with `key=value` from the command line.

A file that names another recipe as its `base` says only what differs from that. What a recipe can't say is refused in
a sentence that names it. Nothing here needs torch.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cvhub.errors import CvhubError
from cvhub.training.recipe import LISTS, Names, Range, Recipe, key_of
from cvhub.training.recipe_checks import check

RECIPES = Path(__file__).parent / "recipes"

BASE = "base"
# What can be said shorter than by the last part of its path.
SHORT = {"data": "data.source"}


def names() -> list[str]:
    """The recipes that come with cvhub; those of a folder bear its name, as in "students/plain"."""
    files = RECIPES.rglob("*.toml")
    return sorted(file.relative_to(RECIPES).with_suffix("").as_posix() for file in files)


def recipe_text(name: str) -> str:
    """The file of a recipe that comes with cvhub, as it was written."""
    return (RECIPES / f"{name}.toml").read_text(encoding="utf-8")


def load_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, or a file; `overrides` are KEY=VALUE. Raises `CvhubError` for what it can't say."""
    tables = _tables_of(recipe)
    for override in overrides:
        _override(tables, override)
    return read_recipe(tables)


def _tables_of(recipe: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a recipe says, and where it is silent its base; `below` are those that stand on it."""
    file = RECIPES / f"{recipe}.toml" if recipe in names() else Path(recipe)
    if not file.is_file():
        raise CvhubError(f"There is no recipe {recipe!r}: it is neither one of {', '.join(names())}, nor a file.")
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CvhubError(f"{file.name} is not TOML: {error}.") from None
    base = tables.pop(BASE, "")
    if not base:
        return tables
    if not isinstance(base, str) or base in (recipe, *below):
        raise CvhubError(
            f"{file.name} has the base {base!r}, expected another recipe, which doesn't stand on this one."
        )
    return _over(_tables_of(base, (recipe, *below)), tables)


def _over(under: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """`tables`, and below them what they don't say; a table that either lacks is the other's."""
    merged = {**under}
    for key, value in tables.items():
        both = isinstance(value, Mapping) and isinstance(under.get(key), Mapping)
        merged[key] = _over(under[key], value) if both else value
    return merged


def read_recipe(tables: Mapping[str, Any]) -> Recipe:
    """From what a TOML file holds."""
    made = _read(Recipe, tables, "")
    check(made)
    return made


def _read(cls: Any, table: Mapping[str, Any], path: str) -> Any:
    fields = {key_of(f.name): f for f in dataclasses.fields(cls)}
    values = {}
    for key, value in table.items():
        if key not in fields:
            raise CvhubError(f"A recipe has no {path + key!r}{_nearest(path + key)}.")
        name = fields[key].name
        values[name] = _convert(value, fields[key].type, path + key)
    return cls(**values)


def _convert(value: Any, kind: Any, path: str) -> Any:
    """`value` as the type of a field, or a sentence about it; a whole number may stand for a float."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise CvhubError(f"{path} is {value!r}, expected a table with {', '.join(_keys_below(path))}.")
        return _read(kind, value, f"{path}.")
    if kind == Names:
        names = value.split(",") if isinstance(value, str) else value
        if isinstance(names, (list, tuple)) and all(isinstance(name, str) and name for name in names):
            return tuple(names)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and number:
        return float(value)
    if kind in LISTS and isinstance(value, (list, tuple)) and (kind != Range or len(value) == 2):
        return tuple(_convert(item, float, path) for item in value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is int and number and isinstance(value, int):
        return value
    if kind == dict[str, Any] and isinstance(value, Mapping):
        return dict(value)
    raise CvhubError(f"{path} is {value!r}, expected {_described(kind)}.")


def _described(kind: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    words |= {
        Range: "the least and the greatest value, such as [0.5, 1.0]",
        LISTS[1]: "numbers such as [0.5, 0.5]",
        Names: "names",
    }
    return words.get(kind, "a table of fields")


def _override(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not (key and equals):
        raise CvhubError(f"{override!r} is not KEY=VALUE, such as budget.epochs=10.")
    path = _find(key)
    kind = dict(_paths()).get(path)
    *parents, last = path.split(".")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise CvhubError(f"A recipe has no {path!r}: {parent} is no table in it.")
    plain = kind is str or (kind == Names and not text.startswith("["))
    table[last] = text if plain else _value(text)


def _value(text: str) -> Any:
    """As JSON reads it (numbers, true, false, lists, objects), else as text: TOML has no null."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if value is None else value


def _find(key: str) -> str:
    """The full path of a key, which may be given by its last part where only one has it."""
    known = [path for path, _ in _paths()]
    if key in known or key.startswith(("model.config.", "data.map.", "result.processor.")):
        return key
    if key in SHORT:
        return SHORT[key]
    matches = [path for path in known if path.endswith(f".{key}")]
    if not matches:
        raise CvhubError(f"A recipe has no {key!r}{_nearest(key)}.")
    if len(matches) > 1:
        raise CvhubError(f"{key!r} is short for each of {', '.join(matches)}: write it out.")
    return matches[0]


def _nearest(key: str) -> str:
    """ ": did you mean …?", by the full path, or by its last part; else what the key's table has."""
    paths = [path for path, _ in _paths()]
    ends = {path.rpartition(".")[2]: path for path in paths}
    near = [*difflib.get_close_matches(key, paths, 3), *(ends[end] for end in difflib.get_close_matches(key, ends, 2))]
    last = key.rpartition(".")[2]
    near += [ends[end] for end in difflib.get_close_matches(last, ends, 2)]
    near = list(dict.fromkeys(near))[:3]
    if near:
        return f": did you mean {' or '.join(near)}?".removesuffix("?")
    table = key.partition(".")[0]
    below = _keys_below(table) if table != key else []
    return f", which has {', '.join(below)}" if below else f", only {', '.join(_tables())} and what they hold"


def _tables() -> list[str]:
    return [key_of(f.name) for f in dataclasses.fields(Recipe)]


def _keys_below(table: str) -> list[str]:
    return [path.partition(".")[2] for path, _ in _paths() if path.startswith(f"{table}.")]


def _paths() -> Iterator[tuple[str, Any]]:
    """Every key of a recipe by its full path, with its type."""
    for outer in dataclasses.fields(Recipe):
        if not dataclasses.is_dataclass(outer.type):
            yield outer.name, outer.type
            continue
        for inner in dataclasses.fields(outer.type):
            yield f"{outer.name}.{key_of(inner.name)}", inner.type
