"""Guards of the API against strangers, web pages and broken programs.

In this order: the Host header must name this node (against DNS rebinding: a page elsewhere that points its
own name at 127.0.0.1); each client address has a token bucket; the number of concurrent requests is bounded;
the body must arrive whole, in time and within its bound before any handler runs.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

import trio
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import (
    ApiError,
    BodyTooLarge,
    HostRefused,
    RequestTimeout,
    TooManyRequests,
    build_answer,
)

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
BODY_BYTES_MAX = 2**20
BODY_BYTES_DISCARDED_MAX = 16 * 2**20
"""How much of a body that is too large is read, so that its sender gets to read the answer."""
BODY_SECONDS_MAX = 10.0
LENGTH_DIGITS_MAX = 20
"""Of an announced length that are looked at; longer ones are refused by h11."""
REQUESTS_PER_SECOND = 400
REQUESTS_BURST = 1_000
CLIENTS_REMEMBERED_MAX = 4_096
REQUESTS_UNDER_WAY_MAX = 128
_PORT = re.compile(r":\d{1,5}$")


class Abort(Protocol):
    """Cuts the connection of a request; the server puts it into the scope's state."""

    def __call__(self) -> None: ...


class Buckets:
    """A token bucket per client; the one unused for longest is forgotten first."""

    def __init__(self, per_second: float = REQUESTS_PER_SECOND, burst: float = REQUESTS_BURST) -> None:
        self._per_second = per_second
        self._burst = burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> bool:
        """Whether the client may make one more request."""
        level, then = self._levels.pop(client, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._per_second)
        self._levels[client] = (max(level - 1, 0), now)
        if len(self._levels) > CLIENTS_REMEMBERED_MAX:
            self._levels.popitem(last=False)
        return level >= 1


class Guards:
    """The layer below the boundary."""

    def __init__(self, app: ASGIApp, host_names: Iterable[str], buckets: Buckets) -> None:
        self._app = app
        self._host_names = LOOPBACK_NAMES | {name.lower() for name in host_names}
        self._buckets = buckets
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        try:
            self._check(scope)
            body = await read_body(scope, receive)
        except ApiError as error:
            status, answer = build_answer(error)
            response = JSONResponse(answer, status)
            if is_too_large(scope):
                await send_before_body(response, scope, receive, send)
            else:
                await response(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, Replay(body, receive), send)
        finally:
            self._under_way -= 1

    def _check(self, scope: Scope) -> None:
        host = get_header(scope, b"host")
        if _PORT.sub("", host.lower()) not in self._host_names:
            raise HostRefused("host_refused", f"{host[:100]!r} is not a name of this node", "see api_names")
        client = scope["client"][0] if scope.get("client") else ""
        if not self._buckets.take(client, trio.current_time()):
            raise TooManyRequests(
                "too_many_requests", f"more than {REQUESTS_PER_SECOND} requests a second", "send batches"
            )
        if self._under_way >= REQUESTS_UNDER_WAY_MAX:
            raise TooManyRequests("too_busy", "too many requests are under way", "ask again later")


def get_header(scope: Scope, name: bytes) -> str:
    """The header's text; empty if it is missing or there are several."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin1") if len(values) == 1 else ""


def is_too_large(scope: Scope) -> bool:
    """Whether the request announces a body over the bound (Content-Length; RFC 9110, 8.6)."""
    announced = get_header(scope, b"content-length")
    return announced.isdecimal() and int(announced[:LENGTH_DIGITS_MAX]) > BODY_BYTES_MAX


async def send_before_body(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, then reads what still comes, up to a bound: a sender that is cut off while it sends
    would not see the answer.
    """

    async def send_unfinished(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_unfinished)
    with trio.move_on_after(BODY_SECONDS_MAX), suppress(BodyTooLarge):
        await _collect(scope, receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises BodyTooLarge or RequestTimeout. A sender that does not stop is cut off."""
    if is_too_large(scope):
        raise _build_too_large()
    with trio.move_on_after(BODY_SECONDS_MAX):
        return await _collect(scope, receive)
    _abort(scope)
    raise RequestTimeout("request_timeout", f"the body did not arrive within {BODY_SECONDS_MAX:.0f} s")


async def _collect(scope: Scope, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES_MAX:
            parts.append(part)
        elif size > BODY_BYTES_DISCARDED_MAX:
            _abort(scope)
            break
        if not message.get("more_body", False):
            break
    if size > BODY_BYTES_MAX:
        raise _build_too_large()
    return b"".join(parts)


def _build_too_large() -> BodyTooLarge:
    return BodyTooLarge("body_too_large", f"at most {BODY_BYTES_MAX} bytes", "send smaller batches")


def _abort(scope: Scope) -> None:
    abort: Abort | None = scope.get("state", {}).get("abort")
    if abort is not None:
        abort()


class Replay:
    """The body that was read, given to the application as if it arrived now."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        """Gives the body once, then passes on what the connection says."""
        if self._message is not None:
            message, self._message = self._message, None
            return message
        return await self._receive()
