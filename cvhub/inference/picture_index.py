"""Finds pictures by text or by picture: their embeddings in one matrix, and on disk beside it what each row is of.

An index is a folder with `embeddings-….safetensors`, one tensor of (N, E) float32 whose rows have length 1, and
`manifest.json`, which names that file, the model, and the picture of each row. The manifest is written last, in one
step: whenever a save is interrupted, the folder holds the index as it was before.

A search compares all rows, in one matrix product. `benchmarks/search.py` measures how long that takes up to a million,
and what an approximate index would cost there.
"""

import functools
import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cvhub.cache import write_file
from cvhub.catalog import find_entry
from cvhub.errors import CvhubError
from cvhub.inference.images import reason_of
from cvhub.inference.zero_shot import ZeroShot

FORMAT, VERSION = "cvhub picture index", 1
MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings-*.safetensors"
HIDDEN = ".cvhub-index"  # an index among the pictures that it is of, where nobody takes it for pictures
# What is known of each picture, by the kind of source: where it is, then what tells whether it is still the same.
COLUMNS = {"folder": ("path", "bytes", "mtime_ns"), "dataset": ("row", "digest")}

# What the manifest says as the index does.
FIELDS = ("model", "fingerprint", "precision", "source", "source_state", "complete")

Entry = tuple[Any, ...]  # a picture's values of its columns
State = Literal["same", "changed", "missing"]


class Hit(NamedTuple):
    """A picture that was found.

    - `place`: its path, relative to the folder of pictures, or the number of its row in the data set.
    - `score`: the cosine between what was looked for and the picture, −1 to 1.
    - `state`: whether its file is still the one that was indexed; rows of a data set count as the same.
    """

    place: str | int
    score: float
    state: State


@dataclass(frozen=True)
class PictureIndex:
    """What was embedded, and by what.

    - `folder`: where it is kept; `model`: the MODEL, a folder's absolute; `fingerprint`: of its weights.
    - `precision`: in which the net ran; `source`: where the pictures are, by the kind of `COLUMNS`.
    - `entries`: a picture each, in the order of `embeddings` (N, E).
    - `complete`: False while it is being made; `source_state`: tells a data set that has no news since, None where
      nothing does.
    """

    folder: Path
    model: str
    fingerprint: str
    precision: str
    source: dict[str, str]
    entries: Sequence[Entry]
    embeddings: np.ndarray
    complete: bool = True
    source_state: str | None = None

    # --- Search ---

    def search(self, embedding: np.ndarray, k: int = 10) -> list[Hit]:
        """The `k` pictures nearest to an embedding (E,) of length 1, best first, all of them compared."""
        if k < 1:
            raise CvhubError(f"top k is {k}, expected at least 1.")
        if not self.entries:
            return []
        scores = self.embeddings @ embedding.astype(np.float32)
        return [self._hit(self.entries[row], float(scores[row])) for row in best_rows(scores, k)]

    def _hit(self, entry: Entry, score: float) -> Hit:
        return Hit(entry[0], score, self._state(entry) if "folder" in self.source else "same")

    def _state(self, entry: Entry) -> State:
        try:
            found = size_and_time(Path(self.origin, entry[0]))
        except OSError:
            return "missing"
        return "same" if found == entry[1:] else "changed"

    @property
    def origin(self) -> str:
        """The folder of pictures, or the DATASET, to be opened from here."""
        told = self.source.get("folder") or self.source["dataset"]
        return os.path.normpath(self.folder / told) if told.startswith(".") else told

    def require_made_by(self, net: ZeroShot) -> None:
        """Raises `CvhubError` where the net's embeddings can't be compared with these."""
        found = weights_fingerprint(net.folder)
        if found == self.fingerprint:
            return
        if portable_name(net.name) == self.model:
            raise CvhubError(
                f"The weights of {self.model} have changed since the index in {self.folder} was made "
                f"(fingerprint {self.fingerprint}, now {found}): delete that folder and index again."
            )
        raise CvhubError(
            f"The index in {self.folder} was made by {self.model}, not by {net.name}, whose embeddings differ: "
            "use that model, or index into another folder."
        )

    # --- On disk ---

    @classmethod
    def load(cls, folder: Path) -> "PictureIndex":
        """The index in a folder. Raises `CvhubError` where there is none, or a damaged one."""
        told = _read_manifest(folder)
        try:
            if not (folder / told["embeddings"]).is_file():  # another process has just saved the next state
                told = _read_manifest(folder)
            embeddings = load_file(folder / told["embeddings"])["embeddings"]
            entries = list(zip(*(told["pictures"][name] for name in columns_of(told["source"])), strict=True))
            if embeddings.shape != (len(entries), told["dimension"]):
                raise ValueError(f"{len(entries)} pictures have embeddings of shape {embeddings.shape}")
            for place in (entry[0] for entry in entries if isinstance(entry[0], str)):
                if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
                    raise ValueError(f"the path {place!r} leads out of the folder")
            fields = {name: told[name] for name in FIELDS}
        except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(folder, error) from None
        return cls(folder=folder, entries=entries, embeddings=embeddings, **fields)

    def save(self) -> None:
        """In place of what the folder held, in one step. Raises `CvhubError` where it can't be written."""
        name = EMBEDDINGS.replace("*", uuid.uuid4().hex[:8])
        tensors = {"embeddings": np.ascontiguousarray(self.embeddings)}  # the library saves memory as it lies
        try:
            write_file(self.folder / name, lambda file: save_file(tensors, file))
            write_file(self.folder / MANIFEST, lambda file: file.write_text(self._manifest(name), encoding="utf-8"))
        except (OSError, SafetensorError) as error:
            raise CvhubError(f"The index can't be written into {self.folder}: {reason_of(error)}.") from None
        finally:
            self._sweep()

    def _manifest(self, embeddings: str) -> str:
        names = columns_of(self.source)
        told = {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(self, name) for name in FIELDS},
            "dimension": self.embeddings.shape[1],
            "embeddings": embeddings,
            "pictures": {name: [entry[i] for entry in self.entries] for i, name in enumerate(names)},
        }
        return json.dumps(told)

    def _sweep(self) -> None:
        """Removes the embeddings of earlier states, and what an interrupted save left."""
        with suppress(CvhubError, OSError, KeyError):
            current = _read_manifest(self.folder)["embeddings"]
            for file in self.folder.glob(f"*{EMBEDDINGS}*"):
                if file.name != current:
                    file.unlink()


