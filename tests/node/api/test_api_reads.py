"""What the API says about the chain, checked against the chain."""

from chain import runtime
from chain.block import Header, compute_header_hash
from chain.commitment import Proof, check_proof
from chain.genesis import compute_genesis_hash, parse_chain_spec
from chain.modules import balances, catalogue, membership, staking
from chain.primitives.addresses import encode_address
from chain.primitives.codec import decode, encode
from chain.primitives.keys import is_signed_by
from chain.validator_set import Roster, build_validator_set, compute_roster_hash
from chain.votes import CommitCertificate, check_certificate
from tests.node.api.world import ALICE, BOB, VALIDATOR, VIDYA, Client, open_client

DATUM = catalogue.ListDatum(
    b"f" * 32, b"r" * 32, 1_000, "Monkey Island", "games", ("lucas",), "1990, by floppy"
)


def name(client: Client, person) -> str:
    return encode_address(client.world.ledger.spec.prefix, person.address)


async def test_status_tells_head_and_chain() -> None:
    """Status names the network, the head and the node, as the ledger has them."""
    async with open_client() as client:
        client.world.make_block()
        status, ledger = await client.get("/v1/status"), client.world.ledger
        assert status["chain_id"] == ledger.genesis_hash.hex()
        assert (status["height"], status["head"]) == (1, ledger.head_hash.hex())
        assert status["state_root"] == ledger.head.state_root.hex()
        assert status["account"] == name(client, VALIDATOR) and status["is_validator"]
        assert (status["syncing"], status["version"], status["peers"]) == (False, "1.2.3", 0)


async def test_chain_spec_can_be_joined_with() -> None:
    """What /v1/chain answers is a chain spec of the same network."""
    async with open_client() as client:
        answer = await client.http.get("/v1/chain")
        assert compute_genesis_hash(parse_chain_spec(answer.content)) == client.world.ledger.genesis_hash


async def test_blocks_by_height_hash_and_name() -> None:
    """A block is the same by height, by hash and as the latest; it carries its transactions' receipts."""
    async with open_client() as client:
        world = client.world
        signed = world.sign(ALICE, balances.Send(BOB.address, 5))
        world.make_block()
        block_hash = world.make_block(signed).block_hash.hex()
        block = await client.get("/v1/blocks/2")
        assert block == await client.get(f"/v1/blocks/{block_hash}") == await client.get("/v1/blocks/latest")
        (transaction,) = block["transactions"]
        assert transaction["id"] == signed.id.hex()
        assert transaction["calls"] == [
            {"name": "balances.send", "arguments": {"recipient": name(client, BOB), "amount": 5}}
        ]
        (event,) = transaction["receipt"]["events"]
        assert event["name"] == "balances.Transferred" and event["fields"]["amount"] == 5
        assert transaction["receipt"]["error"] is None
        assert block["certificate"]["block_hash"] == block_hash


async def test_blocks_are_paged() -> None:
    """Lists of headers and a block's transactions come in the pages asked for."""
    async with open_client() as client:
        world = client.world
        world.make_block(*(world.sign(ALICE, balances.Send(BOB.address, 1), nonce=n) for n in range(5)))
        world.make_block()
        world.make_block()
        listed = await client.get("/v1/blocks", params={"from": 2, "count": 2})
        assert [one["height"] for one in listed["blocks"]] == [2, 1]
        newest = await client.get("/v1/blocks", params={"count": 100})
        assert [one["height"] for one in newest["blocks"]] == [3, 2, 1, 0]
        page = await client.get("/v1/blocks/1", params={"offset": 3, "limit": 5})
        assert page["transaction_count"] == 5
        assert [one["nonce"] for one in page["transactions"]] == [3, 4]


async def test_light_block_of_the_head_verifies() -> None:
    """Header, certificate and validators of the head are enough to check that it is final."""
    async with open_client() as client:
        for _ in range(3):
            client.world.make_block()
        light = await client.get("/v1/headers/3")
        header = decode(Header, bytes.fromhex(light["header"]))
        roster = decode(Roster, bytes.fromhex(light["roster"]))
        certificate = decode(CommitCertificate, bytes.fromhex(light["certificate"]))
        assert compute_roster_hash(roster) == header.validators_hash
        assert certificate.block_hash == compute_header_hash(header) == bytes.fromhex(light["hash"])
        members = build_validator_set(roster.validators)
        check_certificate(client.world.ledger.genesis_hash, members, certificate, is_signed_by)
        assert (await client.get("/v1/headers/0"))["certificate"] is None


