"""What a converted folder holds, and what is refused. Equality of the numbers is in test_parity.py."""

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
import transformers
from safetensors.torch import load_file, save_file
from timm.models._hub import save_for_hf
from transformers import AutoModel, AutoModelForImageClassification

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert import processor as processors
from cvhub.convert.checkpoint import read_file
from cvhub.convert.family import HALF, IMAGENET, NoForeignForm, resize_then_crop
from cvhub.convert.importing import find_layouts
from cvhub.convert.renaming import Reshaped, rename
from cvhub.errors import CvhubError
from cvhub.inference.classify import Classifier
from cvhub.inference.segment import Segmenter
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config, CvMobileNetV2ForImageClassification
from cvhub.models.pixels import PixelTransform
from cvhub.models.resnet import CvResNetConfig, CvResNetForImageClassification
from tests.parity import randomise
from tests.tiny import TinyFamily

DEFAULT = resize_then_crop(256, 224, 2, **IMAGENET)


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision checkpoint file."""
    file = tmp_path_factory.mktemp("torchvision") / "resnet18.safetensors"
    save_file(torchvision.models.resnet18(num_classes=4).state_dict(), file)
    return file


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


# --- Without a classifier ---------------------------------------------------------------------------------------------

TIMM_BODIES: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"embed_dim": 24, "num_heads": 3, "dynamic_img_size": True},
    "deit_tiny_distilled_patch16_224": {"embed_dim": 24, "num_heads": 3, "dynamic_img_size": True},
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "num_heads": (1, 2, 3, 6)},
    "resnet18": {},
    "mobilenetv1_100": {},
    "mobilenetv2_035": {},
}
SMALL_ENCODER: dict[str, Any] = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=64)
BODIES = {
    "vit": transformers.ViTConfig(intermediate_size=48, **SMALL_ENCODER),
    "deit": transformers.DeiTConfig(intermediate_size=48, **SMALL_ENCODER),
    "swin": transformers.SwinConfig(embed_dim=16, depths=[1, 2], num_heads=[2, 4]),
    "resnet": transformers.ResNetConfig(hidden_sizes=[16, 32], depths=[1, 1], embedding_size=8, layer_type="basic"),
    "mobilenet_v1": transformers.MobileNetV1Config(depth_multiplier=0.25),
    "mobilenet_v2": transformers.MobileNetV2Config(depth_multiplier=0.35),
}


@pytest.mark.parametrize("name", TIMM_BODIES)
def test_a_timm_net_without_classes_gives_its_features(name: str, tmp_path: Path) -> None:
    model: Any = randomise(timm.create_model(name, num_classes=0, **TIMM_BODIES[name]))
    save_for_hf(model, tmp_path / "timm", safe_serialization=True)
    convert_checkpoint(tmp_path / "timm", tmp_path / "ours")
    ours, info = AutoModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    side = 224 if name.startswith("swin") else 64  # its masks are made for that size
    pixels = torch.randn(1, 3, side, side)
    with torch.no_grad():
        expected, features = model.forward_features(pixels), ours.eval()(pixels).last_hidden_state
    if name.startswith("swin"):
        expected = expected.permute(0, 3, 1, 2)  # its channels come last
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BODIES)
def test_a_base_model_of_transformers_gives_its_features(name: str, tmp_path: Path) -> None:
    model: Any = randomise(transformers.AutoModel.from_config(BODIES[name]))
    model.save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    assert config_of(tmp_path / "ours")["architectures"][0].endswith("Model")
    ours, info = AutoModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, features = (net.eval()(pixels).last_hidden_state for net in (model, ours))
    if name == "swin":
        features = features.flatten(2).transpose(1, 2)  # there the map is a row of positions
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_what_has_no_classes_is_not_asked_for_them(tmp_path: Path) -> None:
    transformers.AutoModel.from_config(BODIES["vit"]).save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    with pytest.raises(CvhubError, match="ours holds a net without a classifier"):
        Classifier(str(tmp_path / "ours"))
    with pytest.raises(CvhubError, match="only classifiers are written for transformers"):
        export_checkpoint(tmp_path / "ours", tmp_path / "back", "transformers")
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert "AutoModel.from_pretrained" in card
    assert "image-classification" not in card


@pytest.mark.parametrize("name", [*BODIES, "resnet18"])
def test_another_number_of_classes_is_a_new_classifier_with_one_warning(
    name: str, tmp_path: Path, resnet18: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a source without a classifier, and on one with another, each whose body stays as it is."""
    if name in BODIES:
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(BODIES[name])
        model.save_pretrained(tmp_path / "theirs")
        (tmp_path / "theirs" / "preprocessor_config.json").write_text('{"size": 64}', encoding="utf-8")
        source, arch = tmp_path / "theirs", None
        convert_checkpoint(source, tmp_path / "body")
    else:
        source, arch = resnet18, "resnet18"
        convert_checkpoint(source, tmp_path / "body", arch)
    caplog.clear()
    capfd.readouterr()
    with caplog.at_level(logging.WARNING, logger="cvhub"):
        convert_checkpoint(source, tmp_path / "ours", arch, {"num_labels": 7})
    warnings = [record.getMessage() for record in caplog.records if "preprocessing" not in record.getMessage()]
    assert warnings == ["The classifier of 7 classes is new: its weights are random until it is trained."]
    assert "newly initialized" not in capfd.readouterr().err
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path / "ours")
    assert classifier.classifier.weight.shape[0] == 7
    assert classifier.classifier.weight.std() > 0
    body = AutoModel.from_pretrained(tmp_path / "body").state_dict()
    own = classifier.base_model.state_dict()
    assert own.keys() == body.keys()
    assert all(torch.equal(own[tensor], body[tensor]) for tensor in body)
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert "its weights are random until it is trained" in card


