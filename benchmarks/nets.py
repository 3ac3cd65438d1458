"""The nets that are timed, with random weights, in every layout that a contender reads."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Net:
    """Names of one architecture in timm and, where it has it, torchvision."""

    title: str
    timm: str
    torchvision: str | None


NETS = (
    Net("ResNet-50", "resnet50", "resnet50"),
    Net("MobileNetV2", "mobilenetv2_100", "mobilenet_v2"),
    Net("EfficientNet-Lite0", "tf_efficientnet_lite0", None),
)


@functools.cache
def timm_model(net: Net) -> Any:
    """timm's own module, in eval mode. Weights are random: they don't change the time.

    timm starts some norms at zero, which would hide what the blocks before them compute.
    """
    import timm
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = timm.create_model(net.timm, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
    return model


def timm_folder(net: Net, work: Path) -> Path:
    """The net as timm saves it for the Hub, which transformers reads too."""
    import timm.models

    folder = work / "timm" / net.timm
    if not folder.exists():
        timm.models.save_for_hf(timm_model(net), str(folder), safe_serialization=True)
        config = folder / "config.json"
        fields = json.loads(config.read_text())
        fields.pop("model_args")  # transformers' wrapper would hand them to timm twice
        config.write_text(json.dumps(fields))
    return folder


def cvhub_folder(net: Net, work: Path) -> Path:
    """The same checkpoint, converted."""
    from cvhub.convert import convert_checkpoint

    folder = work / "cvhub" / net.timm
    if not folder.exists():
        convert_checkpoint(timm_folder(net, work), folder)
    return folder


def torchvision_model(net: Net) -> Any:
    """torchvision's module with timm's weights: the same tensors in the same order, under other names."""
    import torchvision

    model = getattr(torchvision.models, str(net.torchvision))(weights=None)
    tensors = timm_model(net).state_dict().values()
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    return model.eval()


def onnx_file(net: Net, work: Path, pixels: np.ndarray) -> Path:
    """timm's module as an ONNX file whose batch is free."""
    import warnings

    import torch

    file = work / f"{net.timm}.onnx"
    if not file.exists():
        batch = {0: "batch"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs another package
            torch.onnx.export(
                timm_model(net),
                (torch.from_numpy(pixels),),
                str(file),
                dynamo=False,
                input_names=["pixel_values"],
                output_names=["logits"],
                dynamic_axes={"pixel_values": batch, "logits": batch},
            )
    return file
