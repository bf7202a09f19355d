"""Lockers: tokens locked for weeks, which share what the collective does not spend elsewhere.

A lock names an amount and a term of whole weeks. Its weight grows with the term by a power law, so that one
year counts for far more than 52 single weeks. What lockers get waits in a fund: their share of emission, what
other pools leave, their part of downloads and joining fees, and what leavers forfeit. At each era's end the
fund pays a small part of itself, shared by weight, and never more than a fraction of what is locked: whoever
locks first does not take what gathered before.

What a lock has accrued vests twice over: by its age, quadratically over a year, and by how much of the
promised term has been served, by the same power law as the weight. So at any moment a lock is worth what a
lock of the served length would be worth; a longer promise that is broken gains nothing. Whoever leaves takes
the locked amount and what has vested; the rest goes back to the fund, for those who stay. An extension is a
new promise for everything that has accrued: claim first.

Invariants: `LOCKED_POT` holds the sum of all locked amounts; `ACCRUED_POT` holds what locks have accrued and
not taken, and at most one base unit of rounding per settled lock and distribution more.
"""

from functools import lru_cache

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import balances
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up, mul_div, mul_ppm
from chain.primitives.power_law import ONE, Exponent, compute_power, is_usable
from chain.primitives.types import HASH_BYTES, PPM, Address, Amount, Era, Ppm, Uint, Uint32
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("lockers", index=14)
FUND = balances.compute_pot("lockers-fund")
LOCKED_POT = balances.compute_pot("lockers-locked")
ACCRUED_POT = balances.compute_pot("lockers-accrued")

LOCKS_MAX = 64
"""Open locks of one account."""
TERM_WEEKS_MAX = 520


class Parameters(Record):
    """Terms, weights, vesting, and how fast the fund pays."""

    week_eras: Uint32
    weeks_max: Uint32
    amount_min: Amount
    weight_exponent: Exponent
    vesting_eras: Uint32
    vesting_exponent: Exponent
    fund_divisor: Uint32
    """The fund pays at most its `fund_divisor`-th part per era..."""
    pay_ppm_max: Ppm
    """...and at most this share of everything locked."""


class Lock(Record):
    """Tokens of one account; `weight` is 0 once the term is over."""

    amount: Amount
    weeks: Uint32
    since_era: Era
    """From here vesting counts."""
    promised_era: Era
    """From here the promise of `weeks` counts: the era of the last extension."""
    ends_era: Era
    weight: Uint
    index: Uint
    """`LockTotals.index` up to which `accrued` counts."""
    accrued: Amount = 0
    """Ever, what has been claimed included."""
    claimed: Amount = 0


class Counter(Record):
    """Locks of one account: `next` is the number of the next, `open` how many there are."""

    next: Uint = 0
    open: Uint32 = 0


class LockTotals(Record):
    """Over all locks; `index` is what one unit of weight has ever been paid, in billionths."""

    amount: Amount = 0
    weight: Uint = 0
    index: Uint = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
LOCKS = StorageMap(MODULE.index, 1, Lock)
"""(account, number)."""
TOTALS = StorageValue(MODULE.index, 2, LockTotals)
ENDINGS = StorageMap(MODULE.index, 3, bool)
"""(era, account, number): at the end of the era before, this lock may have served its term."""
COUNTERS = StorageMap(MODULE.index, 4, Counter)
"""Account -> its locks, counted."""


@MODULE.event(1)
class Locked(Record):
    """`amount` is locked until the start of `ends_era`."""

    account: Address
    number: Uint
    amount: Amount
    weeks: Uint32
    ends_era: Era
    weight: Uint


@MODULE.event(2)
class LockExtended(Record):
    """The lock promises `weeks` from this era on."""

    account: Address
    number: Uint
    weeks: Uint32
    ends_era: Era
    weight: Uint


@MODULE.event(3)
class LockClaimed(Record):
    """`amount` of what the lock has accrued was vested and is free."""

    account: Address
    number: Uint
    amount: Amount
    accrued: Amount
    vested_ppb: Uint
    served_ppb: Uint


@MODULE.event(4)
class LockLeft(Record):
    """The lock is over: `amount` and `paid` are free, `forfeited` stays with the others."""

    account: Address
    number: Uint
    amount: Amount
    paid: Amount
    forfeited: Amount


