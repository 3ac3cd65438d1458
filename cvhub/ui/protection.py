"""What every answer of the page tells browsers, and which requests never reach Gradio.

Gradio limits files, not bodies; it would fetch any public address for anybody who asks; and it says nothing of where
its answers may be used.
"""

from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 32_000_000  # bytes of an event's data: what is painted comes as a data URI, files come by /upload
MAX_UPLOADS = 2_000_000_000  # bytes of a request with files, of which each has its own limit
UPLOAD = "/gradio_api/upload"
# By these paths Gradio fetches what they name, from anywhere, in the server's name.
FETCHING = ("/gradio_api/file=http:", "/gradio_api/file=https:", "/gradio_api/file/http", "/gradio_api/proxy=")
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
    """ASGI middleware: refuses bodies above the limits and requests to fetch, and adds `HEADERS`."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        limit = MAX_UPLOADS if scope["path"].rstrip("/") == UPLOAD else MAX_BODY
        if scope["path"].startswith(FETCHING):
            refusal: Any = PlainTextResponse("This page fetches no other addresses.", 403)
        elif int(Headers(scope=scope).get("content-length", 0)) > limit:
            refusal = PlainTextResponse(f"The limit is {limit:,} bytes.", 413)
        else:
            await self.app(scope, _limited(receive, limit), send_with_headers)
            return
        await refusal(scope, receive, send_with_headers)


def _limited(receive: Receive, limit: int) -> Receive:
    """What is received, as long as it is not more than `limit` bytes: then it is as if the sender had gone."""
    left = limit

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return receive_limited
