"""Official layouts → ours: the same logits as the reference module, to the last digit, and the same file back.

Every parameter and BatchNorm statistic is random, so that a wrong eps, a swapped norm or a forgotten bias shows.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from safetensors.torch import load_file
from timm.models._hub import save_for_hf
from torch import nn
from transformers import AutoModelForImageClassification

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert import mobilenet_v2 as mobilenet_v2_rules
from cvhub.convert import resnet as resnet_rules
from cvhub.convert.importing import check_fit, rename

# Their tensors take gigabytes: names and shapes are checked, without memory.
GIANTS = ("resnext101_32x16d", "resnext101_32x32d")
# Deeper or wider copies of nets that are compared anyway: `pytest -m full` compares them too, which takes minutes.
LARGE = ("101", "152", "200", "wide")
TIMM = [*resnet_rules.TIMM_ARCHITECTURES, *mobilenet_v2_rules.TIMM_ARCHITECTURES]
TORCHVISION = [*resnet_rules.TORCHVISION_ARCHITECTURES, *mobilenet_v2_rules.TORCHVISION_ARCHITECTURES]


def parameters(names: Iterable[str]) -> list[Any]:
    """Names as a test's parameters, the large ones marked."""
    return [pytest.param(name, marks=pytest.mark.full if any(part in name for part in LARGE) else ()) for name in names]


