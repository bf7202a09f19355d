"""Sending, trying and following transactions over the API."""

from chain.modules import balances, catalogue, membership
from chain.primitives.codec import encode, replace
from node.api.routes.transactions import BATCH_MAX
from tests.node.api.world import ALICE, BOB, VIDYA, encode_hex, open_client

SEND = balances.Send(BOB.address, 3)


async def test_a_transaction_from_pool_to_final() -> None:
    """A transaction is unknown, then pooled, then final with its receipt; sending it again is no error."""
    async with open_client() as client:
        signed = client.world.sign(ALICE, SEND)
        tx_id = signed.id.hex()
        path = f"/v1/transactions/{tx_id}"
        assert (await client.get(path))["status"] == "unknown"
        for _ in range(2):
            sent = await client.ask("POST", "/v1/transactions", json=encode_hex(signed))
            assert sent["results"] == [{"id": tx_id, "status": "pooled", "error": None}]
        assert (await client.get(path))["status"] == "pooled"
        client.world.make_block()
        final = await client.get(path)
        assert (final["status"], final["height"], final["index"], final["error"]) == ("final", 1, 0, None)
        assert final["receipt"]["events"][0]["name"] == "balances.Transferred"
        sent = await client.ask("POST", "/v1/transactions", json=[encode_hex(signed)])
        assert sent["results"][0]["status"] == "final"


async def test_a_refused_call_is_final_with_its_error() -> None:
    """A call that the chain refuses is final all the same, with module, reason and one sentence."""
    async with open_client() as client:
        signed = client.world.sign(ALICE, membership.Leave())
        client.world.make_block(signed)
        final = await client.get(f"/v1/transactions/{signed.id.hex()}")
        assert final["status"] == "final"
        assert final["error"] == {"code": "membership.not_member", "message": "The account is no member."}


async def test_a_batch_is_judged_one_by_one() -> None:
    """What cannot be in a block is rejected with the code of the chain; the rest of the batch is pooled."""
    async with open_client() as client:
        world = client.world
        good = world.sign(ALICE, SEND)
        foreign = replace(good, transaction=replace(good.transaction, genesis_hash=b"o" * 32))
        forged = replace(good, signature=bytes(64))
        old = replace(good, transaction=replace(good.transaction, valid_until=0))
        # Its signature is wrong too: what costs less to see is looked at first.
        poor = world.sign(BOB, balances.Burn(1))
        poor = replace(poor, transaction=replace(poor.transaction, fee_max=10**6 * VIDYA))
        batch = [encode_hex(one) for one in (foreign, forged, old, poor)] + ["00", encode_hex(good)]
        sent = await client.ask("POST", "/v1/transactions", json=batch)
        codes = [one["error"] and one["error"]["code"] for one in sent["results"]]
        assert codes == [
            "other_network",
            "bad_signature",
            "expired",
            "insufficient_balance",
            "malformed",
            None,
        ]
        assert len(world.mempool) == 1


async def test_a_full_batch_is_taken() -> None:
    """The largest batch goes in as a whole, in slices."""
    async with open_client() as client:
        signed = [
            encode_hex(client.world.sign(person, SEND, nonce=nonce, fee_max=VIDYA // 10))
            for person in (ALICE, BOB)
            for nonce in range(120)
        ]
        sent = await client.ask("POST", "/v1/transactions", json=signed)
        assert {one["status"] for one in sent["results"]} == {"pooled"}
        assert len(client.world.mempool) == 240
        await client.ask("POST", "/v1/transactions", 400, json=["00"] * (BATCH_MAX + 1))


async def test_expiry_is_certain() -> None:
    """Past its last height a transaction is expired, for who remembers the height, even on another node."""
    async with open_client() as client:
        tx_id = client.world.sign(ALICE, SEND).id.hex()
        client.world.make_block()
        path = f"/v1/transactions/{tx_id}"
        assert (await client.get(path, params={"valid_until": 2}))["status"] == "unknown"
        assert (await client.get(path, params={"valid_until": 1}))["status"] == "expired"


async def test_what_left_the_pool_is_rejected_with_its_reason() -> None:
    """A transaction overtaken by another of its nonce is rejected with the pool's reason."""
    async with open_client() as client:
        world = client.world
        waiting, faster = world.sign(ALICE, SEND), world.sign(ALICE, balances.Burn(9))
        await client.ask("POST", "/v1/transactions", json=encode_hex(waiting))
        world.make_block(faster)
        status = await client.get(f"/v1/transactions/{waiting.id.hex()}")
        assert (status["status"], status["error"]["code"]) == ("rejected", "nonce_too_low")


async def test_dry_run_says_what_the_block_does() -> None:
    """Fee, weight and events of a dry run are those of the block that takes the transaction."""
    async with open_client() as client:
        world = client.world
        transaction = world.build(ALICE, SEND)
        trial = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(transaction))
        committed = world.make_block(world.sign(ALICE, SEND))
        (receipt,) = committed.receipts.transactions
        assert (trial["outcome"], trial["fee"], trial["weight"]) == ("ok", receipt.fee, receipt.weight)
        assert trial["size_bytes"] == len(encode(committed.block.transactions[0]))
        final = await client.get("/v1/blocks/latest")
        assert trial["events"] == final["transactions"][0]["receipt"]["events"]
        assert world.ledger.get_nonce(ALICE.address) == 1
        assert trial["balance"] == world.ledger.get_free(ALICE.address)


async def test_dry_run_fills_in_what_it_costs() -> None:
    """With a fee bound of 0 the fee is what a transaction with that bound pays; a later nonce is no fault."""
    async with open_client() as client:
        world = client.world
        unset = world.build(ALICE, SEND, nonce=5, fee_max=0)
        trial = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(unset))
        assert trial["outcome"] == "ok" and trial["fee_max_suggested"] == 2 * trial["fee"]
        bound = world.build(ALICE, SEND, fee_max=trial["fee"])
        again = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(bound))
        assert (again["outcome"], again["fee"]) == ("ok", trial["fee"])


async def test_dry_run_of_what_fails() -> None:
    """A refused call and a transaction that can be in no block are told apart, each with its code."""
    async with open_client() as client:
        world = client.world
        refused = world.build(ALICE, SEND, catalogue.Delist(b"d" * 32))
        trial = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(refused))
        assert (trial["outcome"], trial["error"]["code"]) == ("refused", "catalogue.not_listed")
        assert trial["error"]["call"] == 1 and trial["events"] == []
        for fee_max, code in ((1, "fee_too_low"), (10**6 * VIDYA, "insufficient_balance")):
            low = world.build(ALICE, SEND, fee_max=fee_max)
            trial = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(low))
            assert (trial["outcome"], trial["error"]["code"]) == ("invalid", code)
        unknown = replace(low, calls=(replace(low.calls[0], module=99),))
        trial = await client.ask("POST", "/v1/transactions/dry-run", json=encode_hex(unknown))
        assert (trial["outcome"], trial["error"]["code"]) == ("invalid", "unknown_call")
        assert world.ledger.height == 0 and len(world.mempool) == 0
