"""The chain on disk: blocks by height, heights by hash, transactions by id, the head.

Invariants: heights are contiguous from the first block to the head; a header's hash is the one it was stored
under, and names the hash of the header below; block, certificate, receipts, transaction places and head are
entries of one batch with the state that the block makes, so that a store never holds half a block. Each value
carries a checksum bound to its key and is verified when read: a damaged or misplaced value raises
CorruptStore. The store judges no block, and of a record it reads only the header's height and parent.
Nothing is removed unless `stage_prune` is called; headers, certificates, rosters and transaction places are
forever.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from blake3 import blake3

from chain.block import Header
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import Hash, Height, Uint32
from storage.errors import RESYNC, CorruptStore
from storage.kv import Entry, KeyColumn, KeyValueReader, Prefix

_HEIGHT_BYTES = 8
_CHECKSUM_BYTES = 16
_EXTENT_KEY = b"extent"
_BODY_FIRST_KEY = b"body_first"

T = TypeVar("T")


class TxPlace(Record):
    """The place of a transaction: the height of its block, and its index in the block."""

    height: Height
    index: Uint32


class Extent(Record):
    """What the store holds: heights from `first` to `head`, and the hash of the head's header."""

    first: Height
    head: Height
    head_hash: Hash


class StoredBlock(NamedTuple):
    """One block to store: encoded records, and the ids of its transactions in order.

    The commit certificate is of this height; the genesis block, height 0, has none. `rosters` are the rosters
    that this header names and no earlier one did.
    """

    height: Height
    header: bytes
    block: bytes
    certificate: bytes | None
    receipts: bytes
    tx_ids: Sequence[Hash]
    rosters: Sequence[bytes] = ()


def _compute_checksum(prefix: Prefix, key: bytes, data: bytes) -> bytes:
    return blake3(bytes((prefix, len(key))) + key + data).digest(length=_CHECKSUM_BYTES)


class _SealedColumn:
    """A column whose values carry a checksum over column, key and value."""

    def __init__(self, store: KeyValueReader, prefix: Prefix) -> None:
        self._column = KeyColumn(store, prefix)
        self._prefix = prefix

    def get(self, key: bytes) -> bytes | None:
        sealed = self._column.get(key)
        return None if sealed is None else self._open(key, sealed)

    def _open(self, key: bytes, sealed: bytes) -> bytes:
        data = sealed[_CHECKSUM_BYTES:]
        if sealed[:_CHECKSUM_BYTES] != _compute_checksum(self._prefix, key, data):
            raise CorruptStore(f"{self._prefix.name} {_describe(key)} does not verify; {RESYNC}")
        return data

    def has_from(self, key: bytes) -> bool:
        """Whether there is any key at or above `key`."""
        return next(self._column.iterate(start=key), None) is not None

    def entry(self, key: bytes, data: bytes | None) -> Entry:
        value = None if data is None else _compute_checksum(self._prefix, key, data) + data
        return self._column.entry(key, value)


