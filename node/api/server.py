"""The API's server: Hypercorn's HTTP/1.1, on a loop in a thread of its own, apart from consensus.

`run_api` belongs to the node's nursery; cancelling it ends the thread. Connections are counted. A client that
does not read is dropped, and so is one that does not finish its headers (by Hypercorn's idle time). HTTP/2 is
not served: its streams would evade the counts.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from node.api.app import build_app
from node.api.boundary import run_for_client
from node.api.crossing import NodeLoop
from node.api.feed import Feed
from node.api.services import ApiServices
from node.home.config import NodeConfig
from node.ledger.ledger import CommittedBlock
from p2p.errors import ListenFailed

_log = structlog.get_logger("api")

CONNECTIONS_MAX = 256
CONNECTION_BACKLOG = 128
HEADERS_SECONDS_MAX = 5.0
"""From the start of a connection, or the end of its last request, to the end of the next headers."""
HEADERS_BYTES_MAX = 16 * 2**10
SEND_SECONDS_MAX = 5.0


def open_socket(config: NodeConfig) -> socket.socket:
    """A listening socket at the configured address; raises ListenFailed."""
    family = socket.AF_INET6 if ":" in config.api_host else socket.AF_INET
    try:
        return socket.create_server(
            (config.api_host, config.api_port), family=family, backlog=CONNECTION_BACKLOG
        )
    except OSError as error:
        reason = error.strerror or error
        raise ListenFailed(f"cannot listen at {config.api_host}, port {config.api_port}: {reason}") from error


def build_server_config() -> Config:
    """Hypercorn's settings."""
    config = Config()
    config.keep_alive_timeout = cast(Any, HEADERS_SECONDS_MAX)
    config.h11_max_incomplete_size = HEADERS_BYTES_MAX
    config.errorlog = None
    config.include_server_header = False
    return config


class Http1Protocol(H11Protocol):
    """HTTP/1.1 alone: an upgrade that is offered, to HTTP/2 or WebSocket, is ignored (RFC 9110, 7.8)."""

    async def _check_protocol(self, event: h11.Request) -> None:
        await super()._check_protocol(remove_upgrade(event))

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(remove_upgrade(request))


def remove_upgrade(request: h11.Request) -> h11.Request:
    """The request without the offer."""
    headers = [(name, value) for name, value in request.headers if name.lower() != b"upgrade"]
    return h11.Request(
        method=request.method, headers=headers, target=request.target, http_version=request.http_version
    )


class Connection(TCPServer):
    """One client, by HTTP/1.1 only; a client that does not read is dropped."""

    async def run(self) -> None:
        """Until either side ends it."""
        self._scope = trio.CancelScope()
        try:
            with self._scope:
                await self._talk()
        except* (OSError, H2ProtocolAssumedError):
            pass
        finally:
            await self._close()

    async def _talk(self) -> None:
        sock = self.stream.socket
        client = parse_socket_addr(sock.family, sock.getpeername())
        server = parse_socket_addr(sock.family, sock.getsockname())
        state = ConnectionState({"abort": self.abort})
        async with TaskGroup() as self._task_group:
            protocol = Http1Protocol(
                self.app,
                self.config,
                self.context,
                self._task_group,
                state,
                False,
                client,
                server,
                self.protocol_send,
            )
            self.protocol = cast(Any, protocol)  # TCPServer would also speak HTTP/2
            await self.idle_task.restart(self._task_group, self._idle_timeout)
            await self._read_data()
            await self.idle_task.stop()

    def abort(self) -> None:
        """Cut the connection, with whatever is under way on it."""
        self._scope.cancel()

    async def protocol_send(self, event: Event) -> None:
        """As TCPServer, with a bound on how long the client may leave bytes unread."""
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            with trio.move_on_after(SEND_SECONDS_MAX, shield=True) as scope:
                try:
                    await self.stream.send_all(event.data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.protocol.handle(Closed())
        if scope.cancelled_caught:
            self.abort()


class Server:
    """Accepts connections for one application."""

    def __init__(self, app: Any) -> None:
        self._app = ASGIWrapper(app)
        self._config = build_server_config()
        self._context = WorkerContext(None)
        self._count = 0

    async def run(self, listener: trio.SocketListener) -> None:
        """Until cancelled."""
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._count >= CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        self._count += 1
        try:
            connection = Connection(self._app, self._config, self._context, cast(Any, {}), cast(Any, stream))
            await run_for_client(connection.run)
        finally:
            self._count -= 1


async def run_api(
    services: ApiServices, config: NodeConfig, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; reports the port. Raises ListenFailed."""
    with open_socket(config) as listening:
        port: int = listening.getsockname()[1]
        thread = ApiThread(services, config)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.run, listening)
            await thread.wait_until_ready()
            services.watch_blocks(thread.on_block)
            _log.info("api_listens", host=config.api_host, port=port)
            task_status.started(port)
            try:
                await trio.sleep_forever()
            finally:
                thread.stop()


class ApiThread:
    """What the node's loop knows of the API's. Every method but `_serve` belongs to the node's loop."""

    def __init__(self, services: ApiServices, config: NodeConfig) -> None:
        self._node_token = trio.lowlevel.current_trio_token()
        self._feed = Feed()
        self._app = build_app(services, config, NodeLoop(self._node_token), self._feed)
        self._scope = trio.CancelScope()
        self._ready = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    async def run(self, listening: socket.socket) -> None:
        """Returns when the API's loop has ended, and not before, whoever cancels."""
        work = partial(trio.run, self._serve, listening)
        await trio.to_thread.run_sync(work, limiter=trio.CapacityLimiter(1))

    async def wait_until_ready(self) -> None:
        """Until the API's loop can be told to stop; nothing that could fail comes before."""
        with trio.CancelScope(shield=True):
            await self._ready.wait()

    async def _serve(self, listening: socket.socket) -> None:
        """In the thread: the API's loop."""
        self._token = trio.lowlevel.current_trio_token()
        self._node_token.run_sync_soon(self._ready.set)
        with self._scope:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
            await Server(self._app).run(listener)

    def on_block(self, committed: CommittedBlock) -> None:
        """There is a new head."""
        self._call_soon(self._feed.on_block)

    def stop(self) -> None:
        """End the API's loop, with whatever is under way."""
        self._call_soon(self._scope.cancel)

    def _call_soon(self, function: Callable[[], object]) -> None:
        # `run_api` waits until the loop has set it before anybody can call this.
        assert self._token is not None
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)
