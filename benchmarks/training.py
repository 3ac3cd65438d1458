"""One step of training, ours beside the peer's plain one."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import geometric_mean
from typing import Any

from benchmarks import nets
from benchmarks.machine import cpus
from benchmarks.nets import Net
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.steps import STEPS, Step, time_steps

SHAPES = ((32, 64), (8, 224))  # batch, pixels a side
CLASSES = 1000
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
                makers = {OURS: partial(_our_step, net, *shape), PEER: partial(_peers_step, net, *shape)}
                times = time_steps({OURS: ours, PEER: peer}, makers, settings.rounds)
                ratios[shape].append(times[PEER] / times[OURS])
                row += [f"{1e3 * times[OURS]:.0f}", f"{1e3 * times[PEER]:.0f}", f"{ratios[shape][-1]:.2f}"]
            table.rows.append(row)
    if table.rows:
        means = [["", "", f"{geometric_mean(found):.2f}"] for found in ratios.values()]
        table.rows.append([f"geometric mean of {len(table.rows)}", "", *(cell for cells in means for cell in cells)])
        report.tables.append(table)
    return report


def _noise(batch: int, side: int) -> tuple[Any, Any]:
    import torch

    return torch.randn(batch, 3, side, side), torch.randint(CLASSES, (batch,))


def _our_step(net: Net, batch: int, side: int) -> Step:
    """What the recipes' trainer does in a step, without its log."""
    import torch

    from cvhub.inference.torch_runtime import has_native_bf16
    from cvhub.training.machine import prepare_machine
    from cvhub.training.recipe import Recipe
    from cvhub.training.trainer import make_optimizer, memory_format

    prepare_machine()
    recipe = Recipe()
    layout = memory_format(recipe)
    pixels, targets = _noise(batch, side)
    model = nets.cvhub_model(net, **(net.ours_at_64 if side == 64 else {})).train()
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


def _peers_step(net: Net, batch: int, side: int) -> Step:
    import torch
    from torch.nn import functional as F

    pixels, targets = _noise(batch, side)
    arguments = net.at_64 if side == 64 else {}
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
