"""A page a family: what docs/site/en/families/FAMILY.md says of the paper, then what the code says of itself.

The written part begins with what the rest needs to know:

- `year`: of the paper, by which pages are sorted;
- `config`: fields that differ from the config's defaults, and `size`, [height, width] of the picture, where costs are
  shown;
- `speed`: heads of tables in benchmarks/RESULTS.md that are about it; none where nothing was measured.

A family's page is made as soon as the family is there: only the written part has to be added.
"""

import importlib
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from cvhub.catalog import CATALOG, Entry
from cvhub.errors import CvhubError
from cvhub.models import FAMILIES
from cvhub.ui import numerals
from cvhub.ui.explore.tree import Study, study
from docs.site import figure, speed
from docs.site.table import table

SITES = {"hub": "https://huggingface.co", "package": "https://pypi.org/project"}


@dataclass(frozen=True)
class Written:
    """The written part of a family's page, its head as the fields beside `title` and `text`."""

    title: str
    text: str
    year: int
    config: dict[str, Any]
    size: list[int]
    speed: list[str]


KEYS = [field.name for field in fields(Written)][2:]


def write(root: Path, folder: Path) -> list[dict[str, str]]:
    """Writes the pages of all families of the project at `root`, and returns their part of the navigation."""
    folder.mkdir(parents=True)
    written = {name: read_written(root, name) for name in FAMILIES}
    families = sorted(FAMILIES, key=lambda name: (written[name].year, name))
    for name in families:
        (folder / f"{name}.md").write_text(page(root, name, written[name]), encoding="utf-8")
    rows = [[f"[{written[name].title}]({name}.md)", f"`{name}`", str(written[name].year)] for name in families]
    about = "A page for each: the paper's idea, its layers and costs, its config, its weights, and its speed."
    index = f"# Architectures\n\n{about}\n\n{table(('architecture', 'family', 'year'), rows, numbers=1)}\n"
    (folder / "index.md").write_text(index, encoding="utf-8")
    pages = [{written[name].title: f"families/{name}.md"} for name in families]
    return [{"All of them": "families/index.md"}, *pages]


def read_written(root: Path, name: str) -> Written:
    """The written part. Raises `CvhubError` where it is missing or doesn't begin with what it has to."""
    place = f"docs/site/en/families/{name}.md"
    file = root / place
    if not file.is_file():
        raise CvhubError(
            f"{place} is missing: say there what the paper's idea is, below a head with {', '.join(KEYS)}, "
            f"as resnet.md does."
        )
    _, head, text = file.read_text(encoding="utf-8").split("---\n", 2)
    found = yaml.safe_load(head)
    if list(found) != KEYS:
        raise CvhubError(f"The head of {place} has {', '.join(found)}, expected {', '.join(KEYS)}.")
    title = text.strip().partition("\n")[0].removeprefix("# ")
    return Written(title, text.strip(), **found)


def page(root: Path, name: str, written: Written) -> str:
    config = json.dumps({"model_type": f"cvhub_{name}", **written.config})
    parts = {
        "Layers": _layers(study(config, *written.size), config),
        "Config": _config(name),
        "Weights": _weights([entry for entry in CATALOG if entry.family == name]),
        "Speed": speed.tables(root, written.speed),
        "Classes": _classes(name),
    }
    return "\n\n".join([written.text, *(f"## {title}\n\n{text}" for title, text in parts.items())]) + "\n"


def _layers(found: Study, config: str) -> str:
    """The costs in a sentence, the figure, and the whole tree."""
    cost, field = found.cost, found.cost.receptive_field
    seen = "the whole picture" if field is None else f"{field:,} pixels a side"
    told = (
        f"{numerals.count(cost.parameters)} parameters and {numerals.count(cost.multiply_adds)} multiply-adds for a "
        f"picture of {found.height}×{found.width} pixels; a value of the last feature map depends on {seen}."
    )
    source = (
        f"Computed from the modules when this page was made. The page's tab Explore takes the same net apart, and any "
        f"other: `{config}` is what to type there."
    )
    rows = "\n".join(f"    {line}" for line in figure.layer_table(found.tree).splitlines())
    return "\n\n".join([told, figure.costs(found.tree), f'??? note "Layer by layer"\n\n{rows}', source])


def _config(name: str) -> str:
    """What the family's config and the ones within it say of their fields, and a row a field of ours."""
    cls = _config_class(name)
    within = {field: config for field, config in cls.sub_configs.items() if config.model_type}
    rows = [*_field_rows(cls), *(row for field, config in within.items() for row in _field_rows(config, f"{field}."))]
    told = [_docstring_of(config) for config in (cls, *within.values())]
    return "\n\n".join([*told, table(("field", "type", "default", "from"), rows)])


def _field_rows(cls: Any, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """The fields of a config's own first, then those that it shares with others of ours."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("cvhub.")]
    rows: dict[str, tuple[str, str, str, str]] = {}
    for home in ours:
        for field in fields(cls):
            if field.name in vars(home).get("__annotations__", {}) and field.init:
                name, kind = f"`{prefix}{field.name}`", f"`{_type(field.type)}`"
                rows.setdefault(name, (name, kind, _default(field), home.__name__))
    return list(rows.values())


def _type(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _default(field: Any) -> str:
    value = field.default if field.default is not MISSING else field.default_factory()
    return f"`{json.dumps(value)}`"


def _weights(entries: list[Entry]) -> str:
    if not entries:
        return "None yet: a net of this family has to be trained, or converted from a checkpoint of yours."
    rows = []
    for entry in entries:
        measured = ", ".join(f"{name} {value:.4g}" for name, value in entry.metrics.items())
        place = (
            f"[{entry.location}]({SITES[entry.source]}/{entry.location})" if entry.source in SITES else "comes along"
        )
        rows.append(
            (f"`{entry.name}`", entry.dataset, place, entry.licence, measured, numerals.count(entry.parameters))
        )
    about = (
        "Names that every command and `load_model` take. What was measured was measured by us; "
        "[the commands](../quality.md) say how. Of the others their authors tell."
    )
    return f"{about}\n\n{table(('name', 'data', 'weights', 'licence', 'measured', 'parameters'), rows, numbers=1)}"


def _classes(name: str) -> str:
    return "\n\n".join(_docstring_of(cls) for cls in _listed(name) if cls is not _config_class(name))


def _docstring_of(cls: Any) -> str:
    """What mkdocstrings shows of a class, on the level below a section."""
    options = "    options:\n      members: [variant, forward]\n      heading_level: 3"
    return f"::: {cls.__module__}.{cls.__qualname__}\n{options}"


def _config_class(name: str) -> Any:
    return next(cls for cls in _listed(name) if "AutoConfig" in cls.auto_classes)


def _listed(name: str) -> list[Any]:
    """The family's classes that transformers' Auto classes list."""
    module = importlib.import_module(f"cvhub.models.{name}")
    return importlib.import_module("cvhub.models.base").family_classes(module.__name__)
