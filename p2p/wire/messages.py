"""The messages of all protocols: records, one tagged union per protocol, every field bounded.

A frame's body is the canonical encoding of one member of its protocol's union: an array that starts with the
member's number. `protocols.py` bounds the frame of each member. Headers, blocks, vote summaries and manifests
belong to the layers above: here they are bytes with a bound, and those layers decode and check them.
"""

from enum import IntFlag
from typing import Annotated

from msgspec import Meta

from chain import snapshot
from chain.content import CHUNK_BYTES, DATUM_BYTES_MAX, MANIFEST_BYTES_MAX, ChunkProof
from chain.modules.sessions import SignedVoucher
from chain.primitives.codec import Record
from chain.primitives.hashing import Domain, signing_bytes
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Hash, Height, PeerId, PublicKey, Signature, Uint, Uint8, Uint32
from chain.transaction import TRANSACTION_BYTES_MAX
from chain.votes import CommitCertificate, PolkaCertificate, SignedProposal, SignedVote
from p2p.identity import ADDRESS_CHARACTERS_MAX

HEADER_BYTES_MAX = 8 * 2**10
INHERENTS_BYTES_MAX = 256 * 2**10
BLOCK_BYTES_MAX = 6 * 2**20
SUMMARY_BYTES_MAX = 64 * 2**10
TRANSACTIONS_PER_BLOCK_MAX = 2**15
IDS_MAX = 4096
TRANSACTIONS_MAX = 4096
VOTES_MAX = 512
HEADERS_MAX = 128
BLOCKS_MAX = 128
SNAPSHOTS_MAX = 4
LIGHT_BLOCK_BYTES_MAX = 96 * 2**10
ADDRESSES_MAX = 64
LISTEN_ADDRESSES_MAX = 8
CHUNK_BYTES_MAX = CHUNK_BYTES
BITMAP_BYTES_MAX = DATUM_BYTES_MAX // CHUNK_BYTES // 8
RECENT_CHUNKS_MAX = 8
"""More than 1 MiB, which is all that can be under way (docs/spec/content-exchange.md, "Paying ahead")."""
CHUNKS_PER_REQUEST_MAX = 32
REASON_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 64

Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
Header = Annotated[bytes, Meta(max_length=HEADER_BYTES_MAX)]
Block = Annotated[bytes, Meta(max_length=BLOCK_BYTES_MAX)]
Ids = Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=IDS_MAX)]
TransactionBytes = Annotated[bytes, Meta(max_length=TRANSACTION_BYTES_MAX)]
TransactionBatch = Annotated[tuple[TransactionBytes, ...], Meta(min_length=1, max_length=TRANSACTIONS_MAX)]
AddressText = Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)]


class Refusal(Record, tag=127):
    """The answer no; `code` is a `RefusalCode`. Its number is the same in every protocol."""

    code: Uint8
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


# Protocol hello


class PeerRole(IntFlag):
    """What a node says about itself. It decides what is sent to the node, never what is believed."""

    VALIDATOR = 1
    HOST = 2
    LIGHT = 4
    """Downloads content only: nobody sends it votes or transactions."""


class Hello(Record, tag=1):
    """The first message of either side. Heights are claims; sync believes certificates only."""

    genesis_hash: Hash
    software: Text
    spec_version: Uint32
    height: Height
    head_hash: Hash
    roles: Uint8
    listen_addresses: Annotated[tuple[AddressText, ...], Meta(max_length=LISTEN_ADDRESSES_MAX)]


# Protocol ping


class Ping(Record, tag=1):
    """A number to be sent back."""

    number: Uint32


# Protocol consensus, one long-lived stream each way


class CompactProposal(Record, tag=1):
    """A proposal with its block in short form: the receiver takes the transactions from its mempool."""

    signed: SignedProposal
    header: Header
    inherents: Annotated[bytes, Meta(max_length=INHERENTS_BYTES_MAX)]
    transaction_ids: Annotated[tuple[Hash, ...], Meta(max_length=TRANSACTIONS_PER_BLOCK_MAX)]


class Votes(Record, tag=2):
    """Votes of the sender or relayed ones."""

    votes: Annotated[tuple[SignedVote, ...], Meta(min_length=1, max_length=VOTES_MAX)]


class Summary(Record, tag=3):
    """Which votes and proposals the sender has (`consensus.catchup`); the receiver sends the missing ones."""

    summary: Annotated[bytes, Meta(max_length=SUMMARY_BYTES_MAX)]


class CommitMessage(Record, tag=4):
    """The certificate that decides a height."""

    certificate: CommitCertificate


