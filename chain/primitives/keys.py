"""Ed25519 keys and signatures (RFC 8032), by libsodium.

Verification is libsodium's strict one: canonical S, no small-order R or key. Keys of small order are
refused where a key is registered (`check_public_key`), because anybody can make signatures for them.
"""

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from chain.primitives.errors import InvalidKey
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import HASH_BYTES, SIGNATURE_BYTES, Hash, PublicKey, Signature

SEED_BYTES = 32
PEER_ID_PREFIX = bytes.fromhex("002408011220")
"""Before an Ed25519 public key, this makes it a libp2p peer id (libp2p specs, peer-ids/peer-ids.md)."""


class KeyPair:
    """A signing key; the seed stays inside."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public_key: PublicKey = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> Signature:
        """The 64-byte signature of `message`."""
        return self._key.sign(message).signature

    def compute_secret(self, domain: Domain, about: bytes) -> Hash:
        """32 bytes that only the owner of the key can compute, for one purpose and subject."""
        return hash_bytes(domain, bytes(self._key) + about)

    def __repr__(self) -> str:
        return f"KeyPair({self.public_key.hex()[:8]})"


def is_signed_by(public_key: PublicKey, message: bytes, signature: Signature) -> bool:
    """Whether `signature` over `message` was made by the owner of `public_key`."""
    if len(public_key) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def check_public_key(public_key: bytes) -> None:
    """Raises InvalidKey unless the bytes are a point of the prime-order subgroup."""
    if len(public_key) != HASH_BYTES or not crypto_core_ed25519_is_valid_point(public_key):
        raise InvalidKey(public_key.hex())
