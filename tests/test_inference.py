"""Running networks: both runtimes give the model's answers, however many ask at once, and say why they were chosen."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino
import pytest
import torch
from PIL import Image
from transformers import ResNetConfig, ResNetForImageClassification, ViTConfig, ViTForImageClassification

from cvhub.cache import cache_dir
from cvhub.errors import CvhubError
from cvhub.inference import classify, openvino_conversion, openvino_runtime, pool, torch_runtime
from cvhub.inference.classify import Classification, Classifier, softmax
from cvhub.inference.passes import Passes
from cvhub.inference.pool import ModelPool, Predictor, default_pool
from cvhub.inference.runtime import Runtime, RuntimeUnavailable, build_runtime
from cvhub.load import load_model
from cvhub.models.layers import DepthwiseConv2d
from tests.tiny import CLASSIFIER, TinyFamily, families_with

SIDE = 64
PROCESSOR = {
    "size": {"shortest_edge": 72},
    "crop_size": {"height": SIDE, "width": SIDE},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}
BOTH = ("openvino", "torch")
FP32 = 1e-4  # of the range


def tiny(family: str, **fields: Any) -> Any:
    """A net that has seen noise, so that its answers depend on the picture as a trained net's do."""
    model = TinyFamily(family).model(**fields)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics become the next batch's
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module.bias is not None:
            torch.nn.init.normal_(module.bias, std=0.1)  # few units without a bias may all be dead
    with torch.no_grad():
        model.train()(torch.from_numpy(pixels(8)))
    return model.eval()


def save(folder: Path, model: Any, processor: dict[str, Any] = PROCESSOR) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="module", params=families_with(CLASSIFIER))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny net of each family that classifies; what is converted of it stays for all tests of this file."""
    return save(tmp_path_factory.mktemp(request.param) / "tiny", tiny(request.param))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("one") / "tiny", tiny("resnet", num_labels=12))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))
    return cache_dir()


def pixels(batch: int, height: int = SIDE, width: int = SIDE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((batch, 3, height, width), dtype=np.float32)


def other_side(folder: Path) -> int:
    """A size that is not the processor's: the smallest that the network takes."""
    return load_model(str(folder)).config.smallest_input


def photo(seed: int = 0, size: tuple[int, int] = (90, 80)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size)


def of_range(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


# Runtimes


@pytest.mark.parametrize("runtime", BOTH)
def test_a_runtime_gives_the_models_answers(runtime: str, folder: Path) -> None:
    """At the processor's size and others, of any batch."""
    model = load_model(str(folder))
    ready = build_runtime(folder, runtime, "fp32")
    assert (ready.name, ready.precision) == (runtime, "fp32")
    side = other_side(folder)
    for x in (pixels(1), pixels(5), pixels(2, 97, 75), pixels(1, side, side)):
        with torch.inference_mode():
            logits = model(torch.from_numpy(x)).logits.numpy()
            features = model.base_model(torch.from_numpy(x)).last_hidden_state.numpy()
        answer = ready.run(x)
        assert answer.keys() == ({"logits", "features"} if ready.gives_features else {"logits"})
        assert of_range(answer["logits"], logits) < FP32
        if ready.gives_features:
            assert of_range(answer["features"], features) < FP32


@pytest.mark.parametrize("runtime", BOTH)
def test_input_and_results_are_nobody_elses(runtime: str, folder: Path) -> None:
    ready = build_runtime(folder, runtime, "fp32")
    x = pixels(2)
    x.flags.writeable = False
    first = ready.run(x)
    kept = {name: values.copy() for name, values in first.items()}
    other = pixels(2, seed=1)
    assert of_range(ready.run(other)["logits"], kept["logits"]) > 0.01
    assert np.array_equal(x, pixels(2))
    assert np.array_equal(other, pixels(2, seed=1))
    for name, values in first.items():
        assert np.array_equal(values, kept[name])
        values[:] = 0  # results belong to the caller
    assert of_range(ready.run(x)["logits"], kept["logits"]) < FP32
    turned = np.asfortranarray(x)
    assert of_range(ready.run(turned)["logits"], kept["logits"]) < FP32


@pytest.mark.parametrize("runtime", BOTH)
def test_many_threads_at_once(runtime: str, folder: Path) -> None:
    ready = build_runtime(folder, runtime, "fp32")
    side = other_side(folder)
    other = [pixels(1, side + 2, side, seed=seed) for seed in range(12)]
    inputs = [pixels(1 + seed % 2, seed=seed) if seed % 3 else other[seed] for seed in range(12)]
    expected = [ready.run(x) for x in inputs]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ready.run, inputs))
        joined = [answer.outputs for answer in threads.map(Passes(ready).run, inputs)]
    for answer, alone in zip([*answers, *joined], [*expected, *expected], strict=True):
        assert all(of_range(answer[name], alone[name]) < FP32 for name in alone)


