"""How long a figure of the Explore tab takes when it is opened, and when it is opened again."""

import time

from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from cvhub.ui.figures import FIGURES
from cvhub.ui.figures.figure import Figure
from cvhub.ui.strings import speaker


def run(settings: Settings) -> Report:
    report = Report(
        "Figures",
        "Seconds of a figure's first and second drawing with its first choices, once, in a process that "
        "has loaded PyTorch and drawn the table of ResNets; processor seconds are over all threads.",
    )
    _draw(FIGURES[0])
    table = Table(["figure", "first, s", "first, processor s", "second, s", "second, processor s"])
    for figure in FIGURES[1:]:
        table.rows.append([figure.NAME, *(f"{taken:.2f}" for _ in range(2) for taken in _draw(figure))])
    report.tables.append(table)
    return report


def _draw(figure: Figure) -> tuple[float, float]:
    """Seconds, and processor seconds, of one drawing; not by the page's handler, which makes a failure a sentence."""
    start, processor = time.perf_counter(), time.process_time()
    figure.draw(speaker("en"), *(control.value for control in figure.CONTROLS))
    return time.perf_counter() - start, time.process_time() - processor
