"""Admission to the pool: what is refused, with which code, and how transactions travel between peers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from chain import runtime
from chain.modules import balances, hosting, sessions
from chain.primitives.codec import encode, replace
from chain.primitives.types import Hash, PeerId
from chain.runtime import build_call
from chain.transaction import (
    ARGUMENTS_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
    Call,
    SignedTransaction,
    Transaction,
    compute_transaction_id,
    sign_transaction,
)
from node.ledger.signatures import SignatureMemory
from node.mempool import gossip as pool_gossip
from node.mempool.allowance import HOPELESS_BURST
from node.mempool.gossip import PENALISED_CODES, WHOLE_BYTES_MAX, PoolGossip
from node.mempool.pool import ACCOUNT_TRANSACTIONS_MAX, Mempool
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from p2p.wire.messages import PoolMessage, TransactionIds, Transactions, TransactionsWanted
from p2p.wire.protocols import POOL
from p2p.wire.requests import open_stream, receive_message, send_message
from tests.node.cluster import VIDYA, Person
from tests.node.forge import ALICE, BOB, Forge, wait_until
from tests.p2p.support import taking_part

SEND = balances.Send(BOB.address, 1)


@dataclass
class Door:
    """A pool with its network, over the forge's ledger."""

    forge: Forge
    network: Switch

    def __post_init__(self) -> None:
        self.mempool = Mempool()
        self.pool = PoolGossip(self.network, self.forge.ledger, self.mempool, SignatureMemory())

    async def submit(self, data: bytes) -> str | None:
        """The code of the refusal, None if it was taken."""
        [(tx_id, refusal)] = await self.pool.submit([data])
        assert tx_id == compute_transaction_id(data)
        assert (tx_id in self.mempool) == (refusal is None or refusal.code == "already_pooled")
        return refusal.code if refusal else None

    async def wait_for(self, tx_id: Hash) -> None:
        """Until the transaction is here."""
        await wait_until(lambda: tx_id in self.mempool)


@asynccontextmanager
async def open_door(hub: MemoryHub, forge: Forge, number: int) -> AsyncIterator[Door]:
    """A node's door."""
    async with hub.open_network(bytes((number,)) * 32, forge.genesis_hash) as network:
        yield Door(forge, network)


@asynccontextmanager
async def link(left: Door, right: Door) -> AsyncIterator[None]:
    """Two nodes that attend each other."""
    async with trio.open_nursery() as nursery:
        await left.network.connect(right.network.addresses[0])
        nursery.start_soon(left.pool.run_peer, right.network.peer_id)
        nursery.start_soon(right.pool.run_peer, left.network.peer_id)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
def forge() -> Forge:
    """A chain at height 1 on which Alice has sent one transaction."""
    forge = Forge(1)
    forge.commit(forge.build([forge.sign(ALICE, SEND)]))
    return forge


@pytest.fixture
async def door(forge: Forge) -> AsyncIterator[Door]:
    """A node without peers."""
    async with open_door(MemoryHub(), forge, 1) as opened:
        yield opened


Change = Callable[[Transaction], Transaction]


def with_fields(**fields: object) -> Change:
    return lambda transaction: replace(transaction, **fields)


def as_duty(**fields: object) -> Change:
    def change(transaction: Transaction) -> Transaction:
        voucher = sessions.Voucher(transaction.genesis_hash, b"s" * 32, BOB.address, 1, 1)
        call = build_call(sessions.Settle(sessions.sign_voucher(BOB.account, voucher)))
        return replace(replace(transaction, nonce=0, fee_max=0, calls=(call,)), **fields)

    return change


def with_a_duty_beside(transaction: Transaction) -> Transaction:
    return replace(transaction, calls=(*as_duty()(transaction).calls, build_call(SEND)))


