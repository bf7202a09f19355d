"""The per-peer boundary: a failure that one peer caused ends that peer's task and nothing else.

This is one of the two places where all exceptions are caught. A message of one peer must not end the
process (one invalid byte in py-libp2p did), so even a bug of ours stops here and is logged as an error.
Cancellation passes.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerFault, PeerGone, Refused, get_first_failure
from p2p.identity import format_peer

_log = structlog.get_logger("p2p")

UNDECODABLE_POINTS = 50

T = TypeVar("T")


async def run_for_peer(
    peer: PeerId, work: Callable[[], Awaitable[None]], blame: Callable[[PeerId, PeerFault], None]
) -> bool:
    """Runs `work`; returns whether it ended without a failure. A failure is blamed or logged, never
    raised.
    """
    is_done = False
    try:
        await work()
        is_done = True
    except* (PeerGone, Refused) as group:
        _log.debug("peer_task_ended", peer=format_peer(peer), reason=str(get_first_failure(group)))
    except* PeerFault as group:
        blame(peer, get_first_failure(group))
    except* DecodeError as group:
        blame(peer, PeerFault(f"undecodable: {get_first_failure(group)}", UNDECODABLE_POINTS))
    except* Exception as group:
        _log.error("peer_task_bug", peer=format_peer(peer), exc_info=group)
    return is_done


async def run_for_stranger(work: Callable[[], Awaitable[T]]) -> T:
    """Runs a handshake; whatever libp2p raises on a stranger's bytes becomes PeerGone."""
    try:
        return await work()
    except NetworkError:
        raise
    except Exception as error:
        raise PeerGone(f"handshake failed: {type(error).__name__} {error}") from error