class PolkaMessage(Record, tag=5):
    """The certificate that makes a value locked or valid."""

    certificate: PolkaCertificate


class BlockTransactionsWanted(Record, tag=6):
    """A request for transactions of a proposed block that the sender misses."""

    block_hash: Hash
    transaction_ids: Ids


class BlockTransactions(Record, tag=7):
    """Transactions of a proposed block; several messages if they do not fit one frame."""

    block_hash: Hash
    transactions: TransactionBatch


class BlockWanted(Record, tag=8):
    """A request for a decided or proposed block that the sender misses."""

    height: Height
    block_hash: Hash


class WholeBlock(Record, tag=9):
    """A block with its body."""

    height: Height
    block: Block


ConsensusMessage = (
    CompactProposal
    | Votes
    | Summary
    | CommitMessage
    | PolkaMessage
    | BlockTransactionsWanted
    | BlockTransactions
    | BlockWanted
    | WholeBlock
    | Refusal
)


# Protocol pool, one long-lived stream each way


class TransactionIds(Record, tag=1):
    """Ids of large transactions that the sender has; they are sent only when wanted."""

    ids: Ids


class TransactionsWanted(Record, tag=2):
    """A request for some of these transactions."""

    ids: Ids


class Transactions(Record, tag=3):
    """A batch of signed transactions."""

    transactions: TransactionBatch


PoolMessage = TransactionIds | TransactionsWanted | Transactions


# Protocol sync, request and reply


class StatusRequest(Record, tag=1):
    """Asks for the peer's height."""


class Status(Record, tag=2):
    """The newest final block and the oldest block that is kept."""

    height: Height
    head_hash: Hash
    oldest_height: Height


class HeadersRequest(Record, tag=3):
    """Asks for final headers from `start` upwards."""

    start: Height
    count: Annotated[int, Meta(ge=1, le=HEADERS_MAX)]


class FinalHeader(Record):
    """A header and the certificate that makes it final."""

    header: Header
    certificate: CommitCertificate


class Headers(Record, tag=4):
    """Consecutive headers from `start`, as many as exist and fit; none if the first is not kept."""

    start: Height
    headers: Annotated[tuple[FinalHeader, ...], Meta(max_length=HEADERS_MAX)]


class BlocksRequest(Record, tag=5):
    """Asks for final blocks from `start` upwards."""

    start: Height
    count: Annotated[int, Meta(ge=1, le=BLOCKS_MAX)]


class FinalBlock(Record):
    """A block and the certificate that makes it final."""

    block: Block
    certificate: CommitCertificate


class Blocks(Record, tag=6):
    """Consecutive blocks from `start`, as many as exist and fit; pruned blocks are refused."""

    start: Height
    blocks: Annotated[tuple[FinalBlock, ...], Meta(max_length=BLOCKS_MAX)]


SyncRequest = StatusRequest | HeadersRequest | BlocksRequest
SyncReply = Status | Headers | Blocks | Refusal


# Protocol snapshot, request and reply, for nodes that begin above genesis


class SnapshotsRequest(Record, tag=1):
    """Asks for the snapshots that the peer has."""


class SnapshotOffer(Record):
    """A snapshot that the sender says it has; nothing of it is verified yet."""

    height: Height
    block_hash: Hash
    manifest_hash: Hash


class Snapshots(Record, tag=2):
    """All snapshots of the sender, which may have none."""

    offers: Annotated[tuple[SnapshotOffer, ...], Meta(max_length=SNAPSHOTS_MAX)]


class LightBlockRequest(Record, tag=3):
    """Asks for the light block at this height."""

    height: Height


class LightBlockReply(Record, tag=4):
    """A header with certificate and roster (`chain.light.LightBlock`)."""

    block: Annotated[bytes, Meta(max_length=LIGHT_BLOCK_BYTES_MAX)]


class SnapshotManifestRequest(Record, tag=5):
    """Asks for the manifest of a snapshot."""

    manifest_hash: Hash


class SnapshotManifestReply(Record, tag=6):
    """The manifest with that hash (`chain.snapshot`)."""

    manifest: Annotated[bytes, Meta(max_length=snapshot.MANIFEST_BYTES_MAX)]


class SnapshotPartRequest(Record, tag=7):
    """Asks for one part of a snapshot."""

    manifest_hash: Hash
    part: Uint32


class SnapshotPartReply(Record, tag=8):
    """The pairs of the part (`chain.snapshot.Part`)."""

    part: Annotated[bytes, Meta(max_length=snapshot.PART_BYTES_MAX)]


