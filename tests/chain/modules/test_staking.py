"""Staking: stake comes, waits and goes; a slash takes from what answers for the offence, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import DispatchError, InvalidChainSpec
from chain.modules import balances, escrow, staking
from chain.modules.staking import Bond
from chain.modules.staking.calls import Delegate, Unbond, Undelegate, Withdraw
from chain.primitives.codec import replace
from chain.primitives.types import PPM
from tests.chain.support.worlds import ERA_BLOCKS, STAKING, VIDYA, World, account

HOST, ALICE, BOB, REPORTER = account(1), account(2), account(3), account(4)


def build_world(bond: int = 100 * VIDYA) -> World:
    world = World(dict.fromkeys((HOST, ALICE, BOB), 1000 * VIDYA))
    if bond:
        world.call(staking.calls.bond, HOST, Bond(bond))
    return world


def delegate(world: World, who: bytes, vidya: int) -> None:
    world.call(staking.calls.delegate, who, Delegate(HOST, vidya * VIDYA))
    world.run(staking.on_era_end)


def test_bond_moves_balance_to_stake() -> None:
    """A bond leaves the free balance and is power at once."""
    world = build_world(0)
    events = world.call(staking.calls.bond, HOST, Bond(7))
    assert events == [staking.types.Bonded(HOST, 7, 7)]
    assert world.balance(HOST) == 1_000 * VIDYA - 7
    assert staking.get_bond(world.state, HOST) == staking.get_power(world.state, HOST) == 7


def test_unbonded_stake_waits_full_eras() -> None:
    """Stake that leaves in era 0 with 2 eras to wait is free in era 3, not before."""
    world = build_world()
    events = world.call(staking.calls.unbond, HOST, Unbond(40 * VIDYA))
    assert events == [staking.types.Unbonded(HOST, 40 * VIDYA, 60 * VIDYA, 3)]
    world.go_to_era(3)
    world.height -= 1
    world.refuse(staking.types.NothingUnlocked, staking.calls.withdraw, HOST, Withdraw())
    world.height += 1
    assert world.call(staking.calls.withdraw, HOST, Withdraw()) == [staking.types.Withdrawn(HOST, 40 * VIDYA)]
    assert world.balance(HOST) == 940 * VIDYA
    world.refuse(staking.types.NothingUnlocked, staking.calls.withdraw, HOST, Withdraw())


def test_chunks_are_bounded_by_eras() -> None:
    """However often stake is unbonded there is one chunk per era that still waits."""
    world = build_world()
    for era in range(8):
        world.go_to_era(era)
        world.call(staking.calls.unbond, HOST, Unbond(1))
        world.call(staking.calls.unbond, HOST, Unbond(1))
    chunks = staking.get_ledger(world.state, HOST).unlocking
    assert [(chunk.amount, chunk.era) for chunk in chunks] == [(2, 5), (2, 6), (2, 7)]
    assert world.balance(HOST) == 900 * VIDYA + 10


@pytest.mark.parametrize(
    ("error", "handler", "arguments"),
    [
        (balances.ZeroAmount, staking.calls.bond, Bond(0)),
        (balances.InsufficientBalance, staking.calls.bond, Bond(901 * VIDYA)),
        (balances.ZeroAmount, staking.calls.unbond, Unbond(0)),
        (staking.types.NotBonded, staking.calls.unbond, Unbond(100 * VIDYA + 1)),
        (staking.types.BondCommitted, staking.calls.unbond, Unbond(40 * VIDYA + 1)),
        (staking.types.NothingUnlocked, staking.calls.withdraw, Withdraw()),
        (staking.types.DelegationTooSmall, staking.calls.delegate, Delegate(HOST, VIDYA - 1)),
        (staking.types.DelegationClosed, staking.calls.delegate, Delegate(BOB, VIDYA)),
        (balances.InsufficientBalance, staking.calls.delegate, Delegate(HOST, 901 * VIDYA)),
        (staking.types.NotBonded, staking.calls.undelegate, Undelegate(HOST, 1)),
        (balances.ZeroAmount, staking.calls.undelegate, Undelegate(HOST, 0)),
    ],
)
def test_refusals(error, handler, arguments) -> None:
    """Every call that may not happen is refused for its reason and leaves no trace."""
    world = build_world()
    world.run(staking.set_commitment, HOST, 60 * VIDYA)
    world.refuse(error, handler, HOST, arguments)


def test_commitment_needs_bond_but_may_always_shrink() -> None:
    """Bytes need bond that exists; a slashed host may still drop bytes."""
    world = build_world()
    with pytest.raises(staking.types.InsufficientBond):
        staking.set_commitment(world.context(), HOST, 100 * VIDYA + 1)
    world.run(staking.set_commitment, HOST, 100 * VIDYA)
    world.run(staking.slash, HOST, 500_000, 1, None, "test")
    world.run(staking.set_commitment, HOST, 99 * VIDYA)
    assert staking.get_ledger(world.state, HOST).committed == 99 * VIDYA


def test_delegation_counts_as_power_and_returns() -> None:
    """A delegation is power of the host and belongs to the delegator until it leaves and after."""
    world = build_world()
    delegate(world, ALICE, 50)
    assert staking.get_power(world.state, HOST) == 150 * VIDYA
    assert staking.get_delegation(world.state, ALICE, HOST) == 50 * VIDYA
    world.call(staking.calls.undelegate, ALICE, Undelegate(HOST, 50 * VIDYA))
    assert staking.get_power(world.state, HOST) == 100 * VIDYA
    world.refuse(staking.types.NothingUnlocked, staking.calls.withdraw, ALICE, Withdraw())
    world.go_to_era(3)
    world.call(staking.calls.withdraw, ALICE, Withdraw())
    assert world.balance(ALICE) == 1_000 * VIDYA


def test_no_crumbs_of_a_delegation_stay() -> None:
    """What is left of a delegation is nothing or at least the smallest delegation."""
    world = build_world()
    delegate(world, ALICE, 5)
    world.refuse(
        staking.types.DelegationTooSmall, staking.calls.undelegate, ALICE, Undelegate(HOST, 4 * VIDYA + 1)
    )
    world.call(staking.calls.undelegate, ALICE, Undelegate(HOST, 4 * VIDYA))
    assert staking.get_delegation(world.state, ALICE, HOST) == VIDYA


def test_rewards_reach_delegators_by_share_and_not_latecomers() -> None:
    """A reward raises the value of shares, so later delegators get nothing of it."""
    world = build_world()
    delegate(world, ALICE, 30)
    world.run(staking.reward_delegators, HOST, 30 * VIDYA)
    delegate(world, BOB, 60)
    assert staking.get_delegation(world.state, ALICE, HOST) == 60 * VIDYA
    assert staking.get_delegation(world.state, BOB, HOST) == 60 * VIDYA


def test_reward_without_delegators_moves_nothing() -> None:
    """Nobody can own a reward of an empty pool, so none is minted."""
    world = build_world()
    assert staking.reward_delegators(world.context(), HOST, 5) == 0
    assert balances.get_supply(world.state).minted == 0


def test_many_exits_are_paid_in_bounded_portions() -> None:
    """One withdrawal pays at most so many exits; another pays the rest."""
    hosts = [account(100 + number) for number in range(staking.calls.DELEGATIONS_WITHDRAWN_MAX + 1)]
    world = World(dict.fromkeys((ALICE, *hosts), 100 * VIDYA))
    for host in hosts:
        world.call(staking.calls.bond, host, Bond(VIDYA))
        world.call(staking.calls.delegate, ALICE, Delegate(host, VIDYA))
        world.run(staking.on_era_end)
        world.call(staking.calls.undelegate, ALICE, Undelegate(host, VIDYA))
    world.go_to_era(3)
    world.call(staking.calls.withdraw, ALICE, Withdraw())
    assert world.balance(ALICE) == 99 * VIDYA
    world.call(staking.calls.withdraw, ALICE, Withdraw())
    assert world.balance(ALICE) == 100 * VIDYA


def test_slash_takes_from_all_that_answers_and_shares_it_out() -> None:
    """Bond, chunk, delegation, leaving delegation and escrow each lose the share; four places receive it."""
    world = build_world()
    delegate(world, ALICE, 40)
    world.call(staking.calls.undelegate, ALICE, Undelegate(HOST, 20 * VIDYA))
    world.call(staking.calls.unbond, HOST, Unbond(10 * VIDYA))
    world.run(escrow.pay, HOST, 4 * VIDYA, 0)
    events = world.run(staking.slash, HOST, 100_000, 1, REPORTER, "test")
    event = next(event for event in events if isinstance(event, staking.types.Slashed))
    parts = (event.bond, event.unlocking, event.delegated, event.leaving, event.escrow)
    assert parts == (9 * VIDYA, VIDYA, 2 * VIDYA, 2 * VIDYA, 3 * VIDYA // 10)
    total = sum(parts)
    assert event.repair == world.balance(staking.types.REPAIR_POT) == total // 4
    assert event.validators == world.balance(staking.VALIDATOR_POT) == total * 15 // 100
    assert event.reporter == world.balance(REPORTER) == total // 10
    assert event.burned == balances.get_supply(world.state).burned == total // 2
    assert staking.get_delegation(world.state, ALICE, HOST) == 18 * VIDYA


def test_slash_without_reporter_burns_his_share() -> None:
    """Only a reporter is paid as one."""
    world = build_world()
    world.run(staking.slash, HOST, 100_000, 1, None, "test")
    assert balances.get_supply(world.state).burned == 6 * VIDYA


def test_stake_answers_for_its_era_and_the_first_block_after() -> None:
    """Stake that left in era 0 pays for offences up to the first block of era 1, and for none later."""
    first = ERA_BLOCKS + 1
    for offence_height, is_liable in ((1, True), (first - 1, True), (first, True), (first + 1, False)):
        world = build_world()
        delegate(world, ALICE, 10)
        world.call(staking.calls.unbond, HOST, Unbond(50 * VIDYA))
        world.call(staking.calls.undelegate, ALICE, Undelegate(HOST, 10 * VIDYA))
        world.go_to_era(2)
        events = world.run(staking.slash, HOST, PPM, offence_height, None, "test")
        event = next(event for event in events if isinstance(event, staking.types.Slashed))
        expected = (50 * VIDYA, 10 * VIDYA) if is_liable else (0, 0)
        assert (event.unlocking, event.leaving) == expected, offence_height
        world.go_to_era(3)
        if is_liable:
            world.refuse(staking.types.NothingUnlocked, staking.calls.withdraw, HOST, Withdraw())
        else:
            world.call(staking.calls.withdraw, HOST, Withdraw())


def test_everything_slashed_closes_the_pool() -> None:
    """Nobody can buy shares of a pool that is worth nothing, and its owners cannot take anything out."""
    world = build_world()
    delegate(world, ALICE, 10)
    world.run(staking.slash, HOST, PPM, 1, None, "test")
    world.call(staking.calls.bond, HOST, Bond(VIDYA))
    world.refuse(staking.types.DelegationClosed, staking.calls.delegate, BOB, Delegate(HOST, VIDYA))
    world.refuse(staking.types.NotBonded, staking.calls.undelegate, ALICE, Undelegate(HOST, 1))


def test_last_share_leaves_no_money_without_an_owner() -> None:
    """Where one share is worth more than what stays, the rest of a delegation can only leave with it."""
    world = World({HOST: VIDYA, ALICE: VIDYA})
    staking.types.PARAMETERS.set(world.state, replace(STAKING, delegation_min=1))
    world.call(staking.calls.bond, HOST, Bond(1))
    world.call(staking.calls.delegate, ALICE, Delegate(HOST, 3))
    world.run(staking.on_era_end)
    world.run(staking.reward_delegators, HOST, 7)
    world.refuse(staking.types.DelegationTooSmall, staking.calls.undelegate, ALICE, Undelegate(HOST, 9))
    world.call(staking.calls.undelegate, ALICE, Undelegate(HOST, 10))
    assert staking.get_pool(world.state, HOST) == staking.types.StakePool()


def test_an_amount_is_taken_from_the_bond_and_then_from_what_unbonds() -> None:
    """The latest chunk is taken first, never more than there is, and half is burned."""
    world = build_world()
    world.call(staking.calls.unbond, HOST, Unbond(30 * VIDYA))
    world.go_to_era(1)
    world.call(staking.calls.unbond, HOST, Unbond(20 * VIDYA))
    (event,) = world.run(staking.slash_amount, HOST, 80 * VIDYA, "test")
    assert (event.bond, event.unlocking) == (50 * VIDYA, 30 * VIDYA)
    assert event.burned == 48 * VIDYA and event.repair == 20 * VIDYA
    assert [chunk.amount for chunk in staking.get_ledger(world.state, HOST).unlocking] == [20 * VIDYA]
    (event,) = world.run(staking.slash_amount, HOST, 80 * VIDYA, "test")
    assert (event.bond, event.unlocking) == (0, 20 * VIDYA)


def test_faults_of_hosting_leave_delegators_alone() -> None:
    """`slash_own` takes of the host's own stake; the pool of its delegators stays as it is."""
    world = build_world()
    world.call(staking.calls.delegate, ALICE, Delegate(HOST, 50 * VIDYA))
    world.run(staking.on_era_end)
    (event,) = world.run(staking.slash_own, HOST, 100_000, "test")
    assert (event.bond, event.delegated, event.leaving) == (10 * VIDYA, 0, 0)
    assert staking.get_delegation(world.state, ALICE, HOST) == 50 * VIDYA


