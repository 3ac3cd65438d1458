"""Training that a page starts and watches: a fair queue, hard limits, and runs that outlive who asked for them.

A job is a folder with an unguessable name, and in it what its tasks write. Tasks run in processes of their own
(`job_task.py`), so that stopping one, or one that takes all memory, harms nobody else. Whoever knows the name may look.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
import psutil

from cvhub.errors import CvhubError, one_line
from cvhub.training.curves import read_curve
from cvhub.training.folder import CURVES
from cvhub.training.recipe import Data, Recipe

STATES = ("waiting", "running", "stopped", "failed", "finished")
STATE = "job.json"
TICK = 0.5  # seconds
TASK = ["-m", "cvhub.training.job_task"]  # what Python runs for a task


@dataclass(frozen=True)
class Limits:
    """What a server gives to training. `memory_mb` is of all processes of a job, `minutes` of all its tasks together;
    a job whose owner is `away_minutes` away is stopped, and its folder is deleted after `kept_minutes`."""

    jobs_at_once: int = 1
    waiting: int = 16
    minutes: float = 15.0
    memory_mb: int = 6000
    away_minutes: float = 60.0
    kept_minutes: float = 360.0


@dataclass(frozen=True)
class TeacherTask:
    """MODEL under a new head for the classes of `data`."""

    name: str
    model: str
    data: Data

    def as_dict(self) -> dict[str, Any]:
        return {"teacher": self.model, "data": asdict(self.data)}


@dataclass(frozen=True)
class TrainingTask:
    """A net by a recipe."""

    name: str
    recipe: Recipe

    def as_dict(self) -> dict[str, Any]:
        return {"recipe": self.recipe.as_dict()}


Task = TeacherTask | TrainingTask
Stages = Sequence[Sequence[Task]]  # one after another; the tasks of one side by side


@dataclass
class Job:
    """As `STATE` holds it. `stage` counts from 0; `seconds` are those in which its tasks ran. Of the jobs of one
    `owner` one waits or runs at a time; those of nobody in particular, "", are not counted."""

    name: str
    stages: list[list[str]]
    about: dict[str, Any]  # what the page wants to remember of it
    state: str = "waiting"
    stage: int = 0
    seconds: float = 0.0
    error: str = ""
    owner: str = ""


@dataclass
class _Running:
    """What the server knows besides of a job that waits or runs."""

    job: Job
    folder: Path
    seen: float
    looked_at: float = 0.0  # when its seconds were last counted
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """A job as it is now. `place` is how many are before it; `rows` each training task's curve."""

    job: Job
    place: int
    rows: dict[str, list[dict[str, float]]]


