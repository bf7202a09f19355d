"""What the API says about cases and jurors, checked against the chain's own functions."""

from chain.modules import catalogue, juries, membership
from chain.modules.juries import ChallengeDatum, CommitVerdict, RevealVerdict, ServeAsJuror
from chain.primitives.addresses import encode_address
from tests.node.api.world import ALICE, BOB, VALIDATOR, VIDYA, Client, open_client

SALT = b"s" * 32
LISTING = catalogue.ListDatum(b"f" * 32, b"r" * 32, 2**20, "Noise", "data", (), "")
DATUM = catalogue.compute_datum_id(LISTING)


def name(client: Client, person) -> str:
    return encode_address(client.world.ledger.spec.prefix, person.address)


def challenge(client: Client) -> juries.Case:
    """Bob's sponsored datum, challenged by Alice."""
    world = client.world
    world.make_block(world.sign(BOB, LISTING, catalogue.Sponsor(DATUM, 50 * VIDYA)))
    world.make_block(world.sign(ALICE, ChallengeDatum(DATUM)))
    case = juries.get_case(world.ledger.state, 0)
    assert case is not None
    return case


def go_to_epoch(client: Client, epoch: int) -> None:
    """Blocks up to the first of an epoch."""
    while client.world.ledger.height < epoch * client.world.ledger.get_parameters().epoch_blocks + 1:
        client.world.make_block()


async def test_a_case_is_told_through_its_phases() -> None:
    """Draw, commit and reveal, with the votes so far and the seat of whoever asks; then it is gone."""
    async with open_client() as client:
        world, case = client.world, challenge(client)
        state = world.ledger.state
        (told,) = (await client.get("/v1/juries"))["cases"]
        assert (told["case"], told["title"], told["phase"], told["jurors"]) == (0, "Noise", "draw", 0)
        assert told["reveals_from"] == juries.compute_reveals_from(state, case)
        assert told["decided_in"] == juries.compute_decided_in(state, case)
        go_to_epoch(client, case.drawn_in)
        judge = name(client, VALIDATOR)
        (told,) = (await client.get("/v1/juries", params={"juror": judge}))["cases"]
        assert (told["phase"], told["jurors"], told["committed"]) == ("commit", 1, 0)
        assert told["seat"] == {"commitment": None, "is_junk": None}
        (other,) = (await client.get("/v1/juries", params={"juror": name(client, ALICE)}))["cases"]
        assert other["seat"] is None
        commitment = juries.compute_commitment(world.ledger.genesis_hash, 0, VALIDATOR.address, True, SALT)
        world.make_block(world.sign(VALIDATOR, CommitVerdict(0, commitment)))
        go_to_epoch(client, juries.compute_reveals_from(state, case))
        world.make_block(world.sign(VALIDATOR, RevealVerdict(0, True, SALT)))
        found = await client.get("/v1/juries/0")
        told = found["case"]
        assert (told["phase"], told["committed"], told["revealed"]) == ("reveal", 1, 1)
        assert found["seats"] == [{"juror": judge, "commitment": commitment.hex(), "is_junk": True}]
        assert found["sponsors"] == [{"sponsor": name(client, BOB), "amount": 50 * VIDYA, "unlocks_in": None}]
        go_to_epoch(client, juries.compute_decided_in(state, case))
        told = await client.get("/v1/juries")
        assert (told["cases"], told["opened"]) == ([], 1)
        assert (await client.get("/v1/juries/0", 404))["error"]["code"] == "not_found"


async def test_the_next_block_decides_what_a_phase_is() -> None:
    """The last block of a phase is told as the next phase: a call that is sent now comes into that."""
    async with open_client() as client:
        case = challenge(client)
        last = juries.compute_reveals_from(client.world.ledger.state, case)
        blocks = client.world.ledger.get_parameters().epoch_blocks
        while client.world.ledger.height < last * blocks - 1:
            client.world.make_block()
        (told,) = (await client.get("/v1/juries"))["cases"]
        assert told["phase"] == "commit"
        client.world.make_block()
        (told,) = (await client.get("/v1/juries"))["cases"]
        assert told["phase"] == "reveal"


async def test_a_juror_is_told_with_the_first_era_of_a_draw() -> None:
    """Null for who has no bond; what is no address or no number is refused."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, membership.Join(), ServeAsJuror(100 * VIDYA)))
        told = await client.get(f"/v1/juries/jurors/{name(client, ALICE)}")
        assert told["juror"]["amount"] == 100 * VIDYA
        eras = juries.get_parameters(world.ledger.state).juror_eras
        assert told["drawn_from"] == told["juror"]["since_era"] + eras + 1
        nobody = await client.get(f"/v1/juries/jurors/{name(client, BOB)}")
        assert nobody["juror"] is None and nobody["drawn_from"] is None
        await client.get("/v1/juries/jurors/nobody", 400)
        await client.get("/v1/juries/-1", 400)
        await client.get("/v1/juries", 400, params={"juror": "nobody"})


async def test_a_datum_names_its_sponsors_and_what_they_must_bond() -> None:
    """As the chain asks for it now."""
    async with open_client() as client:
        challenge(client)
        told = await client.get(f"/v1/datums/{DATUM.hex()}")
        datum = catalogue.get_datum(client.world.ledger.state, DATUM)
        assert datum is not None
        assert told["required"] == catalogue.get_required(client.world.ledger.state, datum)
        assert [one["amount"] for one in told["sponsorships"]] == [50 * VIDYA]
        assert told["datum"]["case"] == 0
