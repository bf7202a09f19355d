"""All keys of a person out of one mnemonic: BIP-39 words, then SLIP-0010 Ed25519 with hardened steps only.

Paths are m/44'/84392'/role'/index' (docs/spec/keys.md says why this shape and this coin type). Each role has
its own branch, so that a consensus key can be replaced, or its branch be handed to another machine, without
the account keys. Hardened steps go one way: a child key reveals neither parent nor siblings.

Invariants: the same words, role and index give the same seed forever; mistyped words are refused. It knows
no BIP-39 passphrase: a second secret without a checksum turns each typo into an empty wallet.

DerivationError
├── InvalidMnemonic     not 24 English words whose checksum fits; names positions, never words
└── InvalidPath         a role without a path, or an index out of bounds
"""

import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from mnemonic import Mnemonic

PURPOSE = 44
COIN_TYPE = 84392
"""Not registered in SLIP-0044; "vidya" typed on a telephone keypad."""

WORDS = 24
PHRASE_WORDS = (12, 15, 18, 21, 24)
ENTROPY_BYTES = 32
INDEX_MAX = 2**31 - 1
MNEMONIC_CHARS_MAX = 1_000
_HARDENED = 2**31


class DerivationError(Exception):
    """The words or the path are not valid."""


class InvalidMnemonic(DerivationError):
    """Not a mnemonic of ours; the message is fit for logs."""


class InvalidPath(DerivationError):
    """No such branch or index."""


class KeyRole(StrEnum):
    """What a secret is for. The numbers of the branches (`_BRANCHES`) are never reused."""

    MNEMONIC = "mnemonic"
    ACCOUNT = "account"
    CONSENSUS = "consensus"
    NETWORK = "network"
    BEACON = "beacon"


_BRANCHES = {KeyRole.ACCOUNT: 0, KeyRole.CONSENSUS: 1, KeyRole.NETWORK: 2, KeyRole.BEACON: 3}


@dataclass(frozen=True, slots=True, repr=False)
class ExtendedKey:
    """A private key of SLIP-0010 with its chain code; without `repr`, so that no log shows it."""

    key: bytes
    chain_code: bytes


def build_mnemonic() -> str:
    """24 new words from the operating system's randomness."""
    return encode_mnemonic(secrets.token_bytes(ENTROPY_BYTES))


def encode_mnemonic(entropy: bytes) -> str:
    """The 24 words that encode these 32 bytes (BIP-39)."""
    # New entropy has this size, and a key file is refused unless its secret has.
    assert len(entropy) == ENTROPY_BYTES
    return str(_english().to_mnemonic(entropy))


def decode_mnemonic(text: str) -> bytes:
    """The 32 bytes that the words encode; spacing and case do not matter. Raises InvalidMnemonic."""
    if len(text) > MNEMONIC_CHARS_MAX:
        raise InvalidMnemonic(f"{len(text)} characters, at most {MNEMONIC_CHARS_MAX} are possible")
    words = unicodedata.normalize("NFKD", text).lower().split()
    if len(words) != WORDS:
        raise InvalidMnemonic(f"{len(words)} words, {WORDS} are expected")
    unknown = [position for position, word in enumerate(words, start=1) if word not in _english().wordlist]
    if unknown:
        raise InvalidMnemonic(f"not in the English word list of BIP-39: word {', '.join(map(str, unknown))}")
    try:
        return bytes(_english().to_entropy(words))
    except ValueError:
        raise InvalidMnemonic("the checksum does not fit: a word is wrong, or two are exchanged") from None


def is_mnemonic(text: str) -> bool:
    """Whether the text is a recovery phrase of any length that BIP-39 has, or looks like one."""
    words = unicodedata.normalize("NFKD", text[: MNEMONIC_CHARS_MAX + 1]).lower().split()
    return len(words) in PHRASE_WORDS and all(word in _english().wordlist for word in words)


def derive(mnemonic: str, role: KeyRole, index: int = 0) -> bytes:
    """The 32-byte Ed25519 seed of the key with this role and index."""
    path = build_path(role, index)
    words = encode_mnemonic(decode_mnemonic(mnemonic))
    return derive_path(Mnemonic.to_seed(words), path).key


def build_path(role: KeyRole, index: int) -> tuple[int, ...]:
    """The steps from the master key, all of them hardened; raises InvalidPath."""
    if role not in _BRANCHES:
        raise InvalidPath(f"a {role} is a root and has no path")
    if not 0 <= index <= INDEX_MAX:
        raise InvalidPath(f"index {index}, at most {INDEX_MAX} is possible")
    return (PURPOSE, COIN_TYPE, _BRANCHES[role], index)


def format_path(path: tuple[int, ...]) -> str:
    """A path in the usual notation: `m/44'/...`."""
    return "".join(["m", *(f"/{step}'" for step in path)])


def derive_path(seed: bytes, path: tuple[int, ...]) -> ExtendedKey:
    """The key at the end of hardened steps from the master key of `seed` (SLIP-0010)."""
    key = _split(hmac.digest(b"ed25519 seed", seed, "sha512"))
    for step in path:
        key = _derive_child(key, step)
    return key


def _derive_child(parent: ExtendedKey, step: int) -> ExtendedKey:
    """One hardened step (SLIP-0010, private parent key to private child key)."""
    data = b"\0" + parent.key + (step + _HARDENED).to_bytes(4, "big")
    return _split(hmac.digest(parent.chain_code, data, "sha512"))


def _split(digest: bytes) -> ExtendedKey:
    return ExtendedKey(digest[:32], digest[32:])


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")
