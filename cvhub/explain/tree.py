"""The architecture of a model as a tree: its modules as they are nested, and equal ones in a row folded into one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cvhub.explain.cost import Layer, watch_forward

if TYPE_CHECKING:
    from torch import nn

    from cvhub.explain.watching import Visit


@dataclass(frozen=True)
class Node(Layer):
    """A module, or `times` equal modules in a row, whose numbers are those of one.

    - `name`: its own part of its name, "0–2" for those of a row.
    - `output_shape`: () where the module itself isn't called.
    - `parameters`, `multiply_adds`: its own and its children's.
    - `receptive_field`: of its output, of the last of a row; None for the whole picture, or where nothing is known.
    """

    children: tuple["Node", ...] = ()
    times: int = 1


def architecture_tree(model: "nn.Module", height: int, width: int) -> Node:
    """The tree of `model` for one picture of height x width pixels. `model` is on the meta device and nobody else's.

    Modules without parameters, multiply-adds and window (activations, dropout) are left out.
    """
    watch, _ = watch_forward(model, height, width)
    visits: dict[int, list[Visit]] = {}
    for visit in watch.visits:
        visits.setdefault(id(visit.module), []).append(visit)
    return _node("", model, visits, set())


def fold(nodes: list[Node]) -> list[Node]:
    """Equal neighbours as one, whatever they are called and however far they see."""
    rows: list[list[Node]] = []
    for node in nodes:
        if rows and _anonymous(rows[-1][0]) == _anonymous(node):
            rows[-1].append(node)
        else:
            rows.append([node])
    return [_as_one(row) for row in rows]


def walk(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """The tree from top to bottom, each node with its depth."""
    yield depth, node
    for child in node.children:
        yield from walk(child, depth + 1)


def _node(name: str, module: "nn.Module", visits: "dict[int, list[Visit]]", counted: set[int]) -> Node:
    """`counted` are the parameters met so far, since a module may share another's."""
    seen = visits.get(id(module), [])
    own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted]
    counted.update(map(id, own))
    children = [_node(child_name, child, visits, counted) for child_name, child in module.named_children()]
    last = seen[-1] if seen else None
    end = children[-1] if children else None
    return Node(
        name=name,
        kind=type(module).__name__,
        kernel=next((visit.kernel for visit in seen if visit.kernel), None),
        # A list of modules isn't called itself: what leaves it is what leaves its last module.
        output_shape=last.output_shape if last else end.output_shape if end else (),
        parameters=sum(parameter.numel() for parameter in own) + sum(child.parameters for child in children),
        multiply_adds=sum(visit.multiply_adds for visit in seen) + sum(child.multiply_adds for child in children),
        receptive_field=last.receptive_field if last else end.receptive_field if end else None,
        children=tuple(fold([child for child in children if _counts(child)])),
    )


def _counts(node: Node) -> bool:
    return bool(node.parameters or node.multiply_adds or node.kernel)


def _anonymous(node: Node) -> Node:
    """What must be equal to be folded: all but the names of the row's modules and the receptive fields within."""
    return replace(_blind(node), name="")


def _blind(node: Node) -> Node:
    return replace(node, receptive_field=None, children=tuple(map(_blind, node.children)))


def _as_one(row: list[Node]) -> Node:
    if len(row) == 1:
        return row[0]
    return replace(row[-1], name=f"{row[0].name}–{row[-1].name}", times=len(row))
