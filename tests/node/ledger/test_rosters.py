"""A real chain whose validators change: every header can be served with its roster, and followed."""

import pytest

from chain.block import Header
from chain.light import (
    Bisection,
    LightBlock,
    build_genesis_light_block,
    build_rules,
    verify_adjacent,
)
from chain.modules.validators import sign_candidacy
from chain.modules.validators.calls import Chill
from chain.primitives.codec import Record
from chain.primitives.types import Height
from chain.validator_set import compute_hash, compute_priorities_hash, compute_roster_hash
from node.ledger.ledger import Ledger
from tests.node.cluster import Person
from tests.node.forge import Forge

ERA_BLOCKS = 20


def get_light_block(ledger: Ledger, height: Height) -> LightBlock:
    """Header, certificate and roster of a height, as the node serves them."""
    header = ledger.get_header(height)
    assert header is not None
    roster = ledger.get_roster(header.validators_hash)
    assert roster is not None
    return LightBlock(header, ledger.get_certificate(height), roster)


def grow(forge: Forge, count: int, person: Person | None = None, call: Record | None = None) -> None:
    """Makes blocks; the first one has the call."""
    calls = [forge.sign(person, call)] if person and call else []
    forge.commit(forge.build(calls))
    forge.grow(count - 1)


@pytest.fixture(scope="module")
def forge() -> Forge:
    """Three eras of four validators, of whom one leaves in the second and is back in the third."""
    forge = Forge(4)
    leaver = forge.people[3]
    grow(forge, ERA_BLOCKS, leaver, Chill())
    grow(
        forge,
        ERA_BLOCKS,
        leaver,
        sign_candidacy(leaver.keys.consensus, forge.genesis_hash, leaver.address, 0),
    )
    grow(forge, 10)
    return forge


def get_header(forge: Forge, height: Height) -> Header:
    header = forge.ledger.get_header(height)
    assert header is not None
    return header


def test_rosters_are_kept_for_all_headers(forge: Forge) -> None:
    """Old ones too, each under the hash that the header names; they change two blocks after the decision."""
    sizes = []
    for height in range(forge.ledger.height + 1):
        block = get_light_block(forge.ledger, height)
        assert compute_roster_hash(block.roster) == block.header.validators_hash
        assert forge.ledger.get_roster(block.header.next_validators_hash) is not None
        sizes.append(len(block.roster.validators))
    assert sizes == [4] * (ERA_BLOCKS + 2) + [3] * ERA_BLOCKS + [4] * (len(sizes) - 2 * ERA_BLOCKS - 2)


def test_a_roster_keeps_its_hash_and_priorities_do_not(forge: Forge) -> None:
    """All headers of one roster name the same hash; proposer priorities have another hash, which changes."""
    headers = [get_header(forge, height) for height in range(1, 12)]
    assert len({header.validators_hash for header in headers}) == 1
    assert len({header.priorities_hash for header in headers}) > 2
    members, result = forge.ledger.get_validators(), forge.build()
    assert result.block.header.validators_hash == compute_hash(members)
    assert result.block.header.priorities_hash == compute_priorities_hash(members)


def test_the_chain_is_followed_from_its_spec(forge: Forge) -> None:
    """A light client follows every header, or skips some."""
    ledger, genesis = forge.ledger, build_genesis_light_block(forge.spec)
    rules = build_rules(forge.spec)._replace(trusting_period_ms=10_000)
    now_ms, trusted = ledger.head.time_ms, genesis
    for height in range(1, ledger.height + 1):
        block = get_light_block(ledger, height)
        verify_adjacent(rules, trusted, block, now_ms)
        trusted = block
    bisection = Bisection(rules, genesis, ledger.height)
    while bisection.wanted is not None:
        bisection.supply(get_light_block(ledger, bisection.wanted), now_ms)
    assert bisection.trusted.header == ledger.head and len(bisection.trace) == 2
