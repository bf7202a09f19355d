"""The faults: each is a function that makes one happen now, and ends it later if it lasts.

Which and when is the plan's; where and how long is drawn here. All of it ends when the run heals.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Protocol

from chain.primitives.codec import decode
from chain.primitives.types import Height, Round
from consensus.proposers import Proposers
from storage.crash_points import CrashPoint
from storage.sign_state import SignState
from tests.sim.checks.watch import CHECKSUM_BYTES
from tests.sim.plan import Plan
from tests.sim.world.censor import Censor
from tests.sim.world.disk import Backup
from tests.sim.world.machine import SIGN_STATE, WAL, Machine
from tests.sim.world.network import Network
from tests.sim.world.schedule import Schedule

Links = list[tuple[int, int]]
CUT_MS = (500, 9_000)
BACKUP_HEIGHTS_MIN = 3
"""A younger backup than this need not have left a trace on the chain of what is missing in it."""
CENSOR_MS = (4_000, 20_000)
JOINING_MS = 4_000
OFTEN_FAILING = 60
"""Disk operations of a few signatures."""


class FaultContext(Protocol):
    """The run, as faults see it."""

    schedule: Schedule
    network: Network
    random: Random
    machines: list[Machine]
    plan: Plan
    is_healed: bool

    def may_fail_for_good(self, machine: Machine) -> bool:
        """Counts this machine as faulty to the end; False if a third of the power would be."""


def _draw_machine(context: FaultContext) -> Machine:
    return context.random.choice(context.machines)


def _later(context: FaultContext, span_ms: tuple[int, int], action: Callable[[], None]) -> None:
    """Calls `action` after a while, unless the run has healed by then."""
    context.schedule.after(context.random.randint(*span_ms), lambda: None if context.is_healed else action())


# Network.


def _cut_for_a_while(context: FaultContext, links: Links) -> None:
    context.network.cut(links)
    _later(context, CUT_MS, lambda: context.network.heal(links))


def _between(ones: Iterable[int], others: Iterable[int]) -> Links:
    others = list(others)
    return [link for one in ones for other in others if one != other for link in ((one, other), (other, one))]


def _split(context: FaultContext, count: int) -> None:
    numbers = context.random.sample(range(len(context.machines)), len(context.machines))
    _cut_for_a_while(context, _between(numbers[:count], numbers[count:]))


def cut(context: FaultContext) -> None:
    """Links that work in one direction only."""
    numbers = range(len(context.machines))
    pairs = [(one, other) for one in numbers for other in numbers if one != other]
    _cut_for_a_while(context, context.random.sample(pairs, context.random.randint(1, len(pairs) // 2)))


def minority(context: FaultContext) -> None:
    """A minority is cut off from the rest."""
    _split(context, context.random.randint(1, (len(context.machines) - 1) // 2))


def halves(context: FaultContext) -> None:
    """Two halves; mostly neither has a quorum."""
    _split(context, len(context.machines) // 2)


def ring(context: FaultContext) -> None:
    """Each hears its two neighbours only."""
    count = len(context.machines)
    far = [(a, b) for a in range(count) for b in range(count) if (a - b) % count not in (0, 1, count - 1)]
    _cut_for_a_while(context, far)


def swizzle(context: FaultContext) -> None:
    """Nodes are cut off one after the other, and come back in another order."""
    count = context.random.randint(1, len(context.machines))
    chosen = context.random.sample(range(len(context.machines)), count)
    for place, number in enumerate(chosen):
        links = _between([number], range(len(context.machines)))
        _later(context, (place * 300, place * 300 + 200), lambda links=links: context.network.cut(links))
    back = context.random.sample(chosen, count)
    for place, number in enumerate(back):
        links = _between([number], range(len(context.machines)))
        start_ms = count * 500 + place * 300
        _later(context, (start_ms, start_ms + 200), lambda links=links: context.network.heal(links))


def flap(context: FaultContext) -> None:
    """A node is cut off every other second."""
    links = _between([_draw_machine(context).number], range(len(context.machines)))
    for turn in range(0, context.random.randint(2, 10), 2):
        at_ms = turn * 1_000
        _later(context, (at_ms, at_ms), lambda: context.network.cut(links))
        _later(context, (at_ms + 1_000, at_ms + 1_000), lambda: context.network.heal(links))


def storm(context: FaultContext) -> None:
    """Much is lost, doubled and late for a while."""
    conditions = context.network.conditions
    before = conditions.loss_ppm, conditions.duplicate_ppm, conditions.jitter_ms
    conditions.loss_ppm, conditions.duplicate_ppm = context.random.choice((200_000, 600_000)), 200_000
    conditions.jitter_ms = context.random.choice((200, 2_000))

    def end() -> None:
        conditions.loss_ppm, conditions.duplicate_ppm, conditions.jitter_ms = before

    _later(context, (500, 4_000), end)


def censor(context: FaultContext) -> None:
    """A network that hides locks (`Censor`), for some rounds."""
    _hide_locks(context)

    def end() -> None:
        context.network.censor = None

    _later(context, CENSOR_MS, end)


def long_censor(context: FaultContext) -> None:
    """The same until the network heals."""
    _hide_locks(context)


def _hide_locks(context: FaultContext) -> None:
    addresses = [machine.keys.address for machine in context.machines]

    def find_proposer(height: Height, round: Round) -> int | None:
        cores = [machine.process.replica.core for machine in context.machines if machine.process is not None]
        members = next((core.validator_set for core in cores if core.height == height), None)
        return None if members is None else addresses.index(Proposers(members).get(round))

    censor = Censor(Random(context.random.random()), addresses, context.plan.powers, find_proposer)
    context.network.censor = censor.is_withheld


# Crashes.


def crash(context: FaultContext) -> None:
    """A process is killed or a machine loses power between two turns."""
    _draw_machine(context).crash(is_power_loss=context.random.random() < 0.5)


def crash_at_point(context: FaultContext) -> None:
    """A crash at a named point."""
    machine = _draw_machine(context)
    machine.is_power_loss = context.random.random() < 0.5
    machine.crash_at = {context.random.choice(list(CrashPoint)): context.random.randint(1, 6)}


def crash_joining(context: FaultContext) -> None:
    """A crash of each node that fetches a snapshot, as soon as it has begun to."""
    is_power_loss, until_ms = context.random.random() < 0.5, context.schedule.now_ms + JOINING_MS

    def look() -> None:
        fetching = [one for one in context.machines if one.joining is not None and one.joining.has_plan]
        for machine in fetching:
            machine.crash(is_power_loss=is_power_loss)
        if not fetching and not context.is_healed and context.schedule.now_ms < until_ms:
            context.schedule.after(1, look)

    look()


def crash_in_disk(context: FaultContext) -> None:
    """A crash within some operation of the disk."""
    machine = _draw_machine(context)
    machine.is_power_loss = context.random.random() < 0.7
    machine.crash_at_step = context.random.randint(1, OFTEN_FAILING)


def crash_all(context: FaultContext) -> None:
    """All machines crash at once."""
    is_power_loss = context.random.random() < 0.7
    for machine in context.machines:
        machine.crash(is_power_loss=is_power_loss)


# Disks.


def disk_full(context: FaultContext) -> None:
    """No space for a while."""
    disk = _draw_machine(context).disk
    disk.is_full = True

    def end() -> None:
        disk.is_full = False

    _later(context, CUT_MS, end)


def sync_fails(context: FaultContext) -> None:
    """One of the next syncs fails, once."""
    _draw_machine(context).disk.sync_fails_in = context.random.randint(1, OFTEN_FAILING // 3)


def slow_disk(context: FaultContext) -> None:
    """Some operations take long."""
    disk = _draw_machine(context).disk
    disk.slow_ms = context.random.choice((50, 300, 1_500))

    def end() -> None:
        disk.slow_ms = 0

    _later(context, CUT_MS, end)


def _flip(context: FaultContext, damage: Callable[[Machine], None]) -> None:
    machine = _draw_machine(context)
    if context.may_fail_for_good(machine):
        damage(machine)
        machine.crash(is_power_loss=False)


def flip_log(context: FaultContext) -> None:
    """A bit of the log changes."""
    _flip(context, lambda machine: machine.disk.flip(WAL))


def flip_sign_state(context: FaultContext) -> None:
    """A bit of the sign-state changes."""
    _flip(context, lambda machine: machine.disk.flip(SIGN_STATE))


def flip_store(context: FaultContext) -> None:
    """A bit of the store changes; its checksums show it at the next read. Others must hold what is lost."""
    machine = _draw_machine(context)
    if context.may_fail_for_good(machine):
        machine.disk.is_damaged = True


def old_backup(context: FaultContext) -> None:
    """The whole disk is put back as it was some heights ago: what was signed since is forgotten."""
    machine = _draw_machine(context)
    if machine.process is None:
        return
    height, backup = machine.process.ledger.height, machine.disk.back_up()

    def put_back() -> None:
        is_old = machine.process is not None and machine.process.ledger.height >= height + BACKUP_HEIGHTS_MIN
        if is_old and context.may_fail_for_good(machine):
            machine.crash(is_power_loss=False)
            machine.disk.restore(backup)
            machine.is_restored = True
            machine.restored_height = read_height(backup)

    _later(context, (4_000, 12_000), put_back)


def read_height(backup: Backup) -> Height:
    """The height of the last signature in a backup."""
    data = backup.files.get(SIGN_STATE, b"")
    return decode(SignState, data[CHECKSUM_BYTES:]).height if data else 0


# Clocks.


def clock_jump(context: FaultContext) -> None:
    """Somebody sets a clock that is wrong already, or by less than what clocks may differ."""
    clock = _draw_machine(context).clock
    if abs(clock.offset_ms) > 250:
        clock.offset_ms += context.random.choice((-60_000, -500, 500, 60_000))
    else:
        clock.offset_ms = context.random.randint(-250, 250)


BY_NAME: dict[str, Callable[[FaultContext], None]] = {
    function.__name__: function
    for function in (
        cut,
        minority,
        halves,
        ring,
        swizzle,
        flap,
        storm,
        censor,
        long_censor,
        crash_joining,
        crash,
        crash_at_point,
        crash_in_disk,
        crash_all,
        disk_full,
        sync_fails,
        slow_disk,
        flip_log,
        flip_sign_state,
        flip_store,
        old_backup,
        clock_jump,
    )
}
