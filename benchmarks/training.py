"""One step of training, ours beside the peer's plain one."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import geometric_mean, median
from typing import Any

from benchmarks import nets
from benchmarks.machine import cpus
from benchmarks.nets import Net
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import PAUSE_SECONDS, take_single_turns

SHAPES = ((32, 64), (8, 224))  # batch, pixels a side
CLASSES = 1000
WARM_UPS, STEPS = 3, 3  # steps before the first turn, and in each
OURS, PEER = "ours", "peer"


def run(settings: Settings) -> Report:
    report = Report(
        "Training step",
        "Milliseconds of a step: forward pass, cross entropy, backward pass, AdamW. Ours is that of `cvhub train`, "
        "with its precision, memory layout and machine settings; the peer is timm's net, or torchvision's where timm "
        f"has none, in plain float32. The same architecture, noise for pictures, {cpus()} threads. Each in a process "
        f"of its own, since machine settings are a process's; median of {STEPS} steps a turn.",
    )
    table = Table(["net", "peer"])
    for batch, side in SHAPES:
        table.columns += [f"batch {batch}, {side} px: cvhub", "peer", "× peer"]
    ratios: dict[tuple[int, int], list[float]] = {shape: [] for shape in SHAPES}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as ours, ProcessPoolExecutor(1, spawn) as peer:
        for net in [net for net in settings.nets if net in nets.FAMILIES]:
            row = [net.title, net.library]
            for shape in SHAPES:
                times = _time({OURS: ours, PEER: peer}, net, *shape, settings.rounds)
                ratios[shape].append(times[PEER] / times[OURS])
                row += [f"{1e3 * times[OURS]:.0f}", f"{1e3 * times[PEER]:.0f}", f"{ratios[shape][-1]:.2f}"]
            table.rows.append(row)
    if table.rows:
        means = [["", "", f"{geometric_mean(found):.2f}"] for found in ratios.values()]
        table.rows.append([f"geometric mean of {len(table.rows)}", "", *(cell for cells in means for cell in cells)])
        report.tables.append(table)
    return report


def _time(
    processes: Mapping[str, ProcessPoolExecutor], net: Net, batch: int, side: int, rounds: int
) -> dict[str, float]:
    """Median seconds of a step, by contender."""
    for name, process in processes.items():
        process.submit(_prepare, name, net, batch, side).result()
    return take_single_turns({name: partial(_turn, process) for name, process in processes.items()}, rounds)


def _turn(process: ProcessPoolExecutor) -> float:
    time.sleep(PAUSE_SECONDS)
    return process.submit(_seconds).result()


# --- In the contender's process --------------------------------------------------------------------------------------

_step: Callable[[], None] | None = None


def _prepare(name: str, net: Net, batch: int, side: int) -> None:
    """Builds the net and takes the first steps, which find their memory and kernels."""
    import torch

    global _step
    _step = None  # the net before makes room
    torch.set_num_threads(cpus())
    torch.manual_seed(0)
    pixels, targets = torch.randn(batch, 3, side, side), torch.randint(CLASSES, (batch,))
    step = _step = (_our_step if name == OURS else _peers_step)(net, pixels, targets)
    for _ in range(WARM_UPS):
        step()


def _seconds() -> float:
    assert _step is not None
    taken = []
    for _ in range(STEPS):
        start = time.perf_counter()
        _step()
        taken.append(time.perf_counter() - start)
    return median(taken)


def _our_step(net: Net, pixels: Any, targets: Any) -> Callable[[], None]:
    """What the recipes' trainer does in a step, without its log."""
    import torch

    from cvhub.inference.torch_runtime import has_native_bf16
    from cvhub.training.machine import prepare_machine
    from cvhub.training.recipe import Recipe
    from cvhub.training.trainer import make_optimizer, memory_format

    prepare_machine()
    recipe = Recipe()
    layout = memory_format(recipe)
    model = nets.cvhub_model(net, **(net.ours_at_64 if pixels.shape[-1] == 64 else {})).train()
    model = model.to(memory_format=layout)
    optimizer = make_optimizer(model, recipe)
    pixels = pixels.to(memory_format=layout)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_native_bf16()):
            loss = model(pixel_values=pixels, labels=targets).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _peers_step(net: Net, pixels: Any, targets: Any) -> Callable[[], None]:
    import torch
    from torch.nn import functional as F

    arguments = net.at_64 if pixels.shape[-1] == 64 else {}
    if net.name == "googlenet":  # ours has the auxiliary classifiers too
        arguments = {"aux_logits": True}
    model = nets.build_peer(net, **arguments).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)

    def step() -> None:
        output = model(pixels)
        main, *auxiliary = output if isinstance(output, tuple) else [output]
        loss = F.cross_entropy(main, targets)
        loss = loss + 0.3 * sum(F.cross_entropy(logits, targets) for logits in auxiliary)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
