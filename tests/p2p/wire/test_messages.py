"""Wire records: bounds, records that fit their frames, and hostile bytes."""

import typing
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import snapshot
from chain.block import Header
from chain.content import ChunkProof
from chain.light import LightBlock
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.validator_set import Roster, ValidatorChange
from chain.votes import (
    CertificateSignature,
    CommitCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
)
from p2p.network import ProtocolSpec
from p2p.wire import messages, protocols

UNIONS: tuple[tuple[ProtocolSpec, object], ...] = (
    (protocols.CONSENSUS, messages.ConsensusMessage),
    (protocols.POOL, messages.PoolMessage),
    (protocols.SYNC, messages.SyncRequest | messages.SyncReply),
    (protocols.SNAPSHOT, messages.SnapshotRequest | messages.SnapshotReply),
    (protocols.PEERS, messages.AddressesRequest | messages.Addresses | messages.Refusal),
    (protocols.CONTENT, messages.ContentRequest | messages.ContentReply),
)
HASH = b"\xff" * 32
MAX = 2**63 - 1
ADDRESS = "x" * 256
CERTIFICATE = CommitCertificate(MAX, 2**31 - 1, HASH, (CertificateSignature(HASH, HASH * 2),) * 256)
PROPOSAL = SignedProposal(Proposal(MAX, 2**31 - 1, HASH, 2**31 - 1, HASH), HASH * 2)
VOUCHER = SignedVoucher(Voucher(HASH, HASH, HASH, 2**40, MAX), HASH * 2)
CHUNK_PROOF = ChunkProof((HASH,) * 24)
ROSTER = Roster((ValidatorChange(HASH, HASH, 2**60),) * 256)
LIGHT_BLOCK = encode(LightBlock(Header(2**32 - 1, MAX, MAX, *(HASH,) * 8), CERTIFICATE, ROSTER))
VOTE = SignedVote(Vote(VoteKind.PRECOMMIT, MAX, 2**31 - 1, HASH, HASH), HASH * 2)

