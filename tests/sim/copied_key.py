"""Two processes with one key: what an operator must not do, and does (docs/adr/009).

A second machine gets the consensus key of a validator: the key alone, a copy of the disk, or an older copy.
The original goes on, stops for good, or returns later. Safety of all others must hold, a double signature
must be punished, and neither process may sign against what it knows (`checks.custody`).
"""

from collections.abc import Mapping
from functools import cached_property

from chain.primitives.codec import decode
from chain.primitives.types import PeerId
from storage.sign_state import UNSIGNED, SignSlot, SignState
from tests.sim.checks.custody import CustodyWatch
from tests.sim.checks.watch import CHECKSUM_BYTES
from tests.sim.plan import KeyCopy
from tests.sim.world.accounts import ValidatorKeys, get_validator_keys
from tests.sim.world.disk import Backup
from tests.sim.world.machine import SIGN_STATE, Machine
from tests.sim.world.schedule import Schedule


class CopiedKeys(ValidatorKeys):
    """The keys of a validator on another machine, which has a name of its own on the network."""

    def __init__(self, number: int, original: int) -> None:
        super().__init__(original)
        self._machine_number = number

    @cached_property
    def peer(self) -> PeerId:
        """As ValidatorKeys."""
        return get_validator_keys(self._machine_number).peer


def read_slot(files: Mapping[object, bytes]) -> SignSlot:
    """The slot of the sign-state among the files of a disk."""
    data = files.get(SIGN_STATE, b"")
    return decode(SignState, data[CHECKSUM_BYTES:]).slot if data else UNSIGNED


class SecondProcess:
    """Makes it happen; the copy is the last machine, and is down until then."""

    def __init__(
        self, schedule: Schedule, plan: KeyCopy, machines: list[Machine], watch: CustodyWatch
    ) -> None:
        self._schedule = schedule
        self._plan = plan
        self._original, self._copy = machines[plan.of], machines[-1]
        self._watch = watch
        self._backup: Backup | None = None
        self._copy.is_retired = True
        watch.add(self._original.number)
        watch.add(self._copy.number)
        schedule.at(plan.copied_ms, self._take_copy)
        schedule.at(plan.started_ms, self._start)

    def _take_copy(self) -> None:
        if self._plan.how == "disk":
            self._backup = self._original.disk.back_up()
            slot = read_slot(self._backup.files)
            self._watch.copy(self._original.number, self._copy.number, slot)
        if self._plan.returns_ms is not None:
            self._original.is_retired = True
            self._original.crash(is_power_loss=False)
            self._schedule.at(self._plan.returns_ms, self._return)

    def _start(self) -> None:
        if self._backup is not None:
            self._copy.disk.restore(self._backup)
            self._copy.has_store = bool(self._backup.files)
        self._copy.is_retired = False
        self._copy.start()

    def _return(self) -> None:
        self._original.is_retired = False
        self._original.start()
