"""Where cvhub keeps what it downloaded, converted and compiled; how a folder or file is made once, and whole."""

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from cvhub.errors import CvhubError, one_line

# What a disk says that has no room, not for files so large, or may not be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Words of what is no OSError where a disk takes no more: safetensors', torch's and OpenVINO's.
UNWRITTEN = ("while serializing: I/O error", "unexpected pos", "iostream error")

_elsewhere: ContextVar[Path | None] = ContextVar("elsewhere", default=None)


@contextmanager
def cache_in(folder: Path | None) -> Iterator[None]:
    """While active, what this thread makes is kept in `folder` instead of the cache, unless that is None."""
    token = _elsewhere.set(folder)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def cache_dir() -> Path:
    """`CVHUB_CACHE`, or the `cvhub` folder in the system's place for caches."""
    if folder := _elsewhere.get():
        return folder
    if chosen := os.environ.get("CVHUB_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "cvhub"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/cvhub"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cvhub"


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Returns the folder `target`, made by `build(folder)` if it isn't there: once, however many ask at once.

    Threads and processes wait for one another on a lock file. `build` fills a sibling folder that takes `target`'s
    name in one step, so a kill at any point leaves no half-written target; the leftovers go with the next build.
    Raises `CvhubError` where the disk is full or may not be written.
    """
    if target.is_dir():
        return target
    from filelock import FileLock

    with _writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not target.is_dir():
                for leftover in target.parent.glob(f".{target.name}.*.partial"):
                    shutil.rmtree(leftover, ignore_errors=True)
                write_folder(target, build)
    return target


def unwritten(error: BaseException | None) -> str | None:
    """Why a disk takes no more, where an error or what it came from says so."""
    while error is not None:
        text, number = str(error), error.errno if isinstance(error, OSError) else None
        if not isinstance(error, CvhubError) and any(words in text for words in UNWRITTEN):
            if not (told := re.search(r"os error (\d+)", text)):
                return one_line(error)
            number = int(told[1])
        if number in FULL:
            return os.strerror(number)
        error = error.__cause__
    return None


def _refusal(error: Exception, folder: Path) -> str | None:
    """Why what `folder` should hold can't be written, if that is what the error says."""
    if isinstance(error, PermissionError) and str(error.filename).startswith(str(folder)):
        return error.strerror
    return unwritten(error)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """A disk that takes nothing more becomes a `CvhubError`."""
    try:
        yield
    except Exception as error:  # each library that builds has its own
        if not (reason := _refusal(error, folder)):
            raise
        raise CvhubError(
            f"The cache {cache_dir()} can't be written ({reason}): CVHUB_CACHE may name another place."
        ) from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """A disk that takes no more of what becomes `target` is a `CvhubError`."""
    try:
        yield
    except Exception as error:
        if not (reason := _refusal(error, target.parent)):
            raise
        raise CvhubError(f"{target} can't be written: {reason}.") from error


def write_folder(target: Path, build: Callable[[Path], None]) -> None:
    """Makes the folder `target` by `build(folder)`, all or nothing; `target` must be missing or empty."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        build(partial)
        publish(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish(made: Path, target: Path) -> None:
    """Gives the folder `made` its name `target`, in one step; `target` must be missing or empty."""
    made.chmod(0o755)  # mkdtemp makes private folders
    for file in made.rglob("*"):
        if file.is_file():
            _flush(file)
    made.replace(target)
    _flush(target.parent)


def write_file(target: Path, write: Callable[[Path], object]) -> None:
    """Gives the file `target` what `write(file)` writes, all or nothing, in place of what it held.

    One writer at a time: who has several lets them wait for each other.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        write(partial)
        partial.chmod(0o644)  # safetensors makes private files
        _flush(partial)
        partial.replace(target)
        _flush(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """To the disk, so that the new name can't outlive a power cut without its content."""
    if path.is_dir() and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
