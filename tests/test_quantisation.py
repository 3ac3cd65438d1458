"""int8: calibrated on pictures once, kept, close to fp32, and never made of pictures that nobody named."""

import json
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from PIL import Image

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.evaluation.calibration import calibration_pictures
from cvhub.evaluation.truth import Truth, write_truth
from cvhub.explain.figures.relu6 import FOLDER, read_rounded
from cvhub.inference import openvino_runtime, quantisation
from cvhub.inference.classify import Classifier
from cvhub.inference.images import decoded
from cvhub.inference.openvino_conversion import _ends, kept_precise
from cvhub.inference.pool import default_pool
from cvhub.inference.quantisation import MOST_PICTURES, calibrate, spread
from cvhub.inference.runtime import offered_precisions
from cvhub.inference.segment import Segmenter
from cvhub.training.curves import read_curve
from cvhub.training.recipe_file import read_recipe
from docs.relu6 import recipe_of
from tests import test_inference, test_segment
from tests.test_evaluation_segmenters import write_rows
from tests.test_inference import photo

pytest.importorskip("nncf", reason="needs the extra int8")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return test_inference.save(tmp_path_factory.mktemp("int8") / "tiny", test_inference.tiny("resnet", num_labels=12))


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return test_segment.save(tmp_path_factory.mktemp("int8") / "net", "unet")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(6):
        photo(seed).save(folder / f"{seed}.png")
    return folder


def opened(folder: Path) -> list[Any]:
    return [partial(decoded, file) for file in sorted(folder.iterdir())]


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def test_a_classifier_in_8_bits_answers_nearly_as_in_32(resnet: Path, pictures: Path) -> None:
    calibrate(str(resnet), opened(pictures), "photos")
    exact, rounded = (Classifier(str(resnet), "auto", precision) for precision in ("fp32", "int8"))
    assert rounded.runtime.reason.endswith("int8, calibrated on 6 pictures of photos.")
    assert (rounded.runtime.name, rounded.runtime.precision) == ("openvino", "int8")
    for size in ((90, 80), (300, 70)):
        (a,), (b,) = (net.predict([photo(7, size)]) for net in (exact, rounded))
        assert 1e-6 < relative(b.logits, a.logits) < 0.25
        assert a.features is not None
        assert b.features is not None
        assert b.features.shape == a.features.shape


def test_a_segmenter_takes_pictures_of_any_size_in_8_bits(unet: Path, pictures: Path) -> None:
    calibrate(str(unet), opened(pictures), "photos")
    exact, rounded = (Segmenter(str(unet), "auto", precision) for precision in ("fp32", "int8"))
    for size in ((70, 48), (131, 96)):
        a, b = (net.segment(photo(7, size)) for net in (exact, rounded))
        assert b.mask.shape == (size[1], size[0])
        assert 1e-6 < relative(b.logits, a.logits) < 0.25