def test_a_shape_that_does_not_fit_is_one_sentence(folder: Path) -> None:
    """And leaves the runtime as good as it was."""
    smallest = load_model(str(folder)).config.smallest_input
    for runtime in BOTH:
        ready = build_runtime(folder, runtime, "fp32")
        expected = ready.run(pixels(1, 97, 75))["logits"]
        with pytest.raises(CvhubError, match=r"shape \(1, 5, 64, 64\)"):
            ready.run(np.zeros((1, 5, SIDE, SIDE), np.float32))
        assert of_range(ready.run(pixels(1, 97, 75))["logits"], expected) < FP32
        with pytest.raises(CvhubError, match=f"{smallest + 8}x{smallest - 1}.* at least {smallest}x{smallest}"):
            build_runtime(folder, runtime).run(np.zeros((1, 3, smallest + 8, smallest - 1), np.float32))


def test_features_only_where_the_net_ends_in_pooling_and_a_linear_layer() -> None:
    x = torch.from_numpy(pixels(2))
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    theirs = ResNetForImageClassification(config).eval()  # its classifier is not one layer
    ours = tiny("resnet")
    assert isinstance(torch_runtime.plain_module(ours, x), torch_runtime.LogitsAndFeatures)
    same_shapes_other_answers = tiny("resnet")
    same_shapes_other_answers.register_forward_hook(lambda model, args, output: SimpleNamespace(logits=-output.logits))
    for model in (theirs, vit(), same_shapes_other_answers):
        module = torch_runtime.plain_module(model, x)
        assert isinstance(module, torch_runtime.Logits)
        assert torch.equal(module(x)["logits"], model(x).logits)


def vit() -> ViTForImageClassification:
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=SIDE, patch_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    return ViTForImageClassification(config).eval()


def test_a_net_of_one_size(resnet: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_runtime, "load_model", lambda folder: vit())
    ready = build_runtime(resnet, "openvino", "fp32")
    assert not ready.gives_features
    assert of_range(ready.run(pixels(3))["logits"], vit()(torch.from_numpy(pixels(3))).logits.detach().numpy()) < FP32
    with pytest.raises(CvhubError, match=r"\(3, 64, 64\) and no others"):
        ready.run(pixels(1, 96, 96))


# Conversion and the cache


