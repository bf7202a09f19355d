"""Messages as bytes: decoded as the streams of `p2p` decode them, and in words for a trace."""

from typing import Any, TypeVar

from chain.primitives.codec import Record, decode
from chain.primitives.errors import DecodeError
from p2p.errors import NetworkError, PeerFault, RefusalCode, Refused
from p2p.wire.messages import (
    ConsensusMessage,
    PoolMessage,
    Refusal,
    SnapshotReply,
    SnapshotRequest,
    SyncReply,
    SyncRequest,
)

R = TypeVar("R", bound=Record)

NUMBER_BYTES = 8
"""Of a request, before its body and before that of its reply."""
LIE_POINTS = 50


def decode_message(kind: Any, data: bytes) -> Any:
    """As `p2p.wire.requests.receive_message`."""
    try:
        return decode(kind, data)
    except DecodeError as error:
        raise PeerFault(f"undecodable: {error}", LIE_POINTS) from error


def decode_reply(data: bytes, kind: type[R]) -> R | NetworkError:
    """As `p2p.wire.requests.ask`."""
    try:
        answer = decode(SyncReply, data)  # type: ignore[arg-type]
    except DecodeError as error:
        return PeerFault(f"undecodable: {error}", LIE_POINTS)
    if isinstance(answer, Refusal):
        return Refused(RefusalCode(answer.code), answer.reason)
    return answer if isinstance(answer, kind) else PeerFault("another reply than was asked for", LIE_POINTS)


def describe(channel: str, data: bytes) -> str:
    """A message in a trace."""
    kinds = {"consensus": ConsensusMessage, "pool": PoolMessage, "request": SyncRequest, "reply": SyncReply}
    kinds |= {"snapshot": SnapshotRequest, "snapshot-reply": SnapshotReply}
    body = data[NUMBER_BYTES:] if channel not in ("consensus", "pool") else data
    try:
        text = str(decode(kinds[channel], body))  # type: ignore[arg-type]
    except DecodeError:
        text = data.hex()
    return text if len(text) <= 200 else f"{text[:200]} ... ({len(data)} bytes)"
