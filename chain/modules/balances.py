"""Balances: who owns how many base units, and the only place where units appear and disappear.

Every unit is in exactly one account. A module that holds money (bonds, deposits, pools) owns a *pot*: an
account that no key can sign for. So the supply identity is one line: the sum of all accounts is genesis +
minted - burned (`check_invariants`), and each module's own invariant says what its pot must hold. What is
burned is counted by its cause; what is minted, by its pool, in `rewards`.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.primitives.codec import Record, replace
from chain.primitives.text import is_clean_text
from chain.primitives.types import HASH_BYTES, Address, Amount, Nonce
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("balances", index=1)


class Account(Record):
    """A key's nonce (transactions it has had included) and free balance."""

    nonce: Nonce = 0
    free: Amount = 0


class BurnCause(StrEnum):
    """Why units are burned; each is a field of `BurnedByCause`."""

    FEES = "fees"
    LISTING = "listing"
    JOINING = "joining"
    DOWNLOADS = "downloads"
    SLASHES = "slashes"
    DEMANDS = "demands"
    JURIES = "juries"
    OWN = "own"


class BurnedByCause(Record):
    """Base units burned since genesis, by cause."""

    fees: Amount = 0
    """Of transactions."""
    listing: Amount = 0
    joining: Amount = 0
    """The burned part of joining fees."""
    downloads: Amount = 0
    """The burned part of what was settled."""
    slashes: Amount = 0
    demands: Amount = 0
    """Fees of challenges that the host has met."""
    juries: Amount = 0
    """Bonds that were forfeited by a verdict, fines of silent jurors, and withheld pay for junk."""
    own: Amount = 0
    """By their owners."""


class Supply(Record):
    """Units at genesis, minted and burned since, in base units; `burned` is the sum of its causes."""

    genesis: Amount = 0
    minted: Amount = 0
    burned: Amount = 0
    burned_by: BurnedByCause = BurnedByCause()


ACCOUNTS = StorageMap(MODULE.index, 1, Account)
SUPPLY = StorageValue(MODULE.index, 2, Supply)

GENESIS_SUPPLY_MAX = 2**60
"""An eighth of the largest amount: room for 27 years at 8 % emission a year without any burn."""

MEMO_BYTES_MAX = 256
"""Of UTF-8: an order number or a sentence. Like every byte of a transaction it is paid for (`fees`)."""

NEW_ACCOUNT = Account()
POT_TAG = b"pot/"


@MODULE.event(1)
class Transferred(Record):
    """`amount` moved from `sender` to `recipient`."""

    sender: Address
    recipient: Address
    amount: Amount


@MODULE.event(2)
class Burned(Record):
    """`account` destroyed `amount` of its own."""

    account: Address
    amount: Amount


@MODULE.event(3)
class MemoLeft(Record):
    """`account` left a text beside the other calls of its transaction."""

    account: Address
    text: str


@MODULE.error(1)
class InsufficientBalance(DispatchError):
    """The account's free balance is smaller than what the call needs."""


@MODULE.error(2)
class ZeroAmount(DispatchError):
    """An amount must be at least one base unit."""


@MODULE.error(3)
class PotAddress(DispatchError):
    """The recipient is a module's pot, which only its module may pay into."""


@MODULE.error(4)
class UnprintableMemo(DispatchError):
    """A memo has a control character or one that is invisible or misleading."""


@MODULE.error(5)
class MemoTooLong(DispatchError):
    """A memo has 1 to 256 bytes in UTF-8."""


class Send(Record):
    """Give `amount` to `recipient`."""

    recipient: Address
    amount: Amount


class Burn(Record):
    """Destroy `amount` of the sender's units."""

    amount: Amount


class LeaveMemo(Record):
    """Leave a text for whoever reads the transaction: the recipient of a payment, or oneself."""

    text: Annotated[str, Meta(max_length=MEMO_BYTES_MAX)]


@MODULE.call(1, Send, weight=60)
def send(ctx: Context, sender: Address, call: Send) -> None:
    """Move `amount` to `recipient`, which may be the sender."""
    if call.amount == 0:
        raise ZeroAmount
    if is_pot(call.recipient):
        raise PotAddress
    transfer(ctx, sender, call.recipient, call.amount)
    ctx.emit(Transferred(sender, call.recipient, call.amount))


@MODULE.call(2, Burn, weight=30)
def burn_own(ctx: Context, sender: Address, call: Burn) -> None:
    """Destroy `amount` of the sender's units."""
    if call.amount == 0:
        raise ZeroAmount
    burn(ctx, sender, call.amount, BurnCause.OWN)
    ctx.emit(Burned(sender, call.amount))


