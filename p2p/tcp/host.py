"""The network over TCP: listens, dials, and hands authenticated connections to the switch.

py-libp2p's Noise, yamux, negotiation and GossipSub are used, its host and swarm are not: they never give
inbound slots back, dial in a quarter of a second, and have a resource manager that fails open. None of this
can be bounded from outside (docs/adr/004-libp2p-without-its-host.md). On the wire nothing differs.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio

from chain.primitives.types import Hash, PeerId
from p2p.errors import ListenFailed, PeerGone, Refused
from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_listen_address
from p2p.network import DEFAULT_LIMITS, Limits
from p2p.switch.admission import Admission
from p2p.switch.bans import Bans
from p2p.switch.switch import Switch
from p2p.tcp.connection import Libp2pConnection, Upgrader
from p2p.tcp.libp2p_setup import prepare_libp2p

_log = structlog.get_logger("p2p")

BACKLOG = 128
CLOSE_SECONDS_MAX = 5.0


@asynccontextmanager
async def open_network(
    seed: bytes,
    genesis_hash: Hash,
    listen: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    is_trusted_peer: Callable[[PeerId], bool] = lambda _: False,
    is_trusted_host: Callable[[str], bool] = lambda _: False,
) -> AsyncIterator[Switch]:
    """A network with the identity of `seed` that listens at `listen`, until the block ends.

    Raises ListenFailed if it cannot listen there, InvalidPeerAddress if `listen` is not an address.
    """
    prepare_libp2p()
    host, port = parse_listen_address(listen)
    peer = compute_peer_id_of_seed(seed)
    upgrader = Upgrader(seed, limits)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        raise ListenFailed(f"cannot listen at {listen}: {error.strerror or error}") from error
    async with trio.open_nursery() as nursery:
        admission = Admission(limits, is_trusted_peer, is_trusted_host)
        bans = Bans(is_trusted_peer, is_trusted_host)
        dialler, bound = _TcpDialler(upgrader), listeners[0].socket.getsockname()[1]
        addresses = (str(PeerAddress(host, bound, peer)),)
        switch = Switch(peer, genesis_hash, limits, admission, bans, nursery, dialler, addresses)
        nursery.start_soon(trio.serve_listeners, partial(_accept, switch, upgrader), listeners)
        try:
            yield switch
        finally:
            with trio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
                await switch.close_all("this node stops")
            nursery.cancel_scope.cancel()


class _TcpDialler:
    """A `transport.Dialler`."""

    def __init__(self, upgrader: Upgrader) -> None:
        self._upgrader = upgrader

    async def dial(self, address: PeerAddress) -> Libp2pConnection:
        try:
            stream = await trio.open_tcp_stream(address.host, address.port)
        except OSError as error:
            raise PeerGone(f"no answer at {address}: {error}") from error
        return await self._upgrader.upgrade_outbound(stream, address)


async def _accept(switch: Switch, upgrader: Upgrader, stream: trio.SocketStream) -> None:
    """One inbound connection, from its first byte to its end."""
    async with stream:
        try:
            host, port = stream.socket.getpeername()[:2]
        except OSError:
            return  # closed before it was accepted
        try:
            switch.check_host(host)
            with switch.admission.hold_handshake(host):
                connection = await upgrader.upgrade_inbound(stream, host, port)
            await switch.run_connection(connection)
        except (PeerGone, Refused) as error:
            _log.debug("inbound_connection_ended", host=host, reason=str(error))