# --- The folder -------------------------------------------------------------------------------------------------------


def test_the_folder_is_complete(resnet18: Path, tmp_path: Path) -> None:
    convert_checkpoint(resnet18, tmp_path / "ours", "resnet18")
    files = {file.name for file in (tmp_path / "ours").iterdir()}
    assert files >= {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "README.md",
        "resnet.py",
        "backbone.py",
        "base.py",
    }
    assert config_of(tmp_path / "ours")["auto_map"].keys() == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForImageClassification",
        "AutoBackbone",
    }


def test_a_source_without_preprocessing_warns_once(
    resnet18: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="cvhub"):
        convert_checkpoint(resnet18, tmp_path / "ours", "resnet18")
    assert len(caplog.records) == 1
    assert PixelTransform.from_folder(tmp_path / "ours").size == {"shortest_edge": 256}


def test_timm_preprocessing_and_labels_come_along(tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv2_035", num_classes=3)
    settings = {"input_size": (3, 160, 160), "crop_pct": 0.9, "interpolation": "bilinear", "mean": (0.1, 0.2, 0.3)}
    model.pretrained_cfg.update(settings)
    save_for_hf(model, tmp_path / "timm", model_config={"label_names": ["ant", "bee", "cat"]}, safe_serialization=True)
    convert_checkpoint(tmp_path / "timm", tmp_path / "ours")
    transform = PixelTransform.from_folder(tmp_path / "ours")
    assert transform.size == {"shortest_edge": 177}
    assert transform.crop_size == {"height": 160, "width": 160}
    assert transform.resample == 2
    assert list(transform.image_mean) == [0.1, 0.2, 0.3]
    assert config_of(tmp_path / "ours")["id2label"] == {"0": "ant", "1": "bee", "2": "cat"}


@pytest.mark.parametrize(
    ("classes", "first", "last"),
    [(1000, "tench", "toilet tissue, toilet paper, bathroom tissue"), (1001, "background", "toilet tissue")],
)
def test_imagenet_classes_have_timms_names(classes: int, first: str, last: str, tmp_path: Path) -> None:
    config = transformers.MobileNetV2Config(depth_multiplier=0.35, num_labels=classes)
    AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    names = config_of(tmp_path / "ours")["id2label"]
    assert names["0"].startswith(first)
    assert names[str(classes - 1)].startswith(last.split(",")[0])


def test_half_precision_stays_half_in_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    source = tmp_path / "half.safetensors"
    tensors = torchvision.models.resnet18(num_classes=3).half().state_dict()
    save_file(tensors, source)
    convert_checkpoint(source, tmp_path / "ours", "resnet18")
    stored = load_file(tmp_path / "ours" / "model.safetensors")
    assert stored["classifier.weight"].dtype == torch.float16
    assert AutoModelForImageClassification.from_pretrained(tmp_path / "ours").dtype == torch.float32
    export_checkpoint(tmp_path / "ours", tmp_path / "back.safetensors", "torchvision")
    back = load_file(tmp_path / "back.safetensors")
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_shards_are_read(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(hidden_sizes=[32, 64], depths=[1, 1], num_labels=3)
    model = AutoModelForImageClassification.from_config(config)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file()
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    assert (tmp_path / "ours" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("logits", "expected"),
    [(1, ["background", "foreground"]), (21, ["background", "aeroplane", "bicycle"]), (3, ["LABEL_0", "LABEL_1"])],
)
def test_a_segmenters_classes_have_their_data_sets_names(logits: int, expected: list[str], tmp_path: Path) -> None:
    """Where the file tells their number only: one logit is a foreground's, and 21 classes are Pascal VOC's."""
    net = smp.Unet("mobilenet_v2", encoder_weights=None, classes=logits, decoder_channels=(8, 8, 8, 8, 8))
    net.save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    segmenter = Segmenter(str(tmp_path / "ours"), "torch", "fp32")
    assert segmenter.labels[: len(expected)] == expected
    assert segmenter.has_background == (expected[0] == "background")


def test_set_overrides_what_tensors_cannot_tell(resnet18: Path, tmp_path: Path) -> None:
    convert_checkpoint(resnet18, tmp_path / "ours", "resnet18", {"label_smoothing": 0.1})
    assert config_of(tmp_path / "ours")["label_smoothing"] == 0.1


# --- Preprocessing of the other libraries -----------------------------------------------------------------------------


def test_convnext_processor_of_resnet_checkpoints() -> None:
    source = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875}
    fields = processors.from_transformers(source, DEFAULT)
    assert (fields["size"], fields["crop_size"]) == ({"shortest_edge": 256}, {"height": 224, "width": 224})
    large = processors.from_transformers(source | {"size": 384}, DEFAULT)
    assert (large["size"], large["do_center_crop"]) == ({"height": 384, "width": 384}, False)


def test_transformers_processor_with_its_own_crop() -> None:
    source = {"size": {"shortest_edge": 256}, "crop_size": 192, "do_center_crop": True, "resample": 3, **HALF}
    fields = processors.from_transformers(source, DEFAULT)
    assert fields["crop_size"] == {"height": 192, "width": 192}
    assert fields["resample"] == 3
    assert fields["image_mean"] == [0.5, 0.5, 0.5]


def test_one_number_means_a_square_to_vits_processor() -> None:
    """As the preprocessing of microsoft/swin-tiny-patch4-window7-224 is written."""
    source = {"feature_extractor_type": "ViTFeatureExtractor", "do_resize": True, "size": 224, "resample": 3}
    fields = processors.from_transformers(source, DEFAULT)
    assert fields["size"] == fields["crop_size"] == {"height": 224, "width": 224}
    assert not fields["do_center_crop"]


def test_transformers_processor_that_only_resizes() -> None:
    fields = processors.from_transformers({"size": {"height": 96, "width": 128}}, DEFAULT)
    assert not fields["do_center_crop"]
    assert fields["crop_size"] == {"height": 96, "width": 128}


@pytest.mark.parametrize(("resized", "crop"), [(256, 224), (272, 240), (292, 260), (309, 280), (224, 224), (177, 160)])
def test_timm_reads_back_the_size_that_was_written(resized: int, crop: int) -> None:
    transform = PixelTransform(**resize_then_crop(resized, crop, 3, **IMAGENET))
    written = processors.to_timm(transform)
    assert processors.from_timm(written, DEFAULT)["size"] == {"shortest_edge": resized}


def test_squash_mode_resizes_both_sides() -> None:
    fields = processors.from_timm({"input_size": (3, 96, 96), "crop_pct": 1.0, "crop_mode": "squash"}, DEFAULT)
    assert fields["size"] == {"height": 96, "width": 96}


# --- What is refused --------------------------------------------------------------------------------------------------


def refused(tmp_path: Path, source: Path, arch: str | None = None, overrides: dict[str, Any] | None = None) -> str:
    """The sentence; nothing stays at the destination."""
    dest = tmp_path / "refused"
    with pytest.raises(CvhubError) as caught:
        convert_checkpoint(source, dest, arch, overrides)
    assert not dest.exists()
    assert not list(tmp_path.glob(".refused*"))
    assert len(str(caught.value)) <= 500
    return str(caught.value)


def test_missing_unexpected_and_misshapen_tensors_are_named(resnet18: Path, tmp_path: Path) -> None:
    tensors = load_file(resnet18)
    tensors.pop("layer1.0.bn1.bias")
    tensors["extra.weight"] = torch.zeros(1)
    tensors["layer2.0.conv1.weight"] = torch.zeros(2, 2, 3, 3)
    save_file(tensors, tmp_path / "wrong.safetensors")
    sentence = refused(tmp_path, tmp_path / "wrong.safetensors", "resnet18")
    assert "missing: resnet.stages.0.0.conv1.norm.bias" in sentence
    assert "unexpected: extra.weight" in sentence
    assert "misshapen: resnet.stages.1.0.conv1.conv.weight is [2, 2, 3, 3], expected [128, 64, 3, 3]" in sentence


def test_what_one_layout_holds_in_one_piece_and_another_in_three() -> None:
    """Modules, and tensors by their own names, there and back."""
    names = [("body.qkv", ("q", "k", "v")), ("body.proj", "out"), ("body.position", "pos_embed"), ("", "root")]
    ours = {
        "body.qkv.weight": torch.arange(18.0).view(6, 3),
        "body.qkv.bias": torch.arange(6.0),
        "body.proj.weight": torch.ones(3, 3),
        "body.position": torch.zeros(1, 4, 3),
        "token": torch.ones(3),
    }
    theirs, unknown = rename(ours | {"body.other.weight": torch.ones(1)}, names)
    assert unknown == ["body.other.weight"]
    assert torch.equal(theirs["k.weight"], ours["body.qkv.weight"][2:4])
    assert torch.equal(theirs["v.bias"], ours["body.qkv.bias"][4:])
    assert theirs.keys() - {"pos_embed", "root.token"} == {
        *(f"{part}.{leaf}" for part in "qkv" for leaf in ("weight", "bias")),
        "out.weight",
    }
    back, unknown = rename(theirs, [(new, old) for old, new in names])
    assert not unknown
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)
    del theirs["k.weight"]
    lacking, _ = rename(theirs, [(new, old) for old, new in names])
    assert "body.qkv.weight" not in lacking


