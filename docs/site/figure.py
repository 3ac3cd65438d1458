"""What a net is made of, drawn and listed from the tree of its modules."""

from collections.abc import Iterator
from html import escape

from cvhub.explain.tree import Node
from cvhub.ui import numerals
from cvhub.ui.explore.tree import unfolded_at_first
from cvhub.ui.palette import SERIES
from docs.site.table import table

# Of the drawing, in its own units, which are pixels where the page is wide enough.
WIDTH, ROW, BAR = 760, 24, 10
NAME, SHAPE, PARAMETERS, MULTIPLY_ADDS = 0, 262, 384, 578  # where each column begins
LONGEST = 110  # of a bar; its number stands behind it
INDENT = 12
COLUMNS = ("part", "output", "parameters", "multiply-adds")
HEAD = ("layer", "kind", "window", "output", "parameters", "multiply-adds", "sees, px")


def costs(tree: Node) -> str:
    """An SVG with a row a part: its output, and its shares of the parameters and of the multiply-adds as bars."""
    rows = list(_unfolded(tree, unfolded_at_first(tree)))
    heads = zip((NAME, SHAPE, PARAMETERS, MULTIPLY_ADDS), COLUMNS, strict=True)
    drawn = "".join(f'<text x="{x}" y="14" font-weight="bold">{title}</text>' for x, title in heads)
    for place, (depth, node, times) in enumerate(rows, start=1):
        drawn += _row(place * ROW, depth, node, times, tree)
    height = (len(rows) + 1) * ROW
    alt = f"Parts of {tree.kind} with their outputs, parameters and multiply-adds"
    return (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {WIDTH} {height}" fill="currentColor" '
        f'font-size="12" style="width:100%;height:auto">{drawn}</svg>'
    )


def layer_table(tree: Node) -> str:
    """All modules with parameters, multiply-adds or a window, equal ones in a row as one."""
    rows = []
    for depth, node, times in _unfolded(tree, None):
        window = "×".join(map(str, node.kernel)) if node.kernel else ""
        sees = "" if not node.output_shape else "all" if node.receptive_field is None else str(node.receptive_field)
        shape = " × ".join(map(str, node.output_shape))
        sums = (_count(node.parameters * times), _count(node.multiply_adds * times))
        rows.append((f"{'&emsp;' * depth}{_name(node)}", f"`{node.kind}`", window, shape, *sums, sees))
    return table(HEAD, rows, numbers=3)


def _unfolded(node: Node, unfolded: set[int] | None, depth: int = 0, times: int = 1) -> Iterator[tuple[int, Node, int]]:
    """Nodes from top to bottom, each with its depth and how often it is there; what `unfolded` lacks stays shut."""
    times *= node.times
    yield depth, node, times
    if unfolded is None or id(node) in unfolded:
        for child in node.children:
            yield from _unfolded(child, unfolded, depth + 1, times)


def _row(top: int, depth: int, node: Node, times: int, whole: Node) -> str:
    shape = " × ".join(map(str, node.output_shape))
    texts = ((NAME + INDENT * depth, _name(node)), (SHAPE, shape))
    drawn = "".join(f'<text x="{x}" y="{top + 14}">{escape(text)}</text>' for x, text in texts)
    return (
        drawn
        + _bar(PARAMETERS, top, node.parameters * times, whole.parameters, SERIES[0][1])
        + _bar(MULTIPLY_ADDS, top, node.multiply_adds * times, whole.multiply_adds, SERIES[1][1])
    )


def _bar(left: int, top: int, value: int, whole: int, colour: str) -> str:
    if not value:
        return ""
    length = LONGEST * value / whole
    bar = f'<rect x="{left}" y="{top + 5}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
    return f'{bar}<text x="{left + length + 6:.1f}" y="{top + 14}">{_count(value)}</text>'


def _count(value: int) -> str:
    return numerals.count(value) if value else ""


def _name(node: Node) -> str:
    name = node.name or node.kind
    return f"{name} (×{node.times})" if node.times > 1 else name