async def test_headers_come_in_pages_downwards() -> None:
    """Each is the parent of the one before; what is final may be kept by caches, the newest may not."""
    async with open_client() as client:
        for _ in range(5):
            client.world.make_block()
        answer = await client.get("/v1/headers", params={"from": 4, "count": 3})
        headers = [decode(Header, bytes.fromhex(one)) for one in answer["headers"]]
        assert [header.height for header in headers] == [4, 3, 2]
        assert headers[0].parent_hash == compute_header_hash(headers[1])
        everything = await client.get("/v1/headers", params={"from": 5})
        assert len(everything["headers"]) == 6
        await client.get("/v1/headers", 404, params={"from": 6})
        await client.get("/v1/headers", 400)
        latest, fixed = [await client.http.get(f"/v1/headers/{name}") for name in ("latest", "5")]
        assert latest.json() == fixed.json() and "cache-control" not in latest.headers
        assert fixed.headers["cache-control"].startswith("public, max-age=")


async def test_several_values_are_proven_under_one_root() -> None:
    """Of one head, named by their keys; too many at once are refused."""
    async with open_client() as client:
        client.world.make_block()
        keys = [balances.ACCOUNTS.key(one).hex() for one in (ALICE.address, bytes(32))]
        answer = await client.get("/v1/proof", params={"key": keys})
        assert [entry["name"] for entry in answer["entries"]] == keys
        assert [entry["value"] is None for entry in answer["entries"]] == [False, True]
        await client.get("/v1/proof", 400, params={"key": keys * 33})


async def test_account_proofs_verify_and_hold_what_is_shown() -> None:
    """The proofs of an account lead to the root in the header that comes with them, also for absent keys."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, balances.Send(BOB.address, 7 * VIDYA), staking.Bond(20 * VIDYA)))
        account = await client.get(f"/v1/accounts/{name(client, ALICE)}", params={"prove": 1})
        proof = account["proof"]
        header = decode(Header, bytes.fromhex(proof["header"]))
        values = {}
        for entry in proof["entries"]:
            value = None if entry["value"] is None else bytes.fromhex(entry["value"])
            check_proof(
                header.state_root,
                bytes.fromhex(entry["key"]),
                value,
                decode(Proof, bytes.fromhex(entry["proof"])),
            )
            values[entry["name"]] = value
        stored = decode(balances.Account, values["balances.accounts"])
        assert (stored.free, stored.nonce) == (account["balance"], account["nonce"])
        assert (
            decode(staking.types.StakingLedger, values["staking.ledgers"]).active
            == 20 * VIDYA
            == account["bond"]["active"]
        )
        assert values["membership.memberships"] is None and account["membership"] is None


async def test_account_counts_waiting_nonces() -> None:
    """The next nonce to sign with counts what waits in the pool; without proofs none are made."""
    async with open_client() as client:
        world = client.world
        await world.pool.submit([encode(world.sign(ALICE, balances.Burn(1)))])
        account = await client.get(f"/v1/accounts/{name(client, ALICE)}")
        assert (account["nonce"], account["nonce_next"], account["proof"]) == (0, 1, None)


async def test_raw_proof_of_an_absent_key() -> None:
    """Any state key can be asked for; absence is proven too."""
    async with open_client() as client:
        key = balances.ACCOUNTS.key(b"x" * 32)
        answer = await client.get("/v1/proof", params={"key": key.hex()})
        (entry,) = answer["entries"]
        header = decode(Header, bytes.fromhex(answer["header"]))
        assert entry["value"] is None
        check_proof(header.state_root, key, None, decode(Proof, bytes.fromhex(entry["proof"])))


async def test_validators_and_hosts() -> None:
    """The set in force and the host records are those of the state; the proposer is marked."""
    async with open_client() as client:
        client.world.make_block()
        answer = await client.get("/v1/validators")
        (member,) = answer["validators"]
        assert (answer["height"], member["address"], member["is_proposer"]) == (
            2,
            name(client, VALIDATOR),
            True,
        )
        assert answer["total_power"] == member["power"]
        (candidate,) = answer["candidates"]
        assert candidate["is_validator"] and not candidate["is_jailed"] and not candidate["is_tombstoned"]
        (host,) = (await client.get("/v1/hosts"))["hosts"]
        assert host["address"] == name(client, VALIDATOR)
        one = await client.get(f"/v1/hosts/{host['address']}")
        assert one["host"] == host and one["possession"]["window"] == ""
        await client.get(f"/v1/hosts/{name(client, ALICE)}", 404)


async def test_catalogue_is_searched_and_paged() -> None:
    """Text finds titles, tags and descriptions whatever the case; pages continue where the last one ended."""
    async with open_client() as client:
        world = client.world
        others = [
            catalogue.ListDatum(n.encode() * 32, b"r" * 32, 10, f"Film {n}", "films", (), "") for n in "123"
        ]
        world.make_block(*(world.sign(ALICE, call, nonce=n) for n, call in enumerate([DATUM, *others])))
        for text in ("MONKEY", "lucas", "floppy"):
            found = await client.get("/v1/datums", params={"text": text})
            assert [one["title"] for one in found["datums"]] == [DATUM.title], text
        first = await client.get("/v1/datums", params={"category": "films", "limit": 2})
        rest = await client.get("/v1/datums", params={"category": "films", "after": first["next"]})
        assert rest == await client.get("/v1/datums", params={"category": "films", "cursor": first["next"]})
        films = first["datums"] + rest["datums"]
        assert len(first["datums"]) == 2 and rest["next"] is None
        assert {one["title"] for one in films} == {"Film 1", "Film 2", "Film 3"}
        assert [one["id"] for one in films] == sorted(one["id"] for one in films)
        datum = await client.get(f"/v1/datums/{found['datums'][0]['id']}")
        assert datum["datum"]["lister"] == name(client, ALICE) and datum["hosts"] == []
        await client.get(f"/v1/datums/{'00' * 32}", 404)


async def test_supply_adds_up() -> None:
    """Accounts hold what the supply says; a burned fee is missing from the total; pots have names."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, membership.Join()))
        supply = await client.get("/v1/supply")
        assert supply["total"] == supply["genesis"] + supply["minted"] - supply["burned"]
        assert supply["burned"] > 0
        assert supply["pots"]["membership"] == membership.get_parameters(world.ledger.state).lock
        assert supply["total"] == sum(
            account.free for _, account in balances.ACCOUNTS.items(world.ledger.state)
        )


