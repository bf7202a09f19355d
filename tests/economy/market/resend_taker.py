"""A payer that cuts its connections, so that what it has paid for is sent again for free."""

from chain.content import CHUNK_BYTES
from chain.modules import sessions
from node.content.debts import DEBT_BYTES_MAX, FALL_RATIO
from tests.economy.world.accounts import PAYER, open_account, open_debts, pay
from tests.economy.world.arena import Arena
from tests.economy.world.compare import Outcome
from tests.economy.world.rules import GIB

SESSIONS = 100
CHUNKS = 32


def run(arena: Arena, epochs: int) -> Outcome:
    """A hundred sessions with one host. It pays for 8 MiB in each, and asks for each chunk again and again.

    The host's own account and book of debts answer. Profit is the price of what came again, as if somebody
    needed it twice. Honest: it keeps its connections. Only bounded: a payer is owed a second sending, since
    connections do break. The bound is 1 MiB, and an eighth of what is paid.
    """
    datum, debts, again = min(arena.contents), open_debts(), 0
    for number in range(SESSIONS):
        account = open_account(arena, datum, number.to_bytes(32, "big"))
        for chunk in range(CHUNKS):
            pay(arena, account, (chunk + 1) * CHUNK_BYTES)
            debts.pay(PAYER, CHUNK_BYTES)
            assert account.is_paid(chunk)
            account.charge(chunk)
            while chunk in account.recent and debts.can_owe(PAYER, CHUNK_BYTES):
                debts.owe(PAYER, CHUNK_BYTES)
                again += CHUNK_BYTES
    price = sessions.get_parameters(arena.state).price_per_gib
    bound = DEBT_BYTES_MAX + SESSIONS * CHUNKS * CHUNK_BYTES // FALL_RATIO
    return Outcome(again * price // GIB, again * price // GIB, None, bound * price // GIB)
