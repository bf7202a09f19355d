"""A payer that takes what hosts give before they are paid, from every host, and never pays."""

from chain import runtime
from chain.content import CHUNK_BYTES
from chain.modules import sessions
from chain.modules.fees import compute_fee
from chain.modules.sessions import HostAllotment, OpenSession
from chain.primitives.types import INTEGER_MAX
from tests.economy.world.accounts import open_account
from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.compare import Outcome
from tests.economy.world.rules import FIRST, GIB
from tests.economy.world.trade import VOUCHER_KEY

CREDIT_BYTES = 2**20
"""What hosts sent ahead of pay under the first edition."""
HOSTS = 32
SESSIONS_AN_EPOCH = 32


def run(arena: Arena, epochs: int) -> Outcome:
    """Sessions with 32 hosts each. It takes what is sent unpaid, and the deposit back. Honest: it pays.

    What a host sends is asked of the account that hosts keep for a session; the fee is that of the real call.
    Answered by: hosts send nothing that is not paid.
    """
    price = sessions.get_parameters(arena.state).price_per_gib
    given = CREDIT_BYTES if arena.rules == FIRST else count_unpaid_bytes(arena)
    parts = tuple(HostAllotment(HONEST[0], 1) for _ in range(HOSTS))
    call = OpenSession(min(arena.contents), VOUCHER_KEY.public_key, INTEGER_MAX, 1, parts)
    weight = runtime.compute_weight(arena.state, (runtime.decode_call(runtime.build_call(call)),), 3_000)
    taken = given * HOSTS * price // GIB
    times = SESSIONS_AN_EPOCH * epochs
    return Outcome(times * (taken - compute_fee(arena.state, weight)), times * taken, None)


def count_unpaid_bytes(arena: Arena) -> int:
    """Bytes that a host sends in a session without a voucher."""
    account = open_account(arena, min(arena.contents))
    sent = 0
    while account.is_paid(sent // CHUNK_BYTES) and sent < CREDIT_BYTES:
        account.charge(sent // CHUNK_BYTES)
        sent += CHUNK_BYTES
    return sent
