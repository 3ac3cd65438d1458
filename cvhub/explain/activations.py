"""A picture's way through a net: what its modules make of it, as maps over the picture.

A module's output is a map in one of three layouts: (C, h, w) of convolutions, (h, w, C) of windowed attention, or
(L, C) tokens, of which the last are the patches of the picture in reading order. The shape tells which.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.explain.cost import watch_forward

if TYPE_CHECKING:
    from torch import Tensor, nn

EXTRA_TOKENS = (0, 1, 2)  # tokens before the patches: none, class, class and distillation
TOLERANCE = 0.2  # by how much the strides of rows and columns may differ: a map of 55 positions is one of 224 pixels


@dataclass(frozen=True)
class Layout:
    """Where a map's rows, columns and channels are in an output (without the batch)."""

    rows: int
    columns: int
    channels: int
    channels_last: bool
    extra_tokens: int = 0


@dataclass(frozen=True)
class Place:
    """A module whose output is a map, in the order in which a picture passes."""

    name: str
    kind: str
    layout: Layout


def find_layout(shape: tuple[int, ...], height: int, width: int) -> Layout | None:
    """How an output of this shape lies over a picture of height x width pixels; None where it is no map."""
    if len(shape) == 3 and _lies_over(shape[1], shape[2], height, width):
        return Layout(shape[1], shape[2], shape[0], channels_last=False)
    if len(shape) == 3 and _lies_over(shape[0], shape[1], height, width):
        return Layout(shape[0], shape[1], shape[2], channels_last=True)
    if len(shape) == 2:
        for stride in range(2, max(height, width)):
            rows, columns = -(-height // stride), -(-width // stride)
            if rows * columns > 1 and shape[0] - rows * columns in EXTRA_TOKENS:
                return Layout(rows, columns, shape[1], channels_last=True, extra_tokens=shape[0] - rows * columns)
    return None


def places(model: "nn.Module", height: int, width: int) -> list[Place]:
    """The modules whose output is a map; of one that is called again, the last output counts.

    `model` is on the meta device and nobody else's.
    """
    watch, _ = watch_forward(model, height, width)
    found: dict[str, Place] = {}
    for visit in watch.visits:
        found.pop(visit.name, None)
        layout = find_layout(visit.output_shape, height, width)
        if layout and visit.name:
            found[visit.name] = Place(visit.name, type(visit.module).__name__, layout)
    return list(found.values())


def way(passed: list[Place]) -> list[Place]:
    """The last places before maps of another size: where the picture stands before it shrinks, or grows again."""
    runs = groupby(passed, key=lambda place: (place.layout.rows, place.layout.columns))
    return [list(run)[-1] for _, run in runs]


def activation_maps(model: Any, pixel_values: "Tensor", names: list[str]) -> dict[str, np.ndarray]:
    """The outputs of the named modules of `model` on one picture (1, C, H, W), each as (channels, rows, columns)."""
    import torch

    modules, maps = dict(model.named_modules()), {}
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise CvhubError(f"the model has no module {unknown[0]!r}.")

    def keep(name: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            maps[name] = _as_map(output, name, *pixel_values.shape[2:])

        return hook

    hooks = [modules[name].register_forward_hook(keep(name)) for name in dict.fromkeys(names)]
    try:
        with torch.inference_mode():
            model(pixel_values)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def _as_map(output: Any, name: str, height: int, width: int) -> np.ndarray:
    from cvhub.explain.watching import tensors_in

    tensor = next(tensors_in(output))[0]
    layout = find_layout(tuple(tensor.shape), height, width)
    if layout is None:
        raise CvhubError(f"the output of {name} has the shape {tuple(tensor.shape)}, which is no map of the picture.")
    values = tensor.float().numpy()
    if values.ndim == 2:
        values = values[layout.extra_tokens :].reshape(layout.rows, layout.columns, layout.channels)
    return values.transpose(2, 0, 1) if layout.channels_last else values


def _lies_over(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether both axes were thinned out alike."""
    strides = height / rows, width / columns
    return rows * columns > 1 and min(strides) >= 1 and max(strides) / min(strides) < 1 + TOLERANCE
