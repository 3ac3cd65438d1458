"""Any number of pictures through a network, in order and in flat memory."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from PIL import Image

from cvhub.errors import CvhubError

DECODERS = min(4, os.cpu_count() or 1)

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


def answer_all(
    items: Iterable[Item],
    open_item: Callable[[Item], AbstractContextManager[Image.Image]],
    prepare: Callable[[Image.Image], Prepared],
    compute: Callable[[list[Prepared]], Iterator[Result]],
    batch_size: int,
) -> Iterator[tuple[Item, Result | str]]:
    """Each item with its result, or with the sentence that says what is wrong with it.

    Threads open the next items and `prepare` their pictures while `compute` answers a batch. A `CvhubError` of theirs
    is the item's sentence; one of `compute` is everybody's.
    """
    if batch_size < 1:
        raise CvhubError(f"batch size is {batch_size}, expected at least 1.")

    def attempt(item: Item) -> tuple[Item, Prepared | None, str]:
        try:
            with open_item(item) as image:
                return item, prepare(image), ""
        except CvhubError as error:
            return item, None, str(error)

    attempts = _map_ahead(attempt, items, ahead=2 * batch_size)
    while batch := list(itertools.islice(attempts, batch_size)):
        results = compute([prepared for _, prepared, _ in batch if prepared is not None])
        for item, prepared, error in batch:
            yield item, error if prepared is None else next(results)


def _map_ahead(function: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """`map` in threads, in order, never more than `ahead` results before what is taken."""
    waiting: deque[Future[Result]] = deque()
    threads = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
    try:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)