class ChainStore:
    """The chain in `store`, beside the state; the node writes what the `stage_` calls return."""

    def __init__(self, store: KeyValueReader) -> None:
        self._meta = _SealedColumn(store, Prefix.META)
        self._headers = _SealedColumn(store, Prefix.HEADER)
        self._blocks = _SealedColumn(store, Prefix.BLOCK)
        self._certificates = _SealedColumn(store, Prefix.CERTIFICATE)
        self._receipts = _SealedColumn(store, Prefix.RECEIPTS)
        self._heights = _SealedColumn(store, Prefix.HEIGHT_BY_HASH)
        self._tx_places = _SealedColumn(store, Prefix.TX_PLACE)
        self._rosters = _SealedColumn(store, Prefix.ROSTER)

    # Reading: None for what is not there.

    def get_extent(self) -> Extent | None:
        """First height, head and its hash; None for an empty store."""
        data = self._meta.get(_EXTENT_KEY)
        return None if data is None else _decode(Extent, data, "the extent of the chain")

    def get_body_first(self) -> Height:
        """The lowest height whose block and receipts were not pruned; 0 where nothing was pruned."""
        data = self._meta.get(_BODY_FIRST_KEY)
        return 0 if data is None else int.from_bytes(data, "big")

    def get_header(self, height: Height) -> bytes | None:
        """The encoded header."""
        return self._headers.get(_encode_height(height))

    def get_block(self, height: Height) -> bytes | None:
        """The encoded block; None also below a pruned height."""
        return self._blocks.get(_encode_height(height))

    def get_certificate(self, height: Height) -> bytes | None:
        """The encoded commit certificate of this height; None at height 0."""
        return self._certificates.get(_encode_height(height))

    def get_receipts(self, height: Height) -> bytes | None:
        """The encoded receipts; None also below a pruned height."""
        return self._receipts.get(_encode_height(height))

    def get_height(self, block_hash: Hash) -> Height | None:
        """The height of the block with this header hash."""
        data = self._heights.get(block_hash)
        return None if data is None else int.from_bytes(data, "big")

    def get_tx_place(self, tx_id: Hash) -> TxPlace | None:
        """The block and the index of a final transaction."""
        data = self._tx_places.get(tx_id)
        return None if data is None else _decode(TxPlace, data, f"the place of {tx_id.hex()}")

    def get_roster(self, roster_hash: Hash) -> bytes | None:
        """The encoded roster with this hash, if a stored header names it."""
        return self._rosters.get(roster_hash)

    # Staging: batch entries, which the caller writes in the one batch that commits a height.

    def stage_block(self, stored: StoredBlock) -> list[Entry]:
        """Batch entries that add the block above the head, or as the first one of an empty store."""
        extent = self.get_extent()
        assert extent is None or stored.height == extent.head + 1, (extent, stored.height)
        assert stored.height == 0 or stored.certificate is not None, stored.height
        key = _encode_height(stored.height)
        block_hash = hash_bytes(Domain.HEADER, stored.header)
        entries = [
            self._headers.entry(key, stored.header),
            self._blocks.entry(key, stored.block),
            self._certificates.entry(key, stored.certificate),
            self._receipts.entry(key, stored.receipts),
            self._heights.entry(block_hash, key),
            self._meta.entry(_EXTENT_KEY, encode(_grow(extent, stored.height, block_hash))),
        ]
        entries += (
            self._tx_places.entry(tx_id, encode(TxPlace(stored.height, index)))
            for index, tx_id in enumerate(stored.tx_ids)
        )
        entries += (
            self._rosters.entry(hash_bytes(Domain.VALIDATOR_SET, roster), roster) for roster in stored.rosters
        )
        return entries

    def stage_base(
        self, genesis_header: bytes, header: bytes, certificate: bytes, rosters: Sequence[bytes]
    ) -> list[Entry]:
        """Batch entries that make an empty store begin above genesis, without the bodies up to there.

        The header of genesis is kept below the first height, since it names the network.
        """
        assert self.get_extent() is None
        height = _decode(Header, header, "the header to begin with").height
        key, block_hash = _encode_height(height), hash_bytes(Domain.HEADER, header)
        entries = [
            self._headers.entry(_encode_height(0), genesis_header),
            self._headers.entry(key, header),
            self._certificates.entry(key, certificate),
            self._heights.entry(block_hash, key),
            self._meta.entry(_EXTENT_KEY, encode(Extent(height, height, block_hash))),
            self._meta.entry(_BODY_FIRST_KEY, _encode_height(height + 1)),
        ]
        return entries + [
            self._rosters.entry(hash_bytes(Domain.VALIDATOR_SET, roster), roster) for roster in rosters
        ]

    def stage_prune(self, keep_from: Height, count_max: int) -> list[Entry]:
        """Batch entries that drop blocks and receipts below `keep_from`, of at most `count_max` heights.

        The head keeps its block. They may go into the batch of a new block.
        """
        extent = self.get_extent()
        if extent is None:
            return []
        start = max(extent.first, self.get_body_first())
        stop = min(keep_from, extent.head, start + count_max)
        if stop <= start:
            return []
        keys = [_encode_height(height) for height in range(start, stop)]
        entries = [column.entry(key, None) for key in keys for column in (self._blocks, self._receipts)]
        return [*entries, self._meta.entry(_BODY_FIRST_KEY, _encode_height(stop))]

    # Checking.

    def check_integrity(self, last_n: int) -> None:
        """Verifies the newest `last_n` heights, each against the one above; raises CorruptStore."""
        extent = self.get_extent()
        if self._headers.has_from(_encode_height(0 if extent is None else extent.head + 1)):
            raise CorruptStore(f"a header lies above the head ({extent}); {RESYNC}")
        if extent is None:
            return
        expected_hash = extent.head_hash
        for height in _iterate_down(extent, last_n):
            expected_hash = self._check_header(height, expected_hash)
            self._check_body(height)

    def _check_header(self, height: Height, expected_hash: Hash) -> Hash:
        """Checks one header and returns its parent's hash, which the next header down must have."""
        data = self.get_header(height)
        if data is None or hash_bytes(Domain.HEADER, data) != expected_hash:
            raise CorruptStore(f"the header at height {height} is not {expected_hash.hex()}; {RESYNC}")
        header = _decode(Header, data, f"the header at height {height}")
        if header.height != height or self.get_height(expected_hash) != height:
            raise CorruptStore(f"height {height}: the header or the hash index says another; {RESYNC}")
        if None in (self.get_roster(header.validators_hash), self.get_roster(header.next_validators_hash)):
            raise CorruptStore(f"height {height}: a roster that the header names is missing; {RESYNC}")
        return header.parent_hash

    def _check_body(self, height: Height) -> None:
        if height > 0 and self.get_certificate(height) is None:
            raise CorruptStore(f"height {height} has no certificate; {RESYNC}")
        if height >= self.get_body_first() and None in (self.get_block(height), self.get_receipts(height)):
            raise CorruptStore(f"height {height} has no block or no receipts; {RESYNC}")


def _decode(kind: type[T], data: bytes, what: str) -> T:
    """A record whose checksum verifies but which does not decode was written by another version."""
    try:
        return decode(kind, data)
    except DecodeError as error:
        raise CorruptStore(f"{what} is no record of this program ({error}); {RESYNC}") from error


def _iterate_down(extent: Extent, last_n: int) -> Iterator[Height]:
    lowest = max(extent.first, extent.head - last_n + 1)
    return iter(range(extent.head, lowest - 1, -1))


def _grow(extent: Extent | None, height: Height, block_hash: Hash) -> Extent:
    if extent is None:
        return Extent(height, height, block_hash)
    return Extent(extent.first, height, block_hash)


def _encode_height(height: Height) -> bytes:
    return height.to_bytes(_HEIGHT_BYTES, "big")


def _describe(key: bytes) -> str:
    return str(int.from_bytes(key, "big")) if len(key) == _HEIGHT_BYTES else key.hex()
