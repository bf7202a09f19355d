"""Who may connect: bounded counts of handshakes and connections, per host, per group of hosts and in total.

Here a *host* is an IP address, and a *group* its range (`bans.compute_group`). py-libp2p bounds neither count
(250 idle TCP connections of one address lock everybody out of a stock host) and never gives an inbound slot
back; here every slot is a context that ends.

A full table is not closed. Who keeps silent, or came in great number, gives way to a newcomer:
- handshakes: the oldest one of the group with most of them ends. An honest handshake takes less than a
  second, so an attacker must open connections faster than that from as many groups as there are places;
- inbound connections: the longest half is protected, since an attacker cannot buy age. Of the rest, the
  newest connection of the group with most connections ends.

Trusted peers (validators, seeds) and their known hosts are neither counted nor made to give way, so that a
flood of strangers cannot separate validators. Handshakes of one trusted host are bounded by themselves, since
an attacker may sit behind the same address.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from chain.primitives.types import PeerId
from p2p.errors import RefusalCode, Refused
from p2p.network import Limits
from p2p.switch.bans import compute_group
from p2p.switch.transport import SecureConnection


class Admission:
    """Handshakes and connections under way, with their bounds."""

    def __init__(
        self,
        limits: Limits,
        is_trusted_peer: Callable[[PeerId], bool],
        is_trusted_host: Callable[[str], bool],
    ) -> None:
        self._limits = limits
        self._is_trusted_peer = is_trusted_peer
        self._is_trusted_host = is_trusted_host
        self._handshakes: dict[trio.CancelScope, str] = {}
        """Host by scope, oldest first."""
        self._connections: dict[int, SecureConnection] = {}
        """By a number of its own, oldest first; those that were told to end are not here any more."""
        self._number = 0

    @contextmanager
    def hold_handshake(self, host: str) -> Iterator[None]:
        """A slot for a handshake with an unknown peer; raises Refused, also when the slot is given to
        another meanwhile.
        """
        self._make_room_for_handshake(host)
        scope = trio.CancelScope()
        self._handshakes[scope] = host
        try:
            with scope:
                yield
        finally:
            self._handshakes.pop(scope, None)
        if scope.cancelled_caught:
            raise Refused(RefusalCode.TOO_MANY_CONNECTIONS, "handshake given up for another")

    @contextmanager
    def hold_connection(self, connection: SecureConnection) -> Iterator[None]:
        """A slot for an authenticated connection, after `make_room`; raises Refused."""
        self._check_connection(connection)
        self._number += 1
        number = self._number
        self._connections[number] = connection
        try:
            yield
        finally:
            self._connections.pop(number, None)

    def make_room(self, connection: SecureConnection) -> SecureConnection | None:
        """The connection that must end so that this one finds a place, if there is one; its slot is free at
        once.
        """
        is_exempt = connection.is_outbound or self._is_trusted_peer(connection.peer)
        if is_exempt or self._count_inbound() < self._limits.inbound_max:
            return None
        if self._count_of_host(connection.host) >= self._limits.connections_per_host_max:
            return None
        number = self._choose_victim()
        return None if number is None else self._connections.pop(number)

    @property
    def slots_used(self) -> tuple[int, int]:
        """Handshakes and connections that hold a slot."""
        return len(self._handshakes), len(self._connections)

    def _make_room_for_handshake(self, host: str) -> None:
        limits = self._limits
        is_trusted = self._is_trusted_host(host)
        same_host = [scope for scope, other in self._handshakes.items() if other == host]
        if is_trusted:
            if len(same_host) >= max(1, limits.handshakes_max):
                self._give_up(same_host[0])
            return
        _check(len(same_host) < limits.handshakes_per_host_max, f"handshakes from {host}")
        _check(self._count_of_host(host) < limits.connections_per_host_max, f"connections from {host}")
        strangers = {
            scope: compute_group(other)
            for scope, other in self._handshakes.items()
            if not self._is_trusted_host(other)
        }
        if len(strangers) >= limits.handshakes_max:
            _check(bool(strangers), "handshakes")
            fullest = Counter(strangers.values()).most_common(1)[0][0]
            self._give_up(next(scope for scope, group in strangers.items() if group == fullest))

    def _give_up(self, scope: trio.CancelScope) -> None:
        del self._handshakes[scope]
        scope.cancel()

    def _check_connection(self, connection: SecureConnection) -> None:
        limits = self._limits
        of_peer = sum(other.peer == connection.peer for other in self._connections.values())
        _check(of_peer < limits.connections_per_peer_max, "connections of this peer")
        if self._is_trusted_peer(connection.peer):
            return
        _check(len(self._connections) < limits.connections_max, "connections")
        if connection.is_outbound:
            return
        _check(self._count_inbound() < limits.inbound_max, "inbound connections")
        _check(
            self._count_of_host(connection.host) < limits.connections_per_host_max,
            f"connections from {connection.host}",
        )

    def _choose_victim(self) -> int | None:
        """The newest connection of the fullest group, among the newer half of strangers."""
        groups = {
            number: compute_group(one.host)
            for number, one in self._connections.items()
            if not one.is_outbound and not self._is_trusted_peer(one.peer)
        }
        sizes = Counter(groups.values())
        newer = list(groups)[(len(groups) + 1) // 2 :]
        return max(newer, key=lambda number: (sizes[groups[number]], number), default=None)

    def _count_inbound(self) -> int:
        return sum(not one.is_outbound for one in self._connections.values())

    def _count_of_host(self, host: str) -> int:
        return sum(one.host == host and not one.is_outbound for one in self._connections.values())


def _check(is_below: bool, what: str) -> None:
    if not is_below:
        raise Refused(RefusalCode.TOO_MANY_CONNECTIONS, f"too many {what}")
