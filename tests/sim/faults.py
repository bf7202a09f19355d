"""The faults: each is a function of the run that makes one happen now, and takes it back later if it lasts.

Which and when is the plan's; where and how long is drawn here. All of it ends when the run heals.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Protocol

from chain.primitives.codec import decode
from chain.primitives.types import Height
from storage.crash_points import CrashPoint
from storage.sign_state import SignState
from tests.sim.disk import Backup
from tests.sim.network import Network
from tests.sim.node import SIGN_STATE, WAL, Machine
from tests.sim.plan import Plan
from tests.sim.schedule import Schedule
from tests.sim.schemer import Schemer
from tests.sim.watch import CHECKSUM_BYTES

Links = list[tuple[int, int]]
CUT_MS = (500, 9_000)
BACKUP_HEIGHTS_MIN = 3
"""A younger backup than this need not have left a trace on the chain of what is missing in it."""
SCHEME_MS = (4_000, 20_000)
OFTEN_FAILING = 60
"""Disk operations of a few signatures."""


class Stage(Protocol):
    """The run, as faults see it."""

    schedule: Schedule
    network: Network
    random: Random
    machines: list[Machine]
    plan: Plan
    is_healed: bool

    def may_fail_for_good(self, machine: Machine) -> bool:
        """Whether less than a third of the power stays faulty with this one; it is then counted."""


def _draw_machine(stage: Stage) -> Machine:
    return stage.random.choice(stage.machines)


def _later(stage: Stage, span_ms: tuple[int, int], action: Callable[[], None]) -> None:
    """After a while, unless all is healed by then."""
    stage.schedule.after(stage.random.randint(*span_ms), lambda: None if stage.is_healed else action())


# Network.


def _cut_for_a_while(stage: Stage, links: Links) -> None:
    stage.network.cut(links)
    _later(stage, CUT_MS, lambda: stage.network.heal(links))


def _between(ones: Iterable[int], others: Iterable[int]) -> Links:
    others = list(others)
    return [link for one in ones for other in others if one != other for link in ((one, other), (other, one))]


def _split(stage: Stage, count: int) -> None:
    numbers = stage.random.sample(range(len(stage.machines)), len(stage.machines))
    _cut_for_a_while(stage, _between(numbers[:count], numbers[count:]))


def cut(stage: Stage) -> None:
    """Links that work in one direction only."""
    numbers = range(len(stage.machines))
    pairs = [(one, other) for one in numbers for other in numbers if one != other]
    _cut_for_a_while(stage, stage.random.sample(pairs, stage.random.randint(1, len(pairs) // 2)))


def minority(stage: Stage) -> None:
    """One or some nodes on their own."""
    _split(stage, stage.random.randint(1, (len(stage.machines) - 1) // 2))


def halves(stage: Stage) -> None:
    """Nobody has a quorum, mostly."""
    _split(stage, len(stage.machines) // 2)


def ring(stage: Stage) -> None:
    """Each hears its two neighbours only."""
    count = len(stage.machines)
    far = [(a, b) for a in range(count) for b in range(count) if (a - b) % count not in (0, 1, count - 1)]
    _cut_for_a_while(stage, far)


def swizzle(stage: Stage) -> None:
    """Nodes are cut off one after the other, and come back in another order."""
    count = stage.random.randint(1, len(stage.machines))
    chosen = stage.random.sample(range(len(stage.machines)), count)
    for place, number in enumerate(chosen):
        links = _between([number], range(len(stage.machines)))
        _later(stage, (place * 300, place * 300 + 200), lambda links=links: stage.network.cut(links))
    back = stage.random.sample(chosen, count)
    for place, number in enumerate(back):
        links = _between([number], range(len(stage.machines)))
        start_ms = count * 500 + place * 300
        _later(stage, (start_ms, start_ms + 200), lambda links=links: stage.network.heal(links))


def flap(stage: Stage) -> None:
    """A node that is there every other second."""
    links = _between([_draw_machine(stage).number], range(len(stage.machines)))
    for turn in range(0, stage.random.randint(2, 10), 2):
        at_ms = turn * 1_000
        _later(stage, (at_ms, at_ms), lambda: stage.network.cut(links))
        _later(stage, (at_ms + 1_000, at_ms + 1_000), lambda: stage.network.heal(links))


def storm(stage: Stage) -> None:
    """Much is lost, doubled and late for a while."""
    conditions = stage.network.conditions
    before = conditions.loss_ppm, conditions.duplicate_ppm, conditions.jitter_ms
    conditions.loss_ppm, conditions.duplicate_ppm = stage.random.choice((200_000, 600_000)), 200_000
    conditions.jitter_ms = stage.random.choice((200, 2_000))

    def end() -> None:
        conditions.loss_ppm, conditions.duplicate_ppm, conditions.jitter_ms = before

    _later(stage, (500, 4_000), end)


def schemer(stage: Stage) -> None:
    """The worst network (`Schemer`), for some rounds."""
    addresses = [machine.person.address for machine in stage.machines]
    scheme = Schemer(Random(stage.random.random()), addresses, stage.plan.powers)
    stage.network.censor = scheme.is_withheld

    def end() -> None:
        stage.network.censor = None

    _later(stage, SCHEME_MS, end)


# Crashes.


def crash(stage: Stage) -> None:
    """Between two turns."""
    _draw_machine(stage).crash(is_power_loss=stage.random.random() < 0.5)


def crash_at_point(stage: Stage) -> None:
    """At a named point."""
    machine = _draw_machine(stage)
    machine.is_power_loss = stage.random.random() < 0.5
    machine.crash_at = {stage.random.choice(list(CrashPoint)): stage.random.randint(1, 6)}


def crash_in_disk(stage: Stage) -> None:
    """Within any operation of the disk."""
    machine = _draw_machine(stage)
    machine.is_power_loss = stage.random.random() < 0.7
    machine.crash_at_step = stage.random.randint(1, OFTEN_FAILING)


def crash_all(stage: Stage) -> None:
    """The power of the whole building."""
    is_power_loss = stage.random.random() < 0.7
    for machine in stage.machines:
        machine.crash(is_power_loss=is_power_loss)


# Disks.


def disk_full(stage: Stage) -> None:
    """No space for a while."""
    disk = _draw_machine(stage).disk
    disk.is_full = True

    def end() -> None:
        disk.is_full = False

    _later(stage, CUT_MS, end)


def sync_fails(stage: Stage) -> None:
    """One of the next syncs fails, once."""
    _draw_machine(stage).disk.sync_fails_in = stage.random.randint(1, OFTEN_FAILING // 3)


def slow_disk(stage: Stage) -> None:
    """Some operations take long."""
    disk = _draw_machine(stage).disk
    disk.slow_ms = stage.random.choice((50, 300, 1_500))

    def end() -> None:
        disk.slow_ms = 0

    _later(stage, CUT_MS, end)


def _flip(stage: Stage, damage: Callable[[Machine], None]) -> None:
    machine = _draw_machine(stage)
    if stage.may_fail_for_good(machine):
        damage(machine)
        machine.crash(is_power_loss=False)


def flip_log(stage: Stage) -> None:
    """A bit of the log."""
    _flip(stage, lambda machine: machine.disk.flip(WAL))


def flip_sign_state(stage: Stage) -> None:
    """A bit of the sign-state."""
    _flip(stage, lambda machine: machine.disk.flip(SIGN_STATE))


def flip_store(stage: Stage) -> None:
    """A bit of the store, whose checksums see it at the next read. What it held must be somewhere else."""
    machine = _draw_machine(stage)
    if stage.may_fail_for_good(machine):
        machine.disk.is_damaged = True


def old_backup(stage: Stage) -> None:
    """The whole disk is put back as it was some heights ago: what was signed since is forgotten."""
    machine = _draw_machine(stage)
    if machine.life is None:
        return
    height, backup = machine.life.ledger.height, machine.disk.back_up()

    def put_back() -> None:
        is_old = machine.life is not None and machine.life.ledger.height >= height + BACKUP_HEIGHTS_MIN
        if is_old and stage.may_fail_for_good(machine):
            machine.crash(is_power_loss=False)
            machine.disk.restore(backup)
            machine.is_restored = True
            machine.restored_height = read_height(backup)

    _later(stage, (4_000, 12_000), put_back)


def read_height(backup: Backup) -> Height:
    """Of the last signature in a backup."""
    data = backup.files.get(SIGN_STATE, b"")
    return decode(SignState, data[CHECKSUM_BYTES:]).height if data else 0


# Clocks.


def clock_jump(stage: Stage) -> None:
    """Somebody sets a clock that is wrong already, or by less than what clocks may differ."""
    clock = _draw_machine(stage).clock
    if abs(clock.offset_ms) > 250:
        clock.offset_ms += stage.random.choice((-60_000, -500, 500, 60_000))
    else:
        clock.offset_ms = stage.random.randint(-250, 250)


BY_NAME: dict[str, Callable[[Stage], None]] = {
    function.__name__: function
    for function in (
        cut,
        minority,
        halves,
        ring,
        swizzle,
        flap,
        storm,
        schemer,
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
