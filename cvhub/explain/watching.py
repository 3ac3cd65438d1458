"""Watches a forward pass: multiply-adds and receptive field of each call, attributed to the module that made it.

One mechanism for every architecture: a `TorchFunctionMode` sees each call of torch's functions, whichever module or
line made it, so a family needs no rules of its own. Made for the meta device, where tensors have shapes and no values.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from cvhub.explain.receptive_field import Axis, Field, field_size, positions, see_whole, start, unite

# Positional parameters of the calls that we look into. (Some of torch's functions hide their signature.)
PARAMETERS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose2d": ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "adaptive_avg_pool2d": ("input", "output_size"),
    "adaptive_max_pool2d": ("input", "output_size"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "pad": ("input", "pad", "mode", "value"),
    "mean": ("input", "dim", "keepdim"),
    "__getitem__": ("input", "index"),
    "linear": ("input", "weight", "bias"),
    "matmul": ("input", "other"),
    "bmm": ("input", "mat2"),
    "scaled_dot_product_attention": ("query", "key", "value"),
}
INTERPOLATION_TAPS = {"nearest": 1, "nearest-exact": 1, "bilinear": 2, "bicubic": 4}


@dataclass
class Visit:
    """One call of a module: what it and no module inside it computed.

    `elements` are the values in its inputs and its output, `kernel` the window of the convolution or pooling it ran.
    """

    name: str
    module: nn.Module
    kernel: tuple[int, int] | None = None
    multiply_adds: int = 0
    elements: int = 0
    output_shape: tuple[int, ...] = ()
    receptive_field: int | None = None


class Watch(TorchFunctionMode):
    """Use as a context around `model(pixel_values)`, both without values; then read `visits` and `last_map`.

    `attach(model)` puts hooks on the model for good: give it a copy.
    """

    def __init__(self, pixel_values: Tensor):
        super().__init__()
        self.fields = WeakIdKeyDictionary()
        self.fields[pixel_values] = start(*pixel_values.shape[-2:])
        self.visits: list[Visit] = []
        self.last_map: Field | None = None  # the map that was pooled or flattened last
        self._open: list[Visit] = []

    def attach(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            module.register_forward_pre_hook(self._enter(name))
            module.register_forward_hook(self._leave, with_kwargs=True)

    def field_of(self, value: Any) -> Field | None:
        """The field of the first tensor in `value`, a tensor or a model's output."""
        return self.fields.get(next(tensors_in(value)))

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = str(func.__name__)
        # Without values torch computes a BatchNorm's shape in Python, slower than all the rest of a net together.
        output = torch.empty_like(args[0]) if name == "batch_norm" else func(*args, **(kwargs or {}))
        arguments = dict(zip(PARAMETERS.get(name, ()), args, strict=False)) | (kwargs or {})
        if self._open:
            self._open[-1].multiply_adds += multiply_adds(name, arguments, output)
        inputs = [self.fields[t] for t in tensors_in((args, kwargs)) if t in self.fields]
        if inputs:
            field = self._see(name, arguments, unite(inputs), output)
            for tensor in tensors_in(output):
                self.fields[tensor] = field
        return output

    def _enter(self, name: str) -> Any:
        def enter(module: nn.Module, args: tuple) -> None:
            self._open.append(Visit(name, module))

        return enter

    def _leave(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        visit = self._open.pop()
        involved = {id(t): t.numel() for t in tensors_in((args, kwargs, output))}
        visit.elements = sum(involved.values())
        visit.output_shape = tuple(next(tensors_in(output)).shape[1:])
        visit.receptive_field = field_size(self.field_of(output))
        self.visits.append(visit)

    def _see(self, name: str, arguments: dict, field: Field, output: Any) -> Field:
        """The field of a call's output, whose inputs together have `field`."""
        if name in ("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d"):
            return self._slide(name, arguments, field, output)
        if name.startswith("adaptive_"):
            return self._pool_adaptively(field, output)
        if name == "interpolate":
            taps = INTERPOLATION_TAPS[arguments.get("mode", "nearest")]
            return _each_axis(field, lambda axis, i: axis.resample(taps, output.shape[2 + i]))
        if name in ("pad", "__getitem__"):
            return _shift(name, arguments, field)
        if self._mixes_positions(name, arguments, field, output):
            return self._collapse(field)
        if name == "scaled_dot_product_attention":
            return _attend(arguments["key"].shape[-2], field)
        return field

    def _slide(self, name: str, arguments: dict, field: Field, output: Tensor) -> Field:
        weight = arguments.get("weight")
        kernel = _pair(arguments["kernel_size"]) if weight is None else tuple(weight.shape[2:])
        # A pooling's stride is its kernel where none is given.
        stride = _pair(arguments.get("stride") or (kernel if weight is None else 1))
        dilation = _pair(arguments.get("dilation", 1))
        padding = _padding(arguments.get("padding", 0), kernel, dilation)
        self._open[-1].kernel = kernel
        if name == "avg_pool2d" and output.shape[-2:] == (1, 1):
            return self._collapse(field)
        return _each_axis(
            field,
            lambda axis, i: (axis.slide_transposed if name == "conv_transpose2d" else axis.slide)(
                kernel[i], stride[i], padding[i], dilation[i], output.shape[2 + i]
            ),
        )

    def _pool_adaptively(self, field: Field, output: Tensor) -> Field:
        pooled = _each_axis(field, lambda axis, i: axis.adaptive(output.shape[-2 + i]))
        rows, columns = output.shape[-2:]
        self._open[-1].kernel = (-(-field[0].length // rows), -(-field[1].length // columns))
        return self._collapse(field) if positions(pooled) == 1 else pooled

    def _mixes_positions(self, name: str, arguments: dict, field: Field, output: Any) -> bool:
        """Whether each value of the output depends on every position of the map (at batch 1)."""
        if name == "mean":
            # Over the map's positions, with or without a class token, and not over its channels.
            return arguments["input"].numel() // output.numel() - positions(field) in (0, 1)
        if name == "linear":
            return math.prod(output.shape[:-1]) < positions(field)
        # A product of two maps is attention written out.
        return name in ("matmul", "bmm") and all(value in self.fields for value in arguments.values())

    def _collapse(self, field: Field) -> Field:
        self.last_map = field
        rows, columns = see_whole(field)
        return rows._replace(length=1), columns._replace(length=1)


def multiply_adds(name: str, arguments: dict, output: Any) -> int:
    """Multiply-adds of one call: of convolutions, linear layers, matrix products and attention; biases not counted."""
    if name == "conv2d":
        return output.numel() * arguments["weight"][0].numel()
    if name == "conv_transpose2d":
        return arguments["input"].numel() * arguments["weight"][0].numel()
    if name == "linear":
        return output.numel() * arguments["weight"].shape[-1]
    if name in ("matmul", "bmm"):
        return output.numel() * arguments["input"].shape[-1]
    if name == "scaled_dot_product_attention":
        query, key, value = (arguments[part] for part in ("query", "key", "value"))
        scores = query.numel() // query.shape[-1] * key.shape[-2]
        return scores * (query.shape[-1] + value.shape[-1])
    return 0


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and dictionaries, `ModelOutput`s among them, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def skeleton(model: nn.Module) -> nn.Module:
    """A copy of `model` on the meta device: its modules, and tensors that have shapes but take no memory."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


def _each_axis(field: Field, change: Callable[[Axis, int], Axis]) -> Field:
    return change(field[0], 0), change(field[1], 1)


def _pair(value: Any) -> tuple[int, int]:
    """torch's window arguments: one number for both axes, or one each."""
    rows, columns = (value, value) if isinstance(value, int) else (tuple(value) * 2)[:2]
    return rows, columns


def _padding(padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Positions added before each axis; torch's "same" puts the odd one at the end."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    return _pair(padding)


def _spatial_dims(tensor: Tensor, field: Field) -> tuple[int, int] | None:
    """Which dimensions of a 4-D tensor are rows and columns: (N, C, H, W), (N, H, W, C), or neither."""
    grid = (field[0].length, field[1].length)
    for dims in ((2, 3), (1, 2)):
        if tensor.ndim == 4 and tuple(tensor.shape[d] for d in dims) == grid:
            return dims
    return None


def _shift(name: str, arguments: dict, field: Field) -> Field:
    """Padding and slicing of rows and columns move the field and, with a step, thin it out."""
    tensor = arguments["input"]
    dims = _spatial_dims(tensor, field)
    if dims is None:
        return field
    if name == "pad":
        amounts = {tensor.ndim - 1 - i // 2: arguments["pad"][i : i + 2] for i in range(0, len(arguments["pad"]), 2)}
        return _each_axis(field, lambda axis, i: axis.pad(*amounts.get(dims[i], (0, 0))))
    slices = _slices(arguments["index"], tensor.ndim)
    return _each_axis(field, lambda axis, i: axis.pick(slices.get(dims[i], slice(None))))


def _slices(index: Any, ndim: int) -> dict[int, slice]:
    """The slices of an index such as [..., 1:, ::2] by dimension."""
    items = index if isinstance(index, tuple) else (index,)
    slices, skipped = {}, 0
    for d, item in enumerate(items):
        if item is Ellipsis:
            skipped = ndim - len(items)
        elif isinstance(item, slice):
            slices[d + skipped] = item
    return slices


def _attend(keys: int, field: Field) -> Field:
    """Attention over all positions sees the whole picture, over a window of `keys` its √keys a side."""
    reach = math.inf if keys >= positions(field) else math.ceil(math.sqrt(keys))
    return _each_axis(field, lambda axis, i: axis.mix(reach))
