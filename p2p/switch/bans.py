"""Who is banned: peers by their own faults, groups of hosts by the faults of all that came from them.

Identities are free, addresses are not: a peer that comes back under another identity is known by its group
(/24 of IPv4, /56 of IPv6), which has the points of GROUP_IDENTITIES peers. Members of a banned group are
refused before the handshake, the costliest part of a connection. Only inbound connections count for a group:
where this node dials is its own choice, and somebody else may have named the address.

Trusted peers and hosts (validators, seeds) lose points like others but are never banned for them: an attacker
that could make us ban validators could split the network.
"""

import time
from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import PeerFault, RefusalCode, Refused
from p2p.network import BanInfo
from p2p.switch.scores import ENTRIES_MAX, SCORE_MAX, Ban, Scoreboard

GROUP_IDENTITIES = 3
IPV4_GROUP_BITS, IPV6_GROUP_BITS = 24, 56
REASON_CHARACTERS_MAX = 200


class _SavedBan(Record):
    """A ban in the file: of a peer, or of a group if `peer` is empty. Wall clock, in ms."""

    peer: Annotated[bytes, Meta(max_length=64)]
    group: Annotated[str, Meta(max_length=64)]
    until_ms: int
    count: int
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]


class _SavedBans(Record):
    bans: Annotated[tuple[_SavedBan, ...], Meta(max_length=2 * ENTRIES_MAX)]


class Bans:
    """Scores of peers and groups, and what follows from them."""

    def __init__(
        self, is_trusted_peer: Callable[[PeerId], bool], is_trusted_host: Callable[[str], bool]
    ) -> None:
        self.peers: Scoreboard[PeerId] = Scoreboard()
        self._groups: Scoreboard[str] = Scoreboard(score_max=GROUP_IDENTITIES * SCORE_MAX)
        self._is_trusted_peer = is_trusted_peer
        self._is_trusted_host = is_trusted_host

    def lower(self, peer: PeerId, hosts: Collection[str], fault: PeerFault) -> tuple[bool, list[str]]:
        """Takes points of a peer and of the hosts that it connected from; returns whether its own are spent,
        and the groups that are banned by it.
        """
        is_spent = self.peers.lower(peer, fault.points, fault.reason)
        if self._is_trusted_peer(peer):
            return is_spent, []
        if is_spent:
            self.peers.ban(peer, fault.reason)
        groups = {compute_group(host) for host in hosts if not self._is_trusted_host(host)}
        spent = [group for group in sorted(groups) if self._groups.lower(group, fault.points, fault.reason)]
        for group in spent:
            self._groups.ban(group, fault.reason)
        return is_spent, spent

    def check_peer(self, peer: PeerId) -> None:
        """Raises Refused if the peer is banned."""
        reason = self.peers.get_ban(peer)
        if reason is not None:
            raise Refused(RefusalCode.BANNED, reason)

    def is_banned_host(self, host: str) -> bool:
        """Whether the group of the host is banned, and the host is not trusted."""
        return self._groups.get_ban(compute_group(host)) is not None and not self._is_trusted_host(host)

    def list(self) -> tuple[BanInfo, ...]:
        """Every ban in force."""
        peers = [BanInfo(ban.key, "", ban.seconds_left, ban.reason) for ban in self.peers.get_bans()]
        groups = [BanInfo(None, ban.key, ban.seconds_left, ban.reason) for ban in self._groups.get_bans()]
        return (*groups, *peers)

    def encode(self) -> bytes:
        """The bans in force as a file."""
        now = time.time()
        saved = [_save(ban.key, "", ban, now) for ban in self.peers.get_bans()]
        saved += [_save(b"", ban.key, ban, now) for ban in self._groups.get_bans()]
        return encode(_SavedBans(tuple(saved)))

    def load(self, data: bytes) -> None:
        """Puts the bans of a file into force; one that does not decode counts as empty."""
        try:
            saved = decode(_SavedBans, data)
        except DecodeError:
            return
        now = time.time()
        for one in saved.bans:
            seconds = one.until_ms / 1000 - now
            if seconds > 0 and one.peer:
                self.peers.restore(Ban(one.peer, seconds, one.reason, one.count))
            elif seconds > 0:
                self._groups.restore(Ban(one.group, seconds, one.reason, one.count))


def _save(peer: PeerId, group: str, ban: Ban[PeerId] | Ban[str], now: float) -> _SavedBan:
    until_ms = int((now + ban.seconds_left) * 1000)
    return _SavedBan(peer, group, until_ms, ban.times, ban.reason[:REASON_CHARACTERS_MAX])


@lru_cache(maxsize=4096)
def compute_group(host: str) -> str:
    """The range of addresses that one party is likely to have at no cost; the name itself for others."""
    try:
        version = ip_address(host).version
    except ValueError:
        return host
    bits = IPV4_GROUP_BITS if version == 4 else IPV6_GROUP_BITS
    return str(ip_network((host, bits), strict=False))
