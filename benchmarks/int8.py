"""int8 beside bf16 and fp32, in one run: nets of ours on OpenVINO. A few photos calibrate: it changes no time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import cpus, has_bfloat16
from benchmarks.photos import make_photos
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import take_turns

CLASSIFIERS = ("alexnet", "vgg", "googlenet", "resnet", "mobilenet_v1", "mobilenet_v2")
MODELS = (*(f"eurosat_{family}" for family in CLASSIFIERS), "efficientnet_lite0")
SEGMENTERS = ("nuclei_unet", "nuclei_panoptic", "scenes_panoptic", "pets_deeplab")
BATCH = 16
PHOTOS = 4  # to calibrate on


def run(settings: Settings) -> Report:
    precisions = ("fp32", "bf16", "int8") if has_bfloat16() else ("fp32", "int8")
    report = Report(
        "int8",
        f"Milliseconds a picture on OpenVINO, from pixel values to logits or maps, {cpus()} threads, at the size that "
        f"the model's processor gives. Classifiers in batches of 1 and {BATCH}, segmenters one by one.",
    )
    if "bf16" not in precisions:
        report.missing.append("bf16, which this processor does not compute itself.")
    photos = settings.work / "calibration"
    make_photos(photos, PHOTOS)
    for title, models, batches in (("classifier", MODELS, (1, BATCH)), ("segmenter", SEGMENTERS, (1,))):
        columns = [f"{precision}, batch {batch}" for batch in batches for precision in precisions]
        table = Table([title, *columns])
        table.rows += [_row(model, photos, batches, precisions, settings.rounds) for model in models]
        report.tables.append(table)
    return report


def _row(model: str, photos: Path, batches: tuple[int, ...], precisions: tuple[str, ...], rounds: int) -> list[str]:
    from cvhub.inference.images import decoded
    from cvhub.inference.quantisation import calibrate
    from cvhub.inference.runtime import build_runtime, example_pixels
    from cvhub.load import resolve

    folder = resolve(model)
    calibrate(model, [partial(decoded, file) for file in sorted(photos.iterdir())], "photos")
    ready = {precision: build_runtime(folder, "openvino", precision) for precision in precisions}
    cells = []
    for batch in batches:
        pixels = example_pixels(folder, batch)
        contenders: dict[str, Callable[[], Any]] = {name: partial(net.run, pixels) for name, net in ready.items()}
        times = take_turns(contenders, rounds)
        cells += [f"{1000 * times[name] / batch:.2f}" for name in precisions]
    return [model, *cells]
