"""Uploads a folder of ours to the Hub: weights, config, processor, card and the code that loads them, in one commit."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError

from cvhub.errors import CvhubError
from cvhub.hub.card import BLANK
from cvhub.hub.complete import complete
from cvhub.hub.failures import LOG_IN, PATIENCE, explained


def push(
    folder: Path, repo_id: str, private: bool = False, *, token: str | None = None, pull_request: bool = False
) -> str:
    """Uploads `folder` to the model repo `repo_id`, made if it isn't there, and returns the repo's address.

    - `private` is for a new repo; one that is there stays as it is. `token`: of who pushes; this machine's login unless
      given. `pull_request` proposes the files to a repo that is there, and returns the address of the proposal.

    The folder itself is not changed. Raises `CvhubError` with one sentence when the folder isn't complete or the Hub
    doesn't take it; then the repo has none of its files.
    """
    check_repo_id(repo_id)
    with complete(folder, repo_id) as files:
        api = HfApi(token=token or machine_token(repo_id))
        with explained(repo_id):
            if _is_described(api, repo_id) and not (folder / "README.md").is_file():
                del files["README.md"]
            operations = [CommitOperationAdd(name, file) for name, file in sorted(files.items())]
            url = "" if pull_request else api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.create_commit(repo_id, operations, commit_message="Upload model", create_pr=pull_request)
    if pull_request and not done.pr_url:
        raise CvhubError(f"{repo_id} has exactly these files already: there is nothing to propose.")
    return str(done.pr_url or url)


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
