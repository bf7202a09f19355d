"""What hosts and buyers keep about payments in a session: the program's own accounts, in memory."""

from typing import TYPE_CHECKING

from chain.modules import sessions
from chain.primitives.types import Hash
from node.content.debts import DebtBook
from node.content.prepayment import PrepaidAccount
from node.content.vouchers import Terms
from storage.kv import MemoryStore
from tests.economy.world.trade import VOUCHER_KEY

if TYPE_CHECKING:
    from tests.economy.world.arena import Arena

PAYER, HOST, SESSION = b"p" * 32, b"h" * 32, b"s" * 32
LIMIT = 2**62


def open_account(arena: "Arena", datum: Hash, session: Hash = SESSION) -> PrepaidAccount:
    """A host's account of a new session."""
    price = sessions.get_parameters(arena.state).price_per_gib
    key = VOUCHER_KEY.public_key
    terms = Terms(arena.genesis_hash, session, datum, HOST, PAYER, key, price, LIMIT)
    return PrepaidAccount(terms, arena.contents[datum].size, None, None, 0)


def open_debts() -> DebtBook:
    """A host's book of what payers were sent again."""
    return DebtBook(MemoryStore(), HOST)


def pay(arena: "Arena", account: PrepaidAccount, size: int) -> None:
    """A voucher for so many bytes of the session, as the host counts it."""
    price = account.terms.price_per_gib
    voucher = sessions.Voucher(
        arena.genesis_hash, account.terms.session, HOST, size, sessions.compute_price(size, price)
    )
    account.pay(sessions.sign_voucher(VOUCHER_KEY, voucher))
