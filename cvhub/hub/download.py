"""Fetches a model's files from the Hub into huggingface_hub's cache: weights as safetensors, and never code."""

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

from cvhub.errors import CvhubError
from cvhub.hub.failures import FAILURES, PATIENCE, explained, sentence

# Files of the repo's top folder that say what a model is. Pickles and Python files are not among them.
WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "README.md",
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
PICKLES = (".bin", ".pth", ".pt", ".pkl", ".ckpt")


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder with the files of `repo_id` at `revision` (a branch, tag or commit; the main branch unless said).

    A repo that is in the cache already is used from there when the Hub can't be reached. Raises `CvhubError` with one
    sentence when the files can't be had.
    """
    try:
        info = HfApi().model_info(repo_id, revision=revision, timeout=PATIENCE)
    except RevisionNotFoundError as failure:
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    except FAILURES as failure:
        return _cached(repo_id, revision, failure)
    _check_files(repo_id, [file.rfilename for file in info.siblings or ()])
    with explained(repo_id, revision):
        return Path(_snapshot(repo_id, revision))


def _snapshot(repo_id: str, revision: str | None, local_files_only: bool = False) -> str:
    return snapshot_download(
        repo_id,
        revision=revision,
        allow_patterns=list(WANTED),
        ignore_patterns=["*/*"],
        local_files_only=local_files_only,
    )


def _cached(repo_id: str, revision: str | None, failure: Exception) -> Path:
    """The copy in the cache of a repo about which the Hub has just failed to answer."""
    try:
        folder = Path(_snapshot(repo_id, revision, local_files_only=True))
        _check_files(repo_id, [file.name for file in folder.iterdir()])
    except (LocalEntryNotFoundError, ValueError, CvhubError):
        raise CvhubError(sentence(failure, repo_id, revision)) from failure
    return folder


def _check_files(repo_id: str, files: list[str]) -> None:
    """Before anything large travels: a config and weights that can be read without running code."""
    top = [file for file in files if "/" not in file]
    if "config.json" not in top:
        raise CvhubError(f"{repo_id} has no config.json, so it is not a model that can be read here.")
    if not any(file.endswith(".safetensors") for file in top):
        pickles = [file for file in top if file.endswith(PICKLES)]
        told = f", only {pickles[0]}, a pickle, which could run code and is never loaded" if pickles else ""
        raise CvhubError(f"{repo_id} has no weights as safetensors{told}: look for a revision or copy that has.")