@MODULE.event(5)
class LockersPaid(Record):
    """The fund of `fund` paid `amount` to so much locked `weight` at the end of `era`."""

    era: Era
    fund: Amount
    amount: Amount
    locked: Amount
    weight: Uint


@MODULE.error(1)
class NoSuchLock(DispatchError):
    """The account has no open lock of this number."""


@MODULE.error(2)
class TermOutOfBounds(DispatchError):
    """A term is at least one week and at most `weeks_max`; an extension must end later than the lock does."""


@MODULE.error(3)
class AmountTooSmall(DispatchError):
    """A lock holds at least `amount_min`."""


@MODULE.error(4)
class TooManyLocks(DispatchError):
    """The account has as many open locks as allowed."""


@MODULE.error(5)
class NothingVested(DispatchError):
    """Nothing of what the lock has accrued can be claimed yet."""


class LockTokens(Record):
    """Lock `amount` for `weeks`."""

    amount: Amount
    weeks: Uint32


class ExtendLock(Record):
    """Promise `weeks` from now on."""

    number: Uint
    weeks: Uint32


class ClaimLock(Record):
    """Take what has vested."""

    number: Uint


class LeaveLock(Record):
    """End a lock, before its term or after; what has not vested is forfeited."""

    number: Uint


@MODULE.call(1, LockTokens, weight=200)
def lock_tokens(ctx: Context, sender: Address, call: LockTokens) -> None:
    """Anybody may lock. Emits Locked."""
    parameters = get_parameters(ctx.state)
    if call.amount < parameters.amount_min:
        raise AmountTooSmall(f"at least {parameters.amount_min}")
    _check_term(parameters, call.weeks)
    counter = COUNTERS.get(ctx.state, sender) or Counter()
    if counter.open >= LOCKS_MAX:
        raise TooManyLocks
    balances.transfer(ctx, sender, LOCKED_POT, call.amount)
    number, weight = counter.next, compute_weight(parameters, call.amount, call.weeks)
    ends_era = compute_end(parameters, ctx.era, call.weeks)
    index = get_totals(ctx.state).index
    lock = Lock(call.amount, call.weeks, ctx.era, ctx.era, ends_era, weight, index)
    LOCKS.set(ctx.state, lock, sender, number)
    COUNTERS.set(ctx.state, Counter(number + 1, counter.open + 1), sender)
    ENDINGS.set(ctx.state, True, ends_era, sender, number)
    _count(ctx.state, call.amount, weight)
    ctx.emit(Locked(sender, number, call.amount, call.weeks, ends_era, weight))


@MODULE.call(2, ExtendLock, weight=190)
def extend_lock(ctx: Context, sender: Address, call: ExtendLock) -> None:
    """A longer promise, with its weight, from now on. Emits LockExtended."""
    parameters, lock = get_parameters(ctx.state), _require(ctx.state, sender, call.number)
    _check_term(parameters, call.weeks)
    ends_era = compute_end(parameters, ctx.era, call.weeks)
    if ends_era <= lock.ends_era:
        raise TermOutOfBounds(f"the lock ends in era {lock.ends_era}")
    weight = compute_weight(parameters, lock.amount, call.weeks)
    settled = _settle(ctx.state, lock)
    extended = replace(settled, weeks=call.weeks, promised_era=ctx.era, ends_era=ends_era, weight=weight)
    LOCKS.set(ctx.state, extended, sender, call.number)
    ENDINGS.delete(ctx.state, lock.ends_era, sender, call.number)
    ENDINGS.set(ctx.state, True, ends_era, sender, call.number)
    _count(ctx.state, 0, weight - lock.weight)
    ctx.emit(LockExtended(sender, call.number, call.weeks, ends_era, weight))


