"""Search over more and more embeddings, all of them compared, and what an approximate index would give and cost."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import cpus
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import seconds, take_turns
from cvhub.inference.picture_index import PictureIndex, best_rows

COUNTS = (10_000, 100_000, 1_000_000)
WIDTH = 512  # of CLIP ViT-B's embeddings
CENTRES = 20_000
BLOCK = 100_000  # embeddings that are made at once
QUERIES = 100
K = 10
OURS, TORCH, FLAT = "cvhub search", "torch topk", "faiss IndexFlatIP"
# What faiss builds (https://github.com/facebookresearch/faiss/wiki/The-index-factory): lists of neighbours, of which a
# search looks through so many; SQ8 keeps a byte a number.
APPROXIMATE = ("IVF1024,Flat", "IVF1024,SQ8")
PROBES = (4, 16, 64)
TRAINED_ON = 100_000


def run(settings: Settings) -> Report:
    report = Report(
        "Search",
        f"Milliseconds from an embedding of {WIDTH} numbers to its {K} nearest, {cpus()} threads. Embeddings and "
        f"queries lie around {CENTRES:,} random directions, members of one at a cosine of 0.5 to each other.",
    )
    embeddings = make_embeddings(max(COUNTS))
    queries = make_embeddings(QUERIES, seed=1)
    faiss = _import_faiss()
    report.tables.append(_exact(embeddings, queries, faiss, settings))
    if faiss is None:
        report.missing.append("an approximate index: this run found no faiss-cpu.")
    else:
        report.tables.append(_approximate(embeddings, queries, faiss, settings.rounds))
    return report


def make_embeddings(count: int, seed: int = 0) -> np.ndarray:
    """(count, WIDTH) of length 1, around the same directions whatever the seed."""
    centres = _unit(np.random.default_rng(0).standard_normal((CENTRES, WIDTH), np.float32))
    random = np.random.default_rng(seed + 1)
    made = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, BLOCK):
        block = made[start : start + BLOCK]
        away = random.standard_normal(block.shape, np.float32) / np.sqrt(WIDTH)  # about as long as a centre
        block[:] = _unit(centres[random.integers(0, CENTRES, len(block))] + away)
    return made


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _import_faiss() -> Any:
    """None where it is not installed."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return None
    faiss.omp_set_num_threads(cpus())
    return faiss


def _exact(embeddings: np.ndarray, queries: np.ndarray, faiss: Any, settings: Settings) -> Table:
    table = Table(["exact, ms", *(f"{count:,}" for count in COUNTS)])
    columns = [_measure_exact(embeddings[:count], queries[0], faiss, settings) for count in COUNTS]
    table.rows += [[name, *(f"{column[name]:.2f}" for column in columns)] for name in columns[0]]
    return table


def _measure_exact(embeddings: np.ndarray, query: np.ndarray, faiss: Any, settings: Settings) -> dict[str, float]:
    """Milliseconds of each contender, and of reading our index from the disk."""
    import torch

    torch.set_num_threads(cpus())
    index = _index(embeddings, settings.work / f"index-{len(embeddings)}")
    tensor, wanted = torch.from_numpy(embeddings), torch.from_numpy(query)
    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: index.search(query, K),
        TORCH: lambda: torch.topk(tensor @ wanted, K),
    }
    if faiss is not None:
        flat = faiss.IndexFlatIP(WIDTH)
        flat.add(embeddings)
        contenders[FLAT] = lambda: flat.search(query[None], K)
    times = take_turns(contenders, settings.rounds)
    index.save()
    times["reading our index"] = min(seconds(lambda: PictureIndex.load(index.folder)) for _ in range(settings.rounds))
    return {name: 1e3 * taken for name, taken in times.items()}


def _index(embeddings: np.ndarray, folder: Path) -> PictureIndex:
    folder.mkdir(exist_ok=True)
    entries = [(row, f"{row:032x}") for row in range(len(embeddings))]
    source = {"dataset": "owner/name", "split": "train"}
    return PictureIndex(folder, "random", "", "fp32", source, entries, embeddings)


def _approximate(embeddings: np.ndarray, queries: np.ndarray, faiss: Any, rounds: int) -> Table:
    count = len(embeddings)
    table = Table([f"faiss, {count:,}", "lists seen", "ms", f"recall of {K}", "built in s", "MB"])
    nearest = [best_rows(embeddings @ query, K) for query in queries]
    for description in APPROXIMATE:
        start = time.perf_counter()
        index = faiss.index_factory(WIDTH, description, faiss.METRIC_INNER_PRODUCT)
        index.train(embeddings[:TRAINED_ON])
        index.add(embeddings)
        built = time.perf_counter() - start
        megabytes = count * (index.code_size + 8) / 1e6  # a code and a number each
        for probes in PROBES:
            index.nprobe = probes
            recall = _recall(index.search(queries, K)[1].tolist(), nearest)
            taken = take_turns({description: lambda index=index: index.search(queries[:1], K)}, rounds)[description]
            numbers = f"{probes}", f"{1e3 * taken:.2f}", f"{recall:.1%}", f"{built:.0f}", f"{megabytes:,.0f}"
            table.rows.append([description, *numbers])
    return table


def _recall(found: list[list[int]], nearest: list[list[int]]) -> float:
    """How many of the nearest K are among those found, on average over the queries."""
    return float(np.mean([len({*some} & {*true}) / K for some, true in zip(found, nearest, strict=True)]))
