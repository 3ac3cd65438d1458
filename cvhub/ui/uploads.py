"""Keeps what visitors send, and what is made for them, within a limit of disk: Gradio alone goes by age."""

from pathlib import Path

import gradio as gr

MOST_BYTES = 2 * 2**30  # of all visitors' files
SAFE_SECONDS = 120  # a younger file is being worked with


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
