"""Whether strangers may use this page, who are to read none of the machine's own folders."""

import os

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def in_space() -> bool:
    """Whether this runs as a Space of the Hub."""
    return os.environ.get("SYSTEM") == "spaces"


def is_public() -> bool:
    """Whether others than the owner of this machine may come: on a Space, on another address, by a shared link."""
    address = os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0])
    shared = os.environ.get("GRADIO_SHARE", "").lower() == "true"
    return in_space() or shared or address not in LOOPBACK
