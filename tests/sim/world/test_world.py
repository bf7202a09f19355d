"""The parts of the simulated world: each fault does what it says, and nothing beyond it."""

import errno
from functools import partial
from pathlib import Path
from random import Random

import pytest

from storage.errors import CorruptStore, DiskFailed, DiskFull
from storage.files import atomic_write
from tests.sim.world.clocks import SimClock
from tests.sim.world.disk import SimDisk, SimStore
from tests.sim.world.network import Network, build_rtts
from tests.sim.world.schedule import Audit, Schedule

FILE = Path("file")


def write(disk, data, *, is_synced):
    """A new file, whose name is on disk."""
    file = disk.open(FILE, is_new=True)
    disk.sync_directory(FILE.parent)
    file.append(data)
    if is_synced:
        file.sync()
    return file


@pytest.mark.parametrize("seed", range(30))
def test_a_power_loss_keeps_what_was_synced(seed):
    """And of what was not, some part, in any state."""
    disk = SimDisk(Random(seed))
    file = write(disk, b"a" * 700, is_synced=True)
    file.append(b"b" * 2_000)
    disk.lose_power()
    left = disk.read(FILE, 10_000)
    assert left[:700] == b"a" * 700
    assert len(left) <= 2_700
    assert set(left[700:]) <= {0, ord("b")}


def test_a_power_loss_takes_any_subset():
    """Over many crashes nothing, everything, and parts with holes are left."""
    left = set()
    for seed in range(200):
        disk = SimDisk(Random(seed))
        write(disk, b"b" * 2_000, is_synced=False)
        disk.lose_power()
        left.add(disk.read(FILE, 10_000))
    assert {b"", b"b" * 2_000} < left
    assert any(b"\0" in data for data in left)


def test_a_killed_process_loses_nothing():
    """What it wrote is in the machine's memory, synced or not."""
    disk = SimDisk(Random(1))
    write(disk, b"b" * 2_000, is_synced=False)
    disk.restart()
    assert disk.read(FILE, 10_000) == b"b" * 2_000


def test_a_failed_sync_is_never_made_good():
    """A later sync succeeds, and the pages of the first are still not on disk."""
    disk = SimDisk(Random(1))
    file = write(disk, b"", is_synced=True)
    file.append(b"b" * 100)
    disk.sync_fails_in = 1
    with pytest.raises(OSError) as refused:
        file.sync()
    assert refused.value.errno == errno.EIO
    file.append(b"c" * 100)
    file.sync()
    assert disk.read(FILE, 1_000) == b"b" * 100 + b"c" * 100
    disk.lose_power()
    assert disk.read(FILE, 1_000) == bytes(100) + b"c" * 100


