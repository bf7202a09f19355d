"""The TCP socket under a libp2p connection, with buffered exact reads.

libp2p's `read_exactly` reads twice per Noise message and gives up after 101 short reads. Here one read of the
socket serves many of its reads, and each of them gets all its bytes.
"""

import trio
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError

READ_BYTES = 256 * 1024


class TcpChannel(ReadWriteCloser):  # type: ignore[misc]
    """A socket with the interface that libp2p expects."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._position = 0

    async def read(self, n: int | None = None) -> bytes:
        """Exactly `n` bytes; raises ConnectionClosedError if there are fewer to come."""
        # Only libp2p calls this (multistream lines and Noise messages), and always with a length.
        assert n is not None
        while len(self._buffer) - self._position < n:
            await self._fill()
        end = self._position + n
        data = bytes(memoryview(self._buffer)[self._position : end])
        self._position = end
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(str(error), transport="tcp") from error

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)

    def get_remote_address(self) -> tuple[str, int] | None:
        return None

    async def _fill(self) -> None:
        # Consumed bytes are dropped here and not at each read, since moving the rest is expensive.
        del self._buffer[: self._position]
        self._position = 0
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(str(error), transport="tcp") from error
        if not data:
            raise ConnectionClosedError("closed by peer", transport="tcp")
        self._buffer += data
