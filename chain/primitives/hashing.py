"""BLAKE3 with a key per purpose, so that a hash of one kind cannot pass for another.

`Domain` numbers are protocol: never reused, never renumbered. Signed bytes are domain number + genesis
hash + canonical encoding, so no signature is valid on two networks or for two purposes.
"""

from enum import IntEnum

from blake3 import blake3

from chain.primitives.codec import encode
from chain.primitives.types import Hash


class Domain(IntEnum):
    """Purposes of hashes (below 64) and of signatures (from 64)."""

    GENESIS = 1
    HEADER = 2
    TRANSACTION = 3
    STATE_LEAF = 4
    STATE_NODE = 5
    STATE_KEY = 6
    LIST_LEAF = 7
    LIST_NODE = 8
    CONTENT_LEAF = 9
    CONTENT_NODE = 10
    CONTENT_ROOT = 11
    MANIFEST = 12
    VALIDATOR_SET = 13
    BEACON = 14
    BEACON_LINK = 15
    SAMPLE = 16
    SESSION = 17
    CERTIFICATE = 18
    EVIDENCE = 19
    NODE_KEY = 21
    LIST_ROOT = 22
    MANIFEST_FILES = 23
    VALIDATOR_PRIORITIES = 24
    SNAPSHOT = 25
    VALIDATOR_FILE = 26
    JURY = 27
    VERDICT = 28
    JURY_SALT = 29
    SIGN_TRANSACTION = 64
    SIGN_PREVOTE = 65
    SIGN_PRECOMMIT = 66
    SIGN_PROPOSAL = 67
    SIGN_VOUCHER = 68
    SIGN_CONTENT_REQUEST = 70
    SIGN_CANDIDACY = 71


_KEYS = {domain: blake3(b"vidya " + domain.name.encode()).digest() for domain in Domain}


def hash_bytes(domain: Domain, data: bytes) -> Hash:
    """BLAKE3 of `data`, keyed by its purpose (32 bytes)."""
    return blake3(data, key=_KEYS[domain]).digest()


def hash_record(domain: Domain, record: object) -> Hash:
    """Hash of a record's canonical encoding."""
    return hash_bytes(domain, encode(record))


def hash_key(domain: Domain) -> bytes:
    """The BLAKE3 key of a purpose, for callers that hash in bulk."""
    return _KEYS[domain]


def signing_bytes(domain: Domain, genesis_hash: Hash, record: object) -> bytes:
    """The bytes to sign: purpose, network, record."""
    return bytes((domain,)) + genesis_hash + encode(record)