LARGEST: tuple[tuple[ProtocolSpec, Record], ...] = (
    (
        protocols.HELLO,
        messages.Hello(
            HASH,
            "x" * 64,
            2**32 - 1,
            MAX,
            HASH,
            255,
            (ADDRESS,) * 8,
        ),
    ),
    (protocols.PING, messages.Ping(2**32 - 1)),
    (protocols.CONSENSUS, messages.CompactProposal(PROPOSAL, bytes(8192), bytes(2**18), (HASH,) * 2**15)),
    (protocols.CONSENSUS, messages.Votes((VOTE,) * 512)),
    (protocols.CONSENSUS, messages.Summary(bytes(2**16))),
    (protocols.CONSENSUS, messages.CommitMessage(CERTIFICATE)),
    (protocols.CONSENSUS, messages.BlockTransactionsWanted(HASH, (HASH,) * 4096)),
    (protocols.CONSENSUS, messages.BlockWanted(MAX, HASH)),
    (protocols.CONSENSUS, messages.WholeBlock(MAX, bytes(messages.BLOCK_BYTES_MAX))),
    (protocols.CONSENSUS, messages.Refusal(255, "x" * 200)),
    (protocols.POOL, messages.TransactionIds((HASH,) * 4096)),
    (protocols.POOL, messages.TransactionsWanted((HASH,) * 4096)),
    (protocols.SYNC, messages.StatusRequest()),
    (protocols.SYNC, messages.Status(MAX, HASH, MAX)),
    (protocols.SYNC, messages.HeadersRequest(MAX, 128)),
    (protocols.SYNC, messages.BlocksRequest(MAX, 128)),
    (
        protocols.SYNC,
        messages.Blocks(MAX, (messages.FinalBlock(bytes(messages.BLOCK_BYTES_MAX), CERTIFICATE),)),
    ),
    (protocols.SYNC, messages.Headers(MAX, (messages.FinalHeader(bytes(8192), CERTIFICATE),) * 128)),
    (protocols.SNAPSHOT, messages.SnapshotsRequest()),
    (protocols.SNAPSHOT, messages.Snapshots((messages.SnapshotOffer(MAX, HASH, HASH),) * 4)),
    (protocols.SNAPSHOT, messages.LightBlockRequest(MAX)),
    (protocols.SNAPSHOT, messages.LightBlockReply(LIGHT_BLOCK)),
    (protocols.SNAPSHOT, messages.LightBlockReply(bytes(messages.LIGHT_BLOCK_BYTES_MAX))),
    (protocols.SNAPSHOT, messages.SnapshotManifestRequest(HASH)),
    (protocols.SNAPSHOT, messages.SnapshotManifestReply(bytes(snapshot.MANIFEST_BYTES_MAX))),
    (protocols.SNAPSHOT, messages.SnapshotPartRequest(HASH, 2**32 - 1)),
    (protocols.SNAPSHOT, messages.SnapshotPartReply(bytes(snapshot.PART_BYTES_MAX))),
    (protocols.PEERS, messages.AddressesRequest(64)),
    (protocols.PEERS, messages.Addresses((ADDRESS,) * 64)),
    (protocols.CONTENT, messages.Access(HASH, MAX, HASH * 2)),
    (protocols.CONTENT, messages.Granted(VOUCHER, MAX, (2**32 - 1,) * messages.RECENT_CHUNKS_MAX)),
    (protocols.CONTENT, messages.OfferRequest()),
    (protocols.CONTENT, messages.Offer(bytes(messages.BITMAP_BYTES_MAX))),
    (protocols.CONTENT, messages.ManifestRequest()),
    (protocols.CONTENT, messages.ManifestReply(bytes(messages.MANIFEST_BYTES_MAX))),
    (protocols.CONTENT, messages.ChunksRequest((2**32 - 1,) * messages.CHUNKS_PER_REQUEST_MAX)),
    (protocols.CONTENT, messages.ChunkReply(2**32 - 1, bytes(messages.CHUNK_BYTES_MAX), CHUNK_PROOF)),
    (protocols.CONTENT, messages.ChunkRefusal(2**32 - 1, 255)),
    (protocols.CONTENT, messages.Cancel(2**32 - 1)),
    (protocols.CONTENT, messages.Payment(VOUCHER)),
    (protocols.CONTENT, messages.NotForSale(2**32 - 1, 2**32 - 1, is_whole=True)),
    (protocols.CONTENT, messages.ResendRequest((2**32 - 1,) * messages.RECENT_CHUNKS_MAX)),
)


def get_tag(record: Record | type[Record]) -> int:
    """The number that the record's encoding starts with."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


@pytest.mark.parametrize(("protocol", "record"), LARGEST, ids=lambda value: type(value).__name__)
def test_the_largest_record_of_a_kind_fits_its_frame(protocol: ProtocolSpec, record: Record) -> None:
    """The largest record that its fields allow fits the frame and survives its encoding."""
    data = encode(record)
    bound = protocol.kind_bytes_max.get(get_tag(record), protocol.frame_bytes_max)
    assert len(data) <= bound <= protocol.frame_bytes_max
    assert data[1] == get_tag(record)
    assert decode(type(record), data) == record


@pytest.mark.parametrize(("protocol", "union"), UNIONS, ids=lambda value: getattr(value, "name", ""))
def test_every_kind_of_a_union_has_a_bound(protocol: ProtocolSpec, union: object) -> None:
    """The kinds of a protocol are those of its records, each once."""
    tags = [get_tag(kind) for kind in typing.get_args(union)]
    assert sorted(tags) == sorted(set(tags)) == sorted(protocol.kind_bytes_max)


@given(data=st.binary(max_size=200))
def test_hostile_bytes_raise_only_decode_errors(data: bytes) -> None:
    """Any bytes decode to a record with that very encoding, or raise DecodeError."""
    for _, union in chain(UNIONS, ((protocols.HELLO, messages.Hello | messages.Refusal),)):
        try:
            record = decode(union, data)  # type: ignore[arg-type]
        except DecodeError:
            continue
        assert encode(record) == data
