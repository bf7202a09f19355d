"""Villains break their rule and the honest go on; more than a third of the power forks the chain, visibly."""

from random import Random

import pytest

from chain.block import Inherents
from chain.errors import InvalidBlock
from chain.modules import beacon
from node.duties.reveals import Reveals
from node.ledger.ledger import Ledger
from storage.kv import MemoryStore
from tests.sim.adversary import forgery
from tests.sim.adversary.catalogue import BEHAVIOURS, CONTROL
from tests.sim.adversary.colluders import Colluders, draw_colluders
from tests.sim.checks.conduct import iterate_proven
from tests.sim.control import run_control
from tests.sim.plan import Plan
from tests.sim.run import Sim, silence
from tests.sim.world.accounts import Times, build_sim_spec, get_validator_keys

POWERS = [25, 20, 30, 20]
VILLAIN = 0


def build_plan(seed: int) -> Plan:
    """Few heights, a bad network, no other faults."""
    random = Random(seed)
    return Plan(
        powers=POWERS,
        topology="lan",
        times=Times(),
        loss_ppm=random.choice((0, 50_000)),
        duplicate_ppm=20_000,
        jitter_ms=100,
        chaos_ms=9_000,
        kinds=(),
        faults=[],
        skewed={},
        transactions=10,
        has_stake_moves=False,
        heights_after=3,
    )


def run_villain(name: str, seed: int) -> Sim:
    """One villain with one behaviour."""
    silence()
    colluders = Colluders(Random(seed), {VILLAIN: (name,)})
    sim = Sim(seed, plan=build_plan(seed), villains=colluders.processes)
    sim.run()
    return sim


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name not in (CONTROL, "old polka")])
def test_the_honest_go_on_whatever_one_villain_does(name: str) -> None:
    """Every checker is content, and the villain really did something within a few seeds."""
    for seed in range(1, 9):
        sim = run_villain(name, seed)
        assert sim.violations == []
        if sum(sim.counts.values()) > 0:
            return
    raise AssertionError(f"{name}: nothing was done in eight seeds")


def test_an_equivocator_is_slashed_once() -> None:
    """What a split voter signs twice is on chain in the end, and nobody else is accused."""
    sim = run_villain("split voter", 1)
    assert sim.history.reported
    [chain, *_] = sim.open_chains().values()
    events = [event for height in range(1, chain.height + 1) for event in iterate_proven(chain, height)]
    assert [event.validator for event in events] == [get_validator_keys(VILLAIN).address]


def test_villains_of_a_seed_have_less_than_a_third() -> None:
    """However a colluders is drawn."""
    for seed in range(200):
        colluders = draw_colluders(Random(seed), POWERS)
        assert 0 < 3 * sum(POWERS[number] for number in colluders.members) < sum(POWERS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_more_than_a_third_forks_the_chain_and_is_convicted(seed: int) -> None:
    """The control: a checker that sees no fork here sees none anywhere; evidence names villains only."""
    silence()
    fork = run_control(seed)
    assert fork.is_seen
    assert fork._replace(violations=[]).is_seen is False
    assert fork._replace(guilty={}).is_seen is False


class Workshop:
    """A ledger at genesis, and the block that its first validator would propose."""

    def __init__(self) -> None:
        self.keys = get_validator_keys(0)
        self.ledger = Ledger(MemoryStore(), build_sim_spec(POWERS, Times()))
        chain = beacon.get_chain(self.ledger.state, self.keys.address, 0)
        link = Reveals(self.keys.beacon_secret).get_next_link(chain)
        time_ms = self.ledger.head.time_ms + 1_000
        result, _ = self.ledger.build(self.keys.address, time_ms, Inherents(link, None), [])
        self.block = result.block


def test_a_rebuilt_block_is_as_valid_as_the_first() -> None:
    """Another time is another block, which any ledger would take: only so two of them are a dilemma."""
    workshop = Workshop()
    other = forgery.rebuild(workshop.ledger, workshop.block, time_ms=workshop.block.header.time_ms + 1)
    assert workshop.ledger.execute(other).block == other != workshop.block


def test_a_forged_block_is_refused_for_what_is_wrong_with_it() -> None:
    """Each forgery has one fault, which is the reason that the ledger gives."""
    workshop = Workshop()
    spoiled = forgery.spoil_state_root(workshop.block)
    with pytest.raises(InvalidBlock, match="state root differs"):
        workshop.ledger.execute(spoiled)
    early = forgery.rebuild(workshop.ledger, workshop.block, time_ms=workshop.ledger.head.time_ms)
    with pytest.raises(InvalidBlock, match="not later than its parent"):
        workshop.ledger.execute(early)