def test_what_one_layout_holds_in_another_shape() -> None:
    """A linear layer over 2x2 cells as a convolution, there and back; what has no such shape stays as it is."""
    names = [(Reshaped("fc.weight", (-1,)), Reshaped("conv.weight", (-1, 2, 2))), ("fc.bias", "conv.bias")]
    ours = {"fc.weight": torch.arange(60.0).view(5, 12), "fc.bias": torch.arange(5.0)}
    theirs, unknown = rename(ours, names)
    assert not unknown
    assert theirs["conv.weight"].shape == (5, 3, 2, 2)
    assert theirs["conv.weight"][4, 2, 1, 0] == ours["fc.weight"][4, 10]
    assert torch.equal(theirs["conv.bias"], ours["fc.bias"])
    back, unknown = rename(theirs, [(new, old) for old, new in names])
    assert not unknown
    assert all(torch.equal(back[name], ours[name]) for name in ours)
    for shape in ((), (5,), (5, 3)):
        odd, _ = rename({"fc.weight": torch.ones(shape)}, names)
        assert odd["conv.weight"].shape == shape


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("resnet18", "act_layer", "gelu"),
        ("resnet18", "avg_down", True),
        ("resnet18", "global_pool", "max"),
        ("mobilenetv1_100", "act_layer", "silu"),
        ("mobilenetv1_100", "pad_type", "valid"),
        ("mobilenetv2_050", "act_layer", "relu"),
        ("vgg11", "act_layer", "gelu"),
        ("swin_tiny_patch4_window7_224", "always_partition", True),
        ("vit_tiny_patch16_224", "qk_norm", True),
        ("deit_tiny_patch16_224", "act_layer", "mish"),
    ],
)
def test_what_timm_was_asked_for_and_ours_can_not_be_is_refused(name: str, argument: str, value: Any) -> None:
    """Tensors alone would not tell, and the answers would be wrong."""
    (_, layout), *_ = find_layouts(name, "timm")
    harmless = {"num_classes": 3, "in_chans": 1, "drop_rate": 0.2, "drop_path_rate": 0.1, "norm_layer": None}
    layout.read({"model_args": harmless})
    with pytest.raises(NoForeignForm, match=f"cvhub's .* has no form for {argument}={value!r}"):
        layout.read({"model_args": harmless | {argument: value}})


