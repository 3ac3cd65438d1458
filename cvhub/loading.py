"""What surrounds transformers while it loads a net."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvhub.cache import unwritten
from cvhub.errors import CvhubError, one_line
from cvhub.limits import MAX_PARAMETERS, bounded

# While it loads, transformers changes its own classes, and changes them back (`no_tie_weights`). Two threads at once
# would leave them changed for good: words of a decoder would never again be tied to its embedding.
_turn = threading.RLock()


@contextmanager
def loading(parameters: int = MAX_PARAMETERS) -> Iterator[None]:
    """One thread at a time, no net of more parameters, and no progress bar for each file: ours are small, and come by
    the dozen."""
    from transformers.utils import logging

    with _turn, bounded(parameters):
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if shown:
                logging.enable_progress_bar()


@contextmanager
def explained(source: Path) -> Iterator[None]:
    """What is raised about a folder or file that is damaged, or means harm, becomes a `CvhubError`."""
    try:
        yield
    except CvhubError:
        raise
    except Exception as error:  # transformers and safetensors raise nearly everything, and so may our own rules
        if unwritten(error):  # which is no fault of the model's
            raise
        raise CvhubError(f"the model in {source.name} can't be loaded: {one_line(error)}.") from error
