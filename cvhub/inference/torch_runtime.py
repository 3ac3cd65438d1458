"""Runs a network with torch, and prepares it for conversion to others."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvhub.errors import CvhubError, one_line
from cvhub.inference.runtime import choose_precision, example_inputs
from cvhub.load import load_model
from cvhub.loading import explained
from cvhub.models.segmentation import CvSegmenterPreTrainedModel


class Logits(nn.Module):
    """A classifier that returns a plain dict, which every tracer understands."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.config = model.config

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        return {"logits": self.model(pixel_values).logits}


class Maps(Logits):
    """A segmenter likewise: its logits, and where a panoptic net sees centres and the way to them."""

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        outputs = self.model(pixel_values)
        return {name: outputs[name] for name in ("logits", "centres", "offsets") if name in outputs}


class LogitsAndFeatures(nn.Module):
    """A classifier that ends in global average pooling and a linear layer, with the map before the pooling."""

    def __init__(self, base_model: Any, classifier: nn.Linear):
        super().__init__()
        self.base_model = base_model
        self.classifier = classifier
        self.config = base_model.config

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        features = self.base_model(pixel_values).last_hidden_state
        return {"logits": self.classifier(features.mean((2, 3))), "features": features}


class ImageTower(nn.Module):
    """Pictures to where texts are, on the unit sphere."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.config = model.config

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        return {"embeds": F.normalize(self.model.get_image_features(pixel_values).pooler_output, dim=-1)}


class TextTower(ImageTower):
    """Texts to where pictures are."""

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        return {"embeds": F.normalize(self.model.get_text_features(input_ids).pooler_output, dim=-1)}


class PictureTokens(ImageTower):
    """Pictures to the tokens that a net looks at while it writes."""

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        return {"tokens": self.model.vision_model(pixel_values).last_hidden_state}


CONTRAST = "zero-shot-image-classification"
# Part of a net → the module that gives it, and the task whose head has it; "" for what every head has.
PARTS = {"image": (ImageTower, CONTRAST), "text": (TextTower, CONTRAST), "tokens": (PictureTokens, "")}


class TorchRuntime:
    """On a GPU where torch finds one, else on the CPU. `compiled` at the first run of each number of dimensions, which
    takes a minute then."""

    name = "torch"

    def __init__(self, folder: Path, precision: str, chosen: str, part: str, compiled: bool = False):
        self.device = best_device()
        self.precision, why = choose_precision(precision, has_native_bf16(self.device))
        self.reason = f"{chosen}; {why}."
        module = load_plain_module(folder, part)
        self.gives_features = isinstance(module, LogitsAndFeatures)
        module.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._module = torch.compile(module, dynamic=True) if compiled else module

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        x = torch.tensor(inputs)  # a copy: layers may work in place
        x = x.to(self.device, memory_format=torch.channels_last if x.ndim == 4 else torch.preserve_format)
        try:
            with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                outputs = self._module(x)
        except (RuntimeError, ValueError) as error:
            raise CvhubError(f"torch can't run inputs of shape {inputs.shape}: {one_line(error)}.") from error
        return {name: np.ascontiguousarray(output.float().cpu().numpy()) for name, output in outputs.items()}


def best_device() -> str:
    """ "cuda" (ROCm's name too), "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_native_bf16(device: str = "cpu") -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    capabilities = torch.cpu.get_capabilities()  # of x86 or ARM
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def load_plain_module(folder: Path, part: str = "") -> Logits | LogitsAndFeatures | ImageTower:
    """The folder's network, or its part, freshly loaded, as a module that gives what `Runtime.run` gives."""
    with explained(folder):
        if part:
            module, task = PARTS[part]
            return module(load_model(str(folder), task))
        model = load_model(str(folder))
        return plain_module(model, torch.from_numpy(example_inputs(folder, part, batch=2)))


@torch.inference_mode()
def plain_module(model: Any, pixel_values: Tensor) -> Logits | LogitsAndFeatures:
    """Gives features only where, on `pixel_values`, pooling them and the last linear layer make up the logits."""
    if isinstance(model, CvSegmenterPreTrainedModel):
        return Maps(model)
    classifier = dict(model.named_children()).get("classifier")
    if model.base_model is model or not isinstance(classifier, nn.Linear):
        return Logits(model)
    features = model.base_model(pixel_values).last_hidden_state
    if features.ndim != 4 or features.shape[1] != classifier.in_features:
        return Logits(model)
    expected = model(pixel_values).logits
    difference = (classifier(features.mean((2, 3))) - expected).abs().max()
    if difference <= 1e-5 * expected.abs().max():
        return LogitsAndFeatures(model.base_model, classifier)
    return Logits(model)