def test_a_file_of_data_parallel_is_read(tmp_path: Path) -> None:
    tensors = {"conv.weight": torch.ones(2), "module.bias": torch.zeros(2)}
    torch.save(tensors, tmp_path / "plain.pth")
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "parallel.pth")
    for name in ("plain", "parallel"):
        assert read_file(tmp_path / f"{name}.pth").keys() == tensors.keys()


def test_weights_of_another_depth_are_refused(resnet18: Path, tmp_path: Path) -> None:
    assert "missing: resnet.stages" in refused(tmp_path, resnet18, "resnet50")


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("resnet51", "Architecture 'resnet51' is unknown here, did you mean resnet"),
        ("bert", "Architecture 'bert' is unknown here; known are "),
        (None, "name its architecture"),
    ],
)
def test_unknown_or_missing_architecture(resnet18: Path, tmp_path: Path, arch: str | None, expected: str) -> None:
    assert expected in refused(tmp_path, resnet18, arch)


def test_unknown_field_and_bad_value(resnet18: Path, tmp_path: Path) -> None:
    assert "no field 'colour'" in refused(tmp_path, resnet18, "resnet18", {"colour": "red"})
    assert "stem is 'wide', expected one of" in refused(tmp_path, resnet18, "resnet18", {"stem": "wide"})


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def test_a_pickle_with_more_than_tensors_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Hostile()}, tmp_path / "hostile.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile()))
    for name in ("hostile.pth", "plain.pth"):
        assert "could run code" in refused(tmp_path, tmp_path / name, "resnet18")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    whole = tmp_path / f"whole{suffix}"
    tensors = {"weight": torch.zeros(1000)}
    torch.save(tensors, whole) if suffix == ".pth" else save_file(tensors, whole)
    short = tmp_path / f"short{suffix}"
    short.write_bytes(whole.read_bytes()[:1500])
    assert "short" in refused(tmp_path, short, "resnet18")