def test_tombstoned_stake_may_only_leave() -> None:
    """After a tombstone stake is neither bonded nor delegated, but it can still unbond."""
    world = build_world()
    world.run(staking.tombstone, HOST)
    world.refuse(staking.HostTombstoned, staking.calls.bond, HOST, Bond(1))
    world.refuse(staking.HostTombstoned, staking.calls.delegate, ALICE, Delegate(HOST, VIDYA))
    world.call(staking.calls.unbond, HOST, Unbond(100 * VIDYA))
    assert staking.is_tombstoned(world.state, HOST)


def test_jail_and_release() -> None:
    """Jail is remembered with its end, and release leaves no trace of it."""
    world = build_world()
    assert world.run(staking.jail, HOST, 9) == [staking.types.Jailed(HOST, 9)]
    assert staking.get_standing(world.state, HOST) == staking.types.Standing(is_jailed=True, jailed_until=9)
    world.run(staking.unjail, HOST)
    assert not staking.is_jailed(world.state, HOST)
    assert list(staking.STANDINGS.items(world.state)) == []


amounts = st.integers(1, 50 * VIDYA)
actions = st.one_of(
    st.tuples(st.just("bond"), amounts),
    st.tuples(st.just("unbond"), amounts),
    st.tuples(st.just("delegate"), amounts),
    st.tuples(st.just("undelegate"), amounts),
    st.tuples(st.just("slash"), st.integers(0, 200_000)),
    st.tuples(st.just("reward"), amounts),
    st.tuples(st.just("era"), st.just(1)),
    st.tuples(st.just("withdraw"), st.just(1)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(actions, st.sampled_from((ALICE, BOB))), max_size=25))
