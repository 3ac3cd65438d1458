"""Many visitors at once: the page beside a bare handler that runs the same forwards one by one."""

import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import servers
from benchmarks.report import Report, Table
from benchmarks.settings import ROOT, Settings

CLASSIFIER, SEGMENTER, CONTRASTIVE = "efficientnet_lite0", "pets_deeplab", "drawings_clip"  # what visitors ask

VISITORS = 64
WARM_UP_SECONDS, SECONDS = 20, 60
ALONE = """
from cvhub.inference import passes
from cvhub.ui.app import main

passes.MOST_TOGETHER = 1
main()
"""
OURS, UNBATCHED, BARE = "cvhub", "cvhub, a pass for each", "bare handler"
PAGES = {BARE: ("-m", "benchmarks.bare_page"), UNBATCHED: ("-c", ALONE), OURS: servers.APP}


@dataclass(frozen=True)
class Met:
    """What visitors met in so many seconds: answers, each with visitor, kind, seconds and error; and their own CPU."""

    answers: list[dict[str, Any]]
    seconds: float
    cpu_seconds: float

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds

    @property
    def errors(self) -> list[str]:
        return [answer["error"] for answer in self.answers if answer["error"]]

    def times(self, kind: str | None = None) -> list[float]:
        return [answer["seconds"] for answer in self.answers if kind in (None, answer["kind"])]

    def slowest_share(self) -> float:
        """Answers that the worst served visitor got, as a share of what the median visitor got."""
        answered = Counter(answer["visitor"] for answer in self.answers)
        counts = [answered.get(visitor, 0) for visitor in range(VISITORS)]
        return min(counts) / statistics.median(counts)


def run(settings: Settings) -> Report:
    found: dict[str, list[Met]] = {name: [] for name in PAGES}
    for number in range(settings.rounds):
        for name, program in PAGES.items():
            with servers.serve(program, GRADIO_TEMP_DIR=str(settings.work / f"uploads-{name}")) as server:
                visit(server.url, WARM_UP_SECONDS, settings.work)
                found[name].append(visit(server.url, SECONDS, settings.work / f"{number}"))
    report = Report(
        "Load",
        f"{VISITORS} visitors for {SECONDS} s, who each ask the next thing as soon as they are answered, with a photo "
        "uploaded anew: classify, the same with its heat map as the page shows it, segment, zero-shot, in equal parts. "
        "Visitors, a process of their own, share the cores with the page. The floor of the time that an answer takes "
        "is what Little's law leaves: visitors divided by answers a second.",
    )
    report.tables += [_throughput(found), _times(found[OURS])]
    return report


def visit(url: str, seconds: float, work: Path) -> Met:
    """Lets the visitors come for so long."""
    work.mkdir(parents=True, exist_ok=True)
    told = work / "load.json"
    locust = [sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "visitors.py"), "--headless"]
    users = ["--users", str(VISITORS), "--spawn-rate", str(VISITORS), "--host", url.rstrip("/")]
    subprocess.run(
        [*locust, *users, "--run-time", f"{seconds}s", "--loglevel", "ERROR", "--only-summary"],
        cwd=ROOT,
        env=servers.environment() | {"LOAD_REPORT": str(told)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a summary without requests: ours are counted by themselves
        check=True,
    )
    found = json.loads(told.read_text(encoding="utf-8"))
    return Met(found["answers"], seconds, found["cpu_seconds"])


def _throughput(found: dict[str, list[Met]]) -> Table:
    columns = [f"× {BARE}", "p50, s", "p95, s", "p95 × floor", "worst visitor", "errors", "visitors' CPU"]
    table = Table(["", "answers a second", *columns])
    bare = statistics.median(met.throughput for met in found[BARE])
    for name, rounds in found.items():
        throughput = statistics.median(met.throughput for met in rounds)
        times = [seconds for met in rounds for seconds in met.times()]
        middle, late = np.percentile(times, [50, 95])
        table.rows.append(
            [
                name,
                f"{throughput:.1f}",
                f"{throughput / bare:.2f}",
                f"{middle:.2f}",
                f"{late:.2f}",
                f"{late * throughput / VISITORS:.2f}",
                f"{min(met.slowest_share() for met in rounds):.0%}",
                str(sum(len(met.errors) for met in rounds)),
                f"{statistics.median(met.cpu_seconds / met.seconds for met in rounds):.0%}",
            ]
        )
    return table


def _times(rounds: Sequence[Met]) -> Table:
    table = Table([OURS, "answers", "p50, s", "p95, s"])
    for kind in sorted({answer["kind"] for met in rounds for answer in met.answers}):
        times = [seconds for met in rounds for seconds in met.times(kind)]
        middle, late = np.percentile(times, [50, 95])
        table.rows.append([kind, str(len(times)), f"{middle:.2f}", f"{late:.2f}"])
    return table
