"""Damaged key files: each is refused before anything is paid for it (one test only gives a password)."""

import hashlib
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keys.derivation import KeyRole
from node.keys.keystore import (
    FILE_BYTES_MAX,
    InvalidKeystore,
    Profile,
    WrongPassword,
    decode_key_file,
    encode_key_file,
    seal,
    unlock,
)

PASSWORD = "correct horse"
SEALED = encode_key_file(
    seal("alice", bytes(range(32)), PASSWORD, role=KeyRole.ACCOUNT, profile=Profile.DEVNET)
)


def is_refused_when_loaded(data: bytes) -> bool:
    """Whether `data` is no key file for the name of the sealed one."""
    try:
        return decode_key_file(data).name != "alice"
    except InvalidKeystore:
        return True


def test_every_flipped_bit_is_found() -> None:
    """No single bit of a key file can change without the file being refused."""
    for bit in range(len(SEALED) * 8):
        damaged = bytearray(SEALED)
        damaged[bit // 8] ^= 1 << bit % 8
        assert is_refused_when_loaded(bytes(damaged)), bit


@given(st.integers(0, len(SEALED)), st.integers(0, len(SEALED)), st.binary(max_size=80))
def test_overwritten_stretches_change_nothing_unseen(start: int, stop: int, filling: bytes) -> None:
    """Any stretch replaced by any bytes: the file is refused, or says exactly what it said before."""
    data = SEALED[:start] + filling + SEALED[stop:]
    assert is_refused_when_loaded(data) or decode_key_file(data) == decode_key_file(SEALED)


@given(st.sets(st.integers(0, len(SEALED) * 8 - 1), min_size=1, max_size=20))
def test_many_flipped_bits_are_found(bits: set[int]) -> None:
    """Several flipped bits do not make up for one another."""
    damaged = bytearray(SEALED)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    data = bytes(damaged)
    assert is_refused_when_loaded(data) or decode_key_file(data) == decode_key_file(SEALED)


def test_every_truncation_is_found() -> None:
    """A file cut anywhere is refused; only the last line feed may be missing."""
    for size in range(len(SEALED) - 1):
        with pytest.raises(InvalidKeystore):
            decode_key_file(SEALED[:size])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused_in_one_way(data: bytes) -> None:
    """Whatever the bytes, the only failure is InvalidKeystore."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(data)


def change(path: str, value: object) -> bytes:
    """The sealed file with one member replaced (or added, or with None removed) and the rest kept."""
    document = json.loads(SEALED)
    *parents, last = path.split(".")
    part = document
    for parent in parents:
        part = part[parent]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return json.dumps(document).encode()


MEMORY, PASSES = "crypto.kdf.params.memory_kib", "crypto.kdf.params.passes"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("version", "1"),
        ("role", "admin"),
        ("role", "consensus"),
        ("profile", "none"),
        ("public_key", "11" * 32),
        ("path", "m/44'/84392'/0'/1'"),
        ("path", "../secret"),
        ("owner", "mallory"),
        ("crypto", []),
        ("crypto.kdf.function", "argon2i"),
        ("crypto.kdf.function", None),
        ("crypto.kdf.params.salt", "00" * 16),
        ("crypto.kdf.params.salt", "00" * 15),
        ("crypto.kdf.params.salt", "zz" * 16),
        ("crypto.kdf.params.lanes", 2),
        ("crypto.cipher.function", "none"),
        ("crypto.cipher.params.nonce", "00" * 24),
        ("crypto.cipher.message", "00" * 48),
        ("crypto.cipher.message", ""),
        ("crypto.checksum.function", "crc32"),
        ("crypto.checksum.message", "00" * 32),
        (MEMORY, 2048),
        (MEMORY, 0),
        (MEMORY, -1),
        (MEMORY, 1024.5),
        (MEMORY, 2**63),
        (MEMORY, 10**400),
        (PASSES, 2),
        (PASSES, 0),
        (PASSES, 2**31),
    ],
)
def test_changed_members_are_refused(path: str, value: object) -> None:
    """A key file with one member changed, missing or added is refused before anything is computed from it."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(change(path, value))


@pytest.mark.parametrize(
    ("memory_kib", "passes", "message"),
    [
        (2**20 + 1, 1, "<= 1048576"),
        (1024, 17, "<= 16"),
        (2**20, 5, "more work than allowed"),
        (2**19, 9, "more work than allowed"),
        (1023, 1, "weaker than its profile"),
    ],
)
def test_costs_out_of_bounds_are_refused(memory_kib: int, passes: int, message: str) -> None:
    """Numbers that nobody should pay for, or that protect too little, are refused for that reason."""
    document = json.loads(change(MEMORY, memory_kib))
    document["crypto"]["kdf"]["params"]["passes"] = passes
    with pytest.raises(InvalidKeystore, match=message):
        decode_key_file(json.dumps(document).encode())


@pytest.mark.parametrize(("memory_kib", "passes"), [(1024, 1), (256 * 1024 - 1, 3), (256 * 1024, 2)])
def test_a_cheap_key_cannot_pass_for_a_standard_one(memory_kib: int, passes: int) -> None:
    """A file marked as standard that asks for less memory or fewer passes than that is refused."""
    document = json.loads(change("profile", "standard"))
    document["crypto"]["kdf"]["params"] |= {"memory_kib": memory_kib, "passes": passes}
    with pytest.raises(InvalidKeystore, match="weaker than its profile 'standard'"):
        decode_key_file(json.dumps(document).encode())


def test_whole_modules_cannot_be_swapped() -> None:
    """The cipher part of another key of the same password does not fit into a file."""
    other = seal("alice", bytes(32), PASSWORD, role=KeyRole.ACCOUNT, profile=Profile.DEVNET)
    other_crypto = json.loads(encode_key_file(other))["crypto"]
    for part in ("kdf", "cipher", "checksum"):
        with pytest.raises(InvalidKeystore, match="checksum"):
            decode_key_file(change(f"crypto.{part}", other_crypto[part]))


@pytest.mark.parametrize(("member", "value"), [("path", "m/0'"), ("role", "consensus")])
def test_forgery_with_a_right_checksum_does_not_open(member: str, value: str) -> None:
    """Who alters a file and repairs its checksum is stopped by the cipher."""
    forged = json.loads(change(member, value))
    crypto = forged["crypto"]
    params = crypto["kdf"]["params"]
    cost = ["argon2id", params["memory_kib"], params["passes"], 1, bytes.fromhex(params["salt"])]
    public_key = bytes.fromhex(forged["public_key"])
    data = msgpack.packb(["vidya keystore", 1, forged["role"], "devnet", public_key, forged["path"], cost])
    sealed = crypto["cipher"]["params"]["nonce"] + crypto["cipher"]["message"]
    crypto["checksum"]["message"] = hashlib.sha256(data + bytes.fromhex(sealed)).hexdigest()
    with pytest.raises(WrongPassword):
        unlock(decode_key_file(json.dumps(forged).encode()), PASSWORD)


def test_deep_nesting_is_refused() -> None:
    """Brackets up to the size limit end in a refusal; a larger file is not parsed at all."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(b"[" * FILE_BYTES_MAX)
    with pytest.raises(InvalidKeystore, match="longer than"):
        decode_key_file(SEALED + b" " * FILE_BYTES_MAX)
