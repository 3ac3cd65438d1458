"""Compares a converted net with its reference, every parameter and BatchNorm statistic random.

So a wrong eps, a swapped norm or a forgotten bias shows.
"""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.base.hub_mixin import SMPHubMixin
from timm.models._hub import save_for_hf
from torch import nn
from transformers import AutoModelForImageClassification

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.checkpoint import read_file, read_weights

Sizes = Iterable[tuple[int, int]]
SIZES = ((65, 64), (72, 97))  # odd and even, oblong; a family whose nets take others names its own


@dataclass(frozen=True)
class Foreign:
    """A reference to compare with.

    - `build` makes its module; `arch` names what torchvision's files don't say, `overrides` what no name tells either.
    - `sizes`: of the pictures to compare with; `arguments`: what its forward is given besides.
    - `written`: whether ours can be written back in its layout.
    """

    build: Callable[[], nn.Module]
    arch: str | None = None
    sizes: Sizes = SIZES
    arguments: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    written: bool = True


def from_config(config: transformers.PreTrainedConfig, **fields: Any) -> Foreign:
    """transformers' classifier of a config."""
    return Foreign(lambda: AutoModelForImageClassification.from_config(config), **fields)


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


def logits(model: nn.Module, pixels: torch.Tensor, **arguments: Any) -> torch.Tensor:
    with torch.no_grad():
        output = model(pixels, **arguments)
    if isinstance(output, torch.Tensor):
        return output
    return output.logits if hasattr(output, "logits") else output["out"]  # torchvision's segmenters return a mapping


def difference(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return ((ours - reference).abs().max() / max(1.0, reference.abs().max().item())).item()


def check_parity(foreign: Foreign, tmp_path: Path, suffix: str = ".safetensors") -> None:
    """Saves, converts, writes back and compares bits, then compares answers in float64 and float32."""
    reference = randomise(foreign.build())
    library, source = save(reference, tmp_path / "theirs", suffix)
    folder, back = tmp_path / "ours", tmp_path / "back"
    convert_checkpoint(source, folder, foreign.arch, foreign.overrides)
    if foreign.written:
        export_checkpoint(folder, back, library)
        returned = load_file(back / "model.safetensors")
        original = read_weights(source) if source.is_dir() else read_file(source)
        assert returned.keys() == original.keys()
        assert all(torch.equal(returned[name], original[name]) for name in original)

    ours = load_any(folder)
    generator = torch.Generator().manual_seed(1)
    pixels = [torch.randn(2, ours.config.num_channels, *size, generator=generator) for size in foreign.sizes]
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        ours, reference = ours.to(dtype), reference.to(dtype)
        for x in pixels:
            # A copy, since transformers' Swin remembers the sizes that it has seen.
            expected = logits(copy.deepcopy(reference), x.to(dtype), **foreign.arguments)
            assert difference(logits(ours, x.to(dtype)), expected) <= tolerance


def load_any(folder: Path) -> Any:
    """The net of a folder of ours, by the Auto class that lists its class."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (architecture,) = config["architectures"]
    auto = next(auto for auto, place in config["auto_map"].items() if place.endswith(f".{architecture}"))
    return getattr(transformers, auto).from_pretrained(folder).eval()


def save(model: nn.Module, target: Path, suffix: str = ".safetensors") -> tuple[str, Path]:
    """In its own library's layout: which that is, and the folder or, for torchvision, the file."""
    if isinstance(model, transformers.PreTrainedModel):
        model.save_pretrained(target)
        return "transformers", target
    if isinstance(model, SMPHubMixin):
        model.save_pretrained(target)
        return "smp", target
    if hasattr(model, "pretrained_cfg"):
        save_for_hf(model, target, safe_serialization=True)
        return "timm", target
    file = target.with_name(target.name + suffix)
    if suffix == ".safetensors":
        save_file(model.state_dict(), file)
    else:
        torch.save(model.state_dict(), file)
    return "torchvision", file
