"""What teachers said, kept: a run that sees a view again, or another run that sees it too, asks no teacher.

A folder of answers holds one of each teacher, and in it `manifest.json`, which says whose answers to what these are,
and a shard for each view of the pictures: fp16 logits (R, K), NaN where none has been written. Shards are mapped into
memory: what is written there outlives a kill.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvhub.errors import CvhubError
from cvhub.training.teachers import Teacher

MANIFEST = "manifest.json"


class StoredAnswers:
    """A teacher's answers in `folder`, asked for where they are missing.

    `facts` are what an answer depends on besides its row and view, plain values by name. Each view has `rows` rows.
    Raises `CvhubError` where the folder holds answers to something else, and says what differs.
    """

    def __init__(self, folder: Path, teacher: Teacher, rows: int, facts: dict[str, Any]):
        self.folder = folder
        self.teacher = teacher
        self.shape = (rows, len(teacher.columns))
        self._shards: dict[int, np.ndarray] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _claim(folder / MANIFEST, json.dumps(facts, indent=2, sort_keys=True).encode() + b"\n")
            _check_facts(folder, facts)
        except OSError as error:
            raise CvhubError(f"Answers can't be kept in {folder}: {error.strerror or error}.") from None

    def __call__(self, view: int, rows: np.ndarray, pixels: Tensor) -> Tensor:
        """Logits (N, K), rounded to fp16 whether they were stored or not, as float32.

        `rows` (N,) tell the samples of this `view`, `pixels` (N, C, H, W) are what the student sees of them.
        """
        shard = self._shard(view)
        missing = np.isnan(shard[rows]).any(axis=1)
        if missing.any():  # the whole batch: its size may show in the last digits
            answered = self.teacher.answer(pixels).to(torch.float16)
            if not bool(answered.isfinite().all()):
                raise CvhubError(f"teacher {self.teacher.model} answers with what is no number in fp16.")
            shard[rows[missing]] = answered.numpy()[missing]
        return torch.from_numpy(shard[rows]).float()

    def count(self, view: int) -> int:
        """How many rows of a view have been answered."""
        return int((~np.isnan(self._shard(view)).any(axis=1)).sum())

    def _shard(self, view: int) -> np.ndarray:
        if view not in self._shards:
            file = self.folder / f"view-{view:04}.npy"
            try:
                if not file.is_file():  # written, not mapped: a full disk is an error now, and not a crash later
                    _claim(file, _npy(np.full(self.shape, np.nan, np.float16)))
                shard = np.load(file, mmap_mode="r+")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is damaged"
                raise CvhubError(f"The shard {file} can't be used: {reason}.") from None
            if shard.shape != self.shape or shard.dtype != np.float16:
                made = f"{shard.dtype} {shard.shape}"
                raise CvhubError(f"The shard {file} holds {made}, expected float16 {self.shape}.")
            self._shards[view] = shard
        return self._shards[view]


def _claim(file: Path, content: bytes) -> None:
    """Writes a new file, whole or not at all; leaves one that another process wrote first."""
    if file.exists():
        return
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        os.link(partial, file)
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)


def _npy(array: np.ndarray) -> bytes:
    from io import BytesIO

    made = BytesIO()
    np.save(made, array)
    return made.getvalue()


def _check_facts(folder: Path, facts: dict[str, Any]) -> None:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError:
        found = {}
    ours = json.loads(json.dumps(facts))
    differing = sorted(name for name in {*ours, *found} if ours.get(name) != found.get(name))
    if differing:
        name = differing[0]
        theirs, wanted = found.get(name), ours.get(name)
        raise CvhubError(
            f"{folder} holds answers to something else: their {name} is {theirs!r:.99}, not {wanted!r:.99}. "
            "Name another folder in distillation.answers."
        )
