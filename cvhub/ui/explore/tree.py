"""An architecture as HTML: a tree of nested `<details>`, in columns, and the table of its layers as CSV and JSON."""

import csv
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from cvhub.ui import numerals
from cvhub.ui.charts import track
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.cost import Cost
    from cvhub.explain.tree import Node

ROWS_AT_FIRST = 14  # so many are unfolded to begin with
COLUMNS = ("name", "kind", "kernel", "shape", "parameters", "multiply_adds", "receptive_field")
FIELDS = ("name", "kind", "kernel", "output_shape", "parameters", "multiply_adds", "receptive_field")


@dataclass(frozen=True)
class Study:
    """What an architecture is and costs for a picture of height x width pixels."""

    height: int
    width: int
    tree: "Node"
    cost: "Cost"


@lru_cache(maxsize=32)
def study(text: str, height: int, width: int) -> Study:
    """Of a name of the catalogue, or of a config as JSON. Raises `CvhubError` with what is wrong with it."""
    from cvhub.convert.named import net_without_weights, read_config
    from cvhub.explain.cost import measure
    from cvhub.explain.tree import architecture_tree

    net = net_without_weights(read_config(text))
    cost = measure(net, height, width)  # of a copy; the tree may keep its hooks on the net
    return Study(height, width, architecture_tree(net, height, width), cost)


def tree_view(found: Study, say: Say) -> str:
    """The costs in a line, then the tree."""
    whole = found.tree
    head = "".join(f"<span>{escape(say(f'tree_{column}'))}</span>" for column in COLUMNS)
    unfolded = unfolded_at_first(whole)
    rows = _branch(whole, 0, 1, found, unfolded, say)
    return (
        f'<p class="facts costs">{" · ".join(f"<span>{fact}</span>" for fact in costs(found, say))}</p>'
        f'<div class="tree"><div class="row head" aria-hidden="true">{head}</div>{rows}</div>'
        f'<p class="facts">{say("tree_note")}</p>'
    )


def costs(found: Study, say: Say) -> list[str]:
    cost = found.cost
    return [
        say("parameters", n=numerals.count(cost.parameters)),
        say("multiply_adds", n=numerals.count(cost.multiply_adds)),
        say("memory", n=numerals.megabytes(cost.memory_bytes)),
        say("tree_field", field=field(cost.receptive_field, say)),
        say("tree_size", height=found.height, width=found.width),
    ]


def field(size: int | None, say: Say) -> str:
    return say("tree_whole") if size is None else f"{size} px"


def unfolded_at_first(root: "Node") -> set[int]:
    """The nodes (by identity) that are open to begin with: from the top down, while there is room."""
    unfolded, rows, level = set(), 1, [root]
    while level:
        below = []
        for node in level:
            if node.children and rows + len(node.children) <= ROWS_AT_FIRST:
                unfolded.add(id(node))
                rows += len(node.children)
                below.extend(node.children)
        level = below
    return unfolded


def _branch(node: "Node", depth: int, times: int, found: Study, unfolded: set[int], say: Say) -> str:
    """A node and what is in it; `times` is how often its parents are there."""
    times *= node.times
    row = _row(node, times, found.tree, say)
    if not node.children:
        return f'<div class="row" style="--depth:{depth}">{row}</div>'
    inner = "".join(_branch(child, depth + 1, times, found, unfolded, say) for child in node.children)
    opened = " open" if id(node) in unfolded else ""
    return f'<details{opened}><summary class="row" style="--depth:{depth}">{row}</summary>{inner}</details>'


def _row(node: "Node", times: int, whole: "Node", say: Say) -> str:
    repeats = f' <b class="times">×{node.times}</b>' if node.times > 1 else ""
    cells = {
        "kind": escape(node.kind),
        "kernel": f"{node.kernel[0]}×{node.kernel[1]}" if node.kernel else "",
        "shape": " × ".join(map(str, node.output_shape)),
        "parameters": _number(node.parameters, times, whole.parameters),
        "multiply_adds": _number(node.multiply_adds, times, whole.multiply_adds),
        "receptive_field": field(node.receptive_field, say) if node.output_shape else "",
    }
    name = escape(node.name or say("tree_root"))
    return f'<span class="name">{name}{repeats}</span>' + "".join(
        f'<span class="{column}">{_unseen(say(f"tree_{column}"))}{cell}</span>'
        if cell
        else f'<span class="{column}"></span>'
        for column, cell in cells.items()
    )


def _unseen(words: str) -> str:
    """A column's head in the cell itself: read aloud, and seen where the page is narrow."""
    return f'<span class="unseen">{escape(words)} </span>'


def _number(one: int, times: int, whole: int) -> str:
    return numerals.count(one) + track(times * one / whole) if one and whole else ""


def as_data(found: Study, name: str) -> dict[str, Any]:
    """The layers in the order in which they are called, and their sums."""
    return {"model": name, "height": found.height, "width": found.width, **asdict(found.cost)}


def as_json(found: Study, name: str) -> str:
    return json.dumps(as_data(found, name), ensure_ascii=False, indent=2)


def as_csv(found: Study) -> str:
    """A row a layer; sizes as 3x3 and 64x112x112."""
    text = StringIO()
    writer = csv.DictWriter(text, list[str](FIELDS), lineterminator="\n")
    writer.writeheader()
    for layer in found.cost.layers:
        sizes = {key: "x".join(map(str, getattr(layer, key) or ())) for key in ("kernel", "output_shape")}
        writer.writerow(asdict(layer) | sizes)
    return text.getvalue()
