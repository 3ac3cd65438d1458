"""Official layouts → ours: the same logits as the reference module, to the last digit, and the same file back.

Every named architecture of each family's layouts, and what the family's own test file lists:

- `FOREIGN`: name → further references (transformers' configs, other sizes, random ones);
- `PARITY_SIZES`: of pictures, where a named net doesn't take any: by parts of "library-name", of which the first that
  fits counts;
- `ARGUMENTS`: name → what torchvision's builder is given besides the classes, where official weights need more;
- `TIMM_ARGUMENTS`: with which timm builds its named nets, so that they take such sizes;
- `LARGE`: parts of the names of nets that only `pytest -m full` compares, and `GIANT` of those whose tensors take
  gigabytes, so that names and shapes are compared, without memory.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.family import Family, Layout
from cvhub.convert.importing import check_fit, families, make_config
from cvhub.convert.renaming import rename
from tests.parity import SIZES, Foreign, check_parity, randomise, save


def listed(family: Family, name: str, default: Any) -> Any:
    """What the family's test file says."""
    return getattr(importlib.import_module(f"tests.test_{family.name}"), name, default)


def is_any(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name for part in parts)


def named() -> Iterator[tuple[Family, Layout, str]]:
    """Every architecture that a layout of timm's or torchvision's names."""
    for family in families():
        for layout in family.layouts:
            if layout.library in ("timm", "torchvision"):
                yield from ((family, layout, name) for name in layout.architectures)


def named_reference(family: Family, layout: Layout, name: str) -> Foreign:
    by_part = listed(family, "PARITY_SIZES", {"": SIZES})
    sizes = next(sizes for part, sizes in by_part.items() if part in f"{layout.library}-{name}")
    if layout.library == "timm":
        arguments = listed(family, "TIMM_ARGUMENTS", {})
        return Foreign(lambda: timm.create_model(name, num_classes=13, **arguments), sizes=sizes)
    arguments = listed(family, "ARGUMENTS", {}).get(name, {})
    return Foreign(lambda: torchvision.models.get_model(name, num_classes=11, **arguments), arch=name, sizes=sizes)


def references() -> Iterator[Any]:
    """All that is compared, as a test's parameters, the large ones marked."""
    for family, layout, name in named():
        if not is_any(name, listed(family, "GIANT", ())):
            marks = pytest.mark.full if is_any(name, listed(family, "LARGE", ())) else ()
            yield pytest.param(named_reference(family, layout, name), marks=marks, id=f"{layout.library}-{name}")
    for family in families():
        for name, foreign in listed(family, "FOREIGN", {}).items():
            marks = pytest.mark.full if is_any(name, listed(family, "LARGE", ())) else ()
            yield pytest.param(foreign, marks=marks, id=name)


@pytest.mark.parametrize("foreign", list(references()))
def test_the_logits_are_the_references_and_the_file_comes_back(foreign: Foreign, tmp_path: Path) -> None:
    check_parity(foreign, tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_file_formats(suffix: str, tmp_path: Path) -> None:
    foreign = Foreign(lambda: torchvision.models.resnet18(num_classes=5), arch="resnet18")
    check_parity(foreign, tmp_path, suffix)


GIANTS = [(family, layout, name) for family, layout, name in named() if is_any(name, listed(family, "GIANT", ()))]


@pytest.mark.parametrize(("family", "layout", "name"), GIANTS, ids=[name for _, _, name in GIANTS])
def test_a_giants_tensors_are_ours(family: Family, layout: Layout, name: str) -> None:
    with torch.device("meta"):
        original = named_reference(family, layout, name).build().state_dict()
    module = importlib.import_module(f"cvhub.models.{family.name}")
    config_class = getattr(module, f"{family.prefix}Config")
    fields = dict(layout.architectures[name])
    config = make_config(config_class, fields)
    tensors, unknown = rename(original, [(theirs, ours) for ours, theirs in layout.names(config)])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    classes = {"num_labels": shapes["classifier.weight"][0]}
    config = make_config(config_class, fields | family.sizes(config, shapes) | classes)
    check_fit(getattr(module, f"{family.prefix}ForImageClassification"), config, tensors, unknown)


def test_exported_timm_folder_loads_in_timm(tmp_path: Path) -> None:
    model = randomise(timm.create_model("resnet18", num_classes=6, in_chans=1))
    _, source = save(model, tmp_path / "timm")
    convert_checkpoint(source, tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "timm")
    again = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    pixels = torch.randn(1, 1, 64, 64)
    assert torch.equal(again(pixels), model(pixels))
