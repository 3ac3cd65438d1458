"""Your own classes from a handful of pictures: a trained net's frozen features, and logistic regression on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.training.leave_one_out import leave_each_out

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cvhub.inference.classify import Classifier

BATCH = 16
# The inverse strength of the penalty on ‖W‖² for features whose mean distance from their mean is 1. Ten pictures of
# each of three breeds of the Oxford pets, with EfficientNet-Lite0: from 1 to 100 the accuracy on 150 others stays
# within 0.6 points, and the probabilities grow bolder; below 1 they hardly say anything.
C = 10.0


@dataclass(frozen=True)
class LearnedClasses:
    """A linear classifier of features: logits = `weight` (K, D) · features + `bias` (K,).

    - `labels`: the K classes; `targets` (N,): the class of each picture that was learned from.
    - `left_out` (N,): the class that each picture is given by a classifier that was fitted to all others.
    """

    labels: list[str]
    weight: np.ndarray
    bias: np.ndarray
    targets: np.ndarray
    left_out: np.ndarray

    @property
    def accuracy(self) -> float:
        """The leave-one-out accuracy: of N classifiers, each asked about the one picture that it has not seen."""
        return float((self.left_out == self.targets).mean())

    @property
    def mistaken(self) -> list[int]:
        """The pictures that are named wrongly when they are left out."""
        return np.flatnonzero(self.left_out != self.targets).tolist()


def frozen_features(classifier: "Classifier", images: Sequence[Image.Image]) -> np.ndarray:
    """What the net's last linear layers are given for each picture: (N, D) float32, of all such layers side by side."""
    if classifier.runtime.gives_features:  # the map before global average pooling, from whatever runs the net
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        said = [answer for batch in batches for answer in classifier.predict(batch)]
        return np.stack([answer.features.mean((1, 2)) for answer in said if answer.features is not None])
    import torch

    from cvhub.load import load_model

    model = load_model(str(classifier.folder))
    pixels = [torch.from_numpy(classifier.processor([image])) for image in images]
    heads = find_heads(model, pixels[0])
    with torch.inference_mode(), _inputs_of(heads) as seen:
        for x in pixels:  # one at a time: a processor may keep the pictures' own sizes
            model(x)
    return np.concatenate([np.concatenate(inputs) for inputs in seen.values()], axis=1)


def learn_classes(features: np.ndarray, targets: Sequence[int], labels: Sequence[str]) -> LearnedClasses:
    """Multinomial logistic regression on `features` (N, D), and again without each picture in turn.

    Raises `CvhubError` for less than two classes, or a class of less than two pictures: of none would be left.
    """
    wanted = np.asarray(targets)
    _check_classes(wanted, labels)
    centre = features.mean(axis=0)
    scale = float(np.linalg.norm(features - centre, axis=1).mean()) or 1.0
    # The penalised weights lie in the span of the pictures: N numbers a picture say as much as D, and are fewer.
    u, s, vt = np.linalg.svd((features - centre) / scale, full_matrices=False)
    points = u * s
    weight, bias = _fit(points, wanted)
    # Of two classes scikit-learn penalises the difference: ‖w‖² where the two rows ∓w/2 have ‖w‖²/2.
    penalty = (2 if len(labels) == 2 else 1) / C
    probabilities, settled = leave_each_out(points, wanted, weight, bias, penalty)
    left_out = probabilities.argmax(axis=1)
    for number in np.flatnonzero(~settled):
        rest = np.arange(len(wanted)) != number
        weight_without, bias_without = _fit(points[rest], wanted[rest])
        left_out[number] = (weight_without @ points[number] + bias_without).argmax()
    weight = weight @ vt / scale
    return LearnedClasses(list(labels), weight, bias - weight @ centre, wanted, left_out)


def write_model(folder: Path, model: str, learned: LearnedClasses, title: str, base: str) -> None:
    """A complete Hub folder: MODEL's body under a head that says the learned classes. Its card calls MODEL `base`."""
    import torch

    from cvhub.cache import write_folder, writing
    from cvhub.convert.importing import save_processor
    from cvhub.hub.card import write_card
    from cvhub.load import is_hub_id, load_processor
    from cvhub.training.nets import build_net
    from cvhub.training.recipe import Model
    from cvhub.training.result import save_net

    processor = load_processor(model)
    net = build_net(Model(from_=model, train="head"), learned.labels, seed=0).eval()
    heads = find_heads(net, torch.from_numpy(processor([Image.new(processor.mode, (256, 256))])))
    widths = np.cumsum([head.in_features for head in heads])[:-1]
    for head, weight in zip(heads, np.split(learned.weight, widths, axis=1), strict=True):
        head.weight.data = torch.tensor(weight * len(heads), dtype=torch.float32)  # the logits are their mean
        head.bias.data = torch.tensor(learned.bias, dtype=torch.float32)

    def build(made: Path) -> None:
        save_net(net, made, torch.float32)  # what was learned fits these very features
        save_processor(made, asdict(processor), net.config)
        write_card(
            made,
            title=title,
            task="image-classification",
            licence=None,
            dataset=None,
            metrics={},
            source=None,
            base_model=base if is_hub_id(base) else None,
            training=_describe(learned, base),
        )

    with writing(folder):
        write_folder(folder, build)


def find_heads(model: Any, pixel_values: "Tensor") -> list["nn.Linear"]:
    """The linear layers whose outputs' mean makes up the logits, as seen on `pixel_values` (N, C, H, W).

    One in nearly every net, two in a distilled DeiT. Raises `CvhubError` where a net ends in anything else.
    """
    import torch
    from torch import nn

    outputs: dict[Any, Tensor] = {}  # by layer
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == model.config.num_labels]

    def keep(layer: Any, _: Any, output: Any) -> None:
        outputs[layer] = output

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.inference_mode():
            logits = model(pixel_values).logits
    finally:
        for hook in hooks:
            hook.remove()
    heads = {layer: output for layer, output in outputs.items() if output.shape == logits.shape}
    if not heads or not torch.allclose(torch.stack(list(heads.values())).mean(0), logits, atol=1e-5):
        raise CvhubError(f"{type(model).__name__} doesn't end in a linear layer, which new classes need.")
    return list(heads)


@contextmanager
def _inputs_of(layers: Sequence["nn.Linear"]) -> Iterator[dict[Any, list[np.ndarray]]]:
    """By layer, what each of these is given while the block runs."""
    seen: dict[Any, list[np.ndarray]] = {layer: [] for layer in layers}
    hooks = [
        layer.register_forward_pre_hook(lambda m, inputs: seen[m].append(inputs[0].numpy().copy())) for layer in layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _fit(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, D) and biases (K,); of two classes scikit-learn gives the difference alone."""
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=C, max_iter=1000).fit(points, targets)
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:
        return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _check_classes(targets: np.ndarray, labels: Sequence[str]) -> None:
    if len(labels) < 2:
        raise CvhubError(f"There are {len(labels)} classes, expected at least 2.")
    for index, label in enumerate(labels):
        if (count := int((targets == index).sum())) < 2:
            raise CvhubError(f"The class {label!r} has {count} pictures, expected at least 2.")


def _describe(learned: LearnedClasses, base: str) -> str:
    counts = np.bincount(learned.targets)
    classes = ", ".join(f"{label} ({count})" for label, count in zip(learned.labels, counts, strict=True))
    return (
        f"## Training\n\nLogistic regression on the frozen features of {base}, learned from pictures of {classes}. "
        f"Leave-one-out accuracy: {learned.accuracy:.3f} of {len(learned.targets)} pictures. "
        "So few pictures tell roughly, and about pictures like these only."
    )
