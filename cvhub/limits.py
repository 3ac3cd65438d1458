"""How large a net may be: a config is a few bytes that anybody may have written, and can ask for terabytes or hours."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cvhub.errors import CvhubError

MAX_NUMBER = 1_000_000  # in a config: vocabularies have some hundred thousand words
MAX_MODULES = 20_000  # a ResNet-152 has 870
MAX_PARAMETERS = 4_000_000_000


def check_numbers(fields: Any, most: int = MAX_NUMBER) -> None:
    """Raises `CvhubError` where a number, anywhere in a config's fields, is larger than `most` or is none."""
    for number in _numbers(fields):
        if not abs(number) <= most:
            raise CvhubError(f"{number} is more than {most}, the largest number that is taken here.")


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a JSON value."""
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)


@contextmanager
def bounded(parameters: int = MAX_PARAMETERS) -> Iterator[None]:
    """While active, this thread can't put together a net of more modules or parameters: `CvhubError` ends the attempt.

    Of use where nets are made on the meta device, so that none of their memory is taken yet.
    """
    from torch.nn.modules import module as torch_modules

    thread, modules, numbers = threading.get_ident(), 0, 0

    def count_module(*_: Any) -> None:
        nonlocal modules
        modules += threading.get_ident() == thread
        if modules > MAX_MODULES:
            raise CvhubError(f"This config makes a net of more than {MAX_MODULES} modules.")

    def count_parameter(_: Any, name: str, parameter: Any) -> None:
        nonlocal numbers
        if parameter is not None and threading.get_ident() == thread:
            numbers += math.prod(parameter.shape)
        if numbers > parameters:
            raise CvhubError(f"This config makes a net of more than {parameters} parameters.")

    handles = (
        torch_modules.register_module_module_registration_hook(count_module),
        torch_modules.register_module_parameter_registration_hook(count_parameter),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
