"""What the API says about an account's pay, checked against the events of the epoch's end."""

from chain import runtime
from chain.jsonable import to_json
from chain.modules import escrow
from chain.primitives.addresses import encode_address
from tests.node.api.world import BOB, VALIDATOR, Client, open_client


def name(client: Client, person) -> str:
    return encode_address(client.world.ledger.spec.prefix, person.address)


async def test_the_pay_that_is_told_is_the_pay_of_the_event() -> None:
    """A block before the epoch ends the API tells a validator's pay, but for the votes of the last block."""
    async with open_client() as client:
        world, prefix = client.world, client.world.ledger.spec.prefix
        blocks = world.ledger.get_parameters().epoch_blocks
        while world.ledger.height < 2 * blocks - 1:
            world.make_block()
        told = await client.get(f"/v1/hosts/{name(client, VALIDATOR)}/pay")
        assert (told["epoch"], told["last_block"], told["hosting"], told["upload"]) == (
            1,
            2 * blocks,
            None,
            None,
        )
        events = map(runtime.decode_event, world.make_block().receipts.end)
        (paid,) = [event for kind, event in events if kind == "rewards.ValidatorRewarded"]
        due = told["validator"]["commits_due"]
        assert (told["validator"]["commits_signed"], due) == (
            blocks - 1,
            blocks - 1,
        ) and paid.commits_due == blocks
        moving = {"commits_signed", "commits_due", "power_signed", "power_due"}
        expected = {key: value for key, value in to_json(paid, prefix).items() if key not in moving}
        assert {key: value for key, value in told["validator"].items() if key not in moving} == expected


async def test_what_is_withheld_is_told_by_era() -> None:
    """Each grant says its next and last release, and together they are what is withheld."""
    async with open_client() as client:
        world = client.world
        system = world.ledger.get_parameters()
        while world.ledger.height < 3 * system.epoch_blocks * system.era_epochs + 2:
            world.make_block()
        told = await client.get(f"/v1/hosts/{name(client, VALIDATOR)}/pay")
        state, era = world.ledger.state, 3
        grants = escrow.list_grants(state, VALIDATOR.address)
        assert [one["era"] for one in told["grants"]] == [of for of, _ in grants] and len(grants) > 1
        assert sum(one["amount"] for one in told["grants"]) == told["withheld"] > 0
        for one, (of, grant) in zip(told["grants"], grants, strict=True):
            assert one["next_release"] == grant.amount // grant.eras_left
            assert one["next_release_era"] == max(era, of + 1)
            assert one["last_release_era"] == of + escrow.get_parameters(state).release_eras


async def test_an_account_that_earns_nothing_is_told_so() -> None:
    """Nothing by any pool, nothing withheld."""
    async with open_client() as client:
        client.world.make_block()
        told = await client.get(f"/v1/hosts/{name(client, BOB)}/pay")
        assert [told[pool] for pool in ("hosting", "upload", "validator")] == [None] * 3
        assert (told["grants"], told["withheld"], told["proven_eras"]) == ([], 0, 0)
