"""What a disk doesn't take, in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from cvhub.errors import CvhubError, one_line

# Words of what is no OSError where a disk takes no more: torch's, as of 2.9, and safetensors'.
UNWRITTEN = ("write", "writing", "unexpected pos", "I/O error")


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Says in a sentence that the disk doesn't take `what`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not isinstance(error, OSError) and not any(words in str(error) for words in UNWRITTEN):
            raise
        raise CvhubError(
            f"{what} can't be written ({one_line(error)}): "
            "with room on the disk the run goes on from its last checkpoint when it is started again."
        ) from None
