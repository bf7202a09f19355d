"""Villains break their rule and the honest go on; more than a third of the power forks the chain, visibly."""

from random import Random

import pytest

from chain.block import Inherents
from chain.errors import InvalidBlock
from chain.modules import beacon, offences
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address
from chain.transaction import Call
from node.duties.reveals import Reveals
from node.ledger.ledger import Ledger
from storage.kv import MemoryStore
from tests.sim.adversary import forgery
from tests.sim.adversary.catalogue import DRAWN
from tests.sim.adversary.colluders import draw_colluders
from tests.sim.adversary.resigning import resign
from tests.sim.checks.conduct import iterate_proven
from tests.sim.control import run_control
from tests.sim.run import silence
from tests.sim.single import POWERS, VILLAIN, is_active, is_convicted, run_villain
from tests.sim.world.accounts import Times, build_sim_spec, get_validator_keys


@pytest.mark.parametrize("name", [name for name in DRAWN if name not in ("old polka", "snapshot liar")])
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


def list_accusers(chain: Ledger) -> list[Address]:
    """Who sent the evidence in the blocks of a chain."""
    blocks = [block for height in range(1, chain.height + 1) if (block := chain.get_block(height))]
    transactions = [signed.transaction for block in blocks for signed in block.transactions]
    return [one.sender for one in transactions if any(is_report(call) for call in one.calls)]


def is_report(call: Call) -> bool:
    """Whether the call brings evidence."""
    index = offences.MODULE.index
    return call.module == index and offences.MODULE.calls[call.index].kind is offences.Report


@pytest.mark.parametrize("name", ["split voter", "resigning voter"])
def test_a_villain_does_not_report_itself(name: str) -> None:
    """Only honest validators bring the evidence, or an equivocator that goes unpunished would stay hidden."""
    chains = [run_villain(name, seed).open_chains()[1] for seed in range(8, 14)]
    accusers = [who for chain in chains for who in list_accusers(chain)]
    assert accusers
    assert get_validator_keys(VILLAIN).duty.public_key not in accusers


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


@pytest.mark.parametrize("name", ["resigning voter", "resigning proposer"])
def test_who_signs_in_several_ways_is_slashed(name: str) -> None:
    """Copies of one message under other signatures do not keep the conflicting one from being seen."""
    for seed in range(1, 9):
        sim = run_villain(name, seed)
        assert is_active(sim, name)
        assert is_convicted(sim)


def test_a_chosen_nonce_signs_as_well_as_the_derived_one() -> None:
    """The other signatures of a message verify, and all differ."""
    keys, random = get_validator_keys(VILLAIN), Random(1)
    signatures = {resign(keys, b"message", random) for _ in range(4)}
    assert len(signatures) == 4
    assert all(is_signed_by(keys.consensus.public_key, b"message", one) for one in signatures)
    assert not any(is_signed_by(keys.consensus.public_key, b"other", one) for one in signatures)
