"""A network in 8 bits: NNCF rounds its weights and maps, with the ranges that the maps take on pictures.

What comes of it is kept in the cache beside the network's program in fp32, by the pictures, and the last one made is
what precision int8 means from then on. NNCF is needed to make it and not to run it.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from filelock import FileLock
from PIL import Image

from cvhub.cache import build_once, write_file
from cvhub.errors import CvhubError, one_line
from cvhub.inference.classify import Classifier
from cvhub.inference.openvino_conversion import (
    OTHER_SIZE,
    OWN_SIZE,
    SIDES,
    is_depthwise,
    keep_precise,
    kept_precise,
)
from cvhub.inference.openvino_runtime import CALIBRATION, OpenVINORuntime, Programs, core, kept_in
from cvhub.inference.pool import build_predictor
from cvhub.inference.runtime import CHOSEN
from cvhub.inference.segment import Segmenter
from cvhub.load import resolve

MOST_PICTURES = 300
COMPARED = 32  # of the pictures, on which 8 bits are judged
# Allowed difference from fp32, ‖a − b‖ / ‖b‖, on these: trained nets of ours differ by 0.03 to 0.15.
TOLERANCE = 0.5

# Raised when quantisation makes something else than before, so that older programs in the cache are not used.
QUANTISATION = 3

Opens = Callable[[], AbstractContextManager[Image.Image]]
Pixels = Callable[[], np.ndarray]  # (C, H, W) float32 of a picture


def calibrate(model: str, pictures: Sequence[Opens], source: str) -> int:
    """Makes of a MODEL one in 8 bits, which from then on int8 means, on `pictures` of `source`; returns of how many.

    Pictures are opened when they are needed, several times; those that can't be are left out. Raises `CvhubError` where
    none is left, NNCF is missing or fails, or what comes of it answers otherwise than the network.
    """
    predictor = build_predictor(model, "openvino", "fp32")
    if not isinstance(predictor, Classifier | Segmenter):
        raise CvhubError("precision int8 is for classifiers and segmenters.")
    exact = predictor.runtime
    assert isinstance(exact, OpenVINORuntime)
    pixels, digest = _readable(predictor, pictures[:MOST_PICTURES], source)
    told = {"pictures": len(pixels), "source": source}
    chosen = kept_in(predictor.folder) / CHOSEN
    build_once(chosen.with_name(digest), partial(_write, exact, pixels, told))
    with FileLock(chosen.with_name(f".{CHOSEN.name}.lock")):
        write_file(chosen, lambda file: file.write_text(digest, encoding="utf-8"))
    return len(pixels)


def calibration_of(model: str) -> str | None:
    """The name of what int8 means for a MODEL, by its weights and the pictures; None where it means nothing yet."""
    chosen = kept_in(resolve(model)) / CHOSEN
    digest = chosen.read_text(encoding="utf-8") if chosen.exists() else ""
    return digest if digest and (chosen.with_name(digest) / CALIBRATION).exists() else None


def spread(items: Sequence[Any], count: int = MOST_PICTURES) -> Iterator[Any]:
    """At most `count` of the items, evenly from first to last: files are sorted, often by class."""
    places = np.linspace(0, len(items) - 1, min(count, len(items)))
    return (items[round(place)] for place in places)


def _readable(predictor: Classifier | Segmenter, pictures: Sequence[Opens], source: str) -> tuple[list[Pixels], str]:
    """What gives the pixels of each picture that can be read, and a digest of them all."""
    readable, problem = [], "there are no pictures"
    digest = hashlib.sha256(bytes([QUANTISATION]))
    for opens in pictures:
        pixels = partial(_pixels, predictor, opens)
        try:
            digest.update(pixels().tobytes())
        except CvhubError as error:
            problem = str(error)
        else:
            readable.append(pixels)
    if not readable:
        raise CvhubError(f"int8 can't be calibrated on {source}: {problem}")
    return readable, digest.hexdigest()[:20]


def _pixels(predictor: Classifier | Segmenter, opens: Opens) -> np.ndarray:
    with opens() as image:
        return predictor.pixels(image)


def _write(exact: OpenVINORuntime, pictures: Sequence[Pixels], told: dict[str, Any], target: Path) -> None:
    """All that a runtime needs, as it is of fp32: the program, its sides, and arrays of the shapes that it takes."""
    precise = kept_precise(exact.converted / "model.xml")
    made = _quantised(core().read_model(exact.converted / "model.xml"), precise, pictures)
    openvino.save_model(made, target / "model.xml", compress_to_fp16=False)
    keep_precise(target / "model.xml", precise - _rounded(made))
    for name in (OWN_SIZE, OTHER_SIZE, SIDES):
        if (exact.converted / name).exists():
            shutil.copyfile(exact.converted / name, target / name)
    (target / CALIBRATION).write_text(json.dumps(told), encoding="utf-8")
    _judge(exact, Programs(target, target / "compiled", "int8"), list(spread(pictures, COMPARED)))


def _quantised(model: openvino.Model, precise: set[str], pictures: Sequence[Pixels]) -> openvino.Model:
    nncf = _import_nncf()
    _write_biases_out(model)
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    settings = AdvancedQuantizationParameters(
        # From the least to the greatest value of all pictures. By default NNCF takes the mean over the pictures of each
        # one's greatest, which cuts off what is rare: EuroSAT's ResNet loses 6 of 97 points by it, and none without.
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            return nncf.quantize(
                model,
                nncf.Dataset(pictures, lambda pixels: pixels()[None]),
                preset=nncf.QuantizationPreset.MIXED,  # maps of both signs, as before a ReLU6, have ranges that differ
                subset_size=len(pictures),
                model_type=nncf.ModelType.TRANSFORMER if _attends(model) else None,
                ignored_scope=nncf.IgnoredScope(names=_first_layers(model) + _last_layers(model, precise)),
                advanced_parameters=settings,
            )
    except CvhubError:
        raise
    except Exception as error:  # of many kinds
        raise CvhubError(f"NNCF can't quantise this network: {one_line(error)}.") from error


def _write_biases_out(model: openvino.Model) -> None:
    """One number added to all channels of a convolution, as in AlexNet's normalisation, becomes one for each.

    NNCF takes it for a bias, and corrects that for each channel.
    """
    for add in model.get_ops():
        if add.get_type_name() != "Add" or add.input_value(1).get_node().get_type_name() != "Constant":
            continue
        convolution, bias = add.input_value(0), add.input_value(1)
        if "Convolution" in convolution.get_node().get_type_name() and not any(n > 1 for n in bias.get_shape()):
            shape = [1, convolution.get_partial_shape()[1].get_length(), 1, 1]
            values = np.broadcast_to(bias.get_node().get_data(), shape).copy()
            add.input(1).replace_source_output(openvino.opset15.constant(values).output(0))


def _import_nncf() -> Any:
    """NNCF, which is to tell Google Analytics nothing, and our users not of each step."""
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError:
        raise CvhubError("To calibrate int8 needs NNCF: pip install nncf.") from None
    logging.getLogger("nncf").setLevel(logging.ERROR)  # it writes to stdout
    return nncf


def _attends(model: openvino.Model) -> bool:
    """Attention multiplies what both sides round: NNCF leaves some of it as it was."""
    return any(op.get_type_name() == "ScaledDotProductAttention" for op in model.get_ops())


def _first_layers(model: openvino.Model) -> list[str]:
    """The first convolution, and the next one where it is depthwise: all else is made of what they round.

    They are a few hundredths of a net. Of nuclei, Panoptic-DeepLab's logits are off by half with them in 8 bits.
    """
    layers = [op for op in model.get_ordered_ops() if "Convolution" in op.get_type_name()][:2]
    return [op.get_friendly_name() for i, op in enumerate(layers) if i == 0 or is_depthwise(op)]


def _rounded(model: openvino.Model) -> set[str]:
    """The convolutions whose weights are in 8 bits."""
    return {op.get_friendly_name() for op in model.get_ops() if "Convolution" in op.get_type_name() and _in_8_bits(op)}


def _in_8_bits(convolution: openvino.Node) -> bool:
    node = convolution.input_value(1).get_node()
    while node.get_input_size():  # they are shifted, scaled and shaped on their way
        if node.get_type_name() == "FakeQuantize":
            return True
        node = node.input_value(0).get_node()
    return node.get_element_type().size == 1


def _last_layers(model: openvino.Model, precise: set[str]) -> list[str]:
    """Of the layers kept precise the last convolutions, and what enlarges their maps, which would round them first."""
    ends = [op for op in model.get_ops() if op.get_type_name() in ("Convolution", "MatMul")]
    return [name for name in (op.get_friendly_name() for op in ends) if name in precise]


def _judge(exact: OpenVINORuntime, coarse: Programs, pictures: Sequence[Pixels]) -> None:
    """Raises `CvhubError` where the answers differ by more than rounding explains."""
    for name, (difference, size) in _differences(exact, coarse, pictures).items():
        if not difference <= TOLERANCE * size:  # so that NaN fails too
            raise CvhubError(f"int8 is too coarse for this network: its {name} are off by {difference / size:.0%}.")


def _differences(
    exact: OpenVINORuntime, coarse: Programs, pictures: Sequence[Pixels]
) -> dict[str, tuple[float, float]]:
    """By output ‖a − b‖ and ‖b‖, over the pictures."""
    sums: dict[str, np.ndarray] = {}
    for pixels in pictures:
        x = pixels()[None]
        rounded = coarse.run(x)
        for name, values in exact.run(x).items():
            squares = np.square(rounded[name] - values).sum(), np.square(values).sum()
            sums[name] = sums.get(name, np.zeros(2)) + squares
    return {name: (float(a), float(b)) for name, (a, b) in ((name, np.sqrt(two)) for name, two in sums.items())}
