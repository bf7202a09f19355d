"""Sessions: open, settle, close, release."""

from typing import Annotated

from msgspec import Meta

from chain.errors import InvalidKey
from chain.module import Context
from chain.modules import balances, catalogue, hosting, lockers, membership
from chain.modules.sessions.queries import (
    check_due,
    get_allotment,
    get_parameters,
    get_session,
    get_traffic,
    is_ended,
    is_running,
)
from chain.modules.sessions.types import (
    ALLOTMENTS,
    BURNED,
    COUNTERS,
    ENDINGS,
    HOSTS_MAX,
    MODULE,
    PARTIES,
    POT,
    SESSIONS,
    TRAFFIC,
    Allotment,
    AllotmentReleased,
    AlreadyClosing,
    AlreadyReleased,
    BadVoucherKey,
    BadVoucherSignature,
    InvalidAllotments,
    InvalidExpiry,
    NoSuchSession,
    NotAllotted,
    NotHigher,
    NothingToRelease,
    NotHosting,
    NotMember,
    NotPayer,
    NotTheHost,
    OtherNetwork,
    Overdraft,
    Parameters,
    Parties,
    PriceAboveLimit,
    Session,
    SessionClosing,
    SessionOpened,
    Settled,
    StillRunning,
    WrongAmount,
)
from chain.modules.sessions.vouchers import (
    SignedVoucher,
    Voucher,
    compute_price,
    compute_session_id,
    is_voucher_signed,
)
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import mul_ppm
from chain.primitives.keys import check_public_key
from chain.primitives.types import INTEGER_MAX, Address, Amount, Epoch, Hash, Height, PublicKey
from chain.state import Overlay

SETTLE_WEIGHT = 500
RELEASE_WEIGHT = 520
"""Of one session, with its last voucher and the end of the session."""
RELEASES_MAX = 16


class HostAllotment(Record):
    """The largest part of the deposit that a host can be paid."""

    host: Address
    amount: Amount


class OpenSession(Record):
    """Lock a deposit for downloading a datum from some of its hosts."""

    datum: Hash
    voucher_key: PublicKey
    price_max_per_gib: Amount
    expires_at: Height
    allotments: Annotated[tuple[HostAllotment, ...], Meta(max_length=HOSTS_MAX)]


class Settle(Record):
    """Pay a host the amount of a voucher beyond what it was paid before."""

    signed: SignedVoucher


class CloseSession(Record):
    """End a session early; what hosts do not settle in time returns."""

    session: Hash


class Release(Record):
    """Say that a host claims nothing more in some sessions, beyond its last vouchers for some of them."""

    host: Address
    vouchers: Annotated[tuple[SignedVoucher, ...], Meta(max_length=RELEASES_MAX)]
    """The last ones, which may add less than `settle_min`."""
    others: Annotated[tuple[Hash, ...], Meta(max_length=RELEASES_MAX)]
    """Sessions in which there is nothing to settle."""


class Split(Record):
    """The three parts of a newly settled amount."""

    income: Amount
    to_lockers: Amount
    burned: Amount


def compute_opening_weight(call: OpenSession) -> int:
    """A fixed part and one per host, which includes its release, since that pays no fee."""
    return 200 + (40 + RELEASE_WEIGHT) * len(call.allotments)


@MODULE.call(1, OpenSession, weight=compute_opening_weight)
def open_session(ctx: Context, sender: Address, call: OpenSession) -> None:
    """A member locks a deposit at the current price. Emits SessionOpened, which names the session."""
    parameters = get_parameters(ctx.state)
    _check_opening(ctx, sender, call, parameters)
    deposit = sum(allotment.amount for allotment in call.allotments)
    balances.transfer(ctx, sender, POT, deposit)
    counter = COUNTERS.get(ctx.state, sender) or 0
    session_id = compute_session_id(ctx.genesis_hash, sender, counter)
    session = Session(
        payer=sender,
        datum=call.datum,
        voucher_key=call.voucher_key,
        price_per_gib=parameters.price_per_gib,
        expires_at=call.expires_at,
        ends_at=call.expires_at + 1 + parameters.settle_blocks,
        unreleased=len(call.allotments),
    )
    SESSIONS.set(ctx.state, session, session_id)
    for allotment in call.allotments:
        ALLOTMENTS.set(ctx.state, Allotment(allotment.amount), allotment.host, session_id)
    hosts = tuple(sorted(allotment.host for allotment in call.allotments))
    PARTIES.set(ctx.state, Parties(hosts), session_id)
    ENDINGS.set(ctx.state, True, session.ends_at, session_id)
    COUNTERS.set(ctx.state, counter + 1, sender)
    price = session.price_per_gib
    ctx.emit(SessionOpened(session_id, sender, call.datum, price, deposit, call.expires_at))


