"""For operators: peers, the live feed, metrics, health."""

import time
from contextlib import aclosing
from typing import Annotated, Literal

import trio
from fastapi import APIRouter, Header, Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from node.api.context import Api, ApiOf, ViewOf
from node.api.errors import TooManyRequests
from node.api.feed import Place, stream_events
from node.api.forms import Json
from node.api.schemas import Health, Peers
from p2p.identity import format_peer
from p2p.peers.manager import PeerManager

router = APIRouter(tags=["operations"])

READERS_MAX = 32
BEAT_SECONDS_MAX = 10.0
PLACE = r"^[0-9]{1,18}\.[0-9]{1,9}$"
Kind = Literal["block", "transaction", "event"]


@router.get("/v1/peers")
async def get_peers(api: ApiOf) -> Peers:
    """Who this node is connected with, who is banned, and why others are not used."""
    return await api.loop.call(_describe_peers, api.services.peers)


def _describe_peers(manager: PeerManager) -> Peers:
    """In the node's loop."""
    network, now = manager.network, trio.current_time()
    return Peers(
        peer_id=format_peer(network.peer_id),
        addresses=list(network.addresses),
        peers=[
            {
                "peer_id": format_peer(info.peer),
                "address": info.address,
                "is_outbound": info.is_outbound,
                "seconds": int(now - info.since),
                "bytes_in": info.bytes_in,
                "bytes_out": info.bytes_out,
                "streams": info.streams,
                "score": info.score,
                **_describe_hello(manager, info.peer),
            }
            for info in network.connections()
        ],
        bans=[
            {
                "peer_id": "" if ban.peer is None else format_peer(ban.peer),
                "hosts": ban.group,
                "seconds_left": int(ban.seconds_left),
                "reason": ban.reason,
            }
            for ban in network.bans()
        ],
        reasons=[
            {"peer_id": format_peer(peer), "reason": reason} for peer, reason in manager.reasons.items()
        ],
    )


def _describe_hello(manager: PeerManager, peer: bytes) -> Json:
    connected = manager.peers.get(peer)
    if connected is None:
        return {"is_accepted": False, "software": "", "height_at_hello": None}
    return {
        "is_accepted": True,
        "software": connected.hello.software,
        "height_at_hello": connected.hello.height,
    }


class EventStream(Response):
    """Server-sent events until either side leaves."""

    media_type = "text/event-stream"

    def __init__(self, api: Api, place: Place, kinds: frozenset[str]) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._api = api
        self._place = place
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what happens, and watch for the client's leaving."""
        self._api.feed.readers += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch_leaving, receive, nursery.cancel_scope)
                await self._send_all(send)
        finally:
            self._api.feed.readers -= 1

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        events = stream_events(self._api.services, self._api.feed, self._place, self._kinds)
        async with aclosing(events):  # type: ignore[type-var]
            async for part in events:
                await send({"type": "http.response.body", "body": part, "more_body": True})


async def _watch_leaving(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


@router.get("/v1/events", response_class=EventStream, status_code=200)
async def follow_events(
    api: ApiOf,
    view: ViewOf,
    kinds: Annotated[tuple[Kind, ...], Query(max_length=3)] = ("block", "transaction", "event"),
    since: Annotated[str | None, Query(pattern=PLACE, description="an id; what follows it is sent")] = None,
    last_event_id: Annotated[str | None, Header(pattern=PLACE)] = None,
) -> Response:
    """Blocks, transactions and events as they become final, as server-sent events with ids `height.index`."""
    if api.feed.readers >= READERS_MAX:
        raise TooManyRequests("too_busy", f"{READERS_MAX} clients follow events already", "ask again later")
    place = Place(view.height + 1, 0)
    last = last_event_id or since
    if last is not None:
        height, index = map(int, last.split("."))
        place = Place(height, index + 1)
    return EventStream(api, place, frozenset(kinds))


@router.get("/metrics", response_class=Response)
async def get_metrics(api: ApiOf) -> Response:
    """Figures for Prometheus."""
    return Response(api.services.metrics.format(), media_type=CONTENT_TYPE_LATEST)


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def get_health(api: ApiOf) -> Health:
    """Whether the node's loop is alive; 503 if not."""
    beat = api.services.metrics.loop_beat
    is_alive = beat is not None and time.monotonic() - beat < BEAT_SECONDS_MAX
    return _answer_health("" if is_alive else f"the node's loop was not seen for {BEAT_SECONDS_MAX:.0f} s")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def get_readiness(api: ApiOf, view: ViewOf) -> Health:
    """Whether the node is at the head and has peers (a network of one needs none); 503 if not."""
    services = api.services
    is_alone = len(view.get_validators().validators) == 1
    if services.sync.is_syncing:
        return _answer_health("syncing")
    return _answer_health("" if services.peers.peers or is_alone else "no peers")


def _answer_health(reason: str) -> Health:
    if reason:
        return JSONResponse(Health(ok=False, reason=reason), 503)  # type: ignore[return-value]
    return Health(ok=True, reason="")