class Jobs:
    """The jobs of a server, in `root`. Any thread may ask; one of its own does the work."""

    def __init__(self, root: Path, limits: Limits | None = None):
        self.root = root
        self.limits = limits or Limits()
        self._live: dict[str, _Running] = {}  # waiting and running ones, in the order in which they came
        self._unwritten: dict[str, Job] = {}  # whose end the disk had no room for
        self._lock = Lock()
        self._thread: Thread | None = None

    # -- what a page asks

    def new_folder(self) -> Path:
        """A folder for a job that is about to start: what is to be trained on may be put into it."""
        folder = self.root / secrets.token_urlsafe(18)
        folder.mkdir(parents=True)
        return folder

    def start(self, folder: Path, stages: Stages, about: dict[str, Any], owner: str = "") -> str:
        """Queues a job in its `new_folder`; returns its name. Raises `CvhubError` where queue or disk are full, and
        where another job of its owner goes on."""
        job = Job(folder.name, [[task.name for task in stage] for stage in stages], about, owner=owner)
        with _told():
            for task in (task for stage in stages for task in stage):
                (folder / f"{task.name}.json").write_text(json.dumps(task.as_dict()), encoding="utf-8")
            with self._lock:
                self._enqueue(job, folder)
        return job.name

    def resume(self, name: str) -> None:
        """Goes on with a job that was stopped, or that failed, from its last checkpoint."""
        with self._lock, _told():  # held while it looks: another tab may ask for the same
            job, folder = self._read(name)
            if name not in self._live and job.state in ("stopped", "failed"):
                job.error = ""
                self._enqueue(job, folder)

    def stop(self, name: str) -> None:
        """Stops a job; what it has learnt up to its last checkpoint stays."""
        with self._lock:
            live = self._live.get(name)
            if live is not None:
                self._end(live, "stopped")

    def status(self, name: str, owner: bool = False) -> Status:
        """A job as it is; `owner` means that who started it is still there. Raises `CvhubError` for none."""
        with self._lock:
            live = self._live.get(name)
            if live is not None and owner:
                live.seen = time.monotonic()
            place = self._place(name)
        job = live.job if live is not None else self._read(name)[0]
        return Status(job, place, self._rows(job))

    def folder(self, name: str) -> Path:
        """Raises `CvhubError` for a name that is no job's."""
        return self._read(name)[1]

    def answers(self, name: str, task: str) -> np.ndarray | None:
        """The class that a net in training last gave to each picture that is held out, (N,)."""
        file = self.folder(name) / f"{task}.answers.npy"
        return np.load(file) if file.is_file() else None

    def close(self) -> None:
        """Stops all, as when the server ends."""
        with self._lock:
            for live in list(self._live.values()):
                self._end(live, "stopped")

    # -- the queue

    def _enqueue(self, job: Job, folder: Path) -> None:
        """Whoever calls this holds the lock, as for all that follows here."""
        if job.owner and any(live.job.owner == job.owner for live in self._live.values()):
            raise CvhubError("Your other run goes on: stop it first, or wait for its end.")
        waiting = sum(live.job.state == "waiting" for live in self._live.values())
        if waiting >= self.limits.waiting:
            raise CvhubError(f"{waiting} runs are waiting already, which is the limit: try again in some minutes.")
        job.state = "waiting"
        self._write(job, folder)
        self._live[job.name] = _Running(job, folder, time.monotonic())
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._work, name="jobs", daemon=True)
            self._thread.start()

    def _place(self, name: str) -> int:
        waiting = [live.job.name for live in self._live.values() if live.job.state == "waiting"]
        return waiting.index(name) + 1 if name in waiting else 0

    def _work(self) -> None:
        while True:
            with self._lock:
                for live in list(self._live.values()):
                    with self._failing(live):
                        self._look_after(live)
                running = sum(live.job.state == "running" for live in self._live.values())
                for live in list(self._live.values()):
                    if live.job.state == "waiting" and running < self.limits.jobs_at_once:
                        running += 1
                        live.job.state, live.looked_at = "running", time.monotonic()
                        with self._failing(live):
                            self._launch(live)
                if not self._live:
                    self._thread = None
                    return
            time.sleep(TICK)

    @contextmanager
    def _failing(self, live: _Running) -> Iterator[None]:
        """What the system denies to one job ends that one, and not the thread that looks after all."""
        try:
            with _told():
                yield
        except CvhubError as error:
            self._end(live, "failed", str(error))

    def _look_after(self, live: _Running) -> None:
        limits, job = self.limits, live.job
        if time.monotonic() - live.seen > 60 * limits.away_minutes:
            return self._end(live, "stopped")
        if job.state != "running":
            return None
        now = time.monotonic()
        job.seconds += now - live.looked_at
        live.looked_at = now
        if job.seconds > 60 * limits.minutes:
            return self._end(live, "failed", f"The run took more than {limits.minutes:g} minutes, which is the limit.")
        if _megabytes(live.processes.values()) > limits.memory_mb:
            return self._end(live, "failed", f"The run took more than {limits.memory_mb} MB, which is the limit.")
        codes = {name: process.poll() for name, process in live.processes.items()}
        if failed := [name for name, code in codes.items() if code]:
            return self._end(live, "failed", _sentence(live.folder / f"{failed[0]}.error", codes[failed[0]]))
        if None not in codes.values():
            job.stage += 1
            if job.stage == len(job.stages):
                return self._end(live, "finished")
            self._launch(live)
        return None

    def _launch(self, live: _Running) -> None:
        """Starts the tasks of the stage, each with its part of the cores."""
        names = live.job.stages[live.job.stage]
        threads = max(1, (os.cpu_count() or 1) // len(names) // self.limits.jobs_at_once)
        live.processes = {}
        for name in names:
            (live.folder / f"{name}.error").unlink(missing_ok=True)
            with (live.folder / f"{name}.log").open("ab") as log:
                live.processes[name] = subprocess.Popen(
                    [sys.executable, *TASK, str(live.folder), name],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                    start_new_session=True,
                )
        self._write(live.job, live.folder)

    def _end(self, live: _Running, state: str, error: str = "") -> None:
        for process in live.processes.values():
            if process.poll() is None:
                _kill(process)
        live.job.state, live.job.error = state, error
        self._live.pop(live.job.name, None)
        try:
            self._write(live.job, live.folder)
        except OSError:
            self._unwritten[live.job.name] = live.job
        self._forget_old()

    # -- folders

    def _write(self, job: Job, folder: Path) -> None:
        partial = folder / f"{STATE}.partial"
        partial.write_text(json.dumps(asdict(job)), encoding="utf-8")
        partial.replace(folder / STATE)
        self._unwritten.pop(job.name, None)

    def _read(self, name: str) -> tuple[Job, Path]:
        folder = self.root / name
        if not name or Path(name).name != name or not (folder / STATE).is_file():
            raise CvhubError("There is no such run any more.")
        job = self._unwritten.get(name) or Job(**json.loads((folder / STATE).read_text(encoding="utf-8")))
        if job.state in ("waiting", "running") and name not in self._live:  # a server that is gone left it so
            job.state = "stopped"
        return job, folder

    def _rows(self, job: Job) -> dict[str, list[dict[str, float]]]:
        files = {task: self.root / job.name / task / CURVES for stage in job.stages for task in stage}
        return {task: read_curve(file) for task, file in files.items() if file.is_file()}

    def _forget_old(self) -> None:
        for file in self.root.glob(f"*/{STATE}"):
            with suppress(OSError):  # whoever started it may just have deleted it
                old = time.time() - file.stat().st_mtime > 60 * self.limits.kept_minutes
                if old and file.parent.name not in self._live:
                    shutil.rmtree(file.parent, ignore_errors=True)
                    self._unwritten.pop(file.parent.name, None)


@contextmanager
def _told() -> Iterator[None]:
    """What the system denies, such as room on the disk or a process more, in a sentence."""
    try:
        yield
    except OSError as error:
        raise CvhubError(f"The server can't run this: {error.strerror or one_line(error)}.") from error


def _sentence(file: Path, code: int | None) -> str:
    """Why a task failed, as it said itself, or as the system tells; where the server keeps its runs is its own."""
    told = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    told = told.replace(f"{file.parent}{os.sep}", "")
    return told or f"The run was ended from outside (exit code {code})."  # a full disk may have taken no word


def _megabytes(processes: Any) -> float:
    total = 0
    for process in processes:
        try:
            total += psutil.Process(process.pid).memory_info().rss
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def _kill(process: subprocess.Popen) -> None:
    """With all that it started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
