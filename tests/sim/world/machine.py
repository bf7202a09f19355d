"""A simulated machine: what outlives a crash (disk, clocks, keys, place in the network), and its process.

A process that ends, by a crash or by its own doing, is never called again; the machine starts another one.
A villain is a machine whose processes are made by another `build_process`.
"""

import random as standard_random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from chain.primitives.types import Hash, Height, PeerId
from node.replica.replica import ConsensusHalted
from storage.crash_points import CrashPoint
from storage.errors import CorruptSignState, CorruptStore, CorruptWal, DiskFailed, StorageError
from tests.sim.checks.history import History
from tests.sim.world.accounts import ValidatorKeys
from tests.sim.world.clocks import SimClock
from tests.sim.world.disk import SimDisk
from tests.sim.world.network import Network
from tests.sim.world.schedule import Audit, Schedule
from tests.sim.world.signatures import Signatures
from tests.sim.world.wire import describe

if TYPE_CHECKING:
    from tests.sim.checks.custody import CustodyWatch
    from tests.sim.checks.rare import CoreWatch
    from tests.sim.checks.watch import Watch
    from tests.sim.world.joining import JoiningProcess
    from tests.sim.world.process import Process

WAL, SIGN_STATE = Path("wal"), Path("sign-state")
RESTART_MS = (200, 6_000)


class Crashed(BaseException):
    """The machine stops here; no handler of the program sees it."""

    def __init__(self, is_power_loss: bool) -> None:
        super().__init__("the machine stops")
        self.is_power_loss = is_power_loss


class RunContext(Protocol):
    """The run, as its machines see it."""

    schedule: Schedule
    audit: Audit
    network: Network
    history: History
    random: standard_random.Random
    signatures: Signatures
    spec: Any
    current: "Machine | None"
    counts: Counter[str]
    watch: "Watch"
    core_watch: "CoreWatch"
    custody: "CustodyWatch"
    rare: Counter[str]

    def build_joining(self, machine: "Machine") -> "JoiningProcess":
        """A process that fetches a snapshot."""

    def find_anchor(self) -> tuple[Height, Hash] | None:
        """A final block that is not old, which an operator would name with --trust."""

    def find(self, peer: PeerId) -> "Machine | None":
        """The machine with this name."""

    def on_halted(self, number: int, error: ConsensusHalted) -> None:
        """A node says that consensus has failed."""


