"""The machine: its processor, the libraries, and how fast it multiplies matrices."""

import functools
import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "openvino", "timm", "torchvision", "transformers", "onnxruntime", "gradio")
MATRIX = 2048  # rows and columns: 16 MB in float32, beyond the caches
PEAK_SECONDS = 2.0


def cpus() -> int:
    """Processors that this process may use: the thread count of every contender."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, str]:
    import torch

    versions = ", ".join(f"{library} {metadata.version(library)}" for library in LIBRARIES)
    return {
        "Processor": f"{processor()}, {cpus()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "Libraries": versions,
    }


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def matmul_peak(dtype: str) -> float:
    """The most floating-point operations a second of a large matrix product, "float32" or "bfloat16".

    The faster of torch and OpenVINO: which of their libraries knows the processor better differs between processors.
    """
    fastest = min(_least_seconds(product) for product in (_torch_product(dtype), _openvino_product(dtype)))
    return 2 * MATRIX**3 / fastest


def _least_seconds(product: Callable[[], object]) -> float:
    fastest, end = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        product()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def _torch_product(dtype: str) -> Callable[[], object]:
    import torch

    torch.set_num_threads(cpus())
    a, b = (torch.randn(MATRIX, MATRIX).to(getattr(torch, dtype)) for _ in range(2))
    return lambda: torch.mm(a, b)


def _openvino_product(dtype: str) -> Callable[[], object]:
    """With one matrix as a constant, as a layer's weights are."""
    import openvino
    import torch

    given = torch.randn(MATRIX, MATRIX)
    model = openvino.convert_model(torch.nn.Linear(MATRIX, MATRIX, bias=False), example_input=given)
    precision = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    return lambda: compiled(given.numpy(), share_inputs=True, share_outputs=True)