def test_pot_owes_what_it_holds(steps) -> None:
    """Over any sequence of calls, rewards and slashes the pot is exactly the sum of all claims on it."""
    world = build_world()
    for (action, number), who in steps:
        ctx = world.context()
        inner = ctx.fork()
        try:
            run_action(inner, action, number, who)
            ctx.join(inner)
        except DispatchError:
            continue
        if action == "era":
            world.height += ERA_BLOCKS
        world.check()


def run_action(ctx, action: str, number: int, who: bytes) -> None:
    if action == "bond":
        staking.calls.bond(ctx, HOST, Bond(number))
    elif action == "unbond":
        staking.calls.unbond(ctx, HOST, Unbond(number))
    elif action == "delegate":
        staking.calls.delegate(ctx, who, Delegate(HOST, number))
    elif action == "undelegate":
        staking.calls.undelegate(ctx, who, Undelegate(HOST, number))
    elif action == "slash":
        staking.slash(ctx, HOST, number, ctx.height, None, "test")
    elif action == "reward":
        staking.reward_delegators(ctx, HOST, number)
    elif action == "withdraw":
        staking.calls.withdraw(ctx, who, Withdraw())


@given(st.integers(1, 10**17), st.integers(1, 10**18), st.integers(1, 10**17))
def test_buying_and_selling_shares_never_profits(pool_amount: int, pool_shares: int, amount: int) -> None:
    """Shares bought for an amount are worth at most that amount at once."""
    pool = staking.types.StakePool(pool_amount, pool_shares)
    shares = staking.ledger.compute_shares_bought(pool, amount)
    after = staking.types.StakePool(pool_amount + amount, pool_shares + shares)
    assert staking.ledger.compute_value(after, shares) <= amount


@pytest.mark.parametrize(
    "change", [{"unbonding_eras": 0}, {"delegation_min": 0}, {"slash_repair_ppm": 900_000}]
)
def test_nonsense_parameters_are_refused(change: dict[str, object]) -> None:
    """A chain spec that gives away more than a slash takes, or unbonds at once, starts no chain."""
    with pytest.raises(InvalidChainSpec):
        staking.build_genesis(World({}).context(), staking.GenesisConfig(replace(STAKING, **change)))
