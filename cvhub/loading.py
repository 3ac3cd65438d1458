"""What surrounds transformers while it loads a net."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# While it loads, transformers changes its own classes, and changes them back (`no_tie_weights`). Two threads at once
# would leave them changed for good: words of a decoder would never again be tied to its embedding.
_turn = threading.RLock()


@contextmanager
def loading() -> Iterator[None]:
    """One thread at a time, and no progress bar for each file: ours are small, and come by the dozen."""
    from transformers.utils import logging

    with _turn:
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if shown:
                logging.enable_progress_bar()
