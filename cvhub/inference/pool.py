"""Keeps networks warm, each built once however many ask for it at the same moment, and one after another."""

import threading
from concurrent.futures import Future

from cvhub.errors import CvhubError
from cvhub.inference import segment, writing, zero_shot
from cvhub.inference.classify import Classifier
from cvhub.inference.segment import Segmenter
from cvhub.inference.writing import Writer
from cvhub.inference.zero_shot import ZeroShot
from cvhub.load import resolve, task_of

Predictor = Classifier | Segmenter | ZeroShot | Writer
Key = tuple[str, str, str, str]  # MODEL, runtime, precision, task

building = threading.Lock()  # transformers' lazy imports and torch's default device are not made for several threads


def build_predictor(model: str, runtime: str, precision: str, task: str = "") -> Predictor:
    """What answers for a MODEL, by its task, the first that it has unless one is said."""
    task = task or task_of(resolve(model))
    if task == zero_shot.TASK:
        return ZeroShot(model, runtime, precision)
    if task in writing.TASKS:
        return Writer(model, runtime, precision)
    return (Segmenter if task in segment.TASKS else Classifier)(model, runtime, precision)


class ModelPool:
    """MODEL, runtime, precision and task → what is ready to answer for it, and stays so until it is dropped."""

    def __init__(self) -> None:
        self._predictors: dict[Key, Future[Predictor]] = {}
        self._lock = threading.Lock()

    def get(self, model: str, runtime: str = "auto", precision: str = "auto", task: str = "") -> Predictor:
        """Builds at the first call, which later ones wait for. A failure is everybody's who waited, and is not kept."""
        key = (model, runtime, precision, task)
        with self._lock:
            future = self._predictors.get(key)
            first = future is None
            if future is None:
                future = self._predictors[key] = Future()  # a memory limit would make room here
        if first:
            self._build(key, future)
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

    def drop(self, model: str) -> None:
        """Forgets a MODEL in all runtimes and precisions. Who holds one of its predictors keeps it."""
        with self._lock:
            for key in [key for key in self._predictors if key[0] == model]:
                del self._predictors[key]

    def _build(self, key: Key, future: Future[Predictor]) -> None:
        try:
            with building:
                future.set_result(build_predictor(*key))
        except BaseException as error:
            with self._lock:
                self._predictors.pop(key, None)
            future.set_exception(error)


_default = ModelPool()


def default_pool() -> ModelPool:
    """The process's own."""
    return _default
