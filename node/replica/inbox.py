"""The inbox of a replica: inputs in order of arrival, handled in a later turn while the replica runs."""

from collections import deque
from collections.abc import Callable

from consensus.types import Input
from node.replica.ports import World


class Inbox:
    """Calls `handle` for one input after the other; asks `is_running` before each."""

    def __init__(self, world: World, handle: Callable[[Input], None], is_running: Callable[[], bool]) -> None:
        self._world = world
        self._handle = handle
        self._is_running = is_running
        self._inputs: deque[Input] = deque()
        self._is_scheduled = False

    def put(self, received: Input) -> None:
        """Add an input; it is handled in a later turn."""
        self._inputs.append(received)
        self.wake()

    def wake(self) -> None:
        """Schedule a turn if there is anything to handle; to be called when the replica begins to run."""
        if self._inputs and not self._is_scheduled and self._is_running():
            self._is_scheduled = True
            self._world.call_later(0, self._take_turn)

    def _take_turn(self) -> None:
        self._is_scheduled = False
        while self._inputs and self._is_running():
            self._handle(self._inputs.popleft())
