"""A folder of photos, beside the transformers pipeline with its own batching."""

from collections.abc import Callable
from pathlib import Path

from benchmarks import nets
from benchmarks.machine import cpus, matmul_peak
from benchmarks.nets import Net
from benchmarks.photos import make_photos
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import seconds, take_single_turns
from cvhub.errors import CvhubError

BATCH = 16
ROUNDS = 2
WARM_UP_PHOTOS = 2 * BATCH
PIPELINE = "transformers pipeline"


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    paths = _paths(settings)
    report = Report(
        "Folder",
        f"{len(paths)} photos from their files to the top 5, batches of {BATCH}, {cpus()} threads; the whole folder, "
        f"{ROUNDS} times in turns.",
    )
    report.tables += [_table(net, paths, settings.work) for net in settings.nets if net in nets.ON_PHOTOS]
    return report


def _paths(settings: Settings) -> list[Path]:
    from cvhub.inference.images import find_pictures

    folder = settings.photos
    if folder is None:
        folder = settings.work / "photos"
        if not folder.exists():
            make_photos(folder, settings.count)
    paths = list(find_pictures([folder]))[: settings.count]
    if not paths:
        raise CvhubError(f"{folder} has no pictures.")
    return paths


def _table(net: Net, paths: list[Path], work: Path) -> Table:
    from cvhub.explain.cost import measure_config

    contenders = _contenders(net, work)
    for classify in contenders.values():
        classify(paths[:WARM_UP_PHOTOS])
    times = take_single_turns({name: _timed(classify, paths) for name, classify in contenders.items()}, ROUNDS)
    operations = 2 * len(paths) * measure_config(nets.cvhub_folder(net, work), 224, 224).multiply_adds
    table = Table([net.title, "photos a second", f"× {PIPELINE}", "share of peak"])
    for name, taken in times.items():
        share = operations / taken / matmul_peak("bfloat16" if name.endswith("bf16") else "float32")
        table.rows.append([name, f"{len(paths) / taken:.1f}", f"{times[PIPELINE] / taken:.2f}", f"{share:.0%}"])
    return table


def _contenders(net: Net, work: Path) -> dict[str, Callable[[list[Path]], None]]:
    from transformers import pipeline

    from cvhub.inference.classify import Classifier

    classifier = Classifier(str(nets.cvhub_folder(net, work)))
    pipe = pipeline("image-classification", model=str(nets.timm_folder(net, work)))

    def ours(paths: list[Path]) -> None:
        for result in classifier.predict_files(paths, batch_size=BATCH):
            if result.classification is None:
                raise CvhubError(f"{result.path.name} was not classified: {result.error}")
            result.classification.top(classifier.labels, k=5)

    def theirs(paths: list[Path]) -> None:
        answered = sum(1 for _ in pipe([str(path) for path in paths], batch_size=BATCH, top_k=5))
        if answered != len(paths):
            raise CvhubError(f"the pipeline answered {answered} of {len(paths)} photos.")

    return {f"cvhub {classifier.runtime.name} {classifier.runtime.precision}": ours, PIPELINE: theirs}


def _timed(classify: Callable[[list[Path]], None], paths: list[Path]) -> Callable[[], float]:
    return lambda: seconds(lambda: classify(paths))
