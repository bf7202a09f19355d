"""The address book: addresses heard of (`new`) and addresses reached (`tried`), as in Bitcoin's addrman.

Whoever fills a node's address book chooses its peers. So a full table drops the oldest entry of its fullest
range (/16 of IPv4, /32 of IPv6, the name for DNS): many addresses of one range replace only each other. An
address heard of never replaces one that was reached, one source adds at most PER_SOURCE_MAX, and nobody but a
peer itself replaces its address of another source.
A file that does not decode counts as an empty book.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from random import Random
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import InvalidPeerAddress
from p2p.identity import ADDRESS_CHARACTERS_MAX, PeerAddress, parse_address

NEW_MAX = 1024
TRIED_MAX = 256
PER_SOURCE_MAX = 64
FAILURES_MAX = 8
UNTRIED_FAILURES_MAX = 3
"""Fewer for addresses that were never reached: whoever invents them makes this node dial."""
AddressText = Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)]


class _SavedBook(Record):
    """The file: oldest first."""

    new: Annotated[tuple[AddressText, ...], Meta(max_length=NEW_MAX)]
    tried: Annotated[tuple[AddressText, ...], Meta(max_length=TRIED_MAX)]


@dataclass(slots=True)
class _Entry:
    """An address, the peer that sent it, and how often in a row dialling it failed."""

    address: PeerAddress
    source: PeerId | None
    failures: int = 0
    range: str = ""

    def __post_init__(self) -> None:
        self.range = compute_range(self.address)


class _Table(dict[PeerId, _Entry]):
    """Entries by peer, oldest first, with an index by range."""

    def __init__(self, count_max: int) -> None:
        super().__init__()
        self._count_max = count_max
        self._ranges: dict[str, dict[PeerId, None]] = {}

    def put(self, entry: _Entry) -> None:
        """Adds the entry as the newest; above the bound the fullest range loses its oldest."""
        self.drop(entry.address.peer)
        self[entry.address.peer] = entry
        self._ranges.setdefault(entry.range, {})[entry.address.peer] = None
        if len(self) > self._count_max:
            fullest = max(self._ranges.values(), key=len)
            self.drop(next(iter(fullest)))

    def drop(self, peer: PeerId) -> None:
        """Forgets the peer, if it is there."""
        entry = self.pop(peer, None)
        if entry is not None:
            del self._ranges[entry.range][peer]
            if not self._ranges[entry.range]:
                del self._ranges[entry.range]


@dataclass
class AddressBook:
    """The two tables of one node."""

    own_peer: PeerId
    random: Random = field(default_factory=Random)
    _new: _Table = field(default_factory=lambda: _Table(NEW_MAX))
    _tried: _Table = field(default_factory=lambda: _Table(TRIED_MAX))

    def add(self, addresses: Iterable[str], source: PeerId | None = None) -> None:
        """Adds addresses that a peer sent; raises InvalidPeerAddress at the first bad one, keeping
        those before.
        """
        for text in addresses:
            address = parse_address(text)
            is_known = address.peer in self._tried or address.peer == self.own_peer
            if not is_known and self._may_add(source):
                self._new.put(_Entry(address, source))

    def hear(self, told: Iterable[str], source: PeerId, host: str) -> None:
        """Adds what a peer at `host` told. What cannot be used is passed over, and is no fault: other
        implementations list transports that this node does not speak.
        """
        for text in told:
            try:
                address = parse_address(text)
            except InvalidPeerAddress:
                continue
            if is_plausible(address, host) and self._may_replace(address, source):
                self.add((text,), source)

    def _may_replace(self, address: PeerAddress, source: PeerId) -> bool:
        """Only a peer itself changes an address of it that another told."""
        known = self._new.get(address.peer)
        return known is None or source in (address.peer, known.source)

    def mark_reached(self, address: str) -> None:
        """Moves an address to the table of reached ones."""
        parsed = parse_address(address)
        self._new.drop(parsed.peer)
        self._tried.put(_Entry(parsed, None))

    def mark_failed(self, peer: PeerId) -> None:
        """Counts a failed dial; FAILURES_MAX in a row drop the peer."""
        for table in (self._new, self._tried):
            entry = table.get(peer)
            if entry is not None:
                entry.failures += 1
                if entry.failures >= (FAILURES_MAX if table is self._tried else UNTRIED_FAILURES_MAX):
                    table.drop(peer)

    def get_candidates(self, count: int) -> tuple[str, ...]:
        """Random addresses to dial, of both tables in turn."""
        tried, new = self._sample(self._tried, count), self._sample(self._new, count)
        mixed = [text for couple in zip(tried, new, strict=False) for text in couple]
        shorter = min(len(tried), len(new))
        return tuple((mixed + tried[shorter:] + new[shorter:])[:count])

    def sample_reached(self, count: int) -> tuple[str, ...]:
        """Random addresses that this node reached itself, for other peers."""
        return tuple(self._sample(self._tried, count))

    def encode(self) -> bytes:
        """The book as a file."""
        new = tuple(str(entry.address) for entry in self._new.values())
        return encode(_SavedBook(new, tuple(str(entry.address) for entry in self._tried.values())))

    def load(self, data: bytes) -> None:
        """Adds the entries of a file, as far as it decodes."""
        try:
            saved = decode(_SavedBook, data)
            self.add(saved.new)
            for address in saved.tried:
                self.mark_reached(address)
        except (DecodeError, InvalidPeerAddress):
            return

    def __len__(self) -> int:
        return len(self._new) + len(self._tried)

    def _may_add(self, source: PeerId | None) -> bool:
        if source is None:
            return True
        return sum(entry.source == source for entry in self._new.values()) < PER_SOURCE_MAX

    def _sample(self, table: _Table, count: int) -> list[str]:
        entries = list(table.values())
        return [str(entry.address) for entry in self.random.sample(entries, min(count, len(entries)))]


def is_plausible(address: PeerAddress, host: str) -> bool:
    """Whether a peer at `host` can know this as an address for others: an IP address that it could reach.

    A stranger on the internet must not make this node dial into its own network, or look up names.
    """
    try:
        told, teller = ip_address(address.host), ip_address(host)
    except ValueError:
        return False
    if told.is_unspecified or told.is_multicast or not address.port:
        return False
    if told.is_loopback:
        return teller.is_loopback
    return told.is_global or not teller.is_global


def compute_range(address: PeerAddress) -> str:
    """The range that one party is likely to own whole."""
    try:
        version = ip_address(address.host).version
    except ValueError:
        return address.host
    return str(ip_network((address.host, 16 if version == 4 else 32), strict=False))
