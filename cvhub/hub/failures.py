"""What the Hub's refusals and the network's failures mean, each in one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from cvhub.cache import unwritten
from cvhub.errors import CvhubError

# A Hub that hasn't answered a question after so many seconds is taken as out of reach.
PATIENCE = 10.0
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"
# What huggingface_hub raises. ValueError: a wrong name, a card with wrong metadata, or an answer that isn't JSON.
FAILURES = (httpx.HTTPError, OSError, ValueError)


@contextmanager
def explained(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns the failure of a request about `repo_id` into a `CvhubError`."""
    try:
        yield
    except FAILURES as failure:
        raise CvhubError(sentence(failure, repo_id, revision)) from failure


def sentence(failure: BaseException, repo_id: str, revision: str | None = None) -> str:
    """One sentence of at most 300 characters for what a request about `repo_id` raised."""
    if isinstance(failure, LocalEntryNotFoundError) and failure.__cause__:
        return sentence(failure.__cause__, repo_id, revision)  # it says that the cache has nothing either
    if isinstance(failure, HFValidationError):
        text = f"{repo_id!r} is not a Hub id: expected OWNER/NAME of letters, digits, '-', '_' and '.'."
    elif isinstance(failure, HfHubHTTPError):
        text = _refusal(failure, repo_id, revision)
    elif isinstance(failure, OfflineModeIsEnabled | LocalEntryNotFoundError):
        text = f"{repo_id} is not in the cache, and HF_HUB_OFFLINE is set: unset it to reach the Hub."
    elif isinstance(failure, httpx.TimeoutException):
        text = f"The Hub at {constants.ENDPOINT} did not answer in time about {repo_id}: try again later."
    elif isinstance(failure, httpx.RemoteProtocolError):
        text = f"The Hub broke off in the middle of {repo_id}: try again."
    elif isinstance(failure, httpx.HTTPError):
        text = (
            f"The Hub at {constants.ENDPOINT} can't be reached for {repo_id} ({type(failure).__name__}): "
            "check the connection."
        )
    elif isinstance(failure, OSError):
        text = _not_kept(failure, repo_id)
    elif isinstance(failure, JSONDecodeError):
        text = (
            f"What answers at {constants.ENDPOINT} about {repo_id} is not a Hub: check HF_ENDPOINT and the connection."
        )
    else:
        text = f"The Hub does not take {repo_id}: {' '.join(str(failure).split())}"
    return text if len(text) <= 300 else text[:299] + "…"


def _not_kept(failure: OSError, repo_id: str) -> str:
    """A sentence for files that came and are not in the cache."""
    if reason := unwritten(failure):
        return f"The cache {constants.HF_HUB_CACHE} can't be written ({reason}): HF_HOME may name another place."
    return f"{repo_id} did not arrive whole ({_first_line(failure)}): try again."


def _refusal(failure: HfHubHTTPError, repo_id: str, revision: str | None) -> str:
    """A sentence for an answer of the Hub that is no success."""
    if isinstance(failure, GatedRepoError):
        return f"{repo_id} is gated: ask for access at {constants.ENDPOINT}/{repo_id}, then {LOG_IN}."
    if isinstance(failure, RepositoryNotFoundError):
        return f"The Hub has no {repo_id} that you may see: check the name or, if it is private, {LOG_IN}."
    if isinstance(failure, RevisionNotFoundError):
        return f"{repo_id} has no revision {revision or constants.DEFAULT_REVISION!r}."
    if isinstance(failure, DisabledRepoError):
        return f"{repo_id} has been disabled on the Hub."
    status = failure.response.status_code
    if status == 401:
        return f"The Hub refuses your token for {repo_id}: {LOG_IN}."
    if status == 403:
        return f"Your token has no right to do this with {repo_id}: {_first_line(failure)}."
    if status == 429:
        return f"The Hub answers no more requests about {repo_id} for now (429): wait some minutes, or {LOG_IN}."
    if status >= 500:
        return f"The Hub has a problem of its own with {repo_id} ({status}): try again later."
    return f"The Hub refused a request about {repo_id} ({status}): {_first_line(failure)}."


def _first_line(failure: BaseException) -> str:
    message = failure.server_message if isinstance(failure, HfHubHTTPError) else str(failure)
    lines = (message or type(failure).__name__).strip().splitlines()
    return lines[0][:120].rstrip(".")