def test_folders_that_are_no_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "has no config.json" in refused(tmp_path, folder)
    (folder / "config.json").write_text("{")
    assert "can't be read as JSON" in refused(tmp_path, folder)
    (folder / "config.json").write_text("[]")
    assert "holds a list, expected an object" in refused(tmp_path, folder)
    (folder / "config.json").write_text('{"architecture": "resnet18"}')
    assert "has no safetensors weights" in refused(tmp_path, folder)
    (folder / "pytorch_model.bin").touch()
    assert "pytorch_model.bin, a pickle" in refused(tmp_path, folder)
    save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
    assert "don't fit" in refused(tmp_path, folder)
    (folder / "config.json").write_text("{}")
    assert "neither an architecture (timm) nor a model_type" in refused(tmp_path, folder)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "'bert' is unknown here" in refused(tmp_path, folder)


def test_files_that_are_no_state_dicts(tmp_path: Path) -> None:
    assert "no file or folder" in refused(tmp_path, tmp_path / "nowhere.pth", "resnet18")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    assert "not a state dict" in refused(tmp_path, tmp_path / "list.pth", "resnet18")
    (tmp_path / "weights.h5").touch()
    assert "neither a .safetensors nor a .pth" in refused(tmp_path, tmp_path / "weights.h5", "resnet18")


