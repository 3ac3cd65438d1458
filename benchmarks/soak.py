"""Many thousand questions, one after another: whether the page's memory and its temporary files stay what they were."""

import time

import numpy as np
import psutil

from benchmarks import servers
from benchmarks.load import VISITORS, visit
from benchmarks.report import Report, Table
from benchmarks.settings import Settings

ANSWERS = 20_000
VISIT_SECONDS = 60
ALONE_SECONDS = 90  # before the first visit, in which the page makes ready what its tabs ask first
SETTLED = 0.25  # of the answers, until which memory may still grow: models, programs of each number of pictures


def run(settings: Settings) -> Report:
    uploads = settings.work / "uploads"
    answers, errors, memory, files = [0], 0, [], []
    with servers.serve(servers.APP, GRADIO_TEMP_DIR=str(uploads)) as server:
        process = psutil.Process(server.process)
        time.sleep(ALONE_SECONDS)
        while answers[-1] < ANSWERS:
            met = visit(server.url, VISIT_SECONDS, settings.work)
            errors += len(met.errors)
            answers.append(answers[-1] + len(met.answers))
            memory.append(process.memory_info().rss / 2**20)
            files.append(sum(file.stat().st_size for file in uploads.rglob("*") if file.is_file()) / 2**20)
    return _report(answers[1:], memory, files, errors)


def _report(answers: list[int], memory: list[float], files: list[float], errors: int) -> Report:
    report = Report(
        "Soak",
        f"The load test's {VISITORS} visitors, until {ANSWERS:,} answers are given. Memory of the page's process and "
        f"its temporary files each {VISIT_SECONDS} s; the slope by least squares over all after the first "
        f"{SETTLED:.0%}, with its standard error.",
    )
    settled = [i for i, count in enumerate(answers) if count >= SETTLED * answers[-1]]
    slope, error = _slope([answers[i] / 1000 for i in settled], [memory[i] for i in settled])
    table = Table(["", "value"])
    table.rows += [
        ["answers", f"{answers[-1]:,}"],
        ["errors", str(errors)],
        ["memory after the first quarter, MB", f"{memory[settled[0]]:,.0f}"],
        ["memory at the end, MB", f"{memory[-1]:,.0f}"],
        ["slope, MB in 1,000 answers", f"{slope:.2f} ± {error:.2f}"],
        ["temporary files at the end, MB", f"{files[-1]:,.0f}"],
        [f"memory each {VISIT_SECONDS} s, MB", " ".join(f"{value:.0f}" for value in memory)],
    ]
    report.tables.append(table)
    return report


def _slope(x: list[float], y: list[float]) -> tuple[float, float]:
    """Of a line through the points, and its standard error."""
    (slope, _), covariance = np.polyfit(x, y, 1, cov="unscaled")
    residuals = np.asarray(y) - np.polyval(np.polyfit(x, y, 1), x)
    variance = residuals @ residuals / max(1, len(x) - 2)
    return float(slope), float(np.sqrt(covariance[0, 0] * variance))
