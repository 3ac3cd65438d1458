"""A disk that takes no large files, as FAT's takes none of 4 GB: a real error, whatever library writes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_large_files(most: int = 100_000) -> Iterator[None]:
    """While active, this process can't write beyond `most` bytes of a file."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
