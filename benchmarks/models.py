"""One forward pass, batch 1 and 16, and one picture from Pillow to top 5."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import geometric_mean
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
from cvhub.errors import CvhubError, one_line

BATCHES = (1, 16)
PIPELINE = "transformers pipeline"
# Largest difference of logits from the peer's, relative to their largest. What computes something else is no contender.
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}

Forward = Callable[[np.ndarray], np.ndarray]  # pixel values (N, C, H, W) → logits (N, K)
Answer = Callable[[list[Image.Image]], list]  # pictures → the top 5 of each
Times = dict[int, dict[str, float]]  # batch → contender → seconds of a pass


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    report = Report(
        "Forward pass",
        f"Milliseconds a picture, the same photo, the same random weights, {cpus()} threads. The share is of the "
        "machine's matrix product in the same type. The first table of a net goes from pixel values to logits, the "
        "second from Pillow pictures to the top 5. The means are over a net of each family.",
    )
    speedups: dict[str, dict[int, list[float]]] = {}
    for net in settings.nets:
        images = {batch: [sample()] * batch for batch in BATCHES}
        pixels = {batch: _pixels(net, settings.work, images[batch]) for batch in BATCHES}
        forwards = _contenders(net, settings.work, pixels, report)
        times = _measure(forwards, pixels, settings)
        report.tables.append(_table(net, times, baseline(net), settings))
        if net in nets.FAMILIES:
            _add_speedups(speedups, times, baseline(net))
        if net.timm:  # whose folders transformers reads
            answers = _answers(net, settings.work)
            report.tables.append(_table(net, _measure(answers, images, settings), PIPELINE, settings))
        nets.peer_model.cache_clear()  # all nets at once would take gigabytes
    if speedups:
        report.tables.append(_means(speedups))
    return report


def baseline(net: Net) -> str:
    return f"{net.library} eager"


def _add_speedups(speedups: dict[str, dict[int, list[float]]], times: Times, peer: str) -> None:
    for batch, by_name in times.items():
        for name, seconds in by_name.items():
            if name.startswith("cvhub"):
                ratios = speedups.setdefault(name, {batch: [] for batch in BATCHES})
                ratios[batch].append(by_name[peer] / seconds)


def _means(speedups: Mapping[str, Mapping[int, list[float]]]) -> Table:
    """How many times faster than the peer's eager pass, as geometric means over nets."""
    table = Table(["times as fast as the peer's eager pass, geometric mean", "nets"])
    table.columns += [*(f"batch {batch}" for batch in BATCHES), "both"]
    for name, by_batch in speedups.items():
        columns = [*by_batch.values(), [ratio for ratios in by_batch.values() for ratio in ratios]]
        means = [f"{geometric_mean(ratios):.2f}" for ratios in columns]
        table.rows.append([name, str(len(columns[0])), *means])
    return table


def _pixels(net: Net, work: Path, images: list[Image.Image]) -> np.ndarray:
    from cvhub.models.pixels import PixelTransform

    return PixelTransform.from_folder(nets.cvhub_folder(net, work))(images)


def _measure(contenders: Mapping[str, Callable], inputs: Mapping[int, Any], settings: Settings) -> Times:
    return {
        batch: take_turns({name: partial(contender, given) for name, contender in contenders.items()}, settings.rounds)
        for batch, given in inputs.items()
    }


def _table(net: Net, times: Times, peer: str, settings: Settings) -> Table:
    """A row a contender, three columns a batch."""
    from cvhub.explain.cost import measure_config

    operations = 2 * measure_config(nets.cvhub_folder(net, settings.work), 224, 224).multiply_adds
    table = Table([net.title])
    cells: dict[str, list[str]] = {name: [name] for name in times[BATCHES[0]]}
    for batch, by_name in times.items():
        table.columns += [f"batch {batch}, ms", f"× {peer}", "share of peak"]
        for name, seconds in by_name.items():
            share = batch * operations / seconds / matmul_peak(dtype_of(name))
            cells[name] += [f"{1e3 * seconds / batch:.2f}", f"{by_name[peer] / seconds:.2f}", f"{share:.0%}"]
    table.rows += cells.values()
    return table


def _contenders(net: Net, work: Path, pixels: Mapping[int, np.ndarray], report: Report) -> dict[str, Forward]:
    """Those that take pixel values and give the peer's logits at every batch; ours come first."""
    peer, contenders = eager(nets.peer_model(net)), {}
    expected = {batch: peer(given) for batch, given in pixels.items()}
    for name, make in _makers(net, work):
        try:
            forward = contenders[name] = make()
            for batch, given in pixels.items():
                compare(forward(given), expected[batch], dtype_of(name))
        except Exception as error:  # exporters and their runtimes raise anything
            contenders.pop(name, None)
            report.missing.append(f"{name} of {net.title}: {one_line(error)}.")
    return contenders | {baseline(net): peer}


def _makers(net: Net, work: Path) -> Iterator[tuple[str, Callable[[], Forward]]]:
    for runtime, precision in (("openvino", "fp32"), ("openvino", "bf16"), ("torch", "fp32")):
        yield f"cvhub {runtime} {precision}", partial(_runtime, nets.cvhub_folder(net, work), runtime, precision)
    if net.timm and net.torchvision:
        yield "torchvision eager", lambda: eager(nets.torchvision_model(net))
    yield "ONNX Runtime", partial(_onnx_runtime, net, work)


def _runtime(folder: Path, runtime: str, precision: str) -> Forward:
    from cvhub.inference.runtime import build_runtime

    built = build_runtime(folder, runtime, precision)
    return lambda pixels: built.run(pixels)["logits"]


def eager(model: Callable[[Any], Any]) -> Forward:
    """What a module gives, without runtime or tracing."""
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


def dtype_of(contender: str) -> str:
    return "bfloat16" if contender.endswith("bf16") else "float32"


def compare(logits: np.ndarray, expected: np.ndarray, dtype: str) -> None:
    """Raises CvhubError where logits are not the peer's."""
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    if difference > TOLERANCE[dtype]:
        raise CvhubError(f"its logits differ from the peer's by {difference:.1e}, expected at most {TOLERANCE[dtype]}")
