"""Uploads a folder of ours to the Hub: weights, config, processor, card and the code that loads them, in one commit."""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError

from cvhub.errors import CvhubError
from cvhub.hub.card import BLANK, complete_card
from cvhub.hub.failures import LOG_IN, PATIENCE, explained
from cvhub.hub.folder import add_code, check_folder, travels


def push(
    folder: Path, repo_id: str, private: bool = False, *, token: str | None = None, pull_request: bool = False
) -> str:
    """Uploads `folder` to the model repo `repo_id`, made if it isn't there, and returns the repo's address.

    - `private` is for a new repo; one that is there stays as it is. `token`: of who pushes; this machine's login unless
      given. `pull_request` proposes the files to a repo that is there, and returns the address of the proposal.

    The folder itself is not changed. Raises `CvhubError` with one sentence when the folder isn't complete or the Hub
    doesn't take it; then the repo has none of its files.
    """
    family = check_folder(folder)
    check_repo_id(repo_id)
    api = HfApi(token=token or machine_token(repo_id))
    with explained(repo_id):
        keep_card = _is_described(api, repo_id) and not (folder / "README.md").is_file()
    with tempfile.TemporaryDirectory() as made:
        files = {file.name: file for file in folder.iterdir() if travels(file)} | add_code(folder, Path(made), family)
        if not keep_card:
            files["README.md"] = _add_card(folder, Path(made), repo_id)
        operations = [CommitOperationAdd(name, file) for name, file in sorted(files.items())]
        with explained(repo_id):
            url = "" if pull_request else api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.create_commit(repo_id, operations, commit_message="Upload model", create_pr=pull_request)
    if pull_request and not done.pr_url:
        raise CvhubError(f"{repo_id} has exactly these files already: there is nothing to propose.")
    return str(done.pr_url or url)


def preview_card(folder: Path, repo_id: str) -> str:
    """The README.md that `push` would give `repo_id`, if its owner has written none."""
    family = check_folder(folder)
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as made:
        add_code(folder, Path(made), family)
        return _add_card(folder, Path(made), repo_id).read_text(encoding="utf-8")


def check_repo_id(repo_id: str) -> None:
    if repo_id.count("/") != 1:
        raise CvhubError(f"{repo_id!r} is not a Hub id: expected OWNER/NAME.")


def machine_token(repo_id: str) -> str:
    """The token of this machine's login; raises `CvhubError` where there is none."""
    token = get_token()
    if not token:
        raise CvhubError(f"Pushing to {repo_id} needs a Hub token: {LOG_IN}.")
    return token


def _is_described(api: HfApi, repo_id: str) -> bool:
    """Whether the repo is there and has a card that is not blank: its owner may have written it."""
    try:
        info = api.model_info(repo_id, timeout=PATIENCE)
    except RepositoryNotFoundError:
        return False
    if not any(file.rfilename == "README.md" for file in info.siblings or ()):
        return False
    return BLANK not in Path(api.hf_hub_download(repo_id, "README.md")).read_text(encoding="utf-8")


def _add_card(folder: Path, made: Path, repo_id: str) -> Path:
    """Into `made`: the folder's card, or a new one."""
    if (folder / "README.md").is_file():
        shutil.copy(folder / "README.md", made)
    complete_card(made, repo_id)
    return made / "README.md"
