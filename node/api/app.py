"""The application: puts routes, guards, boundary and the form of errors together."""

from typing import Any

import trio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from node.api.boundary import RequestBoundary
from node.api.context import VERIFY_THREADS, Api
from node.api.crossing import NodeLoop
from node.api.errors import EXPECTED, ApiError, build_answer, build_body
from node.api.feed import Feed
from node.api.guards import Buckets, Guards
from node.api.routes import (
    accounts,
    blocks,
    catalogue,
    content,
    hosting,
    juries,
    lockers,
    operations,
    possession,
    rewards,
    status,
    transactions,
)
from node.api.schemas import ErrorAnswer
from node.api.services import ApiServices
from node.api.shown import ShownIndex
from node.home.config import NodeConfig

ROUTERS = (
    status,
    blocks,
    transactions,
    accounts,
    hosting,
    possession,
    rewards,
    catalogue,
    juries,
    lockers,
    operations,
    content,
)
_CODE_OF_STATUS = {404: "no_such_route", 405: "method_not_allowed"}


def build_app(services: ApiServices, config: NodeConfig, loop: NodeLoop, feed: Feed) -> FastAPI:
    """The ASGI application over a node."""
    app = FastAPI(
        title="vidya",
        version=services.version,
        description="A node of a data collective: its chain, its catalogue, its content.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"default": {"model": ErrorAnswer, "description": "What went wrong"}},
    )
    app.state.api = Api(services, config, loop, feed, ShownIndex(), trio.CapacityLimiter(VERIFY_THREADS))
    for routes in ROUTERS:
        app.include_router(routes.router)
    expected: tuple[type[Exception], ...] = (ApiError, *EXPECTED)
    for kind in expected:
        app.add_exception_handler(kind, _answer_expected)
    app.add_exception_handler(RequestValidationError, _answer_malformed)
    app.add_exception_handler(HTTPException, _answer_unrouted)
    # The last one added is the outermost.
    app.add_middleware(Guards, host_names=(config.api_host, *config.api_names), buckets=Buckets())
    app.add_middleware(RequestBoundary)
    _watch(services, feed)
    return app


def _watch(services: ApiServices, feed: Feed) -> None:
    """Figures that are read when somebody asks."""
    metrics, mempool = services.metrics, services.mempool
    metrics.watch("mempool_size", "Transactions that wait", lambda: len(mempool))
    metrics.watch("mempool_size_bytes", "Their bytes", lambda: mempool.bytes_used)
    metrics.watch("p2p_peers", "Peers that said hello", lambda: len(services.peers.peers))
    metrics.watch("sync_syncing", "1 while catching up", lambda: services.sync.is_syncing)
    metrics.watch("api_event_readers", "Clients that follow events", lambda: feed.readers)


async def _answer_expected(request: Request, error: Exception) -> JSONResponse:
    status_code, body = build_answer(error)
    return JSONResponse(body, status_code)


async def _answer_malformed(request: Request, error: Exception) -> JSONResponse:
    """Names the place and the rule; what was sent is not echoed."""
    # Registered for this class alone; the framework's type of a handler is wider.
    assert isinstance(error, RequestValidationError)
    places: list[str] = []
    for one in error.errors()[:4]:
        where: Any = ".".join(str(part) for part in one["loc"])
        places.append(f"{where}: {one['msg']}")
    return JSONResponse(build_body("malformed_request", "; ".join(places), "see /v1/openapi.json"), 400)


async def _answer_unrouted(request: Request, error: Exception) -> JSONResponse:
    # Registered for this class alone, as above.
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "malformed_request")
    body = build_body(code, str(error.detail), "see /v1/openapi.json")
    return JSONResponse(body, error.status_code, error.headers)  # a 405 must name what is allowed (RFC 9110)