@pytest.mark.parametrize("seed", range(30))
def test_replacing_a_file_leaves_the_old_or_the_new(seed):
    """Wherever the power goes, within any operation."""
    disk, random = SimDisk(Random(seed)), Random(seed)
    atomic_write(FILE, b"old", disk)
    left = random.randrange(1, 7)

    def stop(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    disk.on_step = stop
    with pytest.raises(KeyboardInterrupt):
        for _ in range(3):
            atomic_write(FILE, b"new", disk)
    disk.lose_power()
    assert disk.read(FILE, 100) in (b"old", b"new")


def test_a_full_disk_refuses_new_bytes():
    """Until there is room again; the store remembers for the process, as the real one does."""
    disk = SimDisk(Random(1))
    store = SimStore(disk)
    disk.is_full = True
    with pytest.raises(DiskFull):
        atomic_write(FILE, b"new", disk)
    with pytest.raises(DiskFull):
        store.write_batch([(b"k", b"v")])
    disk.is_full = False
    with pytest.raises(DiskFailed):
        store.write_batch([(b"k", b"v")])
    SimStore(disk).write_batch([(b"k", b"v")])
    assert SimStore(disk).get(b"k") == b"v"


def test_a_damaged_store_says_so():
    """Every read does, until the store is moved away."""
    disk = SimDisk(Random(1))
    store = SimStore(disk)
    disk.is_damaged = True
    with pytest.raises(CorruptStore):
        store.get(b"k")
    disk.remove_store()
    assert SimStore(disk).get(b"k") is None


@pytest.mark.parametrize("drift_ppm", [-10_000, -3, 0, 7, 10_000])
def test_no_timer_is_early(drift_ppm):
    """After the virtual time of a delay, the machine's own clock has counted at least that delay."""
    schedule = Schedule(Random(1))
    clock = SimClock(schedule, 0, Random(1))
    clock.drift_ppm = drift_ppm
    for delay_ms in (0, 1, 2, 99, 1_000, 12_345):
        begun_ms = clock.elapsed_ms()
        schedule.now_ms += clock.compute_virtual_ms(delay_ms)
        assert delay_ms <= clock.elapsed_ms() - begun_ms <= delay_ms + 1
        schedule.now_ms += 777


def test_setting_a_clock_right_does_not_move_the_other():
    """The wall clock jumps to the true time; elapsed time goes on."""
    schedule = Schedule(Random(1))
    clock = SimClock(schedule, 1_000_000, Random(1))
    clock.drift_ppm, clock.offset_ms, schedule.now_ms = 10_000, 3_600_000, 50_000
    elapsed_ms = clock.elapsed_ms()
    clock.set_right()
    assert clock.now_ms() == 1_050_000
    assert clock.elapsed_ms() == elapsed_ms


def test_events_of_one_time_have_no_fixed_order():
    """Other seeds, other orders; time never goes back."""
    orders = [list_order(seed) for seed in range(40)]
    assert {order[:3] for order in orders} == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert all(order[3:] == "z" for order in orders)


def list_order(seed):
    """In which order three events of one time happen, and one later; a fourth was cancelled."""
    schedule, happened = Schedule(Random(seed)), []
    for name in "abc":
        schedule.at(5, partial(happened.append, name))
    schedule.at(5, partial(happened.append, "x")).cancel()
    schedule.at(9, partial(happened.append, "z"))
    settle(schedule)
    return "".join(happened)


class Listener:
    """An end that remembers."""

    def __init__(self):
        self.is_up = True
        self.heard, self.peers = [], []

    def on_connected(self, peer):
        self.peers.append(peer)

    def on_disconnected(self, peer):
        self.peers.remove(peer)

    def on_message(self, peer, channel, data):
        self.heard.append(data)


@pytest.fixture
def world():
    """Two connected machines."""
    schedule = Schedule(Random(1))
    network = Network(schedule, Audit(schedule), Random(1), build_rtts(Random(1), 2, "lan"))
    network.ends = [Listener(), Listener()]
    network.on_started(0)
    settle(schedule)
    assert network.ends[0].peers == [1]
    assert network.ends[1].peers == [0]
    return schedule, network


def settle(schedule):
    """Until nothing is left to happen."""
    while schedule.step():
        pass


def test_a_cut_is_silent_and_then_noticed(world):
    """Messages vanish in the direction that is cut; both ends give up later, and find each other again."""
    schedule, network = world
    one, other = network.ends
    network.cut([(0, 1)])
    network.send(0, 1, "consensus", b"lost")
    network.send(1, 0, "consensus", b"kept")
    schedule.step()
    assert (one.heard, other.heard, one.peers) == ([b"kept"], [], [1])
    settle(schedule)
    assert (one.peers, other.peers) == ([], [])
    network.heal([(0, 1)])
    settle(schedule)
    assert (one.peers, other.peers) == ([1], [0])


def test_a_link_cut_twice_is_healed_twice(world):
    """Faults overlap; the end of one is not the end of the other."""
    _, network = world
    network.cut([(0, 1)])
    network.cut([(0, 1)])
    network.heal([(0, 1)])
    assert network.is_cut(0, 1)
    network.heal([(0, 1)])
    assert not network.is_cut(0, 1)


def test_loss_takes_messages_and_delays_requests(world):
    """A stream is repeated until it is through; a message of gossip is gone."""
    schedule, network = world
    network.conditions.loss_ppm = 1_000_000
    network.send(0, 1, "consensus", b"lost")
    network.send(0, 1, "request", b"late", is_lossy=False)
    settle(schedule)
    assert network.ends[1].heard == [b"late"]


def test_a_message_does_not_outlive_its_connection(world):
    """What was on its way to a process that ended does not reach the next one."""
    schedule, network = world
    network.send(0, 1, "consensus", b"lost")
    network.on_stopped(1)
    settle(schedule)
    assert network.ends[1].heard == []
    assert network.ends[1].peers == [0]
