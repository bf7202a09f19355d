"""The boundary per request and per connection: an unexpected failure ends that one and no other.

The second of the two places of a broad `except`. An exception that arrives here is a bug: it is logged,
the client gets 500, and the node goes on.
"""

from collections.abc import Awaitable, Callable

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import build_body

_log = structlog.get_logger("api")


class RequestBoundary:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; websockets are refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:
            _log.exception("request_failed", method=scope["method"], path=scope["path"][:200])
            if not has_begun:
                body = build_body("internal", "the node made a mistake; its log says more")
                await JSONResponse(body, 500)(scope, receive, send)


async def run_for_client(serve: Callable[[], Awaitable[None]]) -> None:
    """Serve one connection."""
    try:
        await serve()
    except Exception:
        _log.exception("connection_failed")