def _check_opening(ctx: Context, sender: Address, call: OpenSession, parameters: Parameters) -> None:
    if not membership.is_member(ctx.state, sender):
        raise NotMember
    try:
        check_public_key(call.voucher_key)
    except InvalidKey as error:
        raise BadVoucherKey from error
    if parameters.price_per_gib > call.price_max_per_gib:
        raise PriceAboveLimit(f"price is {parameters.price_per_gib}")
    if not ctx.height < call.expires_at <= ctx.height + parameters.lifetime_blocks_max:
        raise InvalidExpiry
    hosts = [allotment.host for allotment in call.allotments]
    is_repeated = len(dict.fromkeys(hosts)) != len(hosts)
    if not hosts or is_repeated or any(allotment.amount == 0 for allotment in call.allotments):
        raise InvalidAllotments
    if not all(hosting.is_holding(ctx.state, host, call.datum, ctx.epoch) for host in hosts):
        raise NotHosting


@MODULE.call(2, Settle, weight=SETTLE_WEIGHT, is_duty=True)
def settle(ctx: Context, sender: Address, call: Settle) -> None:
    """Open to any account: split what the voucher adds between host, lockers and burn. Emits Settled."""
    voucher = call.signed.voucher
    session, allotment = _check_voucher(ctx, call.signed)
    added = voucher.amount - allotment.amount
    check_due(get_parameters(ctx.state), session, allotment, added, ctx.height, ctx.epoch)
    _check_signature(ctx, call.signed, session)
    _pay(ctx, voucher, session, allotment)


def _pay(ctx: Context, voucher: Voucher, session: Session, allotment: Allotment) -> None:
    amount, size_bytes = voucher.amount - allotment.amount, voucher.bytes - allotment.bytes
    parts = compute_split(get_parameters(ctx.state), amount)
    balances.transfer(ctx, POT, voucher.host, parts.income)
    balances.transfer(ctx, POT, lockers.FUND, parts.to_lockers)
    balances.burn(ctx, POT, parts.burned, balances.BurnCause.DOWNLOADS)
    _claim(ctx, voucher, allotment)
    grown = replace(session, bytes=session.bytes + size_bytes, amount=session.amount + amount)
    SESSIONS.set(ctx.state, grown, voucher.session)
    _count_traffic(ctx.state, session.payer, voucher.host, size_bytes, amount, parts.income)
    _count_burned(ctx.state, ctx.epoch, voucher.host, parts.burned)
    _count_download(ctx, grown)
    ctx.emit(
        Settled(
            session=voucher.session,
            host=voucher.host,
            payer=session.payer,
            datum=session.datum,
            bytes=size_bytes,
            amount=amount,
            price_per_gib=session.price_per_gib,
            income=parts.income,
            to_lockers=parts.to_lockers,
            burned=parts.burned,
        )
    )


def _check_voucher(ctx: Context, signed: SignedVoucher) -> tuple[Session, Allotment]:
    """The session and allotment of a voucher that adds something to what was settled."""
    voucher = signed.voucher
    if voucher.genesis_hash != ctx.genesis_hash:
        raise OtherNetwork
    session = get_session(ctx.state, voucher.session)
    if session is None:
        raise NoSuchSession
    allotment = get_allotment(ctx.state, voucher.session, voucher.host)
    if allotment is None:
        raise NotAllotted
    if voucher.bytes <= allotment.bytes:
        raise NotHigher
    if voucher.amount != compute_price(voucher.bytes, session.price_per_gib):
        raise WrongAmount
    if voucher.amount > allotment.limit:
        raise Overdraft
    return session, allotment


def _check_signature(ctx: Context, signed: SignedVoucher, session: Session) -> None:
    if not is_voucher_signed(signed, session.voucher_key, ctx.verify):
        raise BadVoucherSignature


def compute_split(parameters: Parameters, amount: Amount) -> Split:
    """Income and the part of lockers round down; the rest is burned."""
    income, to_lockers = mul_ppm(amount, parameters.host_ppm), mul_ppm(amount, parameters.lockers_ppm)
    return Split(income, to_lockers, amount - income - to_lockers)


def _claim(ctx: Context, voucher: Voucher, before: Allotment) -> None:
    after = replace(before, bytes=voucher.bytes, amount=voucher.amount, settled_in=ctx.epoch)
    ALLOTMENTS.set(ctx.state, after, voucher.host, voucher.session)


