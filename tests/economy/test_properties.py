"""Properties of the economy that hold for all courses, not only for the agents of the table."""

from random import Random

import pytest

from chain.modules import rewards
from chain.modules.hosting import RegisterHost
from chain.modules.rewards.types import EpochRewarded, HostingRewarded
from node.home.profiles import load_profile
from tests.economy.table import build_arena
from tests.economy.world.arena import ATTACKERS, HONEST, MEMBERS, Arena
from tests.economy.world.rules import GIB, SECOND
from tests.economy.world.trade import buy, open_session

SCALE = 12


def pay_epoch(arena: Arena, act) -> tuple[list[EpochRewarded], list[HostingRewarded]]:
    """What an epoch pays in which `act` happens."""
    arena.random = Random(0)
    arena.events = []
    arena.run(1, act)
    found = [event for _, event in arena.events]
    return (
        [event for event in found if isinstance(event, EpochRewarded)],
        [event for event in found if isinstance(event, HostingRewarded)],
    )


def add_keys(arena: Arena) -> None:
    """Keys that register as hosts and hold nothing."""
    for number, key in enumerate(ATTACKERS):
        arena.call(key, RegisterHost(key[:8], (f"/ip4/28.{number}.0.1/tcp/1",), 10**9))


def announce(arena: Arena) -> None:
    """Sessions that are opened and never used."""
    for member in (*MEMBERS, *ATTACKERS):
        open_session(arena, member, HONEST[0], min(arena.contents), GIB)


@pytest.mark.parametrize("perturb", [add_keys, announce])
def test_rule_p_keys_and_intents_move_no_pool(perturb) -> None:
    """The pools, every host's hosting pay and what lockers get are the same to the base unit."""
    base = build_arena(SECOND, 1, SCALE).fork()
    base.run(base.era_epochs)
    assert pay_epoch(base.fork(), None) == pay_epoch(base.fork(), perturb)


def test_rule_p_traffic_moves_hosting_by_its_match_alone() -> None:
    """Bought traffic leaves all pools and weights; hosting can only lose what was minted as match."""
    base = build_arena(SECOND, 1, SCALE).fork()
    base.run(base.era_epochs)

    def trade(arena: Arena) -> None:
        for member in MEMBERS:
            buy(arena, member, HONEST[0], min(arena.contents), 10 * GIB)

    (calm,), quiet = pay_epoch(base.fork(), None)
    (busy,), loud = pay_epoch(base.fork(), trade)
    assert busy.pools == calm.pools
    assert [one.weight for one in loud] == [one.weight for one in quiet]
    moved = calm.hosting_paid - busy.hosting_paid
    assert 0 <= moved <= busy.uploads_paid + len(HONEST), "each host's part rounds down"
    assert busy.uploads_paid > 0


def test_every_unit_of_an_epoch_is_minted_for_a_pool() -> None:
    """Emission is paid in full: what hosting leaves goes to lockers, but for what an absent host loses."""
    arena = build_arena(SECOND, 1, SCALE).fork()
    (paid,), hosts = pay_epoch(arena, None)
    lost = sum(one.pool * one.weight // max(one.weight_total, 1) for one in hosts if one.amount == 0)
    assert paid.minted <= paid.pools.emission + paid.pools.validator_pot
    assert paid.lockers_paid >= paid.pools.lockers
    assert paid.minted + lost + paid.pools.validators - paid.validators_paid + 10 >= paid.pools.emission
    assert rewards.get_parameters(arena.state) == load_profile("public").rewards.parameters