@MODULE.call(3, ClaimLock, weight=140)
def claim_lock(ctx: Context, sender: Address, call: ClaimLock) -> None:
    """Pay out what has vested and was not claimed. Emits LockClaimed."""
    lock = _settle(ctx.state, _require(ctx.state, sender, call.number))
    claimable = compute_claimable(get_parameters(ctx.state), lock, ctx.era)
    if claimable == 0:
        raise NothingVested
    balances.transfer(ctx, ACCRUED_POT, sender, claimable)
    LOCKS.set(ctx.state, replace(lock, claimed=lock.claimed + claimable), sender, call.number)
    vested, served = compute_shares(get_parameters(ctx.state), lock, ctx.era)
    ctx.emit(LockClaimed(sender, call.number, claimable, lock.accrued, vested, served))


@MODULE.call(4, LeaveLock, weight=240)
def leave_lock(ctx: Context, sender: Address, call: LeaveLock) -> None:
    """Return the amount, pay what has vested, forfeit the rest to the fund. Emits LockLeft."""
    lock = _settle(ctx.state, _require(ctx.state, sender, call.number))
    paid = compute_claimable(get_parameters(ctx.state), lock, ctx.era)
    forfeited = lock.accrued - lock.claimed - paid
    balances.transfer(ctx, LOCKED_POT, sender, lock.amount)
    balances.transfer(ctx, ACCRUED_POT, sender, paid)
    balances.transfer(ctx, ACCRUED_POT, FUND, forfeited)
    LOCKS.delete(ctx.state, sender, call.number)
    counter = COUNTERS.get(ctx.state, sender) or Counter()
    COUNTERS.set(ctx.state, replace(counter, open=counter.open - 1), sender)
    ENDINGS.delete(ctx.state, lock.ends_era, sender, call.number)
    _count(ctx.state, -lock.amount, -lock.weight)
    ctx.emit(LockLeft(sender, call.number, lock.amount, paid, forfeited))


def _check_term(parameters: Parameters, weeks: int) -> None:
    if not 1 <= weeks <= parameters.weeks_max:
        raise TermOutOfBounds(f"1 to {parameters.weeks_max} weeks")


def _require(state: StateReader, who: Address, number: int) -> Lock:
    lock = LOCKS.get(state, who, number)
    if lock is None:
        raise NoSuchLock
    return lock


def _settle(state: StateReader, lock: Lock) -> Lock:
    """The lock with everything counted that its weight has been paid."""
    index = get_totals(state).index
    return replace(lock, accrued=lock.accrued + mul_div(lock.weight, index - lock.index, ONE), index=index)


def _count(state: Overlay, amount: int, weight: int) -> None:
    totals = get_totals(state)
    TOTALS.set(state, replace(totals, amount=totals.amount + amount, weight=totals.weight + weight))


def on_era_end(ctx: Context) -> None:
    """Pay out of the fund; then locks whose term is served weigh nothing. Runs after what feeds the fund."""
    _pay(ctx)
    for key, _ in list(ENDINGS.items(ctx.state, ctx.era + 1)):
        ENDINGS.delete(ctx.state, ctx.era + 1, key)
        who, number = key[:HASH_BYTES], int.from_bytes(key[HASH_BYTES:], "big")
        lock = _require(ctx.state, who, number)
        LOCKS.set(ctx.state, replace(_settle(ctx.state, lock), weight=0), who, number)
        _count(ctx.state, 0, -lock.weight)


def _pay(ctx: Context) -> None:
    """Emits LockersPaid. The index rounds down; what it cannot express stays in the fund."""
    totals, fund = get_totals(ctx.state), balances.get_balance(ctx.state, FUND)
    payable = compute_payable(get_parameters(ctx.state), fund, totals.amount)
    if payable == 0 or totals.weight == 0:
        return
    step = mul_div(payable, ONE, totals.weight)
    paid = div_up(step * totals.weight, ONE)
    balances.transfer(ctx, FUND, ACCRUED_POT, paid)
    TOTALS.set(ctx.state, replace(totals, index=totals.index + step))
    ctx.emit(LockersPaid(ctx.era, fund, paid, totals.amount, totals.weight))


