"""What the API says about an account's pay, checked against the events of the epoch's end."""

from chain import runtime
from chain.jsonable import to_json
from chain.modules import catalogue, escrow, hosting
from chain.primitives.addresses import encode_address
from chain.primitives.fixed_point import mul_ppm
from chain.primitives.types import PPM
from tests.node.api.test_api_reads import DATUM
from tests.node.api.world import ALICE, BOB, VALIDATOR, Client, open_client


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


async def test_a_forecast_splits_what_a_gib_brings() -> None:
    """Every entry is listed with what it would bring, split as escrow would, and what it waits for."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, DATUM))
        told = await client.get("/v1/forecast", params={"host": name(client, VALIDATOR)})
        state = world.ledger.state
        (one,) = told["forecasts"]
        datum = catalogue.get_datum(state, bytes.fromhex(one["datum"]))
        share = escrow.compute_share(escrow.get_parameters(state), told["proven_eras"])
        assert (told["withheld_ppm"], told["next"]) == (share, None)
        assert told["pledge_per_gib"] == hosting.get_pledge_per_gib(state)
        assert one["is_admitted"] == catalogue.is_earning(datum)
        assert (one["earns_from"], one["sponsored"]) == (datum.earns_from, datum.sponsored)
        assert one["required"] == catalogue.get_required(state, datum)
        assert one["withheld_per_gib"] == one["pay_per_gib"] - mul_ppm(one["pay_per_gib"], PPM - share)
        alone = await client.get("/v1/forecast")
        assert alone["proven_eras"] == 0 and alone["forecasts"][0]["copies"] == 1


async def test_an_account_that_earns_nothing_is_told_so() -> None:
    """Nothing by any pool, nothing withheld."""
    async with open_client() as client:
        client.world.make_block()
        told = await client.get(f"/v1/hosts/{name(client, BOB)}/pay")
        assert [told[pool] for pool in ("hosting", "upload", "validator")] == [None] * 3
        assert (told["grants"], told["withheld"], told["proven_eras"]) == ([], 0, 0)