def test_converted_and_compiled_once(resnet: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions = counted(monkeypatch, openvino, "convert_model")
    for _ in range(2):
        build_runtime(resnet, "openvino", "fp32").run(pixels(1, 96, 96))
        compiled = {file: file.stat().st_mtime_ns for file in empty_cache.rglob("*.blob")}
    assert conversions() == 1
    assert len(compiled) == 2  # the processor's size, and all others
    build_runtime(resnet, "openvino", "fp32").run(pixels(1, 96, 96))
    assert compiled == {file: file.stat().st_mtime_ns for file in empty_cache.rglob("*.blob")}


def test_a_damaged_compiled_file_is_made_again(resnet: Path, empty_cache: Path) -> None:
    expected = build_runtime(resnet, "openvino", "fp32").run(pixels(1))["logits"]
    for share in (0, 0.5, 0.99):
        for file in empty_cache.rglob("*.blob"):
            file.chmod(0o600)
            os.truncate(file, int(share * file.stat().st_size))
        assert of_range(build_runtime(resnet, "openvino", "fp32").run(pixels(1))["logits"], expected) < FP32


def test_other_weights_in_the_same_folder(tmp_path: Path) -> None:
    model = tiny("resnet")
    before = build_runtime(save(tmp_path / "net", model), "openvino", "fp32").run(pixels(1))["logits"]
    torch.nn.init.constant_(model.classifier.weight, 0.25)
    after = build_runtime(save(tmp_path / "net", model), "openvino", "fp32").run(pixels(1))["logits"]
    assert of_range(after, before) > 0.1
    assert of_range(after, model(torch.from_numpy(pixels(1))).logits.detach().numpy()) < FP32


WARM = """
import sys
from pathlib import Path
from cvhub.inference.images import open_picture
from cvhub.inference.pool import default_pool
classifier = default_pool().get(sys.argv[1])
(answer,) = classifier.predict([open_picture(Path(sys.argv[2]))])
assert classifier.runtime.name == "openvino", classifier.runtime.reason
print([prediction.index for prediction in answer.top(classifier.labels)], answer.features is None)
print([name for name in ("torch", "transformers", "timm", "torchvision", "gradio") if name in sys.modules])
"""


def test_a_warm_answer_needs_no_torch(folder: Path, tmp_path: Path) -> None:
    photo().save(tmp_path / "photo.png")
    classifier = Classifier(str(folder))
    (answer,) = classifier.predict([photo()])
    command = [sys.executable, "-c", WARM, str(folder), str(tmp_path / "photo.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    best = [prediction.index for prediction in answer.top(classifier.labels)]
    assert done.stdout.splitlines() == [f"{best} {answer.features is None}", "[]"]
    assert done.stderr == ""


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Callable[[], int]:
    """How often `owner.name` was called from now on."""
    original, calls = getattr(owner, name), []

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return lambda: len(calls)


# The choice


def test_auto_takes_openvino_and_says_why(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    ready = build_runtime(folder)
    assert ready.name == "openvino"
    native = openvino_runtime.has_native_bf16()
    assert ready.precision == ("bf16" if native else "fp32")
    assert ready.reason.startswith("OpenVINO, the fastest on a CPU; ")
    assert "native" in ready.reason
    assert not caplog.records
    for runtime in BOTH:
        assert build_runtime(folder, runtime, "fp32").reason.endswith("as asked; fp32, as asked.")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"runtime": "onnx"}, "runtime is 'onnx', expected one of auto, openvino, torch"),
        ({"precision": "fp64"}, "precision is 'fp64', expected one of auto, fp32, bf16"),
        ({"precision": "int8"}, "has not been calibrated for int8"),
        ({"precision": "int8", "runtime": "torch"}, "int8 is OpenVINO's"),
        ({"precision": "int8", "part": "image"}, "int8 is for classifiers and segmenters"),
    ],
)
def test_choices_that_do_not_exist(choice: dict[str, str], expected: str, folder: Path) -> None:
    with pytest.raises(CvhubError, match=expected):
        build_runtime(folder, **choice)


