"""A payer that takes what a host gives before it is paid, from every host, and never pays."""

from chain import runtime
from chain.modules import sessions
from chain.modules.fees import compute_fee
from chain.modules.sessions import HostAllotment, OpenSession
from chain.primitives.types import INTEGER_MAX
from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.built import IS_PAID_AHEAD, PREPAYMENT
from tests.economy.world.compare import Outcome
from tests.economy.world.rules import GIB, SECOND
from tests.economy.world.trade import VOUCHER_KEY

CREDIT_BYTES = 2**20
HOSTS = 32
SESSIONS_AN_EPOCH = 32


def run(arena: Arena, epochs: int) -> Outcome:
    """Sessions with 32 hosts each, of which it takes the credit and the deposit back. Honest: it pays.

    Arithmetic on the protocol's bound of credit and the real fee of the real call. Answered by: the buyer
    pays ahead, and hosts remember debts.
    """
    price = sessions.get_parameters(arena.state).price_per_gib
    given = 0 if arena.rules == SECOND and IS_PAID_AHEAD else CREDIT_BYTES
    parts = tuple(HostAllotment(HONEST[0], 1) for _ in range(HOSTS))
    call = OpenSession(min(arena.contents), VOUCHER_KEY.public_key, INTEGER_MAX, 1, parts)
    weight = runtime.compute_weight(arena.state, (runtime.decode_call(runtime.build_call(call)),), 3_000)
    taken = given * HOSTS * price // GIB
    times = SESSIONS_AN_EPOCH * epochs
    profit = times * (taken - compute_fee(arena.state, weight))
    missing = "" if IS_PAID_AHEAD else PREPAYMENT
    return Outcome(profit, times * taken, None, 0, missing)
