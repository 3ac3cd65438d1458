"""Fetches a model's files from the Hub into huggingface_hub's cache: weights as safetensors, and never code."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.hf_api import ModelInfo

from cvhub.cache import write_file
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
BUSY = (408, 429)  # what a Hub says that has no time, as it says 500 and more
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
    except FAILURES as failure:
        return _cached(repo_id, revision, failure)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    check_files(repo_id, list(sizes))
    wanted = [file for file in sizes if is_wanted(file)]
    _check_size(repo_id, sum(sizes[file] for file in wanted if file.endswith(".safetensors")))
    # Not snapshot_download, which asks for the list of files again, and waits for ever for a Hub that falls silent.
    with explained(repo_id, revision):
        folder = _fetch(repo_id, wanted, info.sha or revision)
    _remember(folder, revision or constants.DEFAULT_REVISION)
    return folder


def _fetch(repo_id: str, files: Sequence[str], revision: str | None) -> Path:
    """The folder of the cache with these files, fetched now or before.

    `revision` is a commit, which no push changes between two files.
    """
    fetched = [_fetch_file(repo_id, file, revision) for file in files]
    return fetched[0].parent


def _remember(folder: Path, revision: str) -> None:
    """That this folder of the cache, which is whole, is a revision, for when the Hub can't be reached."""
    reference = folder.parents[1] / "refs" / revision
    if revision == folder.name or (reference.is_file() and reference.read_text(encoding="ascii") == folder.name):
        return
    with suppress(OSError):  # a cache that may only be read
        reference.parent.mkdir(parents=True, exist_ok=True)
        write_file(reference, lambda file: file.write_text(folder.name, encoding="ascii"))


def _fetch_file(repo_id: str, file: str, revision: str | None) -> Path:
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
        return _fetch(repo_id, [file.rfilename for file in files], info.sha), info


def is_wanted(file: str) -> bool:
    """Whether a file of a repo is fetched when its model is loaded."""
    return "/" not in file and any(fnmatch(file, pattern) for pattern in WANTED)


def _cached(repo_id: str, revision: str | None, failure: Exception) -> Path:
    """The copy in the cache of a repo about which the Hub has just failed to answer, unless it has refused one."""
    if isinstance(failure, HfHubHTTPError) and failure.response.status_code not in (*BUSY, *range(500, 600)):
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    try:
        folder = Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
        check_files(repo_id, [file.name for file in folder.iterdir()])
    except (LocalEntryNotFoundError, ValueError, CvhubError):
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    return folder


def check_files(repo_id: str, files: list[str]) -> None:
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