REFUSED: list[tuple[str, Change]] = [
    ("other_network", with_fields(genesis_hash=b"n" * 32)),
    ("expired", with_fields(valid_until=1)),
    ("lifetime_too_long", with_fields(valid_until=2 + 600 + 1)),
    ("nonce_too_low", with_fields(nonce=0)),
    ("nonce_too_high", with_fields(nonce=1 + ACCOUNT_TRANSACTIONS_MAX)),
    ("fee_too_low", with_fields(fee_max=1_000)),
    ("insufficient_balance", with_fields(fee_max=10_000 * VIDYA)),
    ("insufficient_balance", with_fields(tip=10_000 * VIDYA)),
    ("unknown_call", with_fields(calls=(Call(250, 1, b""),))),
    ("malformed_arguments", with_fields(calls=(Call(1, 1, b"\xc1"),))),
    ("duty_not_alone", with_a_duty_beside),
    ("duty_with_fee", as_duty(tip=1)),
    ("duty_refused", as_duty()),
]


@pytest.mark.parametrize(("code", "change"), REFUSED, ids=[code for code, _ in REFUSED])
async def test_what_could_not_be_in_a_block_is_refused_with_its_code(
    door: Door, code: str, change: Change
) -> None:
    """The codes are those of the chain; nothing enters the pool."""
    good = door.forge.sign(ALICE, SEND).transaction
    assert await door.submit(encode(sign_transaction(ALICE.account, change(good)))) == code
    assert len(door.mempool) == 0


async def test_bytes_that_are_no_signed_transaction(door: Door) -> None:
    """Cut, lengthened, too long, with another's signature; the good one is taken once."""
    signed = door.forge.sign(ALICE, SEND)
    data = encode(signed)
    forged = replace(signed, signature=door.forge.sign(BOB, SEND).signature)
    calls = (Call(1, 1, bytes(ARGUMENTS_BYTES_MAX)),) * 2
    too_long = SignedTransaction(replace(signed.transaction, calls=calls), bytes(64))
    for wrong in (b"", data[:-1], data + b"\0", encode(too_long)):
        assert await door.submit(wrong) == "malformed"
    assert await door.submit(encode(forged)) == "bad_signature"
    assert len(door.mempool) == 0
    assert await door.submit(data) is None
    assert await door.submit(data) == "already_pooled"


async def test_what_weighs_more_than_a_lane_is_refused(forge: Forge) -> None:
    """A transaction heavier than its lane is refused, since it would wait forever."""
    changes = tuple(bytes((number,)) * 32 for number in range(256))
    call = hosting.RegisterSubset(changes, ())
    many = replace(forge.sign(ALICE, SEND).transaction, calls=(build_call(call),) * 14, fee_max=900 * VIDYA)
    async with open_door(MemoryHub(), forge, 1) as door:
        signed = sign_transaction(ALICE.account, many)
        assert len(encode(signed)) < TRANSACTION_BYTES_MAX
        assert get_weight(door, signed) > get_lane(door)
        assert await door.submit(encode(signed)) == "too_heavy"


def get_weight(door: Door, signed: SignedTransaction) -> int:
    """The weight by the runtime."""
    calls = runtime.decode_calls(signed.transaction)
    return runtime.compute_weight(door.forge.ledger.state, calls, len(encode(signed)))


def get_lane(door: Door) -> int:
    """What paying transactions may weigh."""
    maximum = door.forge.ledger.get_parameters().block_weight_max
    return maximum - maximum // 4


async def test_a_gap_may_wait_up_to_a_bound(door: Door) -> None:
    """Nonces ahead are taken up to a bound, since the missing ones may be on their way."""
    assert await door.submit(encode(door.forge.sign(ALICE, SEND, nonce=ACCOUNT_TRANSACTIONS_MAX))) is None
    assert list(door.mempool.select(10)) == []


