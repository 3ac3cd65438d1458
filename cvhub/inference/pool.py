"""Keeps networks warm, each built once however many ask for it at the same moment, and one after another."""

import threading
from concurrent.futures import Future

from cvhub.inference.classify import Classifier

Key = tuple[str, str, str]  # MODEL, runtime, precision

building = threading.Lock()  # transformers' lazy imports and torch's default device are not made for several threads


class ModelPool:
    """MODEL, runtime and precision → a ready `Classifier`, which stays until it is dropped."""

    def __init__(self) -> None:
        self._classifiers: dict[Key, Future[Classifier]] = {}
        self._lock = threading.Lock()

    def get(self, model: str, runtime: str = "auto", precision: str = "auto") -> Classifier:
        """Builds at the first call, which later ones wait for. A failure is everybody's who waited, and is not kept."""
        key = (model, runtime, precision)
        with self._lock:
            future = self._classifiers.get(key)
            first = future is None
            if future is None:
                future = self._classifiers[key] = Future()  # a memory limit would make room here
        if first:
            self._build(key, future)
        return future.result()

    def drop(self, model: str) -> None:
        """Forgets a MODEL in all runtimes and precisions. Who holds one of its classifiers keeps it."""
        with self._lock:
            for key in [key for key in self._classifiers if key[0] == model]:
                del self._classifiers[key]

    def _build(self, key: Key, future: Future[Classifier]) -> None:
        try:
            with building:
                future.set_result(Classifier(*key))
        except BaseException as error:
            with self._lock:
                self._classifiers.pop(key, None)
            future.set_exception(error)


_default = ModelPool()


def default_pool() -> ModelPool:
    """The process's own."""
    return _default
