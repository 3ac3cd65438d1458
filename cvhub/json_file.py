"""Reads the JSON files of checkpoints, which strangers may have written."""

import json
from pathlib import Path
from typing import Any

from cvhub.errors import CvhubError

MAX_BYTES = 64_000_000  # the largest tokenizers have a third of it; in memory it becomes some ten times as much


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file; raises `CvhubError` for what is no regular file, too large, no JSON, or no object."""
    try:
        if not file.is_file():  # reading a pipe would wait for ever
            raise OSError
        if file.stat().st_size > MAX_BYTES:
            raise CvhubError(f"{file.name} in {file.parent.name} has more than {MAX_BYTES / 1e6:.0f} MB.")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CvhubError(f"{file.name} in {file.parent.name} can't be read as JSON ({type(error).__name__}).") from None
    if not isinstance(content, dict):
        raise CvhubError(f"{file.name} in {file.parent.name} holds a {type(content).__name__}, expected an object.")
    return content


def shards_of(index: Path) -> list[str]:
    """The names of the safetensors files that an index lists; raises `CvhubError` for what lies in other folders."""
    files = read_json(index).get("weight_map")
    names = sorted(set(map(str, files.values()))) if isinstance(files, dict) else []
    if not names or any(Path(name).name != name for name in names):
        raise CvhubError(f"weight_map of {index.name} in {index.parent.name} names no files beside it.")
    return names