async def test_checks_follow_the_head(door: Door) -> None:
    """Values cached at one head are not used at the next."""
    first, second = (encode(door.forge.sign(ALICE, SEND, nonce=nonce)) for nonce in (1, 2))
    assert await door.submit(first) is None
    committed = door.forge.commit(door.forge.build([one.signed for one in door.mempool.select(9)]))
    door.mempool.on_block(committed.included, door.forge.ledger)
    assert await door.submit(encode(door.forge.sign(ALICE, SEND, nonce=1, tip=5))) == "nonce_too_low"
    assert await door.submit(second) is None


async def test_a_transaction_reaches_peers_and_their_peers_once(forge: Forge) -> None:
    """Small ones are sent whole, large ones on request; also those that waited before the peers met."""
    hub = MemoryHub()
    async with (
        open_door(hub, forge, 1) as one,
        open_door(hub, forge, 2) as two,
        open_door(hub, forge, 3) as three,
    ):
        early = encode(forge.sign(ALICE, SEND))
        assert await one.submit(early) is None
        async with link(one, two), link(two, three):
            await three.wait_for(compute_transaction_id(early))
            many = (balances.Send(BOB.address, amount) for amount in range(1, 17))
            small, large = forge.sign(BOB, SEND), forge.sign(ALICE, *many, nonce=2)
            padded = grow(forge, large)
            assert len(encode(padded)) > WHOLE_BYTES_MAX
            for signed in (small, padded):
                assert await one.submit(encode(signed)) is None
                await three.wait_for(compute_transaction_id(encode(signed)))
        assert len(one.mempool) == len(two.mempool) == len(three.mempool) == 3


def grow(forge: Forge, signed: SignedTransaction) -> SignedTransaction:
    """The transaction with calls that need more bytes than are sent unasked."""
    datums = tuple(bytes((number,)) * 32 for number in range(150))
    call = build_call(hosting.RegisterSubset(datums, ()))
    changed = replace(signed.transaction, calls=(call,), fee_max=100 * VIDYA)
    return sign_transaction(ALICE.account, changed)


@asynccontextmanager
async def speak(hub: MemoryHub, door: Door) -> AsyncIterator[tuple[PeerId, Callable[..., object]]]:
    """A stranger with a pool stream to the node; what it says is handled when `say` returns."""
    async with hub.open_network(b"\x63" * 32, door.forge.genesis_hash) as network:
        await network.connect(door.network.addresses[0])
        async with (
            taking_part(door.pool.run_peer, door.network, network, POOL),
            open_stream(network, door.network.peer_id, POOL) as stream,
        ):

            async def say(message: PoolMessage) -> None:
                await send_message(stream, message)
                await trio.testing.wait_all_tasks_blocked()

            yield network.peer_id, say


@pytest.mark.parametrize(
    ("code", "change"),
    [case for case in REFUSED if case[0] in PENALISED_CODES],
    ids=lambda case: str(case)[:20],
)
async def test_junk_costs_its_sender(forge: Forge, code: str, change: Change) -> None:
    """A peer that sends what no honest node passes on loses points."""
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door, speak(hub, door) as (peer, say):
        bad = sign_transaction(ALICE.account, change(forge.sign(ALICE, SEND).transaction))
        await say(Transactions((encode(bad),)))
        assert door.network.scores.get_score(peer) < 100
        assert len(door.mempool) == 0


async def test_what_is_only_stale_costs_nothing_and_may_come_again(forge: Forge) -> None:
    """A stale transaction costs no points and is taken when its sender has funds."""
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door, speak(hub, door) as (peer, say):
        dear = forge.sign(ALICE, SEND, fee_max=2_000 * VIDYA)
        for number, code in enumerate(("expired", "nonce_too_low", "fee_too_low"), start=1):
            change = dict(REFUSED)[code]
            await say(Transactions((encode(sign_transaction(ALICE.account, change(dear.transaction))),)))
            assert len(door.mempool) == 0, number
        await say(Transactions((encode(dear),)))
        assert len(door.mempool) == 0
        assert door.network.scores.get_score(peer) == 100
        forge.commit(forge.build([forge.sign(forge.people[0], balances.Send(ALICE.address, 5_000 * VIDYA))]))
        await say(Transactions((encode(dear),)))
        assert door.mempool.list_ids() == (compute_transaction_id(encode(dear)),)