def randomise(model: nn.Module) -> nn.Module:
    """Random everything, on a scale that neither vanishes nor explodes with depth."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 25
            noise = torch.randn(parameter.shape, generator=generator) / fan_in**0.5
            is_norm_weight = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(0.7 * noise + (1 if is_norm_weight else 0))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
            elif name.endswith("num_batches_tracked"):
                buffer.fill_(7)
    return model.eval()


def logits(model: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        output = model(pixels)
    return output if isinstance(output, torch.Tensor) else output.logits


def difference(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return ((ours - reference).abs().max() / max(1.0, reference.abs().max().item())).item()


def check_parity(reference: nn.Module, source: Path, tmp_path: Path, library: str, arch: str | None = None) -> None:
    """Converts, compares in float64 and float32, writes back, compares bits."""
    folder, back = tmp_path / "ours", tmp_path / "back"
    convert_checkpoint(source, folder, arch)
    export_checkpoint(folder, back, library)
    returned, original = load_file(back / "model.safetensors"), reference.state_dict()
    assert returned.keys() == original.keys()
    assert all(torch.equal(returned[name], original[name]) for name in original)

    ours = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = torch.randn(2, ours.config.num_channels, 65, 64, generator=torch.Generator().manual_seed(1))
    assert difference(logits(ours, pixels), logits(reference, pixels)) <= 1e-4
    assert difference(logits(ours.double(), pixels.double()), logits(reference.double(), pixels.double())) <= 1e-9


def save_timm(model: nn.Module, folder: Path) -> Path:
    save_for_hf(model, folder, safe_serialization=True)
    return folder


@pytest.mark.parametrize("arch", parameters(name for name in TIMM if name not in GIANTS))
def test_timm_architecture(arch: str, tmp_path: Path) -> None:
    model = randomise(timm.create_model(arch, num_classes=13))
    check_parity(model, save_timm(model, tmp_path / "timm"), tmp_path, "timm")


@pytest.mark.parametrize("arch", resnet_rules.TIMM_ARCHITECTURES)
def test_timm_resnet_has_our_tensors(arch: str) -> None:
    from cvhub.models.resnet import CvResNetConfig, CvResNetForImageClassification

    with torch.device("meta"):
        theirs = timm.create_model(arch).state_dict()
    config = CvResNetConfig(**resnet_rules.TIMM_ARCHITECTURES[arch], num_labels=1000)
    layout = next(layout for layout in resnet_rules.FAMILY.layouts if layout.library == "timm")
    tensors, unknown = rename(theirs, {name: ours for ours, name in layout.names(config)})
    check_fit(CvResNetForImageClassification, config, tensors, unknown)


@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        ("resnet18", {"in_chans": 1, "num_classes": 2}),
        ("resnet50", {"in_chans": 4, "num_classes": 7}),
        ("mobilenetv2_100", {"in_chans": 1, "num_classes": 3}),
        ("mobilenetv2_050", {"num_classes": 21}),
        ("tf_efficientnet_lite0", {"in_chans": 5, "num_classes": 6}),
    ],
)
def test_timm_with_other_sizes(arch: str, settings: dict[str, Any], tmp_path: Path) -> None:
    """Classes and channels are read from the tensors."""
    model = randomise(timm.create_model(arch, **settings))
    check_parity(model, save_timm(model, tmp_path / "timm"), tmp_path, "timm")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_file_formats(suffix: str, tmp_path: Path) -> None:
    model = randomise(torchvision.models.resnet18(num_classes=5))
    source = save_torchvision(model, tmp_path / f"weights{suffix}")
    check_parity(model, source, tmp_path, "torchvision", "resnet18")


def save_torchvision(model: nn.Module, file: Path) -> Path:
    from safetensors.torch import save_file

    if file.suffix == ".pth":
        torch.save(model.state_dict(), file)
    else:
        save_file(model.state_dict(), file)
    return file


@pytest.mark.parametrize("arch", parameters(TORCHVISION))
def test_torchvision_architecture(arch: str, tmp_path: Path) -> None:
    model = randomise(torchvision.models.get_model(arch, num_classes=11))
    check_parity(model, save_torchvision(model, tmp_path / "w.safetensors"), tmp_path, "torchvision", arch)


@pytest.mark.parametrize(
    "build",
    [
        lambda: torchvision.models.mobilenet_v2(width_mult=0.6, num_classes=4),
        lambda: torchvision.models.mobilenet_v2(width_mult=1.3, num_classes=9),
        lambda: torchvision.models.mobilenet_v2(width_mult=0.35, round_nearest=4, num_classes=2),
    ],
    ids=["α 0.6", "α 1.3", "α 0.35 by 4"],
)
def test_torchvision_mobilenet_of_other_widths(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    model = randomise(build())
    check_parity(model, save_torchvision(model, tmp_path / "w.pth"), tmp_path, "torchvision", "mobilenet_v2")


TRANSFORMERS_CONFIGS = {
    "microsoft/resnet-18": transformers.ResNetConfig(
        layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2]
    ),
    "microsoft/resnet-34": transformers.ResNetConfig(
        layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[3, 4, 6, 3]
    ),
    "microsoft/resnet-50": transformers.ResNetConfig(),
    "microsoft/resnet-101": transformers.ResNetConfig(depths=[3, 4, 23, 3]),
    "microsoft/resnet-152": transformers.ResNetConfig(depths=[3, 8, 36, 3]),
    "ResNet, basic, three stages, grey": transformers.ResNetConfig(
        layer_type="basic", hidden_sizes=[8, 24, 32], depths=[1, 2, 1], embedding_size=12, num_channels=1, num_labels=5
    ),
    "ResNet, strides in the 1x1 and the first stage": transformers.ResNetConfig(
        hidden_sizes=[32, 64], depths=[1, 2], downsample_in_bottleneck=True, downsample_in_first_stage=True
    ),
    "ResNet, five stages": transformers.ResNetConfig(
        hidden_sizes=[32, 40, 48, 56, 64], depths=[2, 1, 1, 1, 2], embedding_size=20, num_labels=3
    ),
    "google/mobilenet_v2_1.0_224": transformers.MobileNetV2Config(num_labels=1001),
    "google/mobilenet_v2_1.4_224": transformers.MobileNetV2Config(depth_multiplier=1.4, num_labels=1001),
    "google/mobilenet_v2_0.75_160": transformers.MobileNetV2Config(depth_multiplier=0.75, num_labels=1001),
    "google/mobilenet_v2_0.35_96": transformers.MobileNetV2Config(depth_multiplier=0.35, num_labels=1001),
    "MobileNetV2, symmetric, another eps": transformers.MobileNetV2Config(
        depth_multiplier=1.4, tf_padding=False, layer_norm_eps=1e-4, finegrained_output=False, num_labels=4
    ),
    "MobileNetV2, shrinking head": transformers.MobileNetV2Config(
        depth_multiplier=0.5, finegrained_output=False, num_channels=1
    ),
    "MobileNetV2, dilated, expansion 3, multiples of 4": transformers.MobileNetV2Config(
        expand_ratio=3, output_stride=16, depth_divisible_by=4, min_depth=4, depth_multiplier=0.3
    ),
}


@pytest.mark.parametrize("name", parameters(TRANSFORMERS_CONFIGS))
def test_transformers_config(name: str, tmp_path: Path) -> None:
    model = randomise(AutoModelForImageClassification.from_config(TRANSFORMERS_CONFIGS[name]))
    model.save_pretrained(tmp_path / "theirs")
    check_parity(model, tmp_path / "theirs", tmp_path, "transformers")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "back")
    assert type(again) is type(model)


def test_exported_timm_folder_loads_in_timm(tmp_path: Path) -> None:
    model = randomise(timm.create_model("resnet18", num_classes=6, in_chans=1))
    convert_checkpoint(save_timm(model, tmp_path / "timm"), tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "timm")
    again = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    pixels = torch.randn(1, 1, 64, 64)
    assert torch.equal(again(pixels), model(pixels))