SnapshotRequest = SnapshotsRequest | LightBlockRequest | SnapshotManifestRequest | SnapshotPartRequest
SnapshotReply = Snapshots | LightBlockReply | SnapshotManifestReply | SnapshotPartReply | Refusal


# Protocol peers, request and reply


class AddressesRequest(Record, tag=1):
    """Asks for addresses of other peers."""

    count: Annotated[int, Meta(ge=1, le=ADDRESSES_MAX)]


class Addresses(Record, tag=2):
    """Some addresses that the sender reached itself."""

    addresses: Annotated[tuple[AddressText, ...], Meta(max_length=ADDRESSES_MAX)]


# Protocol content: a stream serves one session; replies come in the order of requests, several under way


class AccessClaim(Record):
    """What the session's key signs: this client may use this session at this host."""

    session: Hash
    client: PeerId
    host: PeerId


class Access(Record, tag=1):
    """The first message of a stream. A session opened above the host's head is answered NOT_YET."""

    session: Hash
    opened_at: Height
    signature: Signature


class Granted(Record, tag=2):
    """The host will serve. `best` is its best voucher, `sent_bytes` what it counts as sent in this session;
    `recent` are the latest chunks of that, oldest first, which may be asked for again (ResendRequest).
    """

    best: SignedVoucher | None
    sent_bytes: Uint
    recent: Annotated[tuple[Uint32, ...], Meta(max_length=RECENT_CHUNKS_MAX)]


class OfferRequest(Record, tag=3):
    """Asks which chunks the host has."""


class Offer(Record, tag=4):
    """The host has chunk i if bit i mod 8 (lowest first) of byte i // 8 is set; unused bits are zero."""

    bitmap: Annotated[bytes, Meta(max_length=BITMAP_BYTES_MAX)]


class ManifestRequest(Record, tag=5):
    """Asks for the manifest of the session's datum."""


class ManifestReply(Record, tag=6):
    """The canonical manifest; it must have the datum's id."""

    manifest: Annotated[bytes, Meta(max_length=MANIFEST_BYTES_MAX)]


class ChunksRequest(Record, tag=7):
    """Asks for chunks; each is answered by a message of its own, once vouchers cover it."""

    chunks: Annotated[tuple[Uint32, ...], Meta(min_length=1, max_length=CHUNKS_PER_REQUEST_MAX)]


class ChunkReply(Record, tag=8):
    """A chunk; the proof leads from it to the datum's root."""

    chunk: Uint32
    content: Annotated[bytes, Meta(min_length=1, max_length=CHUNK_BYTES_MAX)]
    proof: ChunkProof


class ChunkRefusal(Record, tag=9):
    """The host does not send this chunk (CANCELLED: the client cancelled it); the others are still due."""

    chunk: Uint32
    code: Uint8


class Cancel(Record, tag=10):
    """Cancels a chunk that was asked for; the host still answers it."""

    chunk: Uint32


class Payment(Record, tag=11):
    """A voucher that is higher than the last one; not answered."""

    signed: SignedVoucher


class ResendRequest(Record, tag=12):
    """Asks again for chunks that Granted names and that did not arrive: free, but the host remembers it."""

    chunks: Annotated[tuple[Uint32, ...], Meta(min_length=1, max_length=RECENT_CHUNKS_MAX)]


class NotForSale(Record, tag=13):
    """The host does not sell this chunk for about so many seconds; `is_whole`: nor any other of the datum.

    Nothing is charged. The others of the request are still answered.
    """

    chunk: Uint32
    seconds: Uint32
    is_whole: bool


ContentRequest = Access | OfferRequest | ManifestRequest | ChunksRequest | Cancel | Payment | ResendRequest
ContentReply = Granted | Offer | ManifestReply | ChunkReply | ChunkRefusal | NotForSale | Refusal


def sign_access(
    key: KeyPair, genesis_hash: Hash, session: Hash, opened_at: Height, client: PeerId, host: PeerId
) -> Access:
    """Access to a session, valid for this client at this host only."""
    claim = AccessClaim(session, client, host)
    message = signing_bytes(Domain.SIGN_CONTENT_REQUEST, genesis_hash, claim)
    return Access(session, opened_at, key.sign(message))


def is_access_signed(
    access: Access, voucher_key: PublicKey, genesis_hash: Hash, client: PeerId, host: PeerId
) -> bool:
    """Whether the session's key signed that this client may use it at this host."""
    claim = AccessClaim(access.session, client, host)
    message = signing_bytes(Domain.SIGN_CONTENT_REQUEST, genesis_hash, claim)
    return is_signed_by(voucher_key, message, access.signature)
