"""Runs a network with OpenVINO, which the files `openvino_…` and `quantisation` of this folder import.

A network is converted once, compared once with torch before it answers anybody, and kept in the cache as OpenVINO's own
files, its compiled form too: from then on neither torch nor transformers is needed.
"""

import functools
import hashlib
import json
import os
import platform
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import openvino

import cvhub.models
from cvhub.cache import build_once, cache_dir
from cvhub.errors import CvhubError, one_line
from cvhub.inference.openvino_conversion import CONVERSION, OTHER_SIZE, OWN_SIZE, SIDES, write_converted
from cvhub.inference.runtime import CHOSEN, RuntimeUnavailable, choose_precision

HINTS = {"fp32": "f32", "bf16": "bf16"}
# On which pictures `quantisation` calibrated what it made of a network.
CALIBRATION = "calibration.json"
# Allowed difference from torch's fp32, ‖a − b‖ / ‖b‖. On noise, bf16's 8 bits cost EfficientNet-Lite0 up to 0.04 and
# tiny untrained nets 0.1; answers that have nothing to do with each other differ by 1.4.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.25}
MOST_SIZES = 8  # for which an int8 network's programs are kept


class OpenVINORuntime:
    """The choice of what computes. `converted` is the folder of the network's OpenVINO file."""

    name = "openvino"

    def __init__(self, folder: Path, precision: str, chosen: str, part: str):
        if precision == "bf16" and not has_native_bf16():
            raise RuntimeUnavailable("precision bf16 needs a processor that has it; OpenVINO would silently use fp32.")
        self.precision, why = choose_precision(precision, has_native_bf16())
        if self.precision == "int8":
            self.converted, why = _calibrated(folder)
            compiled = self.converted / "compiled"
        else:
            kept = kept_in(folder, part)
            self.converted = build_once(kept / "converted", functools.partial(write_converted, folder, part))
            compiled = _compile_once(self.converted, "fp32")  # judges the conversion, whatever the precision
        if self.precision == "bf16":
            try:
                compiled = _compile_once(self.converted, "bf16")
            except RuntimeUnavailable as error:
                if precision == "bf16":
                    raise
                self.precision, why = "fp32", f"fp32, since bf16 is too coarse: {error}"
        self.reason = f"{chosen}; {why.rstrip('.')}."
        self._programs = Programs(self.converted, compiled, self.precision)
        self.gives_features = self._programs.gives_features

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        return self._programs.run(inputs)


class Programs:
    """One program for pictures of the processor's size, known beforehand and so a tenth faster; one for all others.

    In int8 on processors with AMX there is one for each size of the others, of which the last are kept: where sizes are
    not known beforehand OpenVINO crashes there, and the process with it (openvino issue 37577).
    """

    def __init__(self, converted: Path, compiled: Path, precision: str):
        self._converted, self._compiled, self._precision = converted, compiled, precision
        self._program = _Program(converted, compiled, precision, OWN_SIZE)
        self._program_for_other_sizes: _Program | None = None
        self._programs_by_size: OrderedDict[tuple[int, ...], _Program] = OrderedDict()
        self._smallest_input, self._size_step = json.loads((converted / SIDES).read_text(encoding="utf-8"))
        self._loading = threading.Lock()
        self.gives_features = "features" in self._program.outputs

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        x = np.ascontiguousarray(inputs, dtype=self._program.dtype)
        if x.ndim == 4:
            self._check_channels(x.shape)
            self._check_sides(*x.shape[2:])
        try:
            program = self._program if x.shape[1:] == self._program.shape else self._for_other_sizes(x.shape[1:])
            return program.run(x)
        except RuntimeError as error:
            raise CvhubError(f"OpenVINO can't run inputs of shape {x.shape}: {one_line(error)}.") from error

    def _check_channels(self, shape: tuple[int, ...]) -> None:
        """OpenVINO says so too, but not where it has one thread: there it reads beyond the filters' end."""
        if shape[1] != self._program.shape[0]:
            raise CvhubError(
                f"the inputs have shape {shape}, this network takes {self._program.shape[0]} channels of pixels."
            )

    def _check_sides(self, height: int, width: int) -> None:
        smallest, step = self._smallest_input, self._size_step
        if min(height, width) < smallest:
            raise CvhubError(f"the pixels are {height}x{width}, this network takes at least {smallest}x{smallest}.")
        if any((side - smallest) % step for side in (height, width)):
            raise CvhubError(f"the pixels are {height}x{width}, this network takes sides of {smallest} + n·{step}.")

    def _for_other_sizes(self, shape: tuple[int, ...]) -> "_Program":
        with self._loading:
            if not (self._converted / OTHER_SIZE).exists():
                raise CvhubError(f"this network takes inputs of shape {self._program.shape} and no others.")
            if self._precision == "int8" and may_have_amx():
                return self._for_size(shape)
            if self._program_for_other_sizes is None:
                self._program_for_other_sizes = _Program(self._converted, self._compiled, self._precision, OTHER_SIZE)
            return self._program_for_other_sizes

    def _for_size(self, shape: tuple[int, ...]) -> "_Program":
        if shape not in self._programs_by_size:
            # Of no size OpenVINO keeps what it compiled: there may be any number of them.
            self._programs_by_size[shape] = _Program(self._converted, None, self._precision, OTHER_SIZE, shape)
            while len(self._programs_by_size) > MOST_SIZES:
                self._programs_by_size.popitem(last=False)
        self._programs_by_size.move_to_end(shape)
        return self._programs_by_size[shape]


