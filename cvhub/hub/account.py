"""Whose token this is."""

from huggingface_hub import HfApi

from cvhub.hub.failures import explained


def user_of(token: str) -> str:
    """The name of the account; raises `CvhubError` with one sentence where the Hub doesn't tell."""
    with explained("your account"):
        return str(HfApi(token=token).whoami(cache=True)["name"])
