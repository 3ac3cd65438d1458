"""Many pictures on Ray, beside the plain engine: photos a second, of all processors and of one, start-up, and what a
picture costs besides."""

import json
import sys
from pathlib import Path
from subprocess import run as run_command
from time import perf_counter, process_time

from benchmarks.machine import cpus
from benchmarks.photos import make_photos
from benchmarks.report import Report, Table
from benchmarks.settings import ROOT, Settings
from cvhub.commands.predict_ray import SHARD, cut, list_items, name_of_shard

MODEL = "efficientnet_lite0"
OF_TEN_CLASSES = "eurosat_resnet"
FILES = 20_000  # to list


def run(settings: Settings) -> Report:
    """Each engine twice, on few photos and on many: what the others add is free of start-up. Both are so many whole
    shards for each worker."""
    few = SHARD * cpus()
    counts = few, few * max(2, round(settings.count / few))
    report = Report(
        "Scale",
        f"{counts[1]} photos from their files to the top 5 of {MODEL}, bf16 or fp32 as the processor has it, by "
        f"`cvhub predict`: start-up is what a run takes beyond its photos, as two runs of {counts[0]} and "
        f"{counts[1]} tell. {cpus()} processors.",
    )
    table = Table(["engine", "photos a second", "a processor", "start-up, s"])
    engines = {"plain": 0} | {f"ray, workers: {workers}": workers for workers in sorted({1, cpus()})}
    folders = {count: _photos(settings, count) for count in counts}
    _seconds(folders[few], 0, settings)  # converts the net, once
    for name, workers in engines.items():
        (few, short), (many, long) = ((count, _seconds(folder, workers, settings)) for count, folder in folders.items())
        rate = (many - few) / (long - short)
        used = workers or cpus()
        table.rows.append([name, f"{rate:.1f}", f"{rate / used:.1f}", f"{long - many / rate:.1f}"])
    report.tables += [table, _costs(folders[counts[0]], settings)]
    return report


def _costs(photos: Path, settings: Settings) -> Table:
    """What a picture takes of the one process that gives work to the others, and what travels."""
    folder = settings.work / "to-list"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:08}.jpg").touch()
    start = process_time()
    items = list(list_items(str(folder)))
    listed = process_time()
    shards = cut(items)
    names = [(name_of_shard(shard), json.dumps(shard)) for shard in shards]
    packed = process_time()
    _seconds(photos, 1, settings, OF_TEN_CLASSES, "--logits")
    answers = [file.stat().st_size for file in _answers(photos, 1, settings, OF_TEN_CLASSES).glob("*.parquet")]
    table = Table(["a picture", "costs"])
    table.rows += [
        ["to list it in a folder of this machine", f"{1e6 * (listed - start) / FILES:.1f} µs of a processor"],
        ["to cut, name and pack its shard", f"{1e6 * (packed - listed) / FILES:.1f} µs of a processor"],
        [f"its name, such as {items[0]}", f"{sum(len(name) for _, name in names) / FILES:.0f} bytes to a worker"],
        ["ten logits and the top 5, in parquet", f"{sum(answers) / len(list(photos.iterdir())):.0f} bytes"],
    ]
    return table


def _photos(settings: Settings, count: int) -> Path:
    folder = settings.work / f"scale-{count}"
    if not folder.exists():
        make_photos(folder, count)
    return folder


def _seconds(photos: Path, workers: int, settings: Settings, model: str = MODEL, *options: str) -> float:
    command = [sys.executable, "-m", "cvhub", "predict", model, str(photos), "--json", *options]
    if workers:
        out = _answers(photos, workers, settings, model)
        command += ["--engine", "ray", "--workers", str(workers), "--out", str(out)]
    start = perf_counter()
    run_command(command, check=True, capture_output=True, cwd=ROOT)
    return perf_counter() - start


def _answers(photos: Path, workers: int, settings: Settings, model: str) -> Path:
    return settings.work / f"{photos.name}-{workers}-{model}"
