"""In whose name something is pushed: the visitor's of a Space, this machine's own where only its owner can come."""

import os

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.public import in_space, is_public
from cvhub.ui.strings import Say


def can_sign_in() -> bool:
    """Whether the page may offer to sign in: where the Hub has told the Space how."""
    return in_space() and bool(os.environ.get("OAUTH_CLIENT_ID"))


def token_of(visitor: gr.OAuthToken | None, say: Say) -> str:
    """The token to push with, never none and never another's; CvhubError says what to do where there is none."""
    from huggingface_hub import get_token

    if in_space():
        if visitor is None:
            raise CvhubError(say("hub_sign_in" if can_sign_in() else "hub_no_sign_in"))
        return visitor.token
    if is_public():
        raise CvhubError(say("hub_public"))
    token = get_token()
    if not token:
        raise CvhubError(say("hub_log_in"))
    return token
