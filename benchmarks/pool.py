"""The pool's limit of memory: every bundled model is asked for in turn, with the limit and without."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.report import Report, Table
from benchmarks.settings import Settings

LIMITS = {"none": 2**40, "100 MB": 100 * 2**20, "50 MB": 50 * 2**20}


def run(settings: Settings) -> Report:
    report = Report(
        "Pool",
        "Every model that comes with the package is asked for once, in a process for each limit, all converted before: "
        "how many are kept warm, what memory the process takes then, and how long it is until the first one, which was "
        "asked for longest ago, is there again.",
    )
    table = Table(["limit", "asked for", "kept", "memory, MB", "the first one again, s"])
    _ask(LIMITS["none"])  # converts
    for name, limit in LIMITS.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            asked, kept, memory, again = process.submit(_ask, limit).result()
        table.rows.append([name, str(asked), str(kept), f"{memory / 2**20:,.0f}", f"{again:.2f}"])
    report.tables.append(table)
    return report


def _ask(limit: int) -> tuple[int, int, int, float]:
    """Models asked for, models kept, bytes that the process takes, seconds until the first one is there again."""
    import psutil

    from cvhub.catalog import CATALOG
    from cvhub.inference.pool import ModelPool

    pool = ModelPool(limit)
    names = [entry.name for entry in CATALOG if entry.source != "hub"]
    for name in names:
        pool.get(name)
    kept, memory = len(pool), psutil.Process().memory_info().rss
    start = time.perf_counter()
    pool.get(names[0])
    return len(names), kept, memory, time.perf_counter() - start
