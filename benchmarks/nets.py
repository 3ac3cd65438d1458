"""The nets that are timed, with random weights, in every layout that a contender reads."""

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Net:
    """Names of one architecture in timm and torchvision. The one that is named first is what ours is compared with.

    - `torchvision`: where timm has it too, only if its tensors are timm's in the same order.
    - `at_64`: arguments of timm's builder for pictures of 64 pixels, and `ours_at_64`, fields of our config.
    """

    title: str
    timm: str | None = None
    torchvision: str | None = None
    at_64: dict[str, Any] = field(default_factory=dict, hash=False)
    ours_at_64: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def library(self) -> str:
        return "timm" if self.timm else "torchvision"

    @property
    def name(self) -> str:
        return str(self.timm or self.torchvision)


RESNET = Net("ResNet-50", "resnet50", "resnet50")
MOBILENET = Net("MobileNetV2", "mobilenetv2_100", "mobilenet_v2")
SMALL: tuple[dict[str, Any], dict[str, Any]] = ({"img_size": 64}, {"image_size": 64})
# One of each family, over which means are taken.
FAMILIES = (
    Net("AlexNet", torchvision="alexnet"),
    Net("VGG-11", "vgg11_bn"),
    Net("GoogLeNet", torchvision="googlenet"),
    RESNET,
    Net("MobileNetV1", "mobilenetv1_100"),
    MOBILENET,
    Net("ViT-S/16", "vit_small_patch16_224", None, *SMALL),
    Net("DeiT-S/16", "deit_small_distilled_patch16_224", None, *SMALL),
    # Windows that the maps of small pictures fill: 16, 8 and 4 positions a side, and 2.
    Net(
        "Swin-T",
        "swin_tiny_patch4_window7_224",
        at_64={"img_size": 64, "window_size": 4},
        ours_at_64={"window_size": 4},
    ),
)
LITE = Net("EfficientNet-Lite0", "tf_efficientnet_lite0")
NETS = (*FAMILIES, LITE)
# Those that a folder of photos goes through.
ON_PHOTOS = (RESNET, MOBILENET, LITE)
# What torchvision's builder is given: as its official weights are, without what only training needs.
TORCHVISION = {"googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False}}


@functools.cache
def peer_model(net: Net) -> Any:
    """The library's own module, in eval mode. Weights are random: they don't change the time.

    timm starts some norms at zero, which would hide what the blocks before them compute.
    """
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = build_peer(net).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
    return model


def build_peer(net: Net, **arguments: Any) -> Any:
    if net.timm:
        import timm

        return timm.create_model(net.timm, pretrained=False, **arguments)
    import torchvision

    return torchvision.models.get_model(net.name, weights=None, **TORCHVISION.get(net.name, {}) | arguments)


def timm_folder(net: Net, work: Path) -> Path:
    """The net as timm saves it for the Hub, which transformers reads too."""
    import timm.models

    folder = work / "timm" / net.name
    if not folder.exists():
        timm.models.save_for_hf(peer_model(net), str(folder), safe_serialization=True)
        config = folder / "config.json"
        fields = json.loads(config.read_text())
        fields.pop("model_args", None)  # transformers' wrapper would hand them to timm twice
        config.write_text(json.dumps(fields))
    return folder


def torchvision_file(net: Net, work: Path) -> Path:
    from safetensors.torch import save_file

    file = work / f"{net.name}.safetensors"
    if not file.exists():
        save_file(peer_model(net).state_dict(), file)
    return file


def cvhub_folder(net: Net, work: Path) -> Path:
    """The same checkpoint, converted."""
    from cvhub.convert import convert_checkpoint

    folder = work / "cvhub" / net.name
    if not folder.exists():
        if net.timm:
            convert_checkpoint(timm_folder(net, work), folder)
        else:
            convert_checkpoint(torchvision_file(net, work), folder, net.name)
    return folder


def cvhub_model(net: Net, **fields: Any) -> Any:
    """Our module of the same architecture, new; `fields` of its config differ."""
    from transformers import AutoModelForImageClassification

    from cvhub.convert.importing import find_layouts, make_config
    from cvhub.convert.named import config_class

    family, layout = next(find_layouts(net.name, net.library))
    known = layout.architectures[net.name] | layout.read({})
    config = make_config(config_class(family.name), known | {"num_labels": 1000} | fields)
    return AutoModelForImageClassification.from_config(config)


def torchvision_model(net: Net) -> Any:
    """torchvision's module with timm's weights: the same tensors in the same order, under other names."""
    import torchvision

    model = getattr(torchvision.models, str(net.torchvision))(weights=None)
    tensors = peer_model(net).state_dict().values()
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    return model.eval()


def onnx_file(net: Net, work: Path, pixels: np.ndarray) -> Path:
    """The peer's module as an ONNX file whose batch is free."""
    import warnings

    import torch

    file = work / f"{net.name}.onnx"
    if not file.exists():
        batch = {0: "batch"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the newer exporter needs another package; of sizes that tracing freezes
            torch.onnx.export(
                peer_model(net),
                (torch.from_numpy(pixels),),
                str(file),
                dynamo=False,
                input_names=["pixel_values"],
                output_names=["logits"],
                dynamic_axes={"pixel_values": batch, "logits": batch},
            )
    return file
