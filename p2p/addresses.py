"""Known addresses: heard of (`new`) and dialled with success (`tried`), bounded, with no range in charge.

Whoever fills a node's address book chooses its peers. So a table that is full gives up the oldest entry of
its fullest range (/16 of IPv4, /32 of IPv6, the name for DNS): many addresses of one range push out each
other. What was heard never replaces what was tried, and one teller can put in only so much.
Loading forgives: a book that does not decode is an empty book.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from random import Random
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import InvalidAddress
from p2p.identity import ADDRESS_CHARACTERS_MAX, PeerAddress, parse_address

NEW_MAX = 1024
TRIED_MAX = 256
PER_TELLER_MAX = 64
FAILURES_MAX = 8
AddressText = Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)]


class _SavedBook(Record):
    """The file: oldest first."""

    new: Annotated[tuple[AddressText, ...], Meta(max_length=NEW_MAX)]
    tried: Annotated[tuple[AddressText, ...], Meta(max_length=TRIED_MAX)]


@dataclass(slots=True)
class _Entry:
    """An address, who told it, and how often in a row dialling it failed."""

    address: PeerAddress
    teller: PeerId | None
    failures: int = 0


@dataclass
class AddressBook:
    """Both tables, by peer; insertion order is age."""

    own_peer: PeerId
    random: Random = field(default_factory=Random)
    _new: dict[PeerId, _Entry] = field(default_factory=dict)
    _tried: dict[PeerId, _Entry] = field(default_factory=dict)

    def add(self, addresses: Iterable[str], teller: PeerId | None = None) -> None:
        """Notes what somebody told; raises InvalidAddress, having noted what came before."""
        for text in addresses:
            address = parse_address(text)
            is_known = address.peer in self._tried or address.peer == self.own_peer
            if not is_known and self._may_tell(teller):
                self._new.pop(address.peer, None)
                _put(self._new, _Entry(address, teller), NEW_MAX)

    def mark_reached(self, address: str) -> None:
        """This address worked just now."""
        parsed = parse_address(address)
        self._new.pop(parsed.peer, None)
        self._tried.pop(parsed.peer, None)
        _put(self._tried, _Entry(parsed, None), TRIED_MAX)

    def mark_failed(self, peer: PeerId) -> None:
        """Dialling it failed; too often in a row and it is forgotten."""
        for table in (self._new, self._tried):
            entry = table.get(peer)
            if entry is not None:
                entry.failures += 1
                if entry.failures >= FAILURES_MAX:
                    del table[peer]

    def get_candidates(self, count: int) -> tuple[str, ...]:
        """Addresses to dial, at random, of both tables in turn."""
        tried, new = self._sample(self._tried, count), self._sample(self._new, count)
        mixed = [text for couple in zip(tried, new, strict=False) for text in couple]
        shorter = min(len(tried), len(new))
        return tuple((mixed + tried[shorter:] + new[shorter:])[:count])

    def get_told(self, count: int) -> tuple[str, ...]:
        """Addresses to tell others: only those that worked for us."""
        return tuple(self._sample(self._tried, count))

    def encode(self) -> bytes:
        """The book as a file."""
        new = tuple(str(entry.address) for entry in self._new.values())
        return encode(_SavedBook(new, tuple(str(entry.address) for entry in self._tried.values())))

    def load(self, data: bytes) -> None:
        """Takes over a file's entries, as far as it is one."""
        try:
            saved = decode(_SavedBook, data)
            self.add(saved.new)
            for address in saved.tried:
                self.mark_reached(address)
        except (DecodeError, InvalidAddress):
            return

    def __len__(self) -> int:
        return len(self._new) + len(self._tried)

    def _may_tell(self, teller: PeerId | None) -> bool:
        if teller is None:
            return True
        return sum(entry.teller == teller for entry in self._new.values()) < PER_TELLER_MAX

    def _sample(self, table: dict[PeerId, _Entry], count: int) -> list[str]:
        entries = list(table.values())
        return [str(entry.address) for entry in self.random.sample(entries, min(count, len(entries)))]


def compute_range(address: PeerAddress) -> str:
    """What one party is likely to own whole."""
    try:
        version = ip_address(address.host).version
    except ValueError:
        return address.host
    return str(ip_network((address.host, 16 if version == 4 else 32), strict=False))


def _put(table: dict[PeerId, _Entry], entry: _Entry, count_max: int) -> None:
    table[entry.address.peer] = entry
    if len(table) > count_max:
        ranges = Counter(compute_range(other.address) for other in table.values())
        fullest = max(ranges, key=lambda name: ranges[name])
        del table[next(peer for peer, other in table.items() if compute_range(other.address) == fullest)]
