"""Many pictures on Ray, beside the plain engine: photos a second, of all processors and of one, and start-up."""

import sys
from pathlib import Path
from subprocess import run as run_command
from time import perf_counter

from benchmarks.machine import cpus
from benchmarks.photos import make_photos
from benchmarks.report import Report, Table
from benchmarks.settings import ROOT, Settings
from cvhub.commands.predict_ray import SHARD

MODEL = "efficientnet_lite0"


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
    report.tables.append(table)
    return report


def _photos(settings: Settings, count: int) -> Path:
    folder = settings.work / f"scale-{count}"
    if not folder.exists():
        make_photos(folder, count)
    return folder


def _seconds(photos: Path, workers: int, settings: Settings) -> float:
    command = [sys.executable, "-m", "cvhub", "predict", MODEL, str(photos), "--json"]
    if workers:
        out = settings.work / f"{photos.name}-{workers}"
        command += ["--engine", "ray", "--workers", str(workers), "--out", str(out)]
    start = perf_counter()
    run_command(command, check=True, capture_output=True, cwd=ROOT)
    return perf_counter() - start
