"""Calls from the API's loop into the node's: everything that changes the node runs there, as one of its
tasks.

Reads need no call: they use the ledger's view and single look-ups in the mempool.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

CROSSINGS_MAX = 32


class NodeLoop:
    """The node's loop as seen from the API's; made and used in the API's."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._threads = trio.CapacityLimiter(CROSSINGS_MAX)

    async def run(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Runs an async function in the node's loop and returns its result; once begun it runs to its end."""
        return await self._cross(lambda: trio.from_thread.run(function, *arguments, trio_token=self._token))

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Calls a function in the node's loop and returns its result."""
        return await self._cross(
            lambda: trio.from_thread.run_sync(function, *arguments, trio_token=self._token)
        )

    async def _cross(self, wait: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(wait, limiter=self._threads, abandon_on_cancel=True)