class Machine:
    """One machine of the network."""

    def __init__(
        self,
        context: RunContext,
        number: int,
        keys: ValidatorKeys,
        clock: SimClock,
        build_process: "Callable[[Machine], Process]",
    ) -> None:
        self.context = context
        self.number = number
        self.keys = keys
        self.clock = clock
        self.disk = SimDisk(standard_random.Random(context.random.random()))
        self.disk.on_step = self._on_disk_step
        self.process: Process | None = None
        self.joining: JoiningProcess | None = None
        """A process that fetches a snapshot, in place of the ordinary one."""
        self.joins_by_snapshot = False
        self.makes_snapshots = False
        self.is_retired = False
        """No process starts on it."""
        self.build_process = build_process
        self.is_observer = False
        """Log or sign-state are damaged: until the end it takes part without signing."""
        self.is_restored = False
        """An old copy of its disk was put back: the guard must notice, and watch before it signs."""
        self.restored_height = 0
        """The height of the last signature in what was put back."""
        self.crashes = 0
        self.crash_at: dict[CrashPoint, int] = {}
        """By crash point: how many passings are left until the crash."""
        self.crash_at_step = 0
        self.is_power_loss = False
        self.restart_ms = RESTART_MS
        self.has_store = False

    @property
    def name(self) -> str:
        """The name in traces and in the audit."""
        return str(self.number)

    @property
    def is_up(self) -> bool:
        """Whether a process runs on it."""
        return self.process is not None or self.joining is not None

    # Starting and stopping.

    def start(self) -> None:
        """A process starts, if none runs."""
        if self.is_up or self.is_retired:
            return
        self.context.audit.note(self.name, "start")
        self.context.current, failure = self, None
        try:
            if self.joins_by_snapshot:
                self.joining = self.context.build_joining(self)
                self.joining.start()
            else:
                self.process = self.build_process(self)
                self.process.start()
        except (Crashed, StorageError) as error:
            failure = error
        finally:
            self.context.current = None
        if failure is None:
            self.context.network.on_started(self.number)
        else:
            self.end(failure)

    def end(self, cause: BaseException) -> None:
        """The process has ended: does what an operator would do, and starts another one later."""
        self.context.audit.note(self.name, "end", text=f"{type(cause).__name__}: {cause}")
        if self.process is not None and self.process.has_waiting_jobs and isinstance(cause, Crashed):
            self.context.rare["killed between two jobs of the lane"] += 1
        was_up, self.process, self.joining = self.is_up, None, None
        self.crash_at, self.crash_at_step = {}, 0
        if isinstance(cause, Crashed) and cause.is_power_loss:
            self.disk.lose_power()
        else:
            self.disk.restart()
        self.crashes += 1
        if isinstance(cause, CorruptStore) and self.disk.is_damaged:
            self.disk.remove_store()
            self.has_store = False
        elif isinstance(cause, CorruptWal | CorruptSignState) and self.disk.is_flipped:
            self.is_observer = True
        elif not isinstance(cause, Crashed | DiskFailed):
            raise cause
        if was_up:
            self.context.network.on_stopped(self.number)
        self.context.schedule.after(self.context.random.randint(*self.restart_ms), self.start)

    def crash(self, *, is_power_loss: bool) -> None:
        """The process stops between two turns."""
        if self.is_up:
            self.end(Crashed(is_power_loss))

    def run_turn(self, action: Callable[[], None]) -> None:
        """One turn of a process that joins; ends it if the machine stops."""
        self.context.current = self
        try:
            action()
        except (Crashed, StorageError) as cause:
            self.end(cause)
        finally:
            self.context.current = None

    def adopt(self, *, is_whole: bool) -> None:
        """State sync is over: an ordinary process starts, on the fetched store or on an empty one."""
        self.joining, self.joins_by_snapshot = None, False
        if is_whole:
            self.disk.adopt_staged()
        self.context.network.on_stopped(self.number)
        self.context.schedule.after(1, self.start)

    # Crashes inside.

    def on_point(self, point: CrashPoint) -> None:
        """The process is at this point."""
        left = self.crash_at.get(point)
        if left is not None:
            self.crash_at[point] = left - 1
            if left <= 1:
                raise Crashed(self.is_power_loss)

    def _on_disk_step(self, _: str) -> None:
        if self.crash_at_step:
            self.crash_at_step -= 1
            if self.crash_at_step == 0:
                raise Crashed(self.is_power_loss)

    # The network's end.

    def on_connected(self, peer: int) -> None:
        """As network.End."""
        if self.joining is not None:
            self.joining.on_connected(peer)
        elif self.process is not None:
            process = self.process
            process.turn("connected", lambda: process.on_connected(peer))

    def on_disconnected(self, peer: int) -> None:
        """As network.End."""
        if self.joining is not None:
            self.joining.on_disconnected(peer)
        elif self.process is not None:
            process = self.process
            process.turn("disconnected", lambda: process.on_disconnected(peer))

    def on_message(self, peer: int, channel: str, data: bytes) -> None:
        """As network.End."""
        if self.joining is not None:
            joining = self.joining
            joining.turn(lambda: joining.on_message(peer, channel, data))
        elif self.process is not None:
            process = self.process
            self.context.audit.note(self.name, f"{channel}<{peer}", data, lambda: describe(channel, data))
            process.turn(channel, lambda: process.on_message(peer, channel, data))
