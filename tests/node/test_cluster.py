"""Whole nodes together: they agree, pay, go on without one, and come back with nothing lost or signed
twice.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from chain.modules import balances, schedule
from chain.primitives.codec import decode
from chain.transaction import SignedTransaction
from node.app import Node
from tests.node.cluster import (
    VIDYA,
    MemoryHub,
    Person,
    build_cluster_spec,
    build_signed,
    open_node,
    wait_for_height,
)

ALICE, BOB = Person(100), Person(101)


async def open_all(stack: AsyncExitStack, hub: MemoryHub, spec: object, path: Path, count: int) -> list[Node]:
    """All validators of a cluster."""
    return [
        await stack.enter_async_context(open_node(hub, spec, Person(number), path))  # type: ignore[arg-type]
        for number in range(count)
    ]


async def wait_for_all(nodes: list[Node], height: int) -> None:
    """Waits until every node has reached the height."""
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(wait_for_height, node, height)


async def test_four_validators_agree_and_every_invariant_holds(tmp_path: Path) -> None:
    """Equal blocks and roots on all nodes over several eras; supply identity and module invariants hold."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 4)
        nodes[0].replica.listeners.append(lambda _: schedule.check_invariants(nodes[0].ledger.state))
        await wait_for_all(nodes, 45)
        for height in range(46):
            assert len({node.ledger.chain.get_header(height) for node in nodes}) == 1


async def test_a_transfer_is_final_everywhere(tmp_path: Path) -> None:
    """A transaction given to one node is in a block of all, with its fee burned and its amount moved."""
    spec, hub = build_cluster_spec(4, guests=(ALICE, BOB)), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 4)
        await wait_for_all(nodes, 2)
        data = build_signed(nodes[1], ALICE, balances.Send(BOB.address, 5 * VIDYA))
        [(tx_id, refusal)] = await nodes[1].pool.submit([data])
        assert refusal is None
        place = await wait_for_transaction(nodes[3], tx_id)
        receipts = nodes[3].ledger.get_receipts(place.height)
        assert receipts is not None
        receipt = receipts.transactions[place.index]
        assert receipt.error is None
        assert nodes[3].ledger.get_free(BOB.address) == 1_005 * VIDYA
        assert nodes[3].ledger.get_free(ALICE.address) == 995 * VIDYA - receipt.fee
        assert decode(SignedTransaction, data).transaction.nonce == 0


async def wait_for_transaction(node: Node, tx_id: bytes):  # type: ignore[no-untyped-def]
    """The place of a transaction, as soon as it is final on the node."""
    for _ in range(200):
        place = node.ledger.chain.get_tx_place(tx_id)
        if place is not None:
            return place
        await wait_for_height(node, node.ledger.height + 1)
    raise AssertionError("the transaction did not become final")


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (lambda data: data[:-1], "malformed"),
        (lambda data: data[:-1] + bytes((data[-1] ^ 1,)), "bad_signature"),
        (lambda data: data + b"\0", "malformed"),
    ],
)
async def test_damaged_transactions_are_refused_with_a_code(tmp_path: Path, mutate, code: str) -> None:  # type: ignore[no-untyped-def]
    """What is not signed, or not canonical, never enters the pool."""
    spec, hub = build_cluster_spec(1, guests=(ALICE, BOB)), MemoryHub()
    async with open_node(hub, spec, Person(0), tmp_path) as node:
        data = build_signed(node, ALICE, balances.Send(BOB.address, 1))
        [(_, refusal)] = await node.pool.submit([mutate(data)])
        assert refusal is not None
        assert refusal.code == code
        assert len(node.mempool) == 0


async def test_the_chain_goes_on_without_one_and_it_returns(tmp_path: Path) -> None:
    """With a quarter of the power gone blocks go on; the node that returns syncs and votes again."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 3)
        async with open_node(hub, spec, Person(3), tmp_path) as last:
            await wait_for_all([*nodes, last], 3)
        stopped_at = nodes[0].ledger.height
        await wait_for_all(nodes, stopped_at + 5)
        async with open_node(hub, spec, Person(3), tmp_path) as last:
            assert last.ledger.height <= stopped_at + 1
            await wait_for_all([*nodes, last], stopped_at + 15)
            height = stopped_at + 10
            assert last.ledger.chain.get_header(height) == nodes[0].ledger.chain.get_header(height)


async def test_all_stop_at_once_and_start_again(tmp_path: Path) -> None:
    """After all stopped in the middle of a height, the chain goes on from the same head, no slot signed
    twice.
    """
    spec, hub = build_cluster_spec(4), MemoryHub()
    before = []
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 4)
        await wait_for_all(nodes, 7)
        before = [(node.ledger.height, node.ledger.head_hash) for node in nodes]
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 4)
        for node, (height, head_hash) in zip(nodes, before, strict=True):
            assert node.ledger.chain.get_height(head_hash) == height
        await wait_for_all(nodes, max(height for height, _ in before) + 5)
        assert len({node.ledger.chain.get_header(7) for node in nodes}) == 1


async def test_an_observer_follows_without_signing(tmp_path: Path) -> None:
    """A node without an account syncs, follows the head, and its sign-state stays empty."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = await open_all(stack, hub, spec, tmp_path, 4)
        await wait_for_all(nodes, 3)
        observer = await stack.enter_async_context(
            open_node(hub, spec, Person(50), tmp_path, is_validator=False)
        )
        await wait_for_height(observer, 12)
        assert observer.replica._signer is None
        assert observer.ledger.chain.get_header(10) == nodes[0].ledger.chain.get_header(10)
