"""Errors of the primitives: what bytes from outside may cause.

ChainError
├── DecodeError         bytes are no canonical record; raised at the edges, the sender is to blame
├── InvalidKey          not an Ed25519 key, or one of small order
└── InvalidAddress      text is no address of this network; the message says what is wrong with it
"""


class ChainError(Exception):
    """Expected in normal operation: something from outside is not acceptable."""


class DecodeError(ChainError):
    """These bytes are not the canonical encoding of the record asked for."""


class InvalidKey(ChainError):
    """Not an Ed25519 public key, or a point of small order (it would verify signatures of nobody)."""


class InvalidAddress(ChainError):
    """This text is not a bech32m id with the prefix asked for."""
