"""What every answer of the page tells browsers, and which requests never reach Gradio.

Gradio limits files, not bodies; it would fetch any public address for anybody who asks; it says nothing of where its
answers may be used; and other sites may send it what they like, in the name of who visits them.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cvhub.ui.public import LOOPBACK, in_space

MAX_BODY = 32_000_000  # bytes of an event's data: what is painted comes as a data URI, files come by /upload
MAX_UPLOADS = 2_000_000_000  # bytes of a request with files, of which each has its own limit
UPLOAD = "/gradio_api/upload"
# By these paths Gradio fetches what they name, from anywhere, in the server's name.
FETCHING = ("/gradio_api/file=http:", "/gradio_api/file=https:", "/gradio_api/file/http", "/gradio_api/proxy=")
READING = ("GET", "HEAD", "OPTIONS")
FRAMED_BY = "'self' https://huggingface.co"  # which shows a Space in a frame

# Gradio's page has scripts and styles within it, and compiles templates; all else it loads from its own address.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    f"worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {FRAMED_BY}"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # an address may name a run, and who knows its name may look at it
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
}


class Protection:
    """ASGI middleware: refuses what `refusal` does and bodies above the limits, and adds `HEADERS`.

    `is_local` says whether nobody but this machine is served.
    """

    def __init__(self, app: ASGIApp, is_local: Callable[[], bool] = lambda: False):
        self.app, self.is_local = app, is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        limit = MAX_UPLOADS if scope["path"].rstrip("/") == UPLOAD else MAX_BODY
        if said := refusal(scope, self.is_local()):
            answer: Any = PlainTextResponse(said, 403)
        elif int(Headers(scope=scope).get("content-length", 0)) > limit:
            answer = PlainTextResponse(f"The limit is {limit:,} bytes.", 413)
        else:
            await self.app(scope, _limited(receive, limit), send_with_headers)
            return
        await answer(scope, receive, send_with_headers)


def refusal(scope: Scope, is_local: bool) -> str:
    """Why a request is refused, a sentence; "" where it is not."""
    headers = Headers(scope=scope)
    if scope["path"].startswith(FETCHING):
        return "This page fetches no other addresses."
    if is_local and _name_of(headers.get("host", "")) not in LOOPBACK:  # any site may give its name our address
        return "This page is served to its own machine alone, as localhost; GRADIO_SERVER_NAME=0.0.0.0 opens it."
    if scope["method"] not in READING and _is_from_elsewhere(headers):
        return "This page takes nothing that other sites send."
    return ""


def _is_from_elsewhere(headers: Headers) -> bool:
    """Whether a browser says that another site's page has made a request. What programs send says nothing of it.

    Browsers tell `Sec-Fetch-Site` to https and localhost only, and `Origin` of all that isn't reading.
    """
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    own = {headers.get("host", "").lower()}
    if in_space():  # elsewhere a page could send this itself, since Gradio allows any header
        own.add(headers.get("x-forwarded-host", "").lower())
    origin = headers.get("origin")
    return origin is not None and origin.lower().partition("://")[2] not in own - {""}


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets; "" of what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _limited(receive: Receive, limit: int) -> Receive:
    """What is received, as long as it is not more than `limit` bytes: then it is as if the sender had gone."""
    left = limit

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return receive_limited
