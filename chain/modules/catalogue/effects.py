"""Catalogue: writes of entries, the queues of eras, and the functions for other modules."""

from itertools import islice, takewhile

from chain.module import Context
from chain.modules import balances, system
from chain.modules.catalogue.queries import get_datum, get_parameters, get_totals, is_earning
from chain.modules.catalogue.types import (
    BONDED,
    DATUMS,
    DOWNLOADERS,
    DUE_PER_EPOCH_MAX,
    PAY_PER_GIB,
    POT,
    SPONSOR_POT,
    SPONSORSHIPS,
    TOTALS,
    UNPAID,
    AdmissionEnded,
    Admitted,
    CatalogueTotals,
    CuratorBondReturned,
    Datum,
)
from chain.primitives.codec import replace
from chain.primitives.types import Address, Amount, Era, Hash
from chain.state import Overlay, StateReader, StorageMap

ERA_BYTES = 8


def store(ctx: Context, datum_id: Hash, datum: Datum) -> None:
    """Write an entry and keep the totals. Emits Admitted or AdmissionEnded where that changes."""
    before = get_datum(ctx.state, datum_id)
    DATUMS.set(ctx.state, datum, datum_id)
    was_earning, earns = before is not None and is_earning(before), is_earning(datum)
    count(ctx.state, None if before is None else before, datum)
    if earns and not was_earning:
        ctx.emit(Admitted(datum_id, datum.sponsored))
    elif was_earning and not earns:
        ctx.emit(AdmissionEnded(datum_id, datum.sponsored))


def count(state: Overlay, before: Datum | None, after: Datum | None) -> None:
    """Take an entry out of the totals as it was, and put it in as it is now; None: it was or is not there."""
    left, added, totals = _measure(before), _measure(after), get_totals(state)
    if left == added:
        return
    changed = CatalogueTotals(
        datums=totals.datums - left.datums + added.datums,
        admitted=totals.admitted - left.admitted + added.admitted,
        bytes=totals.bytes - left.bytes + added.bytes,
        admitted_bytes=totals.admitted_bytes - left.admitted_bytes + added.admitted_bytes,
    )
    TOTALS.set(state, changed)


def _measure(datum: Datum | None) -> CatalogueTotals:
    if datum is None:
        return CatalogueTotals()
    earns = is_earning(datum)
    return CatalogueTotals(1, int(earns), datum.size_bytes, datum.size_bytes if earns else 0)


def on_epoch_end(ctx: Context) -> None:
    """Start the pay of data whose unpaid eras end, and return curator bonds; oldest first, a bounded number.

    Runs after the rewards of the epoch, which are for what was admitted in it.
    """
    era = system.compute_era(system.get_parameters(ctx.state), ctx.height + 1)
    for datum_id in _take_due(ctx, UNPAID, era):
        store(ctx, datum_id, replace(_require(ctx.state, datum_id), is_due=True))
    for datum_id in _take_due(ctx, BONDED, era):
        datum = _require(ctx.state, datum_id)
        balances.transfer(ctx, POT, datum.lister, datum.bond)
        store(ctx, datum_id, replace(datum, bond=0))
        ctx.emit(CuratorBondReturned(datum_id, datum.lister, datum.bond))


def _take_due(ctx: Context, queue: StorageMap[bool], era: Era) -> list[Hash]:
    """Delete and return the first entries that are due in `era` or before."""
    keys = (key for key, _ in queue.items(ctx.state))
    due = takewhile(lambda key: int.from_bytes(key[:ERA_BYTES], "big") <= era, keys)
    taken = list(islice(due, DUE_PER_EPOCH_MAX))
    for key in taken:
        queue.delete(ctx.state, key)
    return [key[ERA_BYTES:] for key in taken]


def _require(state: StateReader, datum_id: Hash) -> Datum:
    datum = get_datum(state, datum_id)
    assert datum is not None, "a queue names a datum that is not listed"
    return datum


def record_paid_download(ctx: Context, datum_id: Hash, member: Address) -> None:
    """A member has paid for all of a datum: that is demand, unless the member is its lister."""
    datum = get_datum(ctx.state, datum_id)
    if datum is None or datum.lister == member:
        return
    wanted = replace(datum, wanted_in=ctx.era)
    outside = get_parameters(ctx.state).outside_members
    if datum.members < outside and not DOWNLOADERS.has(ctx.state, datum_id, member):
        DOWNLOADERS.set(ctx.state, True, datum_id, member)
        wanted = replace(wanted, members=datum.members + 1)
    if wanted != datum:
        DATUMS.set(ctx.state, wanted, datum_id)


def forget_downloaders(state: Overlay, datum_id: Hash) -> None:
    """Delete the record of who has paid for a datum: at most `outside_members` entries."""
    for member, _ in list(DOWNLOADERS.items(state, datum_id)):
        DOWNLOADERS.delete(state, datum_id, member)


def count_holding(ctx: Context, datum_id: Hash, change: int) -> None:
    """Change the number of hosts of a datum; called by `hosting`."""
    datum = get_datum(ctx.state, datum_id)
    assert datum is not None
    DATUMS.set(ctx.state, replace(datum, holdings=datum.holdings + change), datum_id)


def record_pay(ctx: Context, pay_per_gib: Amount) -> None:
    """What a proven and admitted GiB earned in the era that ends; called by `rewards`."""
    PAY_PER_GIB.set(ctx.state, pay_per_gib)


def open_case(ctx: Context, datum_id: Hash, case: int) -> None:
    """A jury will decide about a datum: its sponsors' bonds stay."""
    DATUMS.set(ctx.state, replace(_require(ctx.state, datum_id), case=case), datum_id)


def close_case(ctx: Context, datum_id: Hash) -> None:
    """The datum is not junk, or there was no verdict."""
    DATUMS.set(ctx.state, replace(_require(ctx.state, datum_id), case=None), datum_id)


def condemn(ctx: Context, datum_id: Hash, payee: Address) -> Amount:
    """The datum is junk: it earns nothing any more, and all its sponsors' bonds go to `payee`.

    Returns their sum. Emits AdmissionEnded if it was admitted.
    """
    sponsorships = list(SPONSORSHIPS.items(ctx.state, datum_id))
    forfeited = sum(one.amount for _, one in sponsorships)
    balances.transfer(ctx, SPONSOR_POT, payee, forfeited)
    for sponsor, _ in sponsorships:
        SPONSORSHIPS.delete(ctx.state, datum_id, sponsor)
    datum = _require(ctx.state, datum_id)
    store(ctx, datum_id, replace(datum, is_junk=True, case=None, sponsored=0, fresh=0, sponsors=0))
    return forfeited