def columns_of(source: dict[str, str]) -> tuple[str, ...]:
    """Raises `ValueError` for a source of no known kind."""
    (kind,) = COLUMNS.keys() & source.keys()
    return COLUMNS[kind]


def best_rows(scores: np.ndarray, k: int) -> list[int]:
    """The places of the `k` highest of (N,), best first, the earlier first among equals."""
    rows = np.arange(len(scores)) if k >= len(scores) else np.argpartition(-scores, k - 1)[:k]
    return rows[np.lexsort((rows, -scores[rows]))].tolist()


def embed_words(net: ZeroShot, text: str) -> np.ndarray:
    """What is looked for, (E,). Raises `CvhubError` for an empty text and for one that the model can't read whole."""
    if not text.strip():
        raise CvhubError("The text to look for is empty.")
    return net.embed_texts([spell_emoji(text)])[0]


def spell_emoji(text: str) -> str:
    """Each emoji by its name in Unicode's CLDR, "🚀 at night" → "rocket at night": nets know words better."""
    import emoji

    if not emoji.emoji_count(text):
        return text.strip()
    named = emoji.replace_emoji(text, lambda _, data: f" {data['en'].strip(':').replace('_', ' ')} ")
    return " ".join(named.split())


def place_of(source: str) -> Path:
    """Where an index goes unless said: into the folder, or beside, by the name on the Hub."""
    return Path(source, HIDDEN) if Path(source).is_dir() else Path(f"{source.rpartition('/')[2]}-index")


def find_index(path: Path) -> Path:
    """The index's folder: the hidden one among the pictures of the folder `path`, or else `path` itself."""
    hidden = path / HIDDEN
    return hidden if (hidden / MANIFEST).is_file() else path


def holds_index(folder: Path) -> bool:
    """Whether there is a manifest. A folder with other things in it is refused: `CvhubError`."""
    if (folder / MANIFEST).is_file():
        return True
    children = folder.iterdir() if folder.is_dir() else ()
    if any(not (child.name.startswith(".") or child.match(EMBEDDINGS)) for child in children):
        raise CvhubError(f"{folder} exists and is not an empty folder.")
    return False


def made_by(folder: Path) -> tuple[str, str] | None:
    """MODEL and precision of the index in a folder, None where there is none."""
    if not holds_index(folder):
        return None
    told = _read_manifest(folder)
    return told["model"], told["precision"]


def size_and_time(path: Path) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last change: what tells whether a file is still the same."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def told_from(index: Path, folder: Path) -> str:
    """How an index names a folder: the way from itself where it lies in there, so that both may move together."""
    index, folder = Path(os.path.abspath(index)), Path(os.path.abspath(folder))
    return Path(os.path.relpath(folder, index)).as_posix() if folder in index.parents else str(folder)


def portable_name(model: str) -> str:
    """A MODEL as it may be named from any working folder."""
    is_folder = find_entry(model) is None and Path(model).is_dir()
    return str(Path(model).resolve()) if is_folder else model


def weights_fingerprint(folder: Path) -> str:
    """Of the content of a model's weights, and of how it is given pictures: the same on every machine."""
    digest = hashlib.sha256()
    for name in ("preprocessor_config.json", "model.safetensors"):
        digest.update(_digest(folder / name, *size_and_time(folder / name)))
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=64)
def _digest(file: Path, size: int, mtime_ns: int) -> bytes:
    """Of a file's content; size and time are there for the cache to notice another content."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        told = None
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise CvhubError(f"{folder} holds no index of pictures, which `cvhub index` would make.")
    if told.get("version") != VERSION:
        raise CvhubError(f"The index in {folder} is of version {told.get('version')}, expected {VERSION}.")
    if absent := {*FIELDS, "dimension", "embeddings", "pictures"} - told.keys():
        raise _damaged(folder, ValueError(f"{MANIFEST} lacks {', '.join(sorted(absent))}"))
    return told


def _damaged(folder: Path, error: Exception) -> CvhubError:
    return CvhubError(f"The index in {folder} is damaged ({reason_of(error)}): delete that folder and index again.")
