"""Fetches a model's files from the Hub into huggingface_hub's cache: weights as safetensors, and never code."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import ModelInfo

from cvhub.errors import CvhubError
from cvhub.hub.failures import FAILURES, PATIENCE, explained, sentence

# Files of the repo's top folder that say what a model is. Pickles and Python files are not among them.
WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "README.md",
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
# Those of them that tell what it is before its weights travel.
DESCRIPTION = ("README.md", "config.json", "open_clip_config.json", "preprocessor_config.json")
LONGEST_TEXT = 2_000_000  # bytes of such a file
PICKLES = (".bin", ".pth", ".pt", ".pkl", ".ckpt")
CHUNK = 1 << 20
MAX_BYTES = 8_000_000_000  # of weights: far above any model of the catalogue

_fetched: ContextVar[tuple[str, Path] | None] = ContextVar("fetched", default=None)


@contextmanager
def fetched(repo_id: str) -> Iterator[None]:
    """Downloads a repo, of which this thread has then no more to ask of the Hub until the block ends.

    For what is done while others wait, who are not to wait for the network too.
    """
    token = _fetched.set((repo_id, download(repo_id)))
    try:
        yield
    finally:
        _fetched.reset(token)


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder with the files of `repo_id` at `revision` (a branch, tag or commit; the main branch unless said).

    A repo that is in the cache already is used from there when the Hub can't be reached. Raises `CvhubError` with one
    sentence when the files can't be had.
    """
    if revision is None and (known := _fetched.get()) and known[0] == repo_id:
        return known[1]
    try:
        info = HfApi().model_info(repo_id, revision=revision, timeout=PATIENCE, files_metadata=True)
    except RevisionNotFoundError as failure:
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    except FAILURES as failure:
        return _cached(repo_id, revision, failure)
    files = info.siblings or ()
    _check_files(repo_id, [file.rfilename for file in files])
    _check_size(repo_id, sum(file.size or 0 for file in files if file.rfilename.endswith(".safetensors")))
    # Not snapshot_download, which asks for the list of files again, and waits for ever for a Hub that falls silent.
    with explained(repo_id, revision):
        fetched = [_fetch(repo_id, file.rfilename, revision) for file in files if _is_wanted(file.rfilename)]
    return fetched[0].parent


def _fetch(repo_id: str, file: str, revision: str | None) -> Path:
    """A file in the cache, fetched now or before. Raises OSError where other bytes have come than the Hub announced."""
    before = try_to_load_from_cache(repo_id, file, revision=revision)
    path = Path(hf_hub_download(repo_id, file, revision=revision, etag_timeout=PATIENCE))
    blob = path.resolve()
    if before != str(path) and not _is_whole(blob):
        blob.unlink()
        path.unlink(missing_ok=True)
        raise OSError(f"{file} has another checksum")
    return path


def _is_whole(blob: Path) -> bool:
    """Whether a file of the cache has the checksum that it is named by: git's, or for large files SHA-256."""
    size = blob.stat().st_size
    digests = {40: hashlib.sha1(b"blob %d\0" % size), 64: hashlib.sha256()}
    if (digest := digests.get(len(blob.name))) is None:  # where the system has no links
        return True
    with blob.open("rb") as content:
        while piece := content.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest() == blob.name


def fetch_description(repo_id: str) -> tuple[Path, ModelInfo | None]:
    """The folder with what tells what `repo_id` is, without weights, and what the Hub says of it.

    The latter is None of a repo that is in the cache when the Hub can't be reached.
    """
    try:
        info = HfApi().model_info(repo_id, timeout=PATIENCE, files_metadata=True)
    except FAILURES as failure:
        return _cached(repo_id, None, failure), None
    files = [file for file in info.siblings or () if file.rfilename in DESCRIPTION and (file.size or 0) <= LONGEST_TEXT]
    if not files:
        raise CvhubError(f"{repo_id} has neither a config.json nor a card: nothing says what it is.")
    with explained(repo_id):
        fetched = [hf_hub_download(repo_id, file.rfilename, etag_timeout=PATIENCE) for file in files]
    return Path(fetched[0]).parent, info


def _is_wanted(file: str) -> bool:
    return "/" not in file and any(fnmatch(file, pattern) for pattern in WANTED)


def _cached(repo_id: str, revision: str | None, failure: Exception) -> Path:
    """The copy in the cache of a repo about which the Hub has just failed to answer."""
    try:
        folder = Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
        _check_files(repo_id, [file.name for file in folder.iterdir()])
    except (LocalEntryNotFoundError, ValueError, CvhubError):
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    return folder


def _check_files(repo_id: str, files: list[str]) -> None:
    """Before anything large travels: a config and weights that can be read without running code."""
    top = [file for file in files if "/" not in file]
    if not {"config.json", "open_clip_config.json"} & set(top):
        raise CvhubError(f"{repo_id} has no config.json, so it is not a model that can be read here.")
    if not any(file.endswith(".safetensors") for file in top):
        pickles = [file for file in top if file.endswith(PICKLES)]
        told = f", only {pickles[0]}, a pickle, which could run code and is never loaded" if pickles else ""
        raise CvhubError(f"{repo_id} has no weights as safetensors{told}: look for a revision or copy that has.")


def _check_size(repo_id: str, weights_bytes: int) -> None:
    if weights_bytes > MAX_BYTES:
        size, limit = (f"{number / 1e9:.1f} GB" for number in (weights_bytes, MAX_BYTES))
        raise CvhubError(f"{repo_id} has {size} of weights, the limit is {limit}.")