@MODULE.call(3, LeaveMemo, weight=30)
def leave_memo(ctx: Context, sender: Address, call: LeaveMemo) -> None:
    """Put a text into the receipt; the state keeps none of it."""
    if not is_clean_text(call.text):
        raise UnprintableMemo
    if not 1 <= len(call.text.encode()) <= MEMO_BYTES_MAX:
        raise MemoTooLong
    ctx.emit(MemoLeft(sender, call.text))


def transfer(ctx: Context, payer: Address, payee: Address, amount: Amount) -> None:
    """Move `amount`; raises InsufficientBalance and changes nothing if the payer has less."""
    if amount == 0:
        return
    _take(ctx.state, payer, amount)
    _give(ctx.state, payee, amount)


def mint(ctx: Context, payee: Address, amount: Amount) -> None:
    """Create `amount` and give it to `payee`."""
    if amount == 0:
        return
    _give(ctx.state, payee, amount)
    supply = get_supply(ctx.state)
    SUPPLY.set(ctx.state, replace(supply, minted=supply.minted + amount))


def burn(ctx: Context, payer: Address, amount: Amount, cause: BurnCause) -> None:
    """Destroy `amount`; raises InsufficientBalance and changes nothing if the payer has less."""
    if amount == 0:
        return
    _take(ctx.state, payer, amount)
    supply = get_supply(ctx.state)
    causes = replace(supply.burned_by, **{cause: getattr(supply.burned_by, cause) + amount})
    SUPPLY.set(ctx.state, replace(supply, burned=supply.burned + amount, burned_by=causes))


def _give(state: Overlay, who: Address, amount: Amount) -> None:
    account = get_account(state, who)
    _set(state, who, replace(account, free=account.free + amount))


def _take(state: Overlay, who: Address, amount: Amount) -> None:
    account = get_account(state, who)
    if account.free < amount:
        raise InsufficientBalance(f"has {account.free}, needs {amount}")
    _set(state, who, replace(account, free=account.free - amount))


def use_nonce(state: Overlay, who: Address) -> None:
    """Count one included transaction of an account."""
    account = get_account(state, who)
    _set(state, who, replace(account, nonce=account.nonce + 1))


class GenesisConfig(Record):
    """(account, amount) at genesis."""

    accounts: tuple[tuple[Address, Amount], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Give each listed account its amount; one that is listed twice gets both."""
    total = sum(amount for _, amount in config.accounts)
    if total > GENESIS_SUPPLY_MAX:
        raise InvalidChainSpec(f"balances: accounts own {total}, at most {GENESIS_SUPPLY_MAX} may exist")
    for who, amount in config.accounts:
        account = get_account(ctx.state, who)
        _set(ctx.state, who, replace(account, free=account.free + amount))
    SUPPLY.set(ctx.state, Supply(genesis=total))


def get_account(state: StateReader, who: Address) -> Account:
    """Nonce and free balance; both zero for an account never seen."""
    return ACCOUNTS.get(state, who) or NEW_ACCOUNT


def get_balance(state: StateReader, who: Address) -> Amount:
    """Free base units."""
    return get_account(state, who).free


def get_supply(state: StateReader) -> Supply:
    """Genesis, minted and burned units, these also by cause."""
    return SUPPLY.require(state)


def get_total_supply(state: StateReader) -> Amount:
    """Units that exist now."""
    supply = get_supply(state)
    return supply.genesis + supply.minted - supply.burned


def compute_pot(name: str) -> Address:
    """The account that holds a module's money. Nobody has its key: its bytes are a fixed text."""
    return (POT_TAG + name.encode()).ljust(HASH_BYTES, b"\0")


def is_pot(who: Address) -> bool:
    """Whether the address has the form of a pot."""
    return who.startswith(POT_TAG) and who.endswith(b"\0")


def _set(state: Overlay, who: Address, account: Account) -> None:
    if account == NEW_ACCOUNT:
        ACCOUNTS.delete(state, who)
    else:
        ACCOUNTS.set(state, account, who)


def check_invariants(state: StateReader) -> None:
    """Supply identity: all accounts together hold genesis + minted - burned; every burn has a cause."""
    supply = get_supply(state)
    causes = sum(getattr(supply.burned_by, cause) for cause in BurnCause)
    assert causes == supply.burned, f"burned {supply.burned}, by causes {causes}"
    held = sum(account.free for _, account in ACCOUNTS.items(state))
    assert held == get_total_supply(state), f"accounts hold {held}, supply is {get_total_supply(state)}"
