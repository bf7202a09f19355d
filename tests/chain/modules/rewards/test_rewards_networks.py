"""Rewards: hosts of one network are one copy, and whoever held the datum there first is paid for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.modules import hosting, staking
from chain.modules.hosting import RegisterHost, RegisterSubset
from chain.modules.rewards.types import HostingRewarded
from chain.modules.rewards.weights import Copy, count_sharers, join_copy
from chain.primitives.codec import replace
from chain.primitives.types import Hash
from tests.chain.support.market_worlds import HOSTS, REWARDS, STRANGER, Market, build_hosted, finish, pick
from tests.chain.support.worlds import VIDYA

ONE, TWO = HOSTS[:2]
COUNTED = replace(REWARDS, are_networks_counted=True)
VICTIMS, FAR = "/ip4/192.0.2.7/tcp/1", "/ip4/198.51.100.1/tcp/1"


def move(world: Market, who: bytes, address: str) -> None:
    world.call(hosting.calls.register_host, who, RegisterHost(b"peer", (address,), 1_000))


def build_alone(epoch: int) -> tuple[Market, Hash]:
    """The first host is alone in its network with the datum that only it holds."""
    world, _, rare = build_hosted(paid=COUNTED)
    move(world, ONE, VICTIMS)
    world.go_to_epoch(epoch)
    return world, rare


def get_network_since(world: Market, who: bytes) -> int:
    host = hosting.get_host(world.state, who)
    assert host is not None
    return host.network_since


def get_weight(events: list, who: bytes, datum: Hash) -> int:
    factors = pick(events, HostingRewarded, who).factors
    return sum(one.weight for one in factors if one.datum == datum)


@pytest.mark.parametrize("address", [VICTIMS, FAR])
def test_who_comes_later_to_a_network_takes_nothing(address: str) -> None:
    """A key that names a host's network earns nothing with its datum and costs it nothing."""
    world, rare = build_alone(5)
    squatted = world.fork()
    squatted.call(staking.calls.bond, STRANGER, staking.Bond(9_000 * VIDYA))
    move(squatted, STRANGER, address)
    squatted.call(hosting.calls.register_subset, STRANGER, RegisterSubset((rare,), ()))
    for one in (world, squatted):
        one.go_to_epoch(7)
    before, after = finish(world), finish(squatted, (*HOSTS, STRANGER))
    assert get_weight(after, ONE, rare) == get_weight(before, ONE, rare) > 0
    assert (get_weight(after, STRANGER, rare) > 0) == (address == FAR)


def test_an_old_host_that_moves_into_a_network_comes_later() -> None:
    """Time counts in the network: a host with an older holding that changes its address takes nothing."""
    world, rare = build_alone(5)
    world.call(hosting.calls.register_subset, TWO, RegisterSubset((rare,), ()))
    move(world, TWO, FAR)
    world.go_to_epoch(8)
    alone = get_weight(finish(world), ONE, rare)
    world.go_to_epoch(9)
    move(world, TWO, VICTIMS)
    world.go_to_epoch(10)
    events = finish(world)
    assert get_weight(events, TWO, rare) == 0 < alone <= get_weight(events, ONE, rare)


def test_a_host_that_registers_again_in_its_network_keeps_its_place() -> None:
    """Another port of the same network, or more capacity, does not make a host a newcomer."""
    world, _ = build_alone(6)
    move(world, ONE, VICTIMS.replace("tcp/1", "tcp/9"))
    assert get_network_since(world, ONE) == 4
    move(world, ONE, FAR)
    assert get_network_since(world, ONE) == 6


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_a_network_is_paid_for_one_copy_however_many_hosts_are_in_it(arrivals: list[int]) -> None:
    """The shares of all hosts of a network add up to one copy, in whatever order they are counted."""
    copies = []
    for order in (arrivals, arrivals[::-1], sorted(arrivals)):
        copy: Copy | None = None
        for since in order:
            copy = join_copy(copy, since)
        copies.append(copy)
    assert len({*copies}) == 1
    shares = [count_sharers(copies[0], since) for since in arrivals]
    assert shares.count(0) == sum(since > min(arrivals) for since in arrivals)
    assert all(share == len(arrivals) - shares.count(0) for share in shares if share)
