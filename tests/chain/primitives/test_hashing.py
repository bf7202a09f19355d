"""Domains: numbers and keys that never change, and no two that coincide."""

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.codec import Record, encode
from chain.primitives.hashing import Domain, hash_bytes, hash_key, hash_record, signing_bytes
from chain.primitives.types import HASH_BYTES, Uint

# From the published vectors of BLAKE3 (inputs of 0 and 1 byte, both zero): plain and keyed.
BLAKE3_KEY = b"whats the Elvish word for friend"
BLAKE3_VECTORS = [
    (
        b"",
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
    ),
    (
        b"\0",
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b",
    ),
]

# Number and hash of nothing (its first 8 bytes) per purpose. They are protocol.
PINNED = {
    "GENESIS": (1, "52301eeef7e2d81a"),
    "HEADER": (2, "eaec32d088b16adb"),
    "TRANSACTION": (3, "3c678980a6a228e5"),
    "STATE_LEAF": (4, "5cdf5467dd691f4a"),
    "STATE_NODE": (5, "347e8a34ba1a0ab4"),
    "STATE_KEY": (6, "3f2f732971cff1c5"),
    "LIST_LEAF": (7, "1dc94c657e89144c"),
    "LIST_NODE": (8, "1afcf22dc4367b36"),
    "CONTENT_LEAF": (9, "971d913679a2381c"),
    "CONTENT_NODE": (10, "2ba1e0aef0ddb10e"),
    "CONTENT_ROOT": (11, "5e525fa3710a61cd"),
    "MANIFEST": (12, "cb3bae18a58413d3"),
    "VALIDATOR_SET": (13, "5d0f192906a3a7b0"),
    "BEACON": (14, "ddb0c93756cdda0b"),
    "BEACON_LINK": (15, "ddbeb127615abe6e"),
    "SAMPLE": (16, "3ea7299fbc26b3ea"),
    "SESSION": (17, "6f63c9c96229125f"),
    "CERTIFICATE": (18, "1d6bdf6b46bed141"),
    "EVIDENCE": (19, "c3de6713dd5cdfd3"),
    "NODE_KEY": (21, "94fe1fef4ee71dfe"),
    "LIST_ROOT": (22, "ac1643144385ad3a"),
    "MANIFEST_FILES": (23, "f7f7ca242ff9e490"),
    "SIGN_TRANSACTION": (64, "11b9b72548f6b9f0"),
    "SIGN_PREVOTE": (65, "8ec1f08f2e566b64"),
    "SIGN_PRECOMMIT": (66, "127457cb6484eced"),
    "SIGN_PROPOSAL": (67, "5f9abee4f7634f6b"),
    "SIGN_VOUCHER": (68, "0e7f98491edfb2c3"),
    "SIGN_CONTENT_REQUEST": (70, "ce9b64b19a7da6a1"),
}


class Note(Record):
    """Something to hash."""

    number: Uint


@pytest.mark.parametrize(("data", "plain", "keyed"), BLAKE3_VECTORS)
def test_blake3_is_the_published_function(data: bytes, plain: str, keyed: str) -> None:
    """The library computes BLAKE3, with and without a key."""
    assert blake3(data).hexdigest() == plain
    assert blake3(data, key=BLAKE3_KEY).hexdigest() == keyed


@pytest.mark.parametrize("name", PINNED)
def test_domains_do_not_change(name: str) -> None:
    """A purpose keeps its number and its key."""
    domain = Domain[name]
    assert (domain.value, hash_bytes(domain, b"")[:8].hex()) == PINNED[name]


def test_no_two_domains_coincide() -> None:
    """Numbers, keys and hashes of the same bytes differ between any two purposes, and from plain BLAKE3."""
    names = list(Domain.__members__)
    assert len(set(Domain)) == len(names)
    assert len({hash_key(domain) for domain in Domain}) == len(names)
    hashes = {hash_bytes(domain, b"same") for domain in Domain}
    assert len(hashes | {blake3(b"same").digest()}) == len(names) + 1


def test_signatures_have_numbers_of_their_own() -> None:
    """Purposes of signatures lie from 64, those of hashes below, and each fits in the byte that is signed."""
    for domain in Domain:
        assert (domain.value >= 64) == domain.name.startswith("SIGN_")
        assert 0 < domain.value < 256


@given(st.binary(max_size=200), st.sampled_from(Domain))
def test_bulk_hashing_agrees(data: bytes, domain: Domain) -> None:
    """Hashing with the key that `hash_key` hands out is `hash_bytes`."""
    assert blake3(data, key=hash_key(domain)).digest() == hash_bytes(domain, data)
    assert hash_record(domain, Note(len(data))) == hash_bytes(domain, encode(Note(len(data))))


def test_what_is_signed_names_purpose_network_and_record() -> None:
    """The signed bytes differ as soon as one of the three does, and are cut apart in one way only."""
    network, other = b"\1" * HASH_BYTES, b"\2" * HASH_BYTES
    signed = signing_bytes(Domain.SIGN_PREVOTE, network, Note(1))
    assert signed == bytes((Domain.SIGN_PREVOTE,)) + network + encode(Note(1))
    assert signed != signing_bytes(Domain.SIGN_PRECOMMIT, network, Note(1))
    assert signed != signing_bytes(Domain.SIGN_PREVOTE, other, Note(1))
    assert signed != signing_bytes(Domain.SIGN_PREVOTE, network, Note(2))
