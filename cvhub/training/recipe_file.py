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
from cvhub.training.recipe import (
    COMBINATIONS,
    DTYPES,
    LISTS,
    LOSSES,
    PARTS,
    PRECISIONS,
    Names,
    Range,
    Recipe,
    key_of,
)

RECIPES = Path(__file__).parent / "recipes"

BASE = "base"
# What can be said shorter than by the last part of its path.
SHORT = {"data": "data.source"}


def names() -> list[str]:
    """The recipes that come with cvhub; those of a folder bear its name, as in "students/plain"."""
    files = RECIPES.rglob("*.toml")
    return sorted(file.relative_to(RECIPES).with_suffix("").as_posix() for file in files)


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
    _check(made)
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


def _check(recipe: Recipe) -> None:
    """What types alone don't tell: of single values, then of several together."""
    _check_values(recipe)
    model, budget = recipe.model, recipe.budget
    if bool(model.family) == bool(model.from_):
        raise CvhubError("A recipe names either model.family, to start from scratch, or model.from, to fine-tune.")
    if model.train == "head" and not model.from_:
        raise CvhubError("model.train is 'head', which needs model.from: a body that was trained before.")
    _check_masks(recipe)
    _check_words(recipe)
    _check_distillation(recipe)
    if recipe.data.validation == 1:
        raise CvhubError("data.validation is 1, which leaves nothing to train on.")
    if budget.epochs <= 0 and budget.minutes <= 0:
        raise CvhubError("A recipe needs budget.epochs or budget.minutes.")


def _check_masks(recipe: Recipe) -> None:
    """Data of masks and of classes are augmented by other means."""
    data, augmentation = recipe.data, recipe.augmentation
    names = ("policy", "erasing", "mixup", "cutmix") if data.target else ("hue", "grey", "invert")
    for name in names:
        if value := getattr(augmentation, name):
            kind = "masks" if data.target else "classes"
            raise CvhubError(f"augmentation.{name} is {value!r}, which data of {kind} can't be given.")
    if data.border_weight < 0 or (data.border_weight and not data.target):
        raise CvhubError(f"data.border_weight is {data.border_weight:g}, expected 0 or more, and masks to weigh.")
    if bool(data.target) != bool(data.map):
        raise CvhubError("data.target and data.map belong together: the column of masks, and what its values mean.")


def _check_words(recipe: Recipe) -> None:
    """Pictures with texts have no classes, which mixing and teachers are about."""
    words, augmentation = recipe.words, recipe.augmentation
    if not words.columns:
        for name in ("sources", "texts", "one_per"):
            if value := getattr(words, name):
                raise CvhubError(f"words.{name} is {value!r}, which needs words.columns: where the texts are.")
        return
    if words.twin_momentum and recipe.model.family != "blip":
        raise CvhubError(f"words.twin_momentum is {words.twin_momentum}, which is of model.family blip alone.")
    if words.queue and not words.twin_momentum:
        raise CvhubError(f"words.queue is {words.queue}, which needs words.twin_momentum: the twin fills it.")
    others = (
        ("data.target", recipe.data.target),
        ("data.validation_split", recipe.data.validation_split),
        ("augmentation.mixup", augmentation.mixup),
        ("augmentation.cutmix", augmentation.cutmix),
        ("distillation.teachers", ", ".join(recipe.distillation.teachers)),
    )
    for path, value in others:
        if value:
            raise CvhubError(f"{path} is {value!r}, which words.columns can't be given: pairs have no classes.")
    for template in words.templates or ("",):
        if "{}" not in template:
            raise CvhubError(f"words.templates has {template!r}, expected texts with {{}}, where what is said goes.")


def _check_distillation(recipe: Recipe) -> None:
    taught = recipe.distillation
    if len(taught.teachers) > 2:
        raise CvhubError(f"distillation.teachers are {', '.join(taught.teachers)}, expected one or two.")
    if taught.teachers and recipe.data.target:
        raise CvhubError("distillation.teachers teach classes, and data.target names masks.")
    if recipe.data.labelled < 1 and not taught.teachers:
        raise CvhubError(
            "data.labelled is less than 1, which needs distillation.teachers: who else would teach the rest?"
        )
    if recipe.model.train == "head" and taught.teachers:
        raise CvhubError("distillation.teachers teach a whole net, and model.train is 'head'.")
    if taught.answers and not taught.views:
        raise CvhubError("distillation.answers needs distillation.views, as many as are to be kept.")
    if taught.teacher_weights and len(taught.teacher_weights) != len(taught.teachers):
        weights, count = list(taught.teacher_weights), len(taught.teachers)
        raise CvhubError(f"distillation.teacher_weights are {weights}, expected {count} numbers, one a teacher.")


