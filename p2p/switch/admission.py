"""Who may connect: bounded counts of handshakes and connections, per host and in total.

Here a *host* is an IP address. py-libp2p bounds neither count (250 idle TCP connections of one address lock
everybody out of a stock host) and never gives an inbound slot back; here every slot is a context that ends.

The counts of one host are checked before the handshake, which costs milliseconds; the others after it, when
trusted peers are known. Trusted peers (validators, seeds) and their known hosts are exempt from the counts,
so that a flood of strangers cannot separate validators.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chain.primitives.types import PeerId
from p2p.errors import RefusalCode, Refused
from p2p.network import Limits
from p2p.switch.transport import SecureConnection


class Admission:
    """Counters of handshakes and connections, with their bounds."""

    def __init__(
        self,
        limits: Limits,
        is_trusted_peer: Callable[[PeerId], bool],
        is_trusted_host: Callable[[str], bool],
    ) -> None:
        self._limits = limits
        self._is_trusted_peer = is_trusted_peer
        self._is_trusted_host = is_trusted_host
        self._handshakes: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._peers: Counter[PeerId] = Counter()
        self._inbound = 0

    @contextmanager
    def hold_handshake(self, host: str) -> Iterator[None]:
        """A slot for a handshake with an unknown peer; raises Refused."""
        if not self._is_trusted_host(host):
            self._check_handshake(host)
        self._handshakes[host] += 1
        try:
            yield
        finally:
            _decrement(self._handshakes, host)

    @contextmanager
    def hold_connection(self, connection: SecureConnection) -> Iterator[None]:
        """A slot for an authenticated connection; raises Refused."""
        self._check_connection(connection)
        self._count(connection, 1)
        try:
            yield
        finally:
            self._count(connection, -1)

    @property
    def slots_used(self) -> tuple[int, int]:
        """Handshakes and connections that hold a slot."""
        return self._handshakes.total(), self._peers.total()

    def _check_handshake(self, host: str) -> None:
        _check(self._handshakes[host] < self._limits.handshakes_per_host_max, f"handshakes from {host}")
        _check(self._handshakes.total() < self._limits.handshakes_max, "handshakes")
        _check(self._hosts[host] < self._limits.connections_per_host_max, f"connections from {host}")

    def _check_connection(self, connection: SecureConnection) -> None:
        limits = self._limits
        _check(self._peers[connection.peer] < limits.connections_per_peer_max, "connections of this peer")
        if self._is_trusted_peer(connection.peer):
            return
        _check(self._peers.total() < limits.connections_max, "connections")
        if connection.is_outbound:
            return
        _check(self._inbound < limits.inbound_max, "inbound connections")
        _check(
            self._hosts[connection.host] < limits.connections_per_host_max,
            f"connections from {connection.host}",
        )

    def _count(self, connection: SecureConnection, change: int) -> None:
        self._peers[connection.peer] += change
        if not self._peers[connection.peer]:
            del self._peers[connection.peer]
        if connection.is_outbound:
            return
        self._inbound += change
        self._hosts[connection.host] += change
        if not self._hosts[connection.host]:
            del self._hosts[connection.host]


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _check(is_below: bool, what: str) -> None:
    if not is_below:
        raise Refused(RefusalCode.TOO_MANY_CONNECTIONS, f"too many {what}")