async def test_supply_says_why() -> None:
    """Minted by pool and burned by cause are what fees and events say, to the unit."""
    async with open_client() as client:
        world, parameters = client.world, membership.get_parameters(client.world.ledger.state)
        calls = (membership.Join(), DATUM, balances.Burn(5))
        listed = world.make_block(world.sign(ALICE, *calls, fee_max=5 * VIDYA)).receipts.transactions[0]
        receipts = world.make_block().receipts
        while world.ledger.height % world.ledger.get_parameters().epoch_blocks:
            receipts = world.make_block().receipts
        paid = pick_event(receipts.end, "rewards.EpochRewarded")
        supply = await client.get("/v1/supply")
        burned = {name: units for name, units in supply["burned_by"].items() if units}
        listing = pick_event(listed.events, "catalogue.Listed").burned
        assert burned == {"fees": listed.fee, "joining": parameters.fee_burned, "listing": listing, "own": 5}
        assert supply["burned"] == sum(burned.values())
        assert supply["minted_by"] == {
            "hosting": paid.hosting_paid,
            "uploads": paid.uploads_paid,
            "validators": paid.validators_paid,
            "lockers": paid.lockers_paid,
        }
        assert supply["minted"] == sum(supply["minted_by"].values()) > 0


def pick_event(events, name: str):
    """The only event of this name."""
    (found,) = [event for kind, event in map(runtime.decode_event, events) if kind == name]
    return found


async def test_parameters_and_fees() -> None:
    """Every module's parameters are shown, and the base fee is that of the next block."""
    async with open_client() as client:
        params, fees = await client.get("/v1/params"), await client.get("/v1/fees")
        assert params["fees"] == fees["parameters"] and len(params) == 14
        assert fees["base_fee"] == params["fees"]["base_fee_min"]


async def test_session_that_is_not_open() -> None:
    """A session nobody opened is not found, with the code that the CLI shows too."""
    async with open_client() as client:
        answer = await client.get(f"/v1/sessions/{'ab' * 32}", 404)
        assert answer["error"]["code"] == "not_found"


async def test_health_readiness_and_metrics() -> None:
    """A node alone in its network is ready unless it syncs; health needs a beat; metrics show the head."""
    async with open_client() as client:
        world = client.world
        world.make_block(world.sign(ALICE, balances.Burn(1)))
        await client.get("/readyz")
        world.sync.is_syncing = True
        assert (await client.get("/readyz", 503))["reason"] == "syncing"
        await client.get("/healthz", 503)
        text = (await client.http.get("/metrics")).text
        assert "vidya_consensus_height 1.0" in text
        assert 'vidya_consensus_txs_total{result="ok"} 1.0' in text
        assert 'vidya_consensus_events_total{event="balances.Burned"} 1.0' in text


async def test_peers_are_described() -> None:
    """The node says who it is, even while it is alone."""
    async with open_client() as client:
        peers = await client.get("/v1/peers")
        assert peers["peers"] == [] == peers["bans"] and peers["peer_id"].startswith("12D3KooW")
