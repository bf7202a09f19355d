"""Waking the tasks that wait for a change (tokio's `Notify`, `notify_waiters`).

A notification reaches the tasks that wait at that moment; it is not kept for later ones. So a task looks at
the state first and waits if there is nothing to do, without another `await` in between. Where there has to be
one, the task takes `next` before it looks.
"""

import trio


class Notifier:
    """Wakes all waiting tasks of one loop at once."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    @property
    def next(self) -> trio.Event:
        """Set by the next notification from now on."""
        return self._event

    def notify_all(self) -> None:
        """Wakes every task that waits now."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Returns at the next notification."""
        await self._event.wait()
