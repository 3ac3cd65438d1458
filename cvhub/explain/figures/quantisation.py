"""ReLU6 and 8-bit activations, against the same net with ReLU in its place.

MobileNets take ReLU6 "because of its robustness when used with low-precision computation" (Sandler et al. 2018,
https://arxiv.org/abs/1801.04381, section 4): no value can stretch the range, and with it the steps for all others.
Weights and sums stay in float32 here: nothing but the rounding of activations is looked at.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from cvhub.load import load_model, load_processor

MODEL = "efficientnet_lite0"
STEPS = 255  # of 8 bits, from 0 to the greatest value


@dataclass(frozen=True)
class Layer:
    """What an activation gives for all pictures: its greatest value, and signal to noise of it in 8 bits, in dB."""

    name: str
    greatest: float
    decibels: float


@dataclass(frozen=True)
class Answers:
    """What a net says once all activations are in 8 bits, against the same net in float32.

    - `decibels`: signal to noise of the logits, about each picture's mean.
    - `kept`: of the pictures, how many keep their most likely class.
    - `as_trained`: how many, in float32, have the class that the trained net gives them.
    """

    decibels: float
    kept: int
    as_trained: int


@dataclass(frozen=True)
class Comparison:
    """Layer by layer, and at the end. Three cases, since without its clip the net is another net.

    - `clipped`: ReLU6, as trained.
    - `unclipped`: the trained net, and what ReLU would give in a layer's place from what the layer was given.
    - `without`: the net with ReLU throughout, in which what was not cut off runs on to the next layers.
    """

    pictures: int
    clipped: tuple[Layer, ...]
    unclipped: tuple[Layer, ...]
    without: tuple[Layer, ...]
    clipped_answers: Answers
    without_answers: Answers


@torch.inference_mode()
def compare(pictures: Sequence[Image.Image]) -> Comparison:
    """Of pictures of any size."""
    pixels = torch.from_numpy(load_processor(MODEL)(list(pictures)))
    trained = load_model(MODEL)
    other = without_clip(trained)
    clipped, unclipped, exact = look(trained, pixels)
    without, other_exact = look_once(other, pixels)
    classes = exact.argmax(1)
    return Comparison(
        len(pictures),
        clipped,
        unclipped,
        without,
        answers(exact, rounded_logits(trained, pixels), classes),
        answers(other_exact, rounded_logits(other, pixels), classes),
    )


def look(model: Any, pixels: Tensor) -> tuple[tuple[Layer, ...], tuple[Layer, ...], Tensor]:
    """Each layer of `model`, each with ReLU on what it was given, and the logits (N, K)."""
    unclipped: list[Layer] = []
    layers, logits = look_once(model, pixels, lambda name, x: unclipped.append(_layer(name, x.relu())))
    return layers, tuple(unclipped), logits


def look_once(
    model: Any, pixels: Tensor, look_before: Callable[[str, Tensor], None] = lambda name, x: None
) -> tuple[tuple[Layer, ...], Tensor]:
    """Each layer of `model` and the logits (N, K); `look_before` is shown what each layer is given."""
    layers: list[Layer] = []

    def judge(name: str, activation: nn.Module, x: Tensor) -> Tensor:
        look_before(name, x)
        y = activation(x)
        layers.append(_layer(name, y))
        return y

    with each_activation(model, judge):
        logits = model(pixels).logits
    return tuple(layers), logits


def rounded_logits(model: Any, pixels: Tensor) -> Tensor:
    with each_activation(model, lambda name, activation, x: quantise(activation(x))):
        return model(pixels).logits


def without_clip(model: Any) -> Any:
    """A copy with ReLU wherever there was ReLU6. Its weights are the same: it was never trained so."""
    other = copy.deepcopy(model)
    for module in list(other.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())
    return other


def quantise(x: Tensor) -> Tensor:
    """To the nearest of 256 values, evenly spaced from 0 to the greatest: uniform, a scale for the tensor."""
    step = x.max().clamp_min(1e-12) / STEPS
    return (x / step).round_().mul_(step)  # in place: most of the time goes into memory


def decibels(signal: Tensor, noise: Tensor) -> float:
    """10·log₁₀ of their powers' ratio, ∞ without noise."""
    strength, disturbance = (float(torch.linalg.vector_norm(x)) for x in (signal, noise))
    return 20 * math.log10(strength / disturbance) if disturbance else math.inf


def answers(exact: Tensor, rough: Tensor, classes: Tensor) -> Answers:
    """Of logits (N, K) in float32 and in 8 bits; `classes` (N,) are the trained net's."""
    return Answers(
        decibels(exact - exact.mean(1, keepdim=True), rough - exact),
        kept=int((rough.argmax(1) == exact.argmax(1)).sum()),
        as_trained=int((exact.argmax(1) == classes).sum()),
    )


@contextmanager
def each_activation(model: Any, change: Callable[[str, nn.Module, Tensor], Tensor]) -> Iterator[None]:
    """While active, `change(name, activation, x)` answers for each ReLU and ReLU6 that is given x."""
    activations = {name: module for name, module in model.named_modules() if isinstance(module, nn.ReLU | nn.ReLU6)}
    try:
        for name, module in activations.items():
            plain = nn.ReLU6() if isinstance(module, nn.ReLU6) else nn.ReLU()  # not in place: x is looked at after
            module.forward = lambda input, name=name, plain=plain: change(name, plain, input)
        yield
    finally:
        for module in activations.values():
            del module.forward


def _layer(name: str, y: Tensor) -> Layer:
    return Layer(name, float(y.max()), decibels(y, quantise(y).sub_(y)))
