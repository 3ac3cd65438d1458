"""Tensors under the names that another library gives them, or their pieces."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reshaped:
    """The name of a tensor whose axes after the first have another shape on the other side.

    The weight of a linear layer, (-1,), is that of a convolution over a map's cells, (-1, rows, columns).
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Swapped:
    """The name of a tensor whose halves, along the second axis, stand the other way round on the other side."""

    name: str


@dataclass(frozen=True)
class Axes:
    """The name of a tensor that has `count` axes here, and more or less on the other side, of length 1 and first."""

    name: str
    count: int


@dataclass(frozen=True)
class Transposed:
    """The name of a matrix whose axes are swapped on the other side."""

    name: str


# A module's or a tensor's name. Several stand for one whose tensors are theirs one after another, along the first axis:
# a projection to queries, keys and values in one matrix or in three.
Part = str | tuple[str, ...] | Reshaped | Swapped | Axes | Transposed


def rename(tensors: Mapping[str, Tensor], names: Iterable[tuple[Part, Part]]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by their new names, and the old names that `names`, pairs of (old, new), don't know."""
    places = {part: (old, new) for old, new in names for part in _parts(old)}
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        module, leaf = _split(name, places)
        if module not in places:
            unknown.append(name)
            continue
        old, new = places[module]
        pieces = [tensors.get(_join(part, leaf)) for part in _parts(old)]
        if module == _parts(old)[0] and all(piece is not None for piece in pieces):
            whole = torch.cat([piece for piece in pieces if piece is not None]) if len(pieces) > 1 else tensor
            renamed |= _spread(new, leaf, whole)
    return renamed, unknown


def _spread(new: Part, leaf: str, whole: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The new names of a tensor and its parts, each with memory of its own."""
    if isinstance(new, str):
        yield _join(new, leaf), whole
    elif isinstance(new, Reshaped):
        yield new.name, _reshape(whole, new.shape)
    elif isinstance(new, Axes):
        ones = (1,) * max(0, new.count - whole.ndim)
        yield new.name, _reshape_to(whole, (*ones, *whole.shape[-new.count :]))
    elif isinstance(new, Swapped):
        yield new.name, torch.cat(whole.chunk(2, dim=1)[::-1], dim=1)
    elif isinstance(new, Transposed):
        yield new.name, whole.t().contiguous() if whole.ndim == 2 else whole
    else:
        for part, piece in zip(new, whole.chunk(len(new)), strict=True):
            yield _join(part, leaf), piece.clone()


def _reshape(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    return _reshape_to(tensor, (*tensor.shape[:1], *shape))


def _reshape_to(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """As it is where it can't have that shape: what expects the tensor says so better."""
    try:
        return tensor.reshape(shape)
    except RuntimeError:
        return tensor


def _parts(part: Part) -> tuple[str, ...]:
    if isinstance(part, Reshaped | Swapped | Axes | Transposed):
        return (part.name,)
    return (part,) if isinstance(part, str) else part


def _split(name: str, places: Mapping[str, object]) -> tuple[str, str]:
    """The module that is known and the rest of the name; a tensor may be known by its own name."""
    if name in places:
        return name, ""
    module, _, leaf = name.rpartition(".")
    return module, leaf


def _join(module: str, leaf: str) -> str:
    return f"{module}.{leaf}" if module and leaf else module or leaf