def test_with_amx_each_size_has_a_program_in_8_bits(
    unet: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all sizes would kill the process there, at most of them."""
    monkeypatch.setattr(openvino_runtime, "may_have_amx", lambda: True)
    monkeypatch.setattr(openvino_runtime, "MOST_SIZES", 2)
    calibrate(str(unet), opened(pictures), "photos")
    exact, rounded = (Segmenter(str(unet), "auto", precision) for precision in ("fp32", "int8"))
    program, made = openvino_runtime._Program, []

    def counted(*arguments: Any) -> Any:
        made.append(arguments[-1])
        return program(*arguments)

    monkeypatch.setattr(openvino_runtime, "_Program", counted)
    for size in ((64, 96), (64, 128), (64, 96), (96, 64), (64, 128)):
        a, b = (net.segment(photo(7, size)) for net in (exact, rounded))
        assert relative(b.logits, a.logits) < 0.25
    sizes = [made_for for made_for in made if isinstance(made_for, tuple)]  # fp32 has one for all sizes
    assert sizes == [(3, 96, 64), (3, 128, 64), (3, 64, 96), (3, 128, 64)]


def test_alexnets_normalisation_which_adds_one_number_is_quantised_too(pictures: Path, tmp_path: Path) -> None:
    """Its biases are corrected as all others are, of which there is one a channel."""
    folder = test_inference.save(tmp_path / "tiny", test_inference.tiny("alexnet", num_labels=12))
    calibrate(str(folder), opened(pictures), "photos")
    exact, rounded = (Classifier(str(folder), "auto", precision) for precision in ("fp32", "int8"))
    (a,), (b,) = (net.predict([photo(7)]) for net in (exact, rounded))
    assert 1e-6 < relative(b.logits, a.logits) < 0.25


def test_convolutions_are_computed_in_8_bits(resnet: Path, pictures: Path, tmp_path: Path) -> None:
    calibrate(str(resnet), opened(pictures), "photos")
    (file,) = (tmp_path / "cache").glob("openvino/*/int8/*/model.xml")
    ops = openvino.Core().compile_model(file, "CPU").get_runtime_model().get_ops()
    told = [{key: op.get_rt_info()[key].astype(str) for key in ("layerType", "runtimePrecision")} for op in ops]
    precisions = [one["runtimePrecision"] for one in told if one["layerType"] == "Convolution"]
    assert len(precisions) == 20
    assert sum(precision in ("u8", "i8") for precision in precisions) >= 19  # one stays in bf16 where there is bf16


def test_what_enlarges_places_and_peaks_stays_in_32_bits(pictures: Path, tmp_path: Path) -> None:
    """Centres and offsets of 256 values each would be whole pixels off; what is written anew had lost its marks."""
    folder = test_segment.save(tmp_path / "net", "panoptic_deeplab")
    calibrate(str(folder), opened(pictures), "photos")
    (file,) = (tmp_path / "cache").glob("openvino/*/int8/*/model.xml")
    ends = _ends(openvino.Core().read_model(file), ("centres", "offsets"))
    layers = [node for node in ends if node.get_type_name() in ("Convolution", "MatMul")]
    assert len(layers) == 6  # of both the last convolution, rows and columns
    given = [value.get_node().get_type_name() for layer in layers for value in layer.input_values()]
    assert "FakeQuantize" not in given
    assert {layer.get_friendly_name() for layer in layers} <= kept_precise(file)


def test_ranges_reach_the_greatest_value_of_any_picture(resnet: Path, tmp_path: Path) -> None:
    """A mean of each picture's greatest would cut the bright one's off."""
    dark = [Image.fromarray(np.full((80, 90, 3), 130 + i, np.uint8)) for i in range(5)]
    bright = Image.fromarray(np.full((80, 90, 3), 255, np.uint8))
    for i, image in enumerate([*dark, bright]):
        image.save(tmp_path / f"{i}.png")
    calibrate(str(resnet), [partial(decoded, tmp_path / f"{i}.png") for i in range(6)], "greys")
    exact, rounded = (Classifier(str(resnet), "auto", precision) for precision in ("fp32", "int8"))
    (a,), (b,) = (net.predict([bright]) for net in (exact, rounded))
    assert relative(b.logits, a.logits) < 0.1


def test_the_last_calibration_counts_and_the_same_one_is_made_once(
    resnet: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(str(resnet), opened(pictures), "photos")
    calibrate(str(resnet), opened(pictures)[:2], "two photos")
    assert Classifier(str(resnet), precision="int8").runtime.reason.endswith("2 pictures of two photos.")
    monkeypatch.setattr(quantisation, "_quantised", None)  # would fail
    calibrate(str(resnet), opened(pictures), "photos")
    assert Classifier(str(resnet), precision="int8").runtime.reason.endswith("6 pictures of photos.")


def test_what_is_too_coarse_is_refused(resnet: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "TOLERANCE", 1e-9)
    with pytest.raises(CvhubError, match="too coarse for this network: its logits are off by"):
        calibrate(str(resnet), opened(pictures), "photos")
    with pytest.raises(CvhubError, match="has not been calibrated"):
        Classifier(str(resnet), precision="int8")


def test_without_nncf_the_error_says_what_to_install(
    resnet: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(CvhubError, match="pip install nncf"):
        calibrate(str(resnet), opened(pictures), "photos")


def test_pictures_are_taken_evenly_and_not_more_than_300() -> None:
    assert list(spread(range(5))) == [0, 1, 2, 3, 4]
    many = list(spread(range(10_000)))
    assert len(many) == len(set(many)) == MOST_PICTURES
    assert (many[0], many[-1]) == (0, 9_999)
    assert list(spread([])) == []


def test_the_page_offers_int8_where_a_net_was_calibrated(resnet: Path, pictures: Path) -> None:
    assert offered_precisions() == ("auto", "fp32", "bf16")
    calibrate(str(resnet), opened(pictures), "photos")
    assert offered_precisions() == ("auto", "fp32", "bf16", "int8")


def test_the_first_layers_stay_exact() -> None:
    """The stem, and what comes next where that is depthwise."""
    for family, count in (("mobilenet_v2", 2), ("resnet", 1)):
        model = openvino.convert_model(test_inference.tiny(family), example_input=torch.zeros(1, 3, 64, 64))
        assert len(quantisation._first_layers(model)) == count


# The command line


WARM = """
import sys
from cvhub.cli import main
sys.modules["nncf"] = None
assert main(["predict", *sys.argv[1:], "--precision", "int8", "--json"]) == 0
assert "torch" not in sys.modules
"""


def test_predict_calibrates_once_and_then_needs_neither_nncf_nor_torch(
    resnet: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(9).save(tmp_path / "other.png")
    arguments = [str(resnet), str(tmp_path / "other.png")]
    assert main(["predict", *arguments, "--precision", "int8", "--calibrate", str(pictures), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    done = subprocess.run([sys.executable, "-c", WARM, *arguments], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == first
    default_pool().drop(str(resnet))


def test_without_pictures_named_those_of_the_run_serve_and_it_is_said(
    resnet: Path, pictures: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    assert main(["predict", str(resnet), str(pictures), "--precision", "int8", "--json"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert "int8 was calibrated on 6 of the pictures themselves" in caplog.text
    default_pool().drop(str(resnet))


def test_calibrate_is_of_int8(resnet: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(resnet), str(pictures), "--calibrate", str(pictures)])
    assert stopped.value.code == 2
    assert "--calibrate is of --precision int8" in capsys.readouterr().err


# ReLU6 and ReLU, trained alike


def test_what_ships_of_relu6_and_relu() -> None:
    """The recipes differ in the activation alone; ReLU's net loses more of its answers, and neither accuracy."""
    made = read_rounded()
    assert list(made) == ["relu6", "relu"]
    for name, net in made.items():
        tables = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        assert read_recipe(tables) == recipe_of(name, "eurosat")
        assert net.int8 >= net.fp32 - 0.005 * net.n
        assert len(read_curve(FOLDER / f"{name}.csv")) > 0
    relu6, relu = made.values()
    assert (relu6.n, relu6.steps) == (relu.n, relu.steps)
    assert relu6.off < relu.off
    assert f"{1 - relu6.same / relu6.n:.1%}, {1 - relu.same / relu.n:.1%}" == "1.4%, 2.0%"  # as docs/notes.md has it


# Which pictures


def test_of_a_data_set_those_that_were_trained_on(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 3)):
        for i in range(count):
            file = tmp_path / "data" / split / "cat" / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            photo(i).save(file)
    assert len(calibration_pictures(str(tmp_path / "data"), tmp_path)) == 4


def test_what_a_segmenter_is_measured_on_is_not_among_them(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "data", "train", range(10))
    write_truth(Truth("semantic", {"*": "background"}, ":0.3:0"), tmp_path)
    assert len(calibration_pictures(str(folder), tmp_path)) == 7
    assert len(calibration_pictures(str(folder), tmp_path / "other")) == 10
