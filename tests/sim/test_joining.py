"""Nodes that begin at a snapshot, and a light client: both believe no liar, and a fork is convicted."""

from random import Random

import pytest

from chain.block import compute_header_hash
from chain.light import build_rules
from p2p.errors import PeerSlow
from p2p.wire.messages import LightBlockRequest, SnapshotOffer, Snapshots
from storage.kv import MemoryStore
from storage.snapshots import Staging
from tests.sim.adversary.colluders import Colluders
from tests.sim.checks.checkers import get_base
from tests.sim.control import CONTROLS, run_control
from tests.sim.plan import draw_joining
from tests.sim.run import Sim, silence
from tests.sim.single import run_villain
from tests.sim.world.accounts import GENESIS_MS
from tests.sim.world.snapshots import Joining

SEEDS = (1, 2, 3)


def run_joining(seed: int, behaviour: str | None = None) -> Sim:
    """A run in which a validator joins, with a villain among those that serve it."""
    silence()
    plan = draw_joining(Random(seed), is_villainous=True)
    late = dict(plan.late)
    members = {} if behaviour is None else {next(n for n in (0, 1) if n not in late): (behaviour,)}
    sim = Sim(seed, plan=plan, villains=Colluders(Random(seed), members).processes)
    sim.run()
    return sim


@pytest.mark.parametrize("seed", SEEDS)
def test_a_validator_joins_by_snapshot(seed: int) -> None:
    """Its chain begins above genesis, and no checker finds a difference."""
    sim = run_joining(seed)
    [(number, _)] = sim.plan.late
    assert sim.violations == []
    assert sim.rare["state sync finished"] == 1
    assert get_base(sim.open_chains()[number]) > 1


def test_who_lies_about_snapshots_is_blamed_and_not_believed() -> None:
    """The joining node ends with the chain of the others, whoever offered what."""
    blamed = 0
    for seed in range(1, 9):
        sim = run_joining(seed, "snapshot liar")
        assert sim.violations == []
        assert sim.counts["SnapshotLiar"] > 0
        [villain] = sim.villains
        blamed += any(whom == villain for _, whom, _ in sim.history.blames)
    assert blamed > 0


def test_who_does_not_answer_is_no_liar() -> None:
    """A node that offers a snapshot, and then says nothing, is not charged with a lie."""
    silence()
    sim = Sim(1, plan=draw_joining(Random(1), is_villainous=True))
    rules = build_rules(sim.spec)
    staging = Staging(MemoryStore())
    joining = Joining(sim.spec, rules, staging, (4, bytes(32)), [b"peer"])
    steps = joining.run(lambda: 0)
    next(steps)
    offers = Snapshots((SnapshotOffer(8, bytes(32), bytes(32)),))
    assert isinstance(steps.send(offers)[1], LightBlockRequest)
    with pytest.raises(StopIteration) as end:
        steps.send(PeerSlow("no answer"))
    assert end.value.value is False
    assert joining.liars == []


def test_headers_are_judged_by_the_time_of_their_arrival() -> None:
    """A survey of many peers takes long: a header that was made meanwhile is not from the future."""
    sim = run_joining(1)
    source = next(one.process for one in sim.honest if one.makes_snapshots and one.process is not None)
    height = source.ledger.height - 7
    header = source.ledger.get_header(height)
    assert header is not None
    anchor, now_ms = (height, compute_header_hash(header)), [GENESIS_MS]
    joining = Joining(sim.spec, build_rules(sim.spec), Staging(MemoryStore()), anchor, [b"peer"])
    steps = joining.run(lambda: now_ms[0])
    asked = next(steps)
    now_ms[0] = source.ledger.head.time_ms
    with pytest.raises(StopIteration) as end:
        while True:
            asked = steps.send(source.answer_snapshot(b"peer", asked[1]))
    assert end.value.value is True
    assert joining.liars == []


def test_a_light_client_refuses_every_liar() -> None:
    """It trusts only what is final, though a villain shows it false headers."""
    runs = [run_villain("light liar", seed) for seed in SEEDS]
    assert all(sim.violations == [] for sim in runs)
    assert sum(sim.rare["liar refused by the light client"] for sim in runs) > 0


@pytest.mark.parametrize("seed", range(1, CONTROLS + 1))
def test_a_light_client_convicts_every_fork(seed: int) -> None:
    """With blocks of both halves it names more than a third of the power, all of it villains."""
    fork = run_control(seed)
    assert fork.is_seen_by_light_client
    assert not fork._replace(light={}).is_seen_by_light_client
