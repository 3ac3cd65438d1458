"""One forward pass, batch 1 and 16, and one picture from Pillow to top 5."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import nets
from benchmarks.machine import cpus, matmul_peak
from benchmarks.nets import Net
from benchmarks.photos import sample
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import take_turns
from cvhub.errors import CvhubError

BATCHES = (1, 16)
BASELINE = "timm eager"
PIPELINE = "transformers pipeline"
# Largest difference of logits from timm's, relative to their largest. What computes something else is no contender.
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}

Forward = Callable[[np.ndarray], np.ndarray]  # pixel values (N, C, H, W) → logits (N, K)
Answer = Callable[[list[Image.Image]], list]  # pictures → the top 5 of each


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    report = Report(
        "Forward pass",
        f"Milliseconds a picture, the same photo, the same random weights, {cpus()} threads. The share is of the "
        "machine's matrix product in the same type. The first table of a net goes from pixel values to logits, the "
        "second from Pillow pictures to the top 5.",
    )
    for net in settings.nets:
        forwards = _forwards(net, settings.work, report)
        answers = _answers(net, settings.work)
        images = {batch: [sample()] * batch for batch in BATCHES}
        pixels = {batch: _pixels(net, settings.work, images[batch]) for batch in BATCHES}
        for name, forward in forwards.items():
            _compare(f"{net.title}, {name}", forward(pixels[16]), forwards[BASELINE](pixels[16]), _type(name))
        report.tables.append(_table(net, forwards, pixels, BASELINE, settings))
        report.tables.append(_table(net, answers, images, PIPELINE, settings))
    return report


def _pixels(net: Net, work: Path, images: list[Image.Image]) -> np.ndarray:
    from cvhub.models.pixels import PixelTransform

    return PixelTransform.from_folder(nets.cvhub_folder(net, work))(images)


def _table(
    net: Net, contenders: Mapping[str, Callable], inputs: Mapping[int, Any], baseline: str, settings: Settings
) -> Table:
    """A row a contender, three columns a batch."""
    from cvhub.explain.cost import measure_config

    operations = 2 * measure_config(nets.cvhub_folder(net, settings.work), 224, 224).multiply_adds
    table = Table([net.title])
    cells: dict[str, list[str]] = {name: [name] for name in contenders}
    for batch in BATCHES:
        table.columns += [f"batch {batch}, ms", f"× {baseline}", "share of peak"]
        calls = {name: partial(contender, inputs[batch]) for name, contender in contenders.items()}
        times = take_turns(calls, settings.rounds)
        for name, seconds in times.items():
            share = batch * operations / seconds / matmul_peak(_type(name))
            cells[name] += [f"{1e3 * seconds / batch:.2f}", f"{times[baseline] / seconds:.2f}", f"{share:.0%}"]
    table.rows += cells.values()
    return table


def _forwards(net: Net, work: Path, report: Report) -> dict[str, Forward]:
    """Contenders that take pixel values, those of ours first."""
    contenders: dict[str, Forward] = {}
    for runtime, precision in (("openvino", "fp32"), ("openvino", "bf16"), ("torch", "fp32")):
        name = f"cvhub {runtime} {precision}"
        try:
            contenders[name] = _runtime(nets.cvhub_folder(net, work), runtime, precision)
        except CvhubError as error:
            report.missing.append(f"{name} of {net.title}: {error}")
    contenders[BASELINE] = _eager(nets.timm_model(net))
    if net.torchvision is None:
        report.missing.append(f"torchvision eager of {net.title}: torchvision doesn't have it.")
    else:
        contenders["torchvision eager"] = _eager(nets.torchvision_model(net))
    contenders["ONNX Runtime"] = _onnx_runtime(net, work)
    return contenders


def _runtime(folder: Path, runtime: str, precision: str) -> Forward:
    from cvhub.inference.runtime import build_runtime

    built = build_runtime(folder, runtime, precision)
    return lambda pixels: built.run(pixels)["logits"]


def _eager(model: Any) -> Forward:
    import torch

    def forward(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels)).numpy()

    return forward


def _onnx_runtime(net: Net, work: Path) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpus()
    file = nets.onnx_file(net, work, np.zeros((2, 3, 224, 224), np.float32))
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(["logits"], {"pixel_values": pixels})[0])


def _answers(net: Net, work: Path) -> dict[str, Answer]:
    """Contenders that take pictures and give the top 5, preprocessing included."""
    from transformers import pipeline

    from cvhub.inference.classify import Classifier

    classifier = Classifier(str(nets.cvhub_folder(net, work)))
    pipe = pipeline("image-classification", model=str(nets.timm_folder(net, work)))

    def ours(images: list[Image.Image]) -> list:
        return [answer.top(classifier.labels, k=5) for answer in classifier.predict(images)]

    def theirs(images: list[Image.Image]) -> list:
        return list(pipe(images, batch_size=len(images), top_k=5))

    return {f"cvhub Classifier {classifier.runtime.precision}": ours, PIPELINE: theirs}


def _type(contender: str) -> str:
    return "bfloat16" if contender.endswith("bf16") else "float32"


def _compare(name: str, logits: np.ndarray, expected: np.ndarray, dtype: str) -> None:
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    if difference > TOLERANCE[dtype]:
        raise CvhubError(f"{name} differs from {BASELINE} by {difference:.1e}, expected at most {TOLERANCE[dtype]}.")