def _check_values(recipe: Recipe) -> None:
    for path, value, allowed in (
        ("model.train", recipe.model.train, PARTS),
        ("distillation.loss", recipe.distillation.loss, LOSSES),
        ("distillation.combination", recipe.distillation.combination, COMBINATIONS),
        ("compute.precision", recipe.compute.precision, PRECISIONS),
        ("result.dtype", recipe.result.dtype, DTYPES),
    ):
        if value not in allowed:
            raise CvhubError(f"{path} is {value!r}, expected one of {', '.join(allowed)}.")
    for path, value, fits, expected in _numbers(recipe):
        if not fits:
            raise CvhubError(f"{path} is {value}, expected {expected}.")
    augmentation = recipe.augmentation
    for name, pair in (("crop_scale", augmentation.crop_scale), ("crop_ratio", augmentation.crop_ratio)):
        if not 0 < pair[0] <= pair[1]:
            raise CvhubError(f"augmentation.{name} is {list(pair)}, expected the least and the greatest value.")


def _numbers(recipe: Recipe) -> Iterator[tuple[str, Any, bool, str]]:
    """Of each number its path, its value, whether that may be (not of NaN), and what may."""
    for path, value in _shares(recipe):
        yield path, value, 0 <= value <= 1, "0 to 1"
    for path, value in _positive(recipe):
        yield path, value, value > 0, "more than 0"
    for path, value, least in _bounded_below(recipe):
        yield path, value, value >= least, f"at least {least}"
    decays = (
        ("optimiser.momentum", recipe.optimiser.momentum),
        ("optimiser.ema", recipe.optimiser.ema),
        ("words.twin_momentum", recipe.words.twin_momentum),
    )
    for path, value in decays:
        yield path, value, 0 <= value < 1, "0 or more and less than 1"
    hue, std = recipe.augmentation.hue, recipe.picture.std
    yield "augmentation.hue", hue, 0 <= hue <= 0.5, "0 to 0.5"
    yield "picture.std", list(std), all(value > 0 for value in std), "values of more than 0"


def _shares(recipe: Recipe) -> list[tuple[str, float]]:
    a = recipe.augmentation
    return [
        ("data.validation", recipe.data.validation),
        ("data.share", recipe.data.share),
        ("data.labelled", recipe.data.labelled),
        ("distillation.weight", recipe.distillation.weight),
        ("picture.crop", recipe.picture.crop),
        ("augmentation.flip_horizontal", a.flip_horizontal),
        ("augmentation.flip_vertical", a.flip_vertical),
        ("augmentation.grey", a.grey),
        ("augmentation.invert", a.invert),
        ("augmentation.erasing", a.erasing),
        ("augmentation.mix_probability", a.mix_probability),
        ("optimiser.lr_end", recipe.optimiser.lr_end),
        ("augmentation.crop_scale", a.crop_scale[1]),
    ]


def _positive(recipe: Recipe) -> list[tuple[str, float]]:
    return [
        ("data.share", recipe.data.share),
        ("data.labelled", recipe.data.labelled),
        ("distillation.temperature", recipe.distillation.temperature),
        ("data.border_sigma", recipe.data.border_sigma),
        ("optimiser.lr", recipe.optimiser.lr),
        ("budget.validate_every", recipe.budget.validate_every),
        ("budget.save_minutes", recipe.budget.save_minutes),
    ]


def _bounded_below(recipe: Recipe) -> list[tuple[str, float, int]]:
    """A batch is dealt out in pairs."""
    data, augmentation, optimiser, budget = recipe.data, recipe.augmentation, recipe.optimiser, recipe.budget
    weights = recipe.distillation.teacher_weights
    return [
        ("seed", recipe.seed, 0),
        ("data.holdout_seed", data.holdout_seed, 0),
        ("data.shorter_side", data.shorter_side, 0),
        ("data.memory_mb", data.memory_mb, 0),
        ("data.workers", data.workers, 0),
        ("words.vocabulary", recipe.words.vocabulary, 1),
        ("words.queue", recipe.words.queue, 0),
        ("picture.size", recipe.picture.size, 0),
        ("augmentation.colour_jitter", augmentation.colour_jitter, 0),
        ("augmentation.mixup", augmentation.mixup, 0),
        ("augmentation.cutmix", augmentation.cutmix, 0),
        ("augmentation.repeats", augmentation.repeats, 1),
        ("distillation.views", recipe.distillation.views, 0),
        ("distillation.teacher_weights", min(weights, default=0), 0),
        ("optimiser.batch", optimiser.batch, 2),
        ("optimiser.weight_decay", optimiser.weight_decay, 0),
        ("optimiser.clip", optimiser.clip, 0),
        ("optimiser.warmup_epochs", optimiser.warmup_epochs, 0),
        ("budget.epochs", budget.epochs, 0),
        ("budget.minutes", budget.minutes, 0),
    ]
