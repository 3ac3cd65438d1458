"""Training by one process, and by several that torchrun starts: pictures a second, start-up, and the same losses."""

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.machine import cpus
from benchmarks.report import Report, Table
from benchmarks.settings import ROOT, Settings

RECIPE, BATCH, EPOCHS = "eurosat_vit", 64, 2
CHANGES = (f"optimiser.batch={BATCH}", f"budget.epochs={EPOCHS}")


def run(settings: Settings) -> Report:
    from cvhub.training.digits import write_digits

    report = Report(
        "Processes",
        f"`cvhub train {RECIPE}` on scikit-learn's digits, {EPOCHS} epochs in batches of {BATCH}: one process with all "
        "threads, or torchrun's `--nproc_per_node` with one thread each, which share the batches. Start-up is what a "
        f"run takes before its first loss is written, and after its last one. {cpus()} processors.",
    )
    data = settings.work / "digits"
    write_digits(data)
    table = Table(["processes", "pictures a second", "start-up and end, s", "greatest difference of a loss from one's"])
    ones: list[float] = []
    for processes in sorted({1, 2, cpus()}):
        losses, rate, rest = _train(data, settings.work / f"by-{processes}", processes)
        ones = ones or losses
        apart = max(abs(loss - one) for loss, one in zip(losses, ones, strict=True))
        table.rows.append([str(processes), f"{rate:.1f}", f"{rest:.1f}", f"{apart:.1e}"])
    report.tables.append(table)
    return report


def _train(data: Path, out: Path, processes: int) -> tuple[list[float], float, float]:
    """The losses of a run, its pictures a second between the first and the last, and its other seconds."""
    from cvhub.training.curves import read_curve

    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else [])]
    command += ["-m", "cvhub", "train", RECIPE, f"data={data}", *CHANGES, "--out", str(out)]
    threads = {"OMP_NUM_THREADS": str(max(cpus() // processes, 1))}
    start = perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=os.environ | threads)
    elapsed = perf_counter() - start
    curve = [row for row in read_curve(out / "curves.csv") if "loss" in row]
    first, last = curve[0], curve[-1]
    between = last["seconds"] - first["seconds"]
    return [row["loss"] for row in curve], BATCH * (last["step"] - first["step"]) / between, elapsed - between