async def test_a_bad_signature_in_a_batch_spoils_only_itself(forge: Forge) -> None:
    """The others are taken, and the peer loses points for the bad one."""
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door, speak(hub, door) as (peer, say):
        good = [forge.sign(ALICE, SEND, nonce=nonce) for nonce in range(1, 8)]
        bad = replace(forge.sign(BOB, SEND), signature=bytes(64))
        await say(Transactions(tuple(map(encode, (*good[:3], bad, *good[3:])))))
        await wait_until(lambda: len(door.mempool) == 7)
        assert door.network.scores.get_score(peer) < 100
        assert compute_transaction_id(encode(bad)) not in door.mempool


async def test_nothing_runs_before_its_signature_is_good(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duty that its sender did not sign is not executed, and is a fault of whoever passed it on."""
    executed: list[object] = []
    dispatch = runtime.dispatch
    monkeypatch.setattr(
        runtime, "dispatch", lambda *arguments: executed.append(arguments) or dispatch(*arguments)
    )
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door, speak(hub, door) as (peer, say):
        duty = sign_transaction(ALICE.account, as_duty()(forge.sign(ALICE, SEND).transaction))
        await say(Transactions((encode(replace(duty, signature=bytes(64))),)))
        assert door.network.scores.get_score(peer) < 100
        assert not executed
        await say(Transactions((encode(duty),)))
        assert len(executed) == 1


async def test_transactions_that_nobody_can_pay_for_are_few(forge: Forge) -> None:
    """A peer may pass on a few transactions of accounts without money; more cost it its connection, and what
    is well paid among them is taken.
    """
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door, speak(hub, door) as (peer, say):
        poor = [Person(200 + number % 50) for number in range(HOPELESS_BURST)]
        few = [encode(forge.sign(one, SEND, nonce=number)) for number, one in enumerate(poor)]
        await say(Transactions(tuple(few)))
        assert door.network.scores.get_score(peer) == 100
        good = encode(forge.sign(ALICE, SEND))
        for number in range(4):
            more = encode(forge.sign(poor[0], SEND, nonce=number, tip=1))
            await say(Transactions((good, more)))
        assert door.mempool.list_ids() == (compute_transaction_id(good),)
        assert door.network.scores.get_ban(peer) is not None


async def test_wanted_transactions_are_sent_up_to_a_bound(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of a few bytes must not make the node send megabytes again and again."""
    monkeypatch.setattr(pool_gossip, "ANSWER_BYTES_MAX", 1_000)
    hub = MemoryHub()
    async with open_door(hub, forge, 1) as door:
        signed = [forge.sign(ALICE, SEND, nonce=nonce) for nonce in range(1, 11)]
        await door.pool.submit([encode(one) for one in signed])
        async with hub.open_network(b"\x63" * 32, forge.genesis_hash) as network:
            received: list[bytes] = []
            done = trio.Event()

            async def collect(stream: object) -> None:
                while True:
                    message = await receive_message(stream, PoolMessage)  # type: ignore[arg-type]
                    if isinstance(message, Transactions):
                        received.extend(message.transactions)
                        done.set()

            network.serve(POOL, collect)
            await network.connect(door.network.addresses[0])
            async with (
                trio.open_nursery() as nursery,
                open_stream(network, door.network.peer_id, POOL) as stream,
            ):
                nursery.start_soon(door.pool.run_peer, network.peer_id)
                await send_message(stream, TransactionsWanted((*door.mempool.list_ids(), bytes(32))))
                with trio.fail_after(5):
                    await done.wait()
                await trio.testing.wait_all_tasks_blocked()
                assert 0 < sum(map(len, received)) <= 1_000
                await send_message(stream, TransactionIds(door.mempool.list_ids()))
                nursery.cancel_scope.cancel()
