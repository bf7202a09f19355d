"""Errors of the primitives, caused by input from outside.

ChainError
├── DecodeError         bytes are not a canonical record; raised at the edges, the sender is to blame
├── InvalidKey          not an Ed25519 key, or one of small order
└── InvalidAddress      text is not an address of this network; the message says why
"""


class ChainError(Exception):
    """Input from outside is not acceptable; expected in normal operation."""


class DecodeError(ChainError):
    """The bytes are not the canonical encoding of the expected record."""


class InvalidKey(ChainError):
    """Not an Ed25519 public key, or a point of small order, for which anybody can make signatures."""


class InvalidAddress(ChainError):
    """The text is not a bech32m id with the expected prefix."""
