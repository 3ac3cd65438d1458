"""Keeps networks warm, within a limit of memory; each is built once however many ask for it at the same moment."""

import functools
import math
import os
import threading
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cvhub.catalog import find_entry
from cvhub.errors import CvhubError
from cvhub.inference import segment, writing, zero_shot
from cvhub.inference.classify import Classifier
from cvhub.inference.segment import Segmenter
from cvhub.inference.writing import Writer
from cvhub.inference.zero_shot import ZeroShot
from cvhub.load import is_hub_id, resolve, task_of

Predictor = Classifier | Segmenter | ZeroShot | Writer
Key = tuple[str, str, str, str]  # MODEL, runtime, precision, task

COPIES = 2  # of a model's weights in fp32, that it takes when it is ready
ASSUMED_MEMORY = 8 * 2**30  # bytes, of a machine that doesn't tell
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # "max" where there is none

building = threading.Lock()  # transformers' lazy imports and torch's default device are not made for several threads


def build_predictor(model: str, runtime: str, precision: str, task: str = "") -> Predictor:
    """What answers for a MODEL, by its task, the first that it has unless one is said."""
    task = task or task_of(resolve(model))
    if task == zero_shot.TASK:
        return ZeroShot(model, runtime, precision)
    if task in writing.TASKS:
        return Writer(model, runtime, precision)
    return (Segmenter if task in segment.TASKS else Classifier)(model, runtime, precision)


def at_hand(model: str) -> AbstractContextManager[None]:
    """While active, building what answers for a MODEL asks nothing of the Hub: what it needs of it is fetched first."""
    entry = find_entry(model)
    if entry is not None:
        repo = entry.location if entry.source == "hub" else ""
    else:
        repo = model if is_hub_id(model) and not Path(model).is_dir() else ""
    if not repo:
        return nullcontext()
    from cvhub.hub.download import fetched

    return fetched(repo)


class ModelPool:
    """MODEL, runtime, precision and task → what is ready to answer for it, and stays so until it is dropped.

    Together they may take about `limit` bytes of memory, or half of what the process may have: beyond that, those that
    were not asked for longest leave. The one asked for last stays, however large.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = memory_available() // 2 if limit is None else limit
        self._predictors: dict[Key, Future[Predictor]] = {}  # asked for longest ago first
        self._lock = threading.Lock()

    def get(self, model: str, runtime: str = "auto", precision: str = "auto", task: str = "") -> Predictor:
        """Builds at the first call, which later ones wait for. A failure is everybody's who waited, and is not kept."""
        key = (model, runtime, precision, task)
        with self._lock:
            future = self._predictors.pop(key, None)
            first = future is None
            if future is None:
                future = Future()
            self._predictors[key] = future
        if first:
            self._build(key, future)
            self._make_room()
        return future.result()

    def classifier(self, model: str, runtime: str = "auto", precision: str = "auto") -> Classifier:
        """`get` for who has to do with classes of pictures. Raises CvhubError for a MODEL of another task."""
        predictor = self.get(model, runtime, precision)
        if not isinstance(predictor, Classifier):
            raise CvhubError(f"{model} does {task_of(predictor.folder)}, expected a model for image-classification.")
        return predictor

    def zero_shot(self, model: str, runtime: str = "auto", precision: str = "auto") -> ZeroShot:
        """`get` for who has to do with pictures and texts. Raises CvhubError for a MODEL that can't tell them apart."""
        predictor = self.get(model, runtime, precision, zero_shot.TASK)
        assert isinstance(predictor, ZeroShot)
        return predictor

    def __len__(self) -> int:
        """How many predictors it holds, those included that are being built."""
        return len(self._predictors)

    def drop(self, model: str) -> None:
        """Forgets a MODEL in all runtimes and precisions. Who holds one of its predictors keeps it."""
        with self._lock:
            for key in [key for key in self._predictors if key[0] == model]:
                del self._predictors[key]

    def _make_room(self) -> None:
        """Forgets those asked for longest ago. What a predictor holds goes when its last user is done with it."""
        with self._lock:
            ready = {key: future.result() for key, future in self._predictors.items() if future.done()}
            taken = sum(memory_of(predictor.folder) for predictor in ready.values())
            for key in list(ready)[:-1]:
                if taken <= self.limit:
                    return
                taken -= memory_of(ready[key].folder)
                del self._predictors[key]

    def _build(self, key: Key, future: Future[Predictor]) -> None:
        try:
            with at_hand(key[0]), building:  # a download may take hours, in which others are built
                future.set_result(build_predictor(*key))
        except BaseException as error:
            with self._lock:
                self._predictors.pop(key, None)
            future.set_exception(error)


@functools.lru_cache(maxsize=1000)
def memory_of(folder: Path) -> int:
    """Bytes that a model which is ready takes, about: OpenVINO's own copy of its weights, and what it computes in."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as file:
        numbers = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return COPIES * 4 * numbers


def memory_available() -> int:
    """Bytes of memory that the process may have: the machine's, or those of the container it is in."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # no Unix
        machine = ASSUMED_MEMORY
    try:
        container = CONTAINER_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(container)) if container.isdecimal() else machine


_default = ModelPool()


def default_pool() -> ModelPool:
    """The process's own."""
    return _default
