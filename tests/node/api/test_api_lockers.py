"""What the API says about locks, checked against the chain's own functions."""

from chain.modules import balances, lockers
from chain.modules.lockers import LockTokens
from chain.primitives.addresses import encode_address
from tests.node.api.world import ALICE, BOB, VIDYA, Client, open_client


def name(client: Client, person) -> str:
    return encode_address(client.world.ledger.spec.prefix, person.address)


async def test_locks_are_told_with_what_they_are_worth() -> None:
    """Each figure of a lock is that of the chain; claimable and forfeited are all that is not taken."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, LockTokens(40 * VIDYA, 2), LockTokens(7 * VIDYA, 8)))
        parameters = lockers.get_parameters(world.ledger.state)
        paid = 0
        while paid == 0 or world.ledger.height % (parameters.week_eras * 8) != 3:
            world.make_block()
            paid = balances.get_balance(world.ledger.state, lockers.ACCRUED_POT)
        told = await client.get(f"/v1/lockers/{name(client, ALICE)}")
        state, era = world.ledger.state, told["era"]
        assert [one["number"] for one in told["locks"]] == [0, 1]
        for one in told["locks"]:
            lock = lockers.get_lock(state, ALICE.address, one["number"])
            assert (one["amount"], one["weeks"], one["accrued"]) == (lock.amount, lock.weeks, lock.accrued)
            assert (one["vested_ppb"], one["served_ppb"]) == lockers.compute_shares(parameters, lock, era)
            assert one["claimable"] == lockers.compute_claimable(parameters, lock, era)
            assert one["claimed"] + one["claimable"] + one["forfeited"] == one["accrued"] > 0


async def test_totals_say_what_the_fund_will_pay() -> None:
    """The totals count all locks; the fund pays nothing while nobody has locked."""
    async with open_client() as client:
        world = client.world
        world.make_block()
        before = await client.get("/v1/lockers")
        assert (before["locked"], before["payable"], before["weight"]) == (0, 0, 0)
        world.make_block(world.sign(ALICE, LockTokens(40 * VIDYA, 8)), world.sign(BOB, LockTokens(VIDYA, 8)))
        while balances.get_balance(world.ledger.state, lockers.FUND) == 0:
            world.make_block()
        told, state = await client.get("/v1/lockers"), world.ledger.state
        assert told["locked"] == told["weight"] == 41 * VIDYA
        assert told["fund"] == balances.get_balance(state, lockers.FUND)
        parameters = lockers.get_parameters(state)
        assert told["payable"] == lockers.compute_payable(parameters, told["fund"], told["locked"]) > 0


async def test_who_locks_nothing_has_no_locks() -> None:
    """An account without locks has an empty list; what is no address is refused."""
    async with open_client() as client:
        client.world.make_block()
        assert (await client.get(f"/v1/lockers/{name(client, BOB)}"))["locks"] == []
        await client.get("/v1/lockers/nobody", 400)
