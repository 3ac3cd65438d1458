"""The one interface that runs a network, and the choice of who does: OpenVINO or torch, in fp32, bf16 or int8."""

import logging
import os
import platform
import sys
from pathlib import Path
from typing import Protocol

import numpy as np

from cvhub.cache import cache_dir
from cvhub.errors import CvhubError, one_line

RUNTIMES = ("auto", "openvino", "torch", "compile")
PRECISIONS = ("auto", "fp32", "bf16", "int8")

# In the cache, of a network that was calibrated for int8: which of its calibrations is meant.
CHOSEN = Path("int8", "chosen")
# Where a driver of a GPU shows itself: torch is not imported to find that there is none.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
USUAL_TOKENS = 8  # of a short text: its program is made for that length beforehand, and lengths are its multiples
LARGER_BY = (37, 11)  # pixels, odd ones, by which an example's sides are larger than usual

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """A network, loaded and ready. Several threads may call `run` at once.

    - `name`: "openvino" or "torch"; `precision`: "fp32", "bf16" or "int8"; `reason`: a sentence that says why these.
    - `gives_features`: whether the net ends in global average pooling and a linear layer, so that `run` also gives
      the map before the pooling.

    Of a net that reads pictures and texts each tower is one of its own, a `part` of the net.
    """

    name: str
    precision: str
    reason: str
    gives_features: bool

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """(N, C, H, W) float32, or (N, L) integers for a text tower, left as it is → by name, float32.

        - Of a classifier "logits" (N, K) and perhaps "features" (N, C', h, w).
        - Of a segmenter "logits" (N, K, h, w); of a panoptic one also "centres" (N, 1, h, w), "offsets" (N, 2, h, w).
        - Of a tower "embeds" (N, E), of length 1. Of a net that writes "tokens" (N, S, D), of the picture.
        """
        ...


class RuntimeUnavailable(CvhubError):
    """This runtime can't run this model here. Another one may."""


def build_runtime(folder: Path, runtime: str = "auto", precision: str = "auto", part: str = "") -> Runtime:
    """The network of a folder of ours, or a `part` of it: "image" or "text", or of one that writes "tokens".

    `runtime` "auto" takes torch where there is a GPU that it can use. On a CPU it takes OpenVINO, which is fastest
    there, and torch where OpenVINO can't run this model, with a line of log that says why. "compile" is torch with
    `torch.compile`. `precision` "auto" takes bf16 where the processor computes it natively, else fp32; "int8" is
    OpenVINO's, of a whole net that was calibrated (`quantisation`).
    """
    _check_choice("runtime", runtime, RUNTIMES)
    _check_choice("precision", precision, PRECISIONS)
    if precision == "int8":
        if runtime in ("torch", "compile"):
            raise CvhubError(f"precision int8 is OpenVINO's, and runtime is {runtime}.")
        if part:
            raise CvhubError("precision int8 is for classifiers and segmenters.")
        runtime = "openvino"  # torch would answer in another precision
    if runtime in ("torch", "compile"):
        return _on_torch(folder, precision, f"{runtime}, as asked", part, runtime == "compile")
    if runtime == "auto" and has_gpu():
        return _on_torch(folder, precision, "torch, which this machine has a GPU for", part)
    chosen = "OpenVINO, as asked" if runtime == "openvino" else "OpenVINO, the fastest on a CPU"
    try:
        return _on_openvino(folder, precision, chosen, part)
    except RuntimeUnavailable as error:
        if runtime == "openvino":
            raise
        log.warning("torch runs %s: %s", folder.name, error)
        return _on_torch(folder, precision, f"torch, since {str(error).rstrip('.')}", part)


def offered_precisions() -> tuple[str, ...]:
    """What is worth a choice: int8 where a network was calibrated on this machine."""
    calibrated = next((cache_dir() / "openvino").glob(str("*" / CHOSEN)), None)
    return PRECISIONS if calibrated else PRECISIONS[:-1]


def has_gpu() -> bool:
    """Whether torch finds a GPU, of CUDA's kind (or ROCm's) or Apple's."""
    driver = any(map(os.path.exists, GPU_DRIVERS)) or (sys.platform, platform.machine()) == ("darwin", "arm64")
    if not driver:
        return False
    from cvhub.inference.torch_runtime import best_device

    return best_device() != "cpu"


def _on_torch(folder: Path, precision: str, chosen: str, part: str, compiled: bool = False) -> Runtime:
    from cvhub.inference.torch_runtime import TorchRuntime

    return TorchRuntime(folder, precision, chosen, part, compiled)


def _on_openvino(folder: Path, precision: str, chosen: str, part: str) -> Runtime:
    try:
        from cvhub.inference.openvino_runtime import OpenVINORuntime
    except ImportError as error:
        raise RuntimeUnavailable(f"OpenVINO can't be imported: {one_line(error)}.") from None
    return OpenVINORuntime(folder, precision, chosen, part)


def choose_precision(precision: str, native_bf16: bool) -> tuple[str, str]:
    """The precision to compute in, and why. "auto" depends on whether the processor has instructions for bf16."""
    if precision == "auto":
        if native_bf16:
            return "bf16", "bf16, which this processor computes natively"
        return "fp32", "fp32, since this processor has no native bf16"
    return precision, f"{precision}, as asked"


def example_inputs(folder: Path, part: str, batch: int, larger: bool = False) -> np.ndarray:
    """What a net or its `part` may be given, always the same; or larger than usual."""
    if part == "text":
        return example_ids(folder, batch, USUAL_TOKENS * (3 if larger else 1))
    return example_pixels(folder, batch, LARGER_BY if larger else (0, 0))


def example_ids(folder: Path, batch: int, tokens: int) -> np.ndarray:
    """Texts (batch, L) of chance, each up to its end token, of `tokens` or the most that the net takes."""
    from cvhub.load import load_config

    text = load_config(str(folder)).text_config
    length = min(tokens, text.max_position_embeddings)
    ids = np.random.default_rng(0).integers(0, text.vocab_size, (batch, length))
    ids[:, -1] = text.eos_token_id
    return ids


def example_pixels(folder: Path, batch: int, larger_by: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Noise (batch, C, H, W) float32, always the same, of the `usual_size`; or larger, by so much at the least."""
    from cvhub.load import load_config

    config = load_config(str(folder))
    sides = (config.fitting_size(side + more) for side, more in zip(usual_size(folder), larger_by, strict=True))
    return np.random.default_rng(0).standard_normal((batch, config.num_channels, *sides), dtype=np.float32)


def usual_size(folder: Path) -> tuple[int, int]:
    """Height and width of what a network is given of a 256x256 picture: most are given all pictures at one size."""
    from cvhub.load import load_config, load_processor

    fit = load_config(str(folder)).fitting_size
    height, width = load_processor(str(folder)).size_of(256, 256)
    return fit(height), fit(width)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CvhubError(f"{name} is {value!r}, expected one of {', '.join(allowed)}.")