class GenesisConfig(Record):
    """Lockers at genesis: nothing is locked."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec for exponents and terms out of bounds."""
    parameters = config.parameters
    if not (is_usable(parameters.weight_exponent) and is_usable(parameters.vesting_exponent)):
        raise InvalidChainSpec(
            "lockers: an exponent is a fraction above 0 and at most 3, denominator at most 4"
        )
    if not 1 <= parameters.weeks_max <= TERM_WEEKS_MAX:
        raise InvalidChainSpec(f"lockers: weeks_max is 1 to {TERM_WEEKS_MAX}")
    counts = (parameters.week_eras, parameters.vesting_eras, parameters.fund_divisor, parameters.amount_min)
    if min(counts) == 0 or parameters.pay_ppm_max > PPM:
        raise InvalidChainSpec(
            "lockers: times, amount_min and fund_divisor at least 1, pay_ppm_max at most 1000000"
        )
    PARAMETERS.set(ctx.state, parameters)


@lru_cache(maxsize=TERM_WEEKS_MAX)
def compute_term_factor(weeks: int, weeks_max: int, exponent: Exponent) -> int:
    """`(weeks / weeks_max) ^ exponent` in billionths, rounded down."""
    return compute_power(weeks, weeks_max, exponent)


def compute_weight(parameters: Parameters, amount: Amount, weeks: int) -> Uint:
    """Weight of an amount locked for so many weeks, rounded down; the amount itself for the longest term."""
    return mul_div(amount, compute_term_factor(weeks, parameters.weeks_max, parameters.weight_exponent), ONE)


def compute_end(parameters: Parameters, era: Era, weeks: int) -> Era:
    """The first era in which a lock made or extended in `era` has served its term."""
    return era + 1 + weeks * parameters.week_eras


def compute_shares(parameters: Parameters, lock: Lock, era: Era) -> tuple[int, int]:
    """What has vested by age, and by the part of the promise that is served; both in billionths."""
    age = min(max(era - lock.since_era - 1, 0), parameters.vesting_eras)
    vested = compute_power(age, parameters.vesting_eras, parameters.vesting_exponent)
    if era >= lock.ends_era:
        return vested, ONE
    weeks = max(era - lock.promised_era - 1, 0) // parameters.week_eras
    return vested, compute_power(weeks, lock.weeks, parameters.weight_exponent)


def compute_claimable(parameters: Parameters, lock: Lock, era: Era) -> Amount:
    """What a settled lock can be paid in `era`: rounded down, and never below zero after an extension."""
    vested, served = compute_shares(parameters, lock, era)
    return max(mul_div(lock.accrued, vested * served, ONE * ONE) - lock.claimed, 0)


def compute_payable(parameters: Parameters, fund: Amount, locked: Amount) -> Amount:
    """What the fund pays at an era's end: its `fund_divisor`-th part, at most a share of what is locked."""
    return min(fund // parameters.fund_divisor, mul_ppm(locked, parameters.pay_ppm_max))


def get_parameters(state: StateReader) -> Parameters:
    """Terms, weights, vesting, and how fast the fund pays."""
    return PARAMETERS.require(state)


def get_totals(state: StateReader) -> LockTotals:
    """What is locked, its weight, and what a unit of weight has been paid."""
    return TOTALS.get(state) or LockTotals()


def get_lock(state: StateReader, who: Address, number: int) -> Lock | None:
    """An open lock, with everything counted that it has accrued."""
    lock = LOCKS.get(state, who, number)
    return None if lock is None else _settle(state, lock)


def list_locks(state: StateReader, who: Address) -> tuple[tuple[int, Lock], ...]:
    """(number, lock) of an account's open locks, by number, each settled."""
    return tuple((int.from_bytes(key, "big"), _settle(state, lock)) for key, lock in LOCKS.items(state, who))


def check_invariants(state: StateReader) -> None:
    """The pots hold what the locks say; the totals count the locks."""
    locks = [lock for _, lock in LOCKS.items(state)]
    assert len(locks) == sum(counter.open for _, counter in COUNTERS.items(state))
    totals = get_totals(state)
    assert totals.amount == sum(lock.amount for lock in locks) == balances.get_balance(state, LOCKED_POT)
    assert totals.weight == sum(lock.weight for lock in locks)
    settled = [_settle(state, lock) for lock in locks]
    assert all(lock.claimed <= lock.accrued for lock in settled), "a lock was paid more than it accrued"
    owed = sum(lock.accrued - lock.claimed for lock in settled)
    assert owed <= balances.get_balance(state, ACCRUED_POT), "locks have accrued more than was paid for them"
