"""Addresses and other 32-byte ids in bech32m (BIP-350), with a prefix for the kind of id.

An account of a network whose prefix is `vidya` reads `vidya1…`; contents, sessions and the like have
prefixes of their own. The length is fixed (32 bytes), the prefix is compared, and the checksum detects every
substitution of up to 4 characters. So a typo or an address of another network is refused before anything is
sent.

Invariant: `decode_id` accepts only text that `encode_id` writes, or the same in capitals (BIP-173, for QR
codes). It does not correct errors (BIP-350 only allows pointing at them), does not strip blanks, and does not
know which prefixes exist.
"""

import re
from collections.abc import Iterable

from chain.primitives.errors import InvalidAddress
from chain.primitives.types import HASH_BYTES, Address

PREFIX_CHARS_MAX = 20
TEXT_CHARS_MAX = 90
"""BIP-173: the longest text for which the checksum detects every substitution of up to 4 characters."""
CHECKSUM_CHARS = 6

_ID_CHARS = 52
_PADDING_BITS = _ID_CHARS * 5 - HASH_BYTES * 8
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_CONSTANT = 0x2BC830A3
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIX = re.compile(r"[a-z][a-z0-9]*")


def encode_address(prefix: str, address: Address) -> str:
    """The text of an account's address; `prefix` is the network's."""
    return encode_id(prefix, address)


def decode_address(prefix: str, text: str) -> Address:
    """The account that `text` names on the network of `prefix`; raises InvalidAddress."""
    return decode_id(prefix, text)


def encode_id(prefix: str, value: bytes) -> str:
    """The text of a 32-byte id."""
    assert len(value) == HASH_BYTES
    check_prefix(prefix)
    number = int.from_bytes(value, "big") << _PADDING_BITS
    return encode_bech32m(prefix, bytes(number >> 5 * (_ID_CHARS - 1 - i) & 31 for i in range(_ID_CHARS)))


def decode_id(prefix: str, text: str) -> bytes:
    """The 32 bytes of an id; raises InvalidAddress with a message for the person who typed it."""
    found_prefix, values = decode_bech32m(text)
    if found_prefix != prefix:
        raise InvalidAddress(f"this begins with {found_prefix!r}, but {prefix!r} is expected here")
    if len(values) != _ID_CHARS:
        raise InvalidAddress(f"{len(values)} characters before the checksum, {_ID_CHARS} are expected")
    number = 0
    for value in values:
        number = number << 5 | value
    if number & (1 << _PADDING_BITS) - 1:
        raise InvalidAddress("the unused last bits are not zero")
    return (number >> _PADDING_BITS).to_bytes(HASH_BYTES, "big")


def check_prefix(prefix: str) -> None:
    """Raises InvalidAddress unless `prefix` may mark ids: lower-case letters and digits, a letter first."""
    if len(prefix) > PREFIX_CHARS_MAX or not _PREFIX.fullmatch(prefix):
        raise InvalidAddress(f"a prefix is 1-{PREFIX_CHARS_MAX} of a-z and 0-9, a letter first")


def encode_bech32m(prefix: str, values: bytes) -> str:
    """Prefix, separator, one character per 5-bit value, checksum (BIP-350)."""
    return prefix + "1" + "".join(_ALPHABET[value] for value in values + _compute_checksum(prefix, values))


def decode_bech32m(text: str) -> tuple[str, bytes]:
    """Prefix and 5-bit values of a bech32m text; raises InvalidAddress. Checks run from coarse to fine."""
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidAddress(f"{len(text)} characters, at most {TEXT_CHARS_MAX} are possible")
    _check_characters(text)
    prefix, separator, data = text.lower().rpartition("1")
    if not separator or not prefix:
        raise InvalidAddress("the prefix is missing: an address reads prefix, 1, data")
    values = _decode_characters(data, len(prefix) + 1)
    if len(values) < CHECKSUM_CHARS:
        raise InvalidAddress(f"cut short: {len(values)} characters after the prefix, less than a checksum")
    payload, checksum = values[:-CHECKSUM_CHARS], values[-CHECKSUM_CHARS:]
    if checksum != _compute_checksum(prefix, payload):
        raise InvalidAddress("the checksum does not fit: there is a typo, or characters are missing")
    return prefix, payload


def _check_characters(text: str) -> None:
    for position, character in enumerate(text, start=1):
        if not "!" <= character <= "~":
            raise InvalidAddress(f"character {position} is a blank or not ASCII")
    if text != text.lower() and text != text.upper():
        raise InvalidAddress("capital and small letters are mixed")


def _decode_characters(data: str, offset: int) -> bytes:
    for position, character in enumerate(data, start=offset + 1):
        if character not in _ALPHABET:
            raise InvalidAddress(f"character {position} ({character!r}) is never part of an address")
    return bytes(_ALPHABET.index(character) for character in data)


def _compute_checksum(prefix: str, values: bytes) -> bytes:
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    remainder = _polymod([*expanded, *values, *bytes(CHECKSUM_CHARS)]) ^ _CHECKSUM_CONSTANT
    return bytes(remainder >> 5 * (5 - i) & 31 for i in range(CHECKSUM_CHARS))


def _polymod(values: Iterable[int]) -> int:
    """The remainder of the BCH code over GF(32) (BIP-173, section Checksum)."""
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATORS):
            if top >> i & 1:
                remainder ^= generator
    return remainder
