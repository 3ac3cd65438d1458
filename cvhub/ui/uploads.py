"""Keeps what visitors send, and what is made for them, in a place of this page's own and within a limit of disk.

Gradio alone has one folder for all programs of a machine, from which each that ends takes the files that the others
made too, and deletes by age.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

MOST_BYTES = 2 * 2**30  # of all visitors' files
SAFE_SECONDS = 120  # a younger file is being worked with


@contextmanager
def folder_of_its_own() -> Iterator[None]:
    """A folder for the pages built and served meanwhile, then deleted: for what Gradio keeps, unless GRADIO_TEMP_DIR
    names a place, and beside it for what handlers make as temporary files, which no route gives away by itself."""
    with tempfile.TemporaryDirectory(prefix="cvhub-page-", ignore_cleanup_errors=True) as folder:
        made = Path(folder, "made")
        made.mkdir()
        chosen, before = os.environ.get("GRADIO_TEMP_DIR"), tempfile.tempdir
        os.environ["GRADIO_TEMP_DIR"] = chosen or str(Path(folder, "gradio"))
        tempfile.tempdir = str(made)
        try:
            yield
        finally:
            tempfile.tempdir = before
            if not chosen:
                del os.environ["GRADIO_TEMP_DIR"]


def tidy(demo: gr.Blocks, before: float) -> None:
    """Deletes the oldest files of a page, of those from before that time, until all together fit the limit."""
    kept_always = set().union(*(getattr(block, "keep_in_cache", ()) for block in demo.blocks.values()))
    found = []  # age, bytes, file, and the set of Gradio's that lists it
    for listed in demo.temp_file_sets:
        for file in listed.copy():  # uploads go on meanwhile
            try:
                seen = Path(file).stat()
            except OSError:
                listed.discard(file)
                continue
            found.append((seen.st_mtime, seen.st_size, file, listed))
    too_many = sum(size for _, size, _, _ in found) - MOST_BYTES
    for written, size, file, listed in sorted(found, key=lambda row: row[:3]):
        if too_many <= 0 or written > before:
            return
        if file not in kept_always:
            Path(file).unlink(missing_ok=True)
            listed.discard(file)
            too_many -= size
