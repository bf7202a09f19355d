"""Ed25519: RFC 8032, the Wycheproof and "speccheck" vectors, and keys for which anybody could sign."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.errors import InvalidKey
from chain.primitives.keys import SEED_BYTES, KeyPair, check_public_key, is_signed_by

# RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
]

# The eight points whose order divides the cofactor, and three encodings of them that RFC 8032 does not allow.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]

Vectors = Callable[[str], Any]
seeds = st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES)
KEY = KeyPair(b"\7" * SEED_BYTES)


@pytest.fixture
def vectors(repository: Path) -> Vectors:
    """Reads a file of `shared/vectors/ed25519`, beside the checkout where the project is developed."""
    folder = repository.parent / "shared" / "vectors" / "ed25519"
    if not folder.is_dir():
        pytest.skip(f"the Ed25519 vectors are not beside this checkout ({folder.name}/)")
    return lambda name: json.loads((folder / name).read_text())


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    """Keys and signatures are those of the RFC."""
    key = KeyPair(bytes.fromhex(seed))
    assert key.public_key.hex() == public_key
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert is_signed_by(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


def test_wycheproof(vectors: Vectors) -> None:
    """Every vector is judged as Wycheproof expects."""
    judged = [
        (test["tcId"], test["result"] == "valid", is_signed_by(*read_wycheproof(group, test)))
        for group in vectors("wycheproof_ed25519.json")["testGroups"]
        for test in group["tests"]
    ]
    assert len(judged) == 151
    assert [row for row in judged if row[1] != row[2]] == []


def read_wycheproof(group: Any, test: Any) -> tuple[bytes, bytes, bytes]:
    """Public key, message and signature of one vector."""
    return bytes.fromhex(group["publicKey"]["pk"]), bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])


def test_speccheck(vectors: Vectors) -> None:
    """Of the twelve edge cases on which verifiers differ, only number 3 (counted from 0) is accepted."""
    judged = [
        is_signed_by(*(bytes.fromhex(vector[part]) for part in ("pub_key", "message", "signature")))
        for vector in vectors("speccheck.json")
    ]
    assert judged == [number == 3 for number in range(12)]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_keys_of_small_order_are_refused(point: str) -> None:
    """They cannot be registered, and the signature that would fit them all does not verify either."""
    public_key = bytes.fromhex(point)
    with pytest.raises(InvalidKey):
        check_public_key(public_key)
    assert not is_signed_by(public_key, b"anything", bytes.fromhex(SMALL_ORDER[0]) + bytes(32))


NO_KEYS = [b"", bytes(31), KEY.public_key + b"\0", b"\xff" * 32, b"\2" + bytes(31)]


@pytest.mark.parametrize("public_key", NO_KEYS)
def test_what_is_no_key_is_refused(public_key: bytes) -> None:
    """Wrong lengths, an encoding past the field's prime, and bytes off the curve are no keys."""
    with pytest.raises(InvalidKey):
        check_public_key(public_key)
    assert not is_signed_by(public_key, b"message", KEY.sign(b"message"))


@given(seeds, st.binary(max_size=100))
def test_own_signatures_verify_for_their_key_and_message_alone(seed: bytes, message: bytes) -> None:
    """Signing makes what verification accepts, under this key and for this message only."""
    key = KeyPair(seed)
    check_public_key(key.public_key)
    signature = key.sign(message)
    assert is_signed_by(key.public_key, message, signature)
    assert not is_signed_by(key.public_key, message + b"\0", signature)
    assert not is_signed_by(KEY.public_key, message, signature) or seed == b"\7" * SEED_BYTES


def test_no_bit_of_a_signature_can_be_changed() -> None:
    """Each of the 512 flips, and every other length, is refused."""
    signature = KEY.sign(b"message")
    for bit in range(512):
        flipped = int.from_bytes(signature, "big") ^ (1 << bit)
        assert not is_signed_by(KEY.public_key, b"message", flipped.to_bytes(64, "big"))
    for wrong in (b"", signature[:-1], signature + b"\0"):
        assert not is_signed_by(KEY.public_key, b"message", wrong)


def test_a_key_does_not_print_its_seed() -> None:
    """A key in a log or a traceback shows a part of its public half."""
    assert KEY.public_key.hex()[:8] in repr(KEY)
    assert (b"\7" * 4).hex() not in repr(KEY)