class _Program:
    """A compiled network with one request, which threads use in turn: a second one would fight for the same cores.

    `reference` OWN_SIZE makes it for that size alone, `size` (C, H, W) for this one. `compiled` is where OpenVINO keeps
    what it compiles, unless None.
    """

    def __init__(
        self,
        converted: Path,
        compiled: Path | None,
        precision: str,
        reference: str,
        size: tuple[int, ...] | None = None,
    ):
        with np.load(converted / reference) as answered:
            self.shape, self.dtype = answered["inputs"].shape[1:], answered["inputs"].dtype
            known = set(answered.files)
        size = self.shape if reference == OWN_SIZE else size
        shape = [-1, *size] if size else None
        self._compile = functools.partial(_compile, converted / "model.xml", compiled, precision, shape)
        program = self._compile()
        # What is compiled into one may have several names, some of which come from the tracing.
        self.outputs = [next(iter(known & output.names)) for output in program.outputs]
        self._request = program.create_infer_request()
        self._turn = threading.Lock()

    def run(self, x: np.ndarray) -> dict[str, np.ndarray]:
        with self._turn:
            # The request keeps hold of a shared array, and would copy the next call's input INTO it if that one did
            # not share. Results are copies.
            try:
                results = self._request.infer([x], share_inputs=True, share_outputs=False)
            except RuntimeError:  # after a shape that doesn't fit, a program refuses those that do
                self._request = self._compile().create_infer_request()
                raise
            return {name: results[name] for name in self.outputs}


def _compile(file: Path, compiled: Path | None, precision: str, shape: list[int] | None) -> openvino.CompiledModel:
    """The network in `file`, for inputs of `shape` or of any; `compiled` keeps what took the time."""
    model = core().read_model(file)
    if shape:
        model.reshape(shape)
    return compile_model(model, compiled, precision)


def compile_model(model: openvino.Model, compiled: Path | None, precision: str) -> openvino.CompiledModel:
    if precision == "int8":  # of what isn't in 8 bits
        precision = "bf16" if has_native_bf16() else "fp32"
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    if compiled is not None:
        settings["CACHE_DIR"] = str(compiled)
    threads = os.environ.get("OMP_NUM_THREADS", "")  # which torch heeds, and OpenVINO by itself doesn't
    if threads.isdecimal():
        settings["INFERENCE_NUM_THREADS"] = threads
    return core().compile_model(model, "CPU", settings)


@functools.cache
def core() -> openvino.Core:
    return openvino.Core()


def has_native_bf16() -> bool:
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def may_have_amx() -> bool:
    """Whether the processor multiplies matrices of 8 bits by itself: Linux tells, elsewhere each of x86 may."""
    told = Path("/proc/cpuinfo")
    return "amx_int8" in told.read_text() if told.exists() else platform.machine() in ("x86_64", "AMD64")


def kept_in(folder: Path, part: str = "") -> Path:
    """The folder of the cache that has all that is made of a network, or of its part."""
    return cache_dir() / "openvino" / fingerprint(folder) / part


def _calibrated(folder: Path) -> tuple[Path, str]:
    """What `quantisation` made of the network last, and on which pictures."""
    chosen = kept_in(folder) / CHOSEN
    try:
        made = chosen.with_name(chosen.read_text(encoding="utf-8"))
        told = json.loads((made / CALIBRATION).read_text(encoding="utf-8"))
    except OSError:
        raise CvhubError(
            f"{folder.name} has not been calibrated for int8: cvhub predict MODEL PATH --precision int8 --calibrate "
            "PICTURES does so once."
        ) from None
    return made, f"int8, calibrated on {told['pictures']} pictures of {told['source']}"


def fingerprint(folder: Path) -> str:
    """Tells answers apart by all that makes them: config, picture size, weights, our code, OpenVINO's version."""
    digest = hashlib.sha256(f"{CONVERSION} {openvino.__version__}".encode())
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    code = sorted(Path(cvhub.models.__path__[0]).glob("*.py"))
    for file in [*filter(Path.exists, (folder / name for name in names)), *code]:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:20]


def _compile_once(converted: Path, precision: str) -> Path:
    """The folder that keeps the compiled programs: made when they were seen to give torch's answers."""

    def build(target: Path) -> None:
        for reference in (OWN_SIZE, OTHER_SIZE):
            if (converted / reference).exists():
                _compare(converted, target, precision, reference)

    return build_once(converted.with_name(precision), build)


def _compare(converted: Path, compiled: Path, precision: str, reference: str) -> None:
    """Raises RuntimeUnavailable where the program's answers are not torch's."""
    with np.load(converted / reference) as file:
        expected = dict(file)
    inputs = expected.pop("inputs")
    try:
        answers = _Program(converted, compiled, precision, reference).run(inputs)
    except RuntimeError as error:
        raise RuntimeUnavailable(f"OpenVINO can't run this network: {one_line(error)}.") from error
    for name, values in expected.items():
        difference, size = np.linalg.norm(answers[name] - values), np.linalg.norm(values)
        if not difference <= TOLERANCE[precision] * size:  # so that NaN fails too
            raise RuntimeUnavailable(f"OpenVINO's {name} in {precision} are off by {difference:.1g} of {size:.1g}.")
