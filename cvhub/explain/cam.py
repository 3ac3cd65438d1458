"""Where in a picture a class was seen: class activation maps, and the colours of heat.

torch is imported only where a gradient is needed: nets that end in global pooling and a linear layer are explained by
what their one forward pass left behind.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cvhub.inference.classify import Classification, Classifier

# Dark blue over red to pale yellow, evenly spaced: lightness rises steadily, so order shows in grey and to the
# colour-blind too. (Anchors of "inferno" by Smith and van der Walt, CC0.)
HEAT_COLOURS = (
    (0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96),
    (207, 68, 70), (237, 105, 37), (251, 155, 6), (247, 209, 61), (252, 255, 164),
)  # fmt: skip

one_gradient_at_a_time = threading.Lock()


def class_activation_map(features: np.ndarray, weight: np.ndarray, class_index: int) -> np.ndarray:
    """M_c = Σ_k w_kc f_k (Zhou et al. 2016, https://arxiv.org/abs/1512.04150, eq. 2), what speaks for the class.

    `features` (C, h, w): the map before global average pooling; `weight` (K, C): the linear layer after it.
    Returns (h, w) in [0, 1]: negative values are 0, the largest is 1.
    """
    _check_class(class_index, len(weight))
    return _rectify(np.tensordot(weight[class_index], features, axes=1))


def grad_cam(
    model: "nn.Module", pixel_values: "Tensor", class_index: int, layer: "nn.Module | None" = None
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, eq. 1 and 2) of one picture.

    `model` returns logits (1, K), as a tensor or under `.logits`; `pixel_values` (1, C, H, W); `layer`: whose output
    (1, C', h, w) is looked at, otherwise the last module whose output is a map of more than one position. Where patches
    became tokens, (1, L, C'), these lie on that map's grid, and it is the last norm on which patches still have a say.
    Returns (h, w) in [0, 1]. Parameters, gradients, hooks and mode of the model stay as they were; while it runs, no
    other thread may use the model.
    """
    import torch

    training = [module for module in model.modules() if module.training]
    with _watched(model, layer) as seen, torch.enable_grad():
        try:
            output = model.eval()(pixel_values.detach().requires_grad_())
        finally:
            for module in training:
                module.training = True
        if not seen.outputs:
            raise CvhubError(f"no layer of {type(model).__name__} gives a map of more than one position to explain.")
        logits = output if isinstance(output, torch.Tensor) else output.logits
        _check_class(class_index, logits.shape[-1])
        gradients = torch.autograd.grad(logits[0, class_index], seen.outputs, allow_unused=len(seen.outputs) > 1)
    pairs = zip(seen.outputs, gradients, strict=True)
    maps = [(seen.as_map(output), seen.as_map(gradient)) for output, gradient in pairs if gradient is not None]
    features, gradient = next((pair for pair in reversed(maps) if pair[1].any()), maps[0])
    weight = gradient.mean((1, 2))  # α, eq. 1
    heat = torch.tensordot(weight, features.detach(), dims=1)
    return _rectify(heat.float().cpu().numpy())


def heat_map(
    classifier: "Classifier", image: Image.Image, classification: "Classification", class_index: int
) -> np.ndarray:
    """(h, w) in [0, 1]: where `classifier`, which answered `classification` about `image`, saw class `class_index`.

    The exact class activation map where the net ends in global pooling and a linear layer, otherwise Grad-CAM.
    """
    if classification.features is not None and classifier.classifier_weight is not None:
        return class_activation_map(classification.features, classifier.classifier_weight, class_index)
    import torch

    pixel_values = torch.from_numpy(classifier.processor([image]))
    with one_gradient_at_a_time:
        return grad_cam(torch_model(classifier.folder), pixel_values, class_index)


def paint(shades: Image.Image) -> Image.Image:
    """An 8-bit grey picture in the colours of heat, as RGB."""
    anchors = np.linspace(0, 255, len(HEAT_COLOURS))
    channels = [np.interp(np.arange(256), anchors, channel) for channel in zip(*HEAT_COLOURS, strict=True)]
    palette = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    painted = shades.copy()
    painted.putpalette(palette.tobytes())
    return painted.convert("RGB")


class _Seen:
    """What a forward pass left behind: the last map's rows and columns, that map, and the tokens that came after it."""

    def __init__(self) -> None:
        self.grid: tuple[int, int] = (1, 1)
        self.outputs: list[Tensor] = []

    def as_map(self, output: "Tensor") -> "Tensor":
        """A picture's (1, C, h, w), or its tokens (1, L, C) of which the last are the patches → (C, h, w)."""
        if output.ndim == 4:
            return output[0]
        rows, columns = self.grid
        return output[0, -rows * columns :].T.reshape(-1, rows, columns)


@contextlib.contextmanager
def _watched(model: "nn.Module", layer: "nn.Module | None") -> "Iterator[_Seen]":
    """While active, what `layer` gave in the last forward is kept, or where it is None all that may be explained."""
    import torch

    seen = _Seen()

    def keep(module: "nn.Module", args: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        rows, columns = seen.grid
        if output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            seen.grid = (output.shape[2], output.shape[3])
            if layer in (None, module):
                seen.outputs = [output]
        elif output.ndim == 3 and output.shape[1] >= rows * columns > 1:  # tokens
            wanted = isinstance(module, torch.nn.LayerNorm) if layer is None else module is layer
            seen.outputs += [output] * wanted

    handles = [module.register_forward_hook(keep) for module in model.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@functools.lru_cache(maxsize=2)
def torch_model(folder: Path, task: str = "") -> "nn.Module":
    """A model of our own to take gradients of, which no runtime uses; of several heads that of `task`."""
    from cvhub.load import load_model

    return load_model(str(folder), task)


def _rectify(heat: np.ndarray) -> np.ndarray:
    """Negative to 0, the largest to 1; all 0 where nothing is positive."""
    heat = np.maximum(heat, 0)
    peak = heat.max()
    return heat / peak if peak > 0 else heat


def _check_class(class_index: int, num_labels: int) -> None:
    if not 0 <= class_index < num_labels:
        raise CvhubError(f"class {class_index} doesn't exist, expected 0 to {num_labels - 1}.")
