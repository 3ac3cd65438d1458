"""One forward pass of segmenters beside the peer's, and what reading things off the maps costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.machine import cpus
from benchmarks.models import compare, dtype_of, eager
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import take_turns
from cvhub.errors import CvhubError, one_line

SIDES = (256, 512)
READINGS = 5  # of one picture, of which the median counts

Forward = Callable[[np.ndarray], np.ndarray]  # pixel values (1, 3, H, W) → logits (1, K, H, W)


@dataclass(frozen=True)
class Peer:
    """A segmenter of another library: a class of smp, or a builder of torchvision, with its arguments."""

    library: str
    name: str
    arguments: tuple[tuple[str, Any], ...]

    @property
    def title(self) -> str:
        encoder = dict(self.arguments).get("encoder_name")
        return f"{self.name}, {encoder}" if encoder else self.name

    def build(self) -> Any:
        """In eval mode. Weights are random: they don't change the time."""
        import torch

        torch.manual_seed(0)
        if self.library == "smp":
            import segmentation_models_pytorch as smp

            model = getattr(smp, self.name)(**dict(self.arguments))
        else:
            import torchvision

            model = torchvision.models.get_model(self.name, **dict(self.arguments))
        return model.eval()

    def convert(self, model: Any, work: Path) -> Path:
        """`model` as a folder of ours."""
        from cvhub.convert import convert_checkpoint

        name = self.title.replace(", ", "-")
        source, folder = work / "peers" / name, work / "segmenters" / name
        if self.library == "smp":
            model.save_pretrained(source)
            convert_checkpoint(source, folder)
        else:
            from safetensors.torch import save_file

            source.parent.mkdir(parents=True, exist_ok=True)
            save_file(model.state_dict(), source.with_suffix(".safetensors"))
            convert_checkpoint(source.with_suffix(".safetensors"), folder, self.name)
        return folder


def _smp(name: str, encoder: str) -> Peer:
    return Peer("smp", name, (("encoder_name", encoder), ("encoder_weights", None), ("classes", 21)))


PEERS = (
    _smp("Unet", "resnet18"),
    _smp("Unet", "mobilenet_v2"),
    _smp("DeepLabV3Plus", "resnet50"),
    _smp("DeepLabV3Plus", "mobilenet_v2"),
    Peer("torchvision", "deeplabv3_resnet50", (("weights", None), ("weights_backbone", None), ("num_classes", 21))),
)


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    report = Report(
        "Segmenters",
        "Milliseconds of a forward pass of one picture, from pixel values to logits at the pixels' own size, the same "
        f"random weights, {cpus()} threads. The last table is of our own bundled nets: the forward pass beside what "
        "turns its maps into a mask of things.",
    )
    speedups: dict[str, dict[int, list[float]]] = {}
    for peer in PEERS:
        model = peer.build()
        folder = peer.convert(model, settings.work)
        times = {side: _measure(peer, model, folder, side, settings, report) for side in SIDES}
        report.tables.append(_table(peer, times, speedups))
    report.tables.append(_means(speedups))
    if (things := _things(settings.rounds)).rows:
        report.tables.append(things)
    return report


def _measure(peer: Peer, model: Any, folder: Path, side: int, settings: Settings, report: Report) -> dict[str, float]:
    """Seconds of a pass, by contender: those whose logits are the peer's, and the peer."""
    pixels = np.random.default_rng(0).standard_normal((1, 3, side, side), dtype=np.float32)
    forward = eager(lambda x: model(x)["out"] if peer.library == "torchvision" else model(x))
    expected, contenders = forward(pixels), {}
    for runtime, precision in (("openvino", "fp32"), ("openvino", "bf16"), ("torch", "fp32")):
        name = f"cvhub {runtime} {precision}"
        try:
            ours = _runtime(folder, runtime, precision)
            compare(ours(pixels), expected, dtype_of(name))
            contenders[name] = ours
        except CvhubError as error:
            report.missing.append(f"{name} of {peer.title} at {side}²: {one_line(error)}.")
    contenders[f"{peer.library} eager"] = forward
    return take_turns({name: partial(contender, pixels) for name, contender in contenders.items()}, settings.rounds)


def _runtime(folder: Path, runtime: str, precision: str) -> Forward:
    from cvhub.inference.runtime import build_runtime

    built = build_runtime(folder, runtime, precision)
    return lambda pixels: built.run(pixels)["logits"]


def _table(peer: Peer, times: Mapping[int, Mapping[str, float]], speedups: dict[str, dict[int, list[float]]]) -> Table:
    """A row a contender; its ratios join `speedups`."""
    baseline = f"{peer.library} eager"
    table = Table([peer.title])
    cells: dict[str, list[str]] = {}
    for side, by_name in times.items():
        table.columns += [f"{side}², ms", f"× {baseline}"]
        for name, seconds in by_name.items():
            ratio = by_name[baseline] / seconds
            cells.setdefault(name, [name]).extend([f"{1e3 * seconds:.1f}", f"{ratio:.2f}"])
            if name != baseline:
                speedups.setdefault(name, {side: [] for side in SIDES})[side].append(ratio)
    table.rows += cells.values()
    return table


def _means(speedups: Mapping[str, Mapping[int, list[float]]]) -> Table:
    table = Table(["times as fast as the peer's eager pass, geometric mean", *(f"{side}²" for side in SIDES)])
    for name, by_side in speedups.items():
        table.rows.append([name, *(f"{geometric_mean(ratios):.2f}" for ratios in by_side.values())])
    return table


def _things(rounds: int) -> Table:
    """Of every bundled net that tells things apart: forward pass, reading, and the reading's share of both."""
    from cvhub.catalog import CATALOG
    from cvhub.inference.segment import Segmenter

    table = Table(["a mask of things", "picture", "forward, ms", "reading, ms", "share"])
    for entry in CATALOG:
        if entry.task != "panoptic-segmentation" or entry.source != "bundled":
            continue
        segmenter = Segmenter(entry.name)
        pictures = {side: _picture(entry.dataset, side) for side in SIDES}
        for side in SIDES:
            answers = [segmenter.segment(pictures[side], "instance") for _ in range(rounds * READINGS)]
            forward = float(np.median([answer.milliseconds for answer in answers]))
            reading = float(np.median([answer.reading_milliseconds for answer in answers]))
            share = f"{reading / (forward + reading):.0%}"
            table.rows.append([entry.name, f"{side}²", f"{forward:.1f}", f"{reading:.1f}", share])
    return table


def _picture(dataset: str | None, side: int) -> Image.Image:
    """Things as the net knows them: a synthetic scene, else discs, of which there are more in a larger picture."""
    from cvhub.training.scenes import make_scene

    smallest = min(SIDES)
    times = side // smallest
    if dataset == "scenes":
        return Image.fromarray(np.tile(np.asarray(make_scene(0, 0, smallest).image), (times, times, 1)))
    picture = Image.new("RGB", (side, side), (20, 20, 24))
    draw = ImageDraw.Draw(picture)
    for x, y, radius in np.random.default_rng(0).uniform((0, 0, 6), (side, side, 14), (60 * times**2, 3)).tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (150, 150, 160))
    return picture
