"""Errors of the network.

NetworkError
├── InvalidPeerAddress  text that is no address of a peer
├── ListenFailed        an address of our own cannot be bound, for peers or for the API
├── PeerGone            the connection or stream is over, whoever ended it: connect again or ask another peer
│   ├── StreamEnded     the peer finished sending, at a frame boundary
│   └── PeerSlow        a deadline passed
├── MessageTooLarge     our own message exceeds the protocol's bound, nothing was sent
├── PeerFault           the peer broke a rule: its score falls, at zero it is banned
└── Refused             the peer answered no: the code says why; asking again soon is useless

Raised by p2p and by handlers of the node; handled by the per-peer boundary (`boundary.py`) or
by whoever asked.
"""

from enum import IntEnum
from typing import TypeVar

from chain.primitives.errors import ChainError

E = TypeVar("E", bound=BaseException)


def get_first_failure(group: BaseExceptionGroup[E]) -> E:
    """The first failure of a nursery; the others followed from it."""
    error: E | BaseExceptionGroup[E] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class NetworkError(ChainError):
    """An expected failure of the network."""


class InvalidPeerAddress(NetworkError):
    """Not of the form /ip4|ip6|dns/<host>/tcp/<port>/p2p/<peer id>."""


class ListenFailed(NetworkError):
    """An address of our own cannot be bound; the message names it and says why."""


class PeerGone(NetworkError):
    """The connection or stream is over."""


class StreamEnded(PeerGone):
    """The peer finished sending, between two frames."""


class PeerSlow(PeerGone):
    """The peer missed a deadline of the protocol."""


class MessageTooLarge(NetworkError):
    """A message of ours exceeds the protocol's bound; nothing was sent. The boundary logs it as a bug."""


class PeerFault(NetworkError):
    """The peer broke a rule. It costs `points` of its score (`switch/scores.py`)."""

    def __init__(self, reason: str, points: int = 20) -> None:
        super().__init__(reason)
        self.reason = reason
        self.points = points


class RefusalCode(IntEnum):
    """Why a peer refused. Protocol: numbers never change; 7 is unused."""

    BUSY = 1
    NOT_FOUND = 2
    BANNED = 3
    NOT_MEMBER = 4
    NOT_PAID = 5
    VOUCHER_INVALID = 6
    TOO_MANY_CONNECTIONS = 8
    PROTOCOL_UNKNOWN = 9
    NOT_SERVED = 10
    NOT_YET = 11
    SESSION_OVER = 12
    CANCELLED = 13
    PAYER_OWES = 15


class Refused(NetworkError):
    """The peer answered no."""

    def __init__(self, code: RefusalCode, reason: str = "") -> None:
        super().__init__(f"{code.name.lower()}: {reason}" if reason else code.name.lower())
        self.code = code
        self.reason = reason
