"""Agreeing on a protocol (multistream-select 1.0), with bounded lines.

py-libp2p's own reader allocates whatever length a stranger states (four connections took 1.5 GB), and invalid
UTF-8 escapes from it as an exception that ended the process. The exchange itself is libp2p's.
"""

from libp2p.exceptions import ParseError
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import IOException
from libp2p.protocol_muxer.exceptions import (
    MultiselectClientError,
    MultiselectCommunicatorError,
    MultiselectError,
    ProtocolNotSupportedError,
)
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from p2p.errors import PeerFault, PeerGone, RefusalCode, Refused

LINE_BYTES_MAX = 1024
LINES_MAX = 16


class _BoundedCommunicator(MultiselectCommunicator):  # type: ignore[misc]
    """Reads at most LINES_MAX lines of at most LINE_BYTES_MAX bytes of ASCII."""

    def __init__(self, read_writer: ReadWriteCloser) -> None:
        super().__init__(read_writer)
        self._lines = 0

    async def read(self) -> str:
        self._lines += 1
        if self._lines > LINES_MAX:
            raise MultiselectCommunicatorError("too many lines")
        try:
            line = await read_varint_prefixed_bytes_limited(self.read_writer, LINE_BYTES_MAX)
        except (ParseError, IOException) as error:
            raise MultiselectCommunicatorError(str(error)) from error
        if not line.endswith(b"\n") or not line.isascii():
            raise MultiselectCommunicatorError("not a line of ASCII")
        return str(line[:-1], "ascii")


async def propose_protocol(channel: ReadWriteCloser, protocol_id: str) -> None:
    """Proposes a protocol; returns when the peer agreed; raises Refused, PeerGone."""
    try:
        await MultiselectClient().select_one_of([protocol_id], _BoundedCommunicator(channel))
    except MultiselectClientError as error:
        if isinstance(error.__context__, ProtocolNotSupportedError) or "not supported" in str(error):
            raise Refused(RefusalCode.PROTOCOL_UNKNOWN, protocol_id) from error
        raise PeerGone(f"negotiating {protocol_id}: {error}") from error
    except (MuxedStreamError, IOException) as error:
        raise PeerGone(f"negotiating {protocol_id}: {error}") from error


async def agree_on_protocol(channel: ReadWriteCloser, served: tuple[str, ...]) -> str:
    """Answers a proposal; returns the protocol of `served` that the peer chose; raises PeerFault,
    PeerGone.
    """
    multiselect = Multiselect(dict.fromkeys(served))
    try:
        protocol_id, _ = await multiselect.negotiate(_BoundedCommunicator(channel))
    except MultiselectError as error:
        if isinstance(error.__cause__, MultiselectCommunicatorError):
            raise PeerGone(f"negotiation ended: {error.__cause__}") from error
        raise PeerFault(f"negotiation: {error}") from error
    except (MuxedStreamError, IOException) as error:
        raise PeerGone(f"negotiation ended: {error}") from error
    return str(protocol_id)