def _count_traffic(
    state: Overlay, payer: Address, host: Address, size_bytes: int, amount: Amount, income: Amount
) -> None:
    served = get_traffic(state, host)
    total, earned = _add(served.bytes_served, size_bytes), _add(served.income, income)
    TRAFFIC.set(state, replace(served, bytes_served=total, income=earned), host)
    drawn = get_traffic(state, payer)
    total, spent = _add(drawn.bytes_downloaded, size_bytes), _add(drawn.spent, amount)
    TRAFFIC.set(state, replace(drawn, bytes_downloaded=total, spent=spent), payer)


def _add(total: int, more: int) -> int:
    return min(total + more, INTEGER_MAX)


def _count_burned(state: Overlay, epoch: Epoch, host: Address, burned: Amount) -> None:
    if burned:
        BURNED.set(state, (BURNED.get(state, epoch, host) or 0) + burned, epoch, host)


def _count_download(ctx: Context, session: Session) -> None:
    """Tell the catalogue if the payer has paid for the whole datum; it counts each member once."""
    datum = catalogue.get_datum(ctx.state, session.datum)
    if datum is not None and session.bytes >= datum.size_bytes:
        catalogue.record_paid_download(ctx, session.datum, session.payer)


@MODULE.call(3, CloseSession, weight=130)
def close_session(ctx: Context, sender: Address, call: CloseSession) -> None:
    """Only for the payer; hosts may settle for `settle_blocks` more. Emits SessionClosing."""
    session = get_session(ctx.state, call.session)
    if session is None:
        raise NoSuchSession
    if session.payer != sender:
        raise NotPayer
    if not is_running(session, ctx.height):
        raise AlreadyClosing
    ends_at = ctx.height + 1 + get_parameters(ctx.state).settle_blocks
    _write_ending(ctx.state, call.session, session, replace(session, is_closing=True, ends_at=ends_at))
    ctx.emit(SessionClosing(call.session, ends_at))


def _write_ending(state: Overlay, session_id: Hash, before: Session, after: Session) -> None:
    ENDINGS.delete(state, before.ends_at, session_id)
    ENDINGS.set(state, True, after.ends_at, session_id)
    SESSIONS.set(state, after, session_id)


def compute_release_weight(call: Release) -> int:
    """A fixed part and one per session."""
    return 60 + RELEASE_WEIGHT * (len(call.vouchers) + len(call.others))


@MODULE.call(4, Release, weight=compute_release_weight, is_duty=True)
def release(ctx: Context, sender: Address, call: Release) -> None:
    """Only for the host's account or its node's key: settle last vouchers, then claim no more.

    A voucher that another account has settled before is passed over, so that nobody can spoil a release.
    Emits Settled and AllotmentReleased. A session that all hosts have released ends at the next block.
    """
    if not hosting.is_operated_by(ctx.state, call.host, sender):
        raise NotTheHost
    if not call.vouchers and not call.others:
        raise NothingToRelease
    for signed in call.vouchers:
        _release(ctx, call.host, signed.voucher.session, signed)
    for session_id in call.others:
        _release(ctx, call.host, session_id, None)


def _release(ctx: Context, host: Address, session_id: Hash, last: SignedVoucher | None) -> None:
    session, allotment = get_session(ctx.state, session_id), get_allotment(ctx.state, session_id, host)
    if session is None or ctx.height >= session.ends_at:
        raise NoSuchSession
    if allotment is None:
        raise NotAllotted
    if not is_ended(session, ctx.height):
        raise StillRunning
    if allotment.is_released:
        raise AlreadyReleased
    if last is not None and last.voucher.bytes > allotment.bytes:
        _settle_last(ctx, host, last)
    _write_release(ctx, host, session_id)


def _settle_last(ctx: Context, host: Address, signed: SignedVoucher) -> None:
    """As `settle` does, but of any amount."""
    if signed.voucher.host != host:
        raise NotAllotted
    session, allotment = _check_voucher(ctx, signed)
    _check_signature(ctx, signed, session)
    _pay(ctx, signed.voucher, session, allotment)


def _write_release(ctx: Context, host: Address, session_id: Hash) -> None:
    session, allotment = get_session(ctx.state, session_id), get_allotment(ctx.state, session_id, host)
    assert session is not None and allotment is not None
    unreleased = session.unreleased - 1
    ends_at = session.ends_at if unreleased else ctx.height + 1
    ALLOTMENTS.set(ctx.state, replace(allotment, is_released=True), host, session_id)
    _write_ending(ctx.state, session_id, session, replace(session, unreleased=unreleased, ends_at=ends_at))
    ctx.emit(AllotmentReleased(session_id, host, unreleased))
