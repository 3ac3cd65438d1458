"""Sees what a process does to the rest of the machine: programs that it starts, files it changes, code it runs.

By Python's audit hooks, which libraries can't go around as long as they use Python's own functions.
"""

import os
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
REACHING = ("socket.connect",)
# The event → which of its values is the path that changes.
CHANGING = {"open": 0, "os.mkdir": 0, "os.remove": 0, "os.rename": 1, "os.rmdir": 0, "os.link": 1, "os.symlink": 1}
CHANGING |= {"os.truncate": 0, "os.chmod": 0}


def watch(*places: Path) -> list[str]:
    """From now on, the list tells which programs were started, addresses called, code of the places run, and files
    changed outside of the places. Python's own caches of imports are let pass."""
    inside = tuple(str(place.resolve()) + os.sep for place in places)
    free = (*inside, "/dev/", "/proc/self/", f"/proc/{os.getpid()}/")
    seen: list[str] = []

    def leaves(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor, opened before
        whole = os.path.realpath(os.fsdecode(path))
        return not (whole + os.sep).startswith(free) and "__pycache__" not in whole

    def hook(event: str, values: tuple) -> None:
        if event in STARTING or event in REACHING:
            seen.append(f"{event} {values[:2]!r}")
        elif event == "open" and not (isinstance(values[2], int) and values[2] & WRITING):
            return
        elif event in CHANGING and leaves(values[CHANGING[event]]):
            seen.append(f"{event} {values[:2]!r}")
        elif event == "exec" and str(getattr(values[0], "co_filename", "")).startswith(inside):
            seen.append(f"runs {values[0].co_filename}")

    sys.addaudithook(hook)
    return seen