def test_a_torchscript_program_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    """OpenAI distributes CLIP as such programs."""
    program = torch.jit.script(torch.nn.Linear(2, 3))
    torch.jit.save(program, tmp_path / "RN50.pt")
    told = "RN50.pt is a TorchScript program, expected its weights: save its state_dict() by torch.save."
    assert refused(tmp_path, tmp_path / "RN50.pt", "RN50") == told
    torch.save(program.state_dict(), tmp_path / "weights.pt")
    assert read_file(tmp_path / "weights.pt").keys() == {"weight", "bias"}
    (tmp_path / "short.pt").write_bytes((tmp_path / "RN50.pt").read_bytes()[:500])
    assert "damaged or cut short" in refused(tmp_path, tmp_path / "short.pt", "RN50")


def test_a_destination_in_use_is_left_alone(resnet18: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(CvhubError, match="exists and is not an empty folder"):
        convert_checkpoint(resnet18, tmp_path, "resnet18")
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize(
    ("config", "library", "field"),
    [
        (CvResNetConfig.cifar(8), "torchvision", "stem"),
        (CvResNetConfig.variant("resnet18", shortcut="A"), "timm", "shortcut"),
        (CvResNetConfig.variant("resnet18", shortcut="C"), "transformers", "shortcut"),
        (CvResNetConfig(depths=(1, 1, 1, 1), widths=(8, 8, 8, 8)), "timm", "widths"),
        (CvResNetConfig(widths=(8, 8), depths=(1, 1), groups=2), "transformers", "groups"),
        (CvResNetConfig.variant("resnet50"), "torchvision", "stride_in_1x1"),
        (CvMobileNetV2Config(rows=[(1, 8, 1, 1), (6, 8, 1, 2)]), "timm", "rows"),
        (CvMobileNetV2Config(width_multiplier=0.35, padding="same"), "torchvision", "padding"),
        (CvMobileNetV2Config(width_multiplier=0.35, scale_ends=False), "transformers", "scale_ends"),
    ],
)
def test_a_config_without_foreign_form_is_refused_by_its_field(
    config: Any, library: str, field: str, tmp_path: Path
) -> None:
    is_resnet = isinstance(config, CvResNetConfig)
    model_class = CvResNetForImageClassification if is_resnet else CvMobileNetV2ForImageClassification
    model_class(config).save_pretrained(tmp_path / "ours")
    CvImageProcessor().save_pretrained(tmp_path / "ours")
    with pytest.raises(NoForeignForm, match=f"{library} has no form for {field}="):
        export_checkpoint(tmp_path / "ours", tmp_path / "theirs", library)
    assert not (tmp_path / "theirs").exists()


def test_only_folders_of_ours_are_exported(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(CvhubError, match="not a folder of cvhub's: its model_type is 'resnet'"):
        export_checkpoint(tmp_path / "theirs", tmp_path / "back", "timm")


def test_a_folder_of_ours_is_copied_with_its_code(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    TinyFamily("mobilenet_v1").model().save_pretrained(source)
    CvImageProcessor().save_pretrained(source)
    for file in source.glob("*.py"):
        file.unlink()
    with pytest.raises(CvhubError, match="plain is a model of cvhub already, whose num_labels can't be set"):
        convert_checkpoint(source, tmp_path / "whole", overrides={"num_labels": 3})
    assert not (tmp_path / "whole").exists()
    convert_checkpoint(source, tmp_path / "whole")
    copied = {file.name for file in (tmp_path / "whole").iterdir()}
    assert copied > {"mobilenet_v1.py", "base.py", "image_processing.py", "model.safetensors"}
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