def conversion_fails(monkeypatch: pytest.MonkeyPatch) -> str:
    def convert_model(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("No rule for aten::strange\n  at line 3")

    monkeypatch.setattr(openvino, "convert_model", convert_model)
    return "can't convert this network: No rule for aten::strange at line 3"


def conversion_is_wrong(monkeypatch: pytest.MonkeyPatch) -> str:
    """Right at the size that is traced and at no other, as arithmetic on sizes can be."""
    convert_model = openvino.convert_model

    class Frozen(torch.nn.Module):
        def __init__(self, module: torch.nn.Module):
            super().__init__()
            self.module = module

        def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
            outputs = self.module(pixel_values)
            return {"logits": outputs["logits"] * SIDE / pixel_values.shape[2], "features": outputs["features"]}

    monkeypatch.setattr(openvino, "convert_model", lambda module, **kwargs: convert_model(Frozen(module), **kwargs))
    return "logits in fp32 are off by"


def running_fails(monkeypatch: pytest.MonkeyPatch) -> str:
    def run(self: Any, x: np.ndarray) -> None:
        raise RuntimeError("primitive not found")

    monkeypatch.setattr(openvino_runtime._Program, "run", run)
    return "can't run this network: primitive not found"


def import_fails(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "cvhub.inference.openvino_runtime")
    return "can't be imported"


def test_openvino_tells_nobody_what_it_converts() -> None:
    code = (
        "import cvhub.inference.openvino_runtime, openvino.tools.ovc.convert_impl as converter;"
        "print(converter.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.parametrize("trouble", [conversion_fails, conversion_is_wrong, running_fails, import_fails])
def test_where_openvino_cannot_torch_does_with_one_line_of_log(
    trouble: Callable[[pytest.MonkeyPatch], str],
    resnet: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    why = trouble(monkeypatch)
    ready = build_runtime(resnet, precision="fp32")
    assert ready.name == "torch"
    assert why in ready.reason
    (record,) = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert why in record.getMessage()
    assert "\n" not in record.getMessage()
    model = load_model(str(resnet))
    assert of_range(ready.run(pixels(1))["logits"], model(torch.from_numpy(pixels(1))).logits.detach().numpy()) < FP32
    with pytest.raises(RuntimeUnavailable) as caught:
        build_runtime(resnet, "openvino", "fp32")
    assert why in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_conversion_that_fails_leaves_the_loggers_as_they_were() -> None:
    """OpenVINO sets the root logger to errors alone meanwhile, which would hide cvhub's warnings from then on."""

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no such net")

    root = logging.getLogger()
    before = root.level, root.filters[:]
    with pytest.raises(RuntimeUnavailable, match="no such net"):
        openvino_conversion.convert_module(Net(), torch.ones(1))
    assert (root.level, root.filters) == before


def test_bf16_where_the_processor_has_none(resnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO would compute in fp32 and not say so."""
    monkeypatch.setattr(openvino_runtime, "has_native_bf16", lambda: False)
    with pytest.raises(RuntimeUnavailable, match="precision bf16 needs"):
        build_runtime(resnet, "openvino", "bf16")
    ready = build_runtime(resnet, "auto", "bf16")
    assert (ready.name, ready.precision) == ("torch", "bf16")


def test_auto_takes_bf16_where_it_is_native_and_good_enough(
    resnet: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "has_native_bf16", lambda: True)
    ready = build_runtime(resnet)
    assert (ready.name, ready.precision) == ("openvino", "bf16")
    assert "natively" in ready.reason

    monkeypatch.setattr(openvino_runtime, "TOLERANCE", {"fp32": FP32, "bf16": -1})
    monkeypatch.setenv("CVHUB_CACHE", str(empty_cache / "another"))
    ready = build_runtime(resnet)
    assert (ready.name, ready.precision) == ("openvino", "fp32")
    assert "bf16 is too coarse" in ready.reason
    with pytest.raises(RuntimeUnavailable, match="in bf16 are off by"):
        build_runtime(resnet, "openvino", "bf16")


def test_bf16_leaves_depthwise_convolutions_in_fp32(folder: Path, empty_cache: Path) -> None:
    build_runtime(folder, "openvino", "fp32")
    (file,) = empty_cache.glob("openvino/*/converted/model.xml")
    layers = ElementTree.parse(file).findall("layers/layer[rt_info]")
    precise = [layer for layer in layers if layer.find("rt_info/attribute[@name='precise']") is not None]
    depthwise = [module for module in load_model(str(folder)).modules() if isinstance(module, DepthwiseConv2d)]
    assert len(precise) == len(depthwise)
    assert {layer.get("type") for layer in precise} <= {"GroupConvolution"}
    model = openvino.Core().read_model(file)  # knows the mark, under a name that versions change
    marked = [op for op in model.get_ops() if any("Precis" in str(key) for key in op.get_rt_info())]
    assert {op.get_friendly_name() for op in marked} == {layer.get("name") for layer in precise}


def test_torch_in_bf16(folder: Path) -> None:
    exact, coarse = (build_runtime(folder, "torch", precision).run(pixels(4)) for precision in ("fp32", "bf16"))
    for name, values in exact.items():
        assert coarse[name].dtype == np.float32
        assert 1e-5 < np.linalg.norm(coarse[name] - values) / np.linalg.norm(values) < 0.2


# A GPU, as far as a machine without one tells


def test_auto_takes_torch_where_there_is_a_gpu(resnet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pretended: the driver's file is there, torch says yes, and the device is the CPU under another name."""
    assert build_runtime(resnet).name == "openvino"
    monkeypatch.setattr("cvhub.inference.runtime.GPU_DRIVERS", (str(tmp_path),))
    assert build_runtime(resnet).name == "openvino"  # a driver, and nothing that torch can use
    monkeypatch.setattr("cvhub.inference.runtime.has_gpu", lambda: True)
    ready = build_runtime(resnet, precision="fp32")
    assert (ready.name, ready.reason) == ("torch", "torch, which this machine has a GPU for; fp32, as asked.")


@pytest.mark.parametrize(("cuda", "mps", "device"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_cuda_comes_before_mps_before_the_cpu(
    cuda: bool, mps: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert torch_runtime.best_device() == device


def test_compile_is_torch_compile(resnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a code generator here, whose compiler a machine may lack: graph by graph, as torch has captured them."""
    compile_graphs = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **how: compile_graphs(module, backend="eager", **how))
    ready = build_runtime(resnet, "compile", "fp32")
    assert ready.reason == "compile, as asked; fp32, as asked."
    for x in (pixels(1), pixels(3, 97, 75)):
        expected = build_runtime(resnet, "torch", "fp32").run(x)
        assert of_range(ready.run(x)["logits"], expected["logits"]) < FP32


# Classifications


def test_top_is_the_softmax_of_logits_over_temperature() -> None:
    logits = np.array([1.0, 3.0, 2.0, -1.0], np.float32)
    said = Classification(logits, None, 1.0)
    best = said.top(["a", "b", "c", "d"], k=2, temperature=2.0)
    weights = np.exp(logits / 2)
    assert [(p.label, p.index) for p in best] == [("b", 1), ("c", 2)]
    assert [p.score for p in best] == pytest.approx([weights[1] / weights.sum(), weights[2] / weights.sum()])
    assert len(said.top(["a", "b", "c", "d"], k=9)) == 4
    assert sum(p.score for p in said.top(["a", "b", "c", "d"], k=4)) == pytest.approx(1)
    with pytest.raises(CvhubError, match="top k is 0"):
        said.top(["a", "b", "c", "d"], k=0)


@pytest.mark.parametrize("temperature", [1e-320, 1e-3, 1.0, 1e6])
def test_softmax_is_safe(temperature: float) -> None:
    scores = softmax(np.array([1e4, -1e4, 9.9e3], np.float32), temperature)
    assert np.isfinite(scores).all()
    assert scores.sum() == pytest.approx(1)
    assert scores.argmax() == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(CvhubError, match=f"temperature is {temperature}, expected"):
        softmax(np.zeros(3), temperature)


# The classifier


@pytest.mark.parametrize("runtime", BOTH)
def test_a_classifier_answers_as_its_model_does(runtime: str, folder: Path) -> None:
    classifier = Classifier(str(folder), runtime, "fp32")
    model = load_model(str(folder))
    images = [photo(0), photo(1, (200, 70)), photo(2).convert("L")]
    x = classifier.processor(images)
    assert x.shape == (3, 3, SIDE, SIDE)
    expected = model(torch.from_numpy(x)).logits.detach().numpy()
    answers = classifier.predict(images)
    assert of_range(np.stack([answer.logits for answer in answers]), expected) < FP32
    assert all(answer.milliseconds > 0 for answer in answers)
    weight = classifier.classifier_weight
    assert (weight is not None) == classifier.runtime.gives_features
    for answer in answers if weight is not None else ():  # what class activation maps stand on
        assert answer.features is not None
        logits = weight @ answer.features.mean((1, 2)) + model.classifier.bias.detach().numpy()
        assert of_range(logits, answer.logits) < FP32
    assert classifier.predict([]) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_any_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny("resnet").to(dtype)
    weight = Classifier(str(save(tmp_path / "net", model)), "torch").classifier_weight
    assert weight is not None
    assert weight.dtype == np.float32
    assert np.array_equal(weight, model.classifier.weight.detach().float().numpy())


def test_labels_are_in_order_of_their_numbers(resnet: Path, tmp_path: Path) -> None:
    assert Classifier(str(resnet), "torch").labels == [f"LABEL_{i}" for i in range(12)]
    names = {i: f"class {11 - i}" for i in range(12)}
    named = save(tmp_path / "named", tiny("resnet", num_labels=12, id2label=names))
    assert Classifier(str(named), "torch").labels == list(names.values())
    nameless = save(tmp_path / "nameless", tiny("resnet", num_labels=2))
    assert Classifier(str(nameless), "torch").labels == ["LABEL_0", "LABEL_1"]


def test_an_incomplete_or_broken_folder(tmp_path: Path) -> None:
    folder = save(tmp_path / "net", tiny("resnet"))
    weights = folder / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    for runtime in ("auto", *BOTH):
        with pytest.raises(CvhubError, match="the model in net can't be loaded"):
            Classifier(str(folder), runtime)
    weights.unlink()
    with pytest.raises(CvhubError, match=r"net has no model\.safetensors"):
        Classifier(str(folder))


@pytest.mark.parametrize("runtime", BOTH)
def test_a_folder_without_a_processor_is_asked_as_imagenet_nets_are(
    runtime: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As `save_pretrained` of a model alone leaves it."""
    TinyFamily("resnet").model(num_channels=1).save_pretrained(tmp_path / "net")
    classifier = Classifier(str(tmp_path / "net"), runtime, "fp32")
    assert "net has no preprocessor_config.json" in caplog.text
    seen = classifier.processor([photo()])
    assert seen.shape == (1, 1, 224, 224)
    (answer,) = classifier.predict([photo()])
    expected = load_model(str(tmp_path / "net"))(torch.from_numpy(seen)).logits[0].detach().numpy()
    assert of_range(answer.logits, expected) < FP32


def test_a_picture_that_would_grow_too_big_is_one_sentence(tmp_path: Path) -> None:
    save(tmp_path / "net", tiny("resnet"), PROCESSOR | {"do_center_crop": False})
    classifier = Classifier(str(tmp_path / "net"), "torch")
    Image.new("RGB", (20000, 1)).save(tmp_path / "thread.png")
    (result,) = classifier.predict_files([tmp_path / "thread.png"])
    assert result.error is not None
    assert "would become 1440000x72 pixels" in result.error


@pytest.fixture(scope="module")
def plain(resnet: Path) -> Classifier:
    return Classifier(str(resnet), "openvino", "fp32")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Pictures with damaged ones among them, the last included."""
    paths = [tmp_path / f"{i:02}.png" for i in range(13)]
    for seed, path in enumerate(paths):
        photo(seed).save(path)
    for damaged in (0, 4, 5, 12):
        os.truncate(paths[damaged], 40)
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_files_are_answered_in_order_and_bad_ones_named(batch_size: int, plain: Classifier, files: list[Path]) -> None:
    results = list(plain.predict_files(files, batch_size))
    assert [result.path for result in results] == files
    for seed, result in enumerate(results):
        if seed in (0, 4, 5, 12):
            assert result.classification is None
            assert result.error is not None
            assert files[seed].name in result.error
        else:
            assert result.error is None
            assert result.classification is not None
            assert result.classification.features is None
            (alone,) = plain.predict([photo(seed)])
            assert of_range(result.classification.logits, alone.logits) < FP32


def test_nothing_but_bad_files_and_no_files(plain: Classifier, tmp_path: Path) -> None:
    absent = [tmp_path / f"{i}.jpg" for i in range(5)]
    assert [result.error for result in plain.predict_files(absent, 2)] == [f"{i}.jpg does not exist." for i in range(5)]
    assert list(plain.predict_files([])) == []
    with pytest.raises(CvhubError, match="batch size is 0"):
        next(plain.predict_files(absent, 0))


def test_pictures_of_different_sizes_for_a_processor_that_keeps_them(tmp_path: Path) -> None:
    keeps = PROCESSOR | {"do_resize": False, "do_center_crop": False}
    classifier = Classifier(str(save(tmp_path / "net", tiny("resnet"), keeps)), "openvino", "fp32")
    sizes = [(64, 64), (64, 64), (80, 64), (64, 64), (33, 97)]
    images = [photo(seed, size) for seed, size in enumerate(sizes)]
    runs = []
    run = classifier.runtime.run

    def watched(pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        runs.append(pixel_values.shape)
        return run(pixel_values)

    classifier.runtime.run = watched
    together = classifier.predict(images)
    assert runs == [(2, 3, 64, 64), (1, 3, 64, 80), (1, 3, 64, 64), (1, 3, 97, 33)]
    for image, answer in zip(images, together, strict=True):
        (alone,) = classifier.predict([image])
        assert of_range(answer.logits, alone.logits) < FP32


class Slow:
    """A runtime that notes when it computes, and takes its time."""

    name, precision, reason, gives_features = "torch", "fp32", "for a test", False

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def run(self, pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        time.sleep(0.2)
        self.spans.append((start, time.perf_counter()))
        return {"logits": np.zeros((len(pixel_values), 12), np.float32)}


def test_few_files_are_opened_ahead_and_while_a_batch_is_computed(
    resnet: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr(classify, "build_runtime", lambda *choice: slow)
    opened: list[float] = []
    original = classify.decoded

    def watched(path: Path) -> Any:
        opened.append(time.perf_counter())
        return original(path)

    monkeypatch.setattr(classify, "decoded", watched)
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield files[1 + asked % 2]

    results = Classifier(str(resnet)).predict_files(endless(), batch_size=4)
    for taken in range(1, 41):
        next(results)
        assert asked <= taken + 3 * 4  # the batch that is being handed out, and two ahead
    del results  # the caller has seen enough
    at_the_end = len(opened)
    time.sleep(0.05)
    assert len(opened) == at_the_end <= asked
    during = [when for when in opened if any(start < when < end for start, end in slow.spans)]
    assert during


# The pool


def test_twenty_threads_build_once(resnet: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions = counted(monkeypatch, openvino, "convert_model")
    built = counted(monkeypatch, pool, "build_predictor")
    models = ModelPool()
    start = threading.Barrier(20)

    def get(_: int) -> Predictor:
        start.wait(timeout=60)
        return models.get(str(resnet))

    with ThreadPoolExecutor(20) as threads:
        classifiers = list(threads.map(get, range(20)))
    assert all(classifier is classifiers[0] for classifier in classifiers)
    assert (built(), conversions()) == (1, 1)
    assert models.get(str(resnet)) is classifiers[0]
    on_torch = models.get(str(resnet), "torch", "fp32")
    assert on_torch.runtime.name == "torch"
    assert models.get(str(resnet), "torch", "fp32") is on_torch
    assert built() == 2


def test_a_failure_reaches_all_who_wait_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    working = SimpleNamespace(folder="")
    attempts = 0
    waiting = threading.Barrier(2)

    def build(*choice: str) -> object:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            return working
        waiting.wait(timeout=60)
        time.sleep(0.1)  # so that the second asks meanwhile
        raise CvhubError("no such model")

    monkeypatch.setattr(pool, "build_predictor", build)
    monkeypatch.setattr(pool, "memory_of", lambda folder: 0)
    models = ModelPool()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(models.get, "model")
        waiting.wait(timeout=60)
        second = threads.submit(models.get, "model")
        for future in (first, second):
            assert isinstance(future.exception(timeout=60), CvhubError)
    assert models.get("model") is working
    assert attempts == 2


def test_a_dropped_model_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "build_predictor", lambda *key: SimpleNamespace(folder=""))
    monkeypatch.setattr(pool, "memory_of", lambda folder: 0)
    models = ModelPool()
    kept, dropped = models.get("a"), [models.get("b"), models.get("b", "torch")]
    models.drop("b")
    assert models.get("a") is kept
    assert models.get("b") is not dropped[0]
    assert models.get("b", "torch") is not dropped[1]


def test_nobody_waits_for_a_download_that_another_model_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    began, arrived = threading.Event(), threading.Event()

    def download(repo_id: str, revision: str | None = None) -> Path:
        began.set()
        assert arrived.wait(timeout=60)
        raise CvhubError("fetched")

    monkeypatch.setattr("cvhub.hub.download.download", download)
    models = ModelPool()
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(models.get, "someone/large")
        try:
            assert began.wait(timeout=60)
            assert models.get("digits_vit", "torch", "fp32").name == "digits_vit"
            assert not slow.done()
        finally:
            arrived.set()
        assert str(slow.exception(timeout=60)) == "fetched"


def test_beyond_the_limit_leaves_what_was_not_asked_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "build_predictor", lambda model, *_: SimpleNamespace(folder=model))
    monkeypatch.setattr(pool, "memory_of", {"a": 10, "b": 10, "c": 10, "vast": 99}.__getitem__)
    models = ModelPool(limit=25)
    a, b = models.get("a"), models.get("b")
    assert models.get("a") is a
    models.get("c")
    assert models.get("a") is a
    assert models.get("b") is not b
    vast = models.get("vast")
    assert models.get("vast") is vast
    assert models.get("a") is not a


def test_a_model_takes_memory_by_its_weights(resnet: Path) -> None:
    parameters = load_model(str(resnet)).num_parameters()
    assert parameters * 4 <= pool.memory_of(resnet) < parameters * 12


def test_a_containers_memory_is_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(pool, "CONTAINER_LIMIT", limit)
    machine = pool.memory_available()
    for text, expected in (("max", machine), ("1048576", 2**20), (str(2**60), machine)):
        limit.write_text(text + "\n")
        assert pool.memory_available() == expected


def test_there_is_one_default_pool() -> None:
    assert default_pool() is default_pool()


def test_runtimes_fit_the_protocol(resnet: Path) -> None:
    runtimes: list[Runtime] = [build_runtime(resnet, runtime) for runtime in BOTH]
    assert [ready.name for ready in runtimes] == list(BOTH)
