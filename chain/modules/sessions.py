"""Sessions: paying for downloaded bytes with vouchers, a few transactions for any number of chunks.

A member opens a *download session* for a datum: a deposit allotted over up to 32 of its hosts, at the price of that
moment. For each 256 KiB chunk he signs a host a *voucher* with the cumulative bytes and amount; the highest one
wins. A host settles his best voucher once per epoch, or after the session was closed; what nobody claimed returns.
Vouchers are signed by a key that is made for the session, so that the account's key stays in the wallet.

Of what is settled the host gets 70 %, 10 % go to the fee pool, the rest is burned (rounding included). The burned
amounts per host and epoch are what `rewards` may match.

Invariants: a host's claim is backed by its own allotment alone; the pot holds all allotments less what is settled.
"""

from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError, InvalidKey
from chain.module import Context, Module
from chain.modules import balances, catalogue, hosting, membership
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up, mul_ppm
from chain.primitives.hashing import Domain, hash_record, signing_bytes
from chain.primitives.keys import KeyPair, check_public_key, is_signed_by
from chain.primitives.types import (
    Address,
    Amount,
    Epoch,
    Hash,
    Height,
    Ppm,
    PublicKey,
    Signature,
    Uint,
    Uint32,
)
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("sessions", index=10)
POT = balances.compute_pot("sessions")
FEE_POOL = balances.compute_pot("fee-pool")

HOSTS_MAX = 32
CLOSINGS_PER_BLOCK_MAX = 256
HEIGHT_BYTES = 8


class Parameters(Record):
    """The price of a GiB, who gets what of it, and how long things take."""

    price_per_gib: Amount
    host_ppm: Ppm
    fee_pool_ppm: Ppm
    """What neither the host nor the fee pool gets is burned."""
    settle_blocks: Uint32
    """How long hosts may still settle after a session was closed or has expired."""
    lifetime_blocks_max: Uint32


class Session(Record):
    """An open session; `ends_at` is the block in which what is left returns to the payer."""

    payer: Address
    datum: Hash
    voucher_key: PublicKey
    price_per_gib: Amount
    expires_at: Height
    ends_at: Height
    is_closing: bool = False
    bytes: Uint = 0
    amount: Amount = 0


class Allotment(Record):
    """A host's part of a session: the most it can claim, and what it has claimed."""

    limit: Amount
    bytes: Uint = 0
    amount: Amount = 0
    settled_in: Epoch | None = None


class Traffic(Record):
    """All that an account has served and downloaded, in settled bytes, and what that earned and cost."""

    bytes_served: Uint = 0
    income: Amount = 0
    bytes_downloaded: Uint = 0
    spent: Amount = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
SESSIONS = StorageMap(MODULE.index, 1, Session)
ALLOTMENTS = StorageMap(MODULE.index, 2, Allotment)
"""(session, host)."""
ENDINGS = StorageMap(MODULE.index, 3, bool)
"""(height, session)."""
COUNTERS = StorageMap(MODULE.index, 4, int)
"""Sessions that an account has ever opened."""
BURNED = StorageMap(MODULE.index, 5, int)
"""(epoch, host): base units burned by what was settled for the host."""
TRAFFIC = StorageMap(MODULE.index, 6, Traffic)


class Voucher(Record):
    """A promise: for all `bytes` of this session so far the host may claim `amount` in all."""

    genesis_hash: Hash
    session: Hash
    host: Address
    bytes: Uint
    amount: Amount


class SignedVoucher(Record):
    """A voucher, signed by the session's voucher key (domain SIGN_VOUCHER)."""

    voucher: Voucher
    signature: Signature


class HostAllotment(Record):
    """How much of the deposit a host may claim at most."""

    host: Address
    amount: Amount


@MODULE.event(1)
class SessionOpened(Record):
    """`deposit` is locked for downloading the datum at that price."""

    session: Hash
    payer: Address
    datum: Hash
    price_per_gib: Amount
    deposit: Amount
    expires_at: Height


@MODULE.event(2)
class Settled(Record):
    """Newly settled: `amount` for `bytes` at `price_per_gib`, split into income, fee pool and burned."""

    session: Hash
    host: Address
    payer: Address
    datum: Hash
    bytes: Uint
    amount: Amount
    price_per_gib: Amount
    income: Amount
    fee_pool: Amount
    burned: Amount


@MODULE.event(3)
class SessionClosing(Record):
    """The payer wants no more; hosts may settle until `ends_at`."""

    session: Hash
    ends_at: Height


@MODULE.event(4)
class SessionEnded(Record):
    """The session is over: `paid` in all for `bytes`, `refunded` to the payer."""

    session: Hash
    payer: Address
    bytes: Uint
    paid: Amount
    refunded: Amount


@MODULE.error(1)
class NotMember(DispatchError):
    """Only members download; join first."""


@MODULE.error(2)
class NotHosting(DispatchError):
    """One of the hosts does not hold the datum now."""


@MODULE.error(3)
class PriceAboveLimit(DispatchError):
    """The price of a GiB is above what the payer accepts."""


@MODULE.error(4)
class InvalidAllotments(DispatchError):
    """A session names 1-32 different hosts, each with at least one base unit."""


@MODULE.error(5)
class InvalidExpiry(DispatchError):
    """A session expires in the future, but not too far ahead."""


@MODULE.error(6)
class NoSuchSession(DispatchError):
    """The session does not exist, or is over."""


@MODULE.error(7)
class NotPayer(DispatchError):
    """Only who opened a session may close it."""


@MODULE.error(8)
class AlreadyClosing(DispatchError):
    """The session is being closed already."""


@MODULE.error(9)
class OtherNetwork(DispatchError):
    """The voucher was signed for another network."""


@MODULE.error(10)
class NotAllotted(DispatchError):
    """The session has no allotment for this host."""


@MODULE.error(11)
class WrongAmount(DispatchError):
    """The amount of a voucher must be the price of its bytes, rounded up."""


@MODULE.error(12)
class Overdraft(DispatchError):
    """The voucher promises more than the host's allotment."""


@MODULE.error(13)
class NotHigher(DispatchError):
    """A voucher of as many or more bytes is settled already."""


@MODULE.error(14)
class SettledInEpoch(DispatchError):
    """A host settles once per epoch and session, until the session is closing or expired."""


@MODULE.error(15)
class BadVoucherSignature(DispatchError):
    """The voucher is not signed by the session's key."""


@MODULE.error(16)
class BadVoucherKey(DispatchError):
    """The voucher key is no Ed25519 public key."""


class OpenSession(Record):
    """Lock a deposit for downloading a datum from some of its hosts."""

    datum: Hash
    voucher_key: PublicKey
    price_max_per_gib: Amount
    expires_at: Height
    allotments: Annotated[tuple[HostAllotment, ...], Meta(max_length=HOSTS_MAX)]


class Settle(Record):
    """Pay a host what a voucher promises beyond what it has claimed."""

    signed: SignedVoucher


class CloseSession(Record):
    """Want no more; what hosts do not claim in time returns."""

    session: Hash


def compute_opening_weight(call: OpenSession) -> int:
    """A fixed part and one per host."""
    return 180 + 60 * len(call.allotments)


@MODULE.call(1, OpenSession, weight=compute_opening_weight)
def open_session(ctx: Context, sender: Address, call: OpenSession) -> None:
    """A member locks a deposit at the price of now. Emits SessionOpened, which names the session."""
    parameters = PARAMETERS.require(ctx.state)
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
        ends_at=call.expires_at + parameters.settle_blocks,
    )
    SESSIONS.set(ctx.state, session, session_id)
    for allotment in call.allotments:
        ALLOTMENTS.set(ctx.state, Allotment(allotment.amount), session_id, allotment.host)
    ENDINGS.set(ctx.state, True, session.ends_at, session_id)
    COUNTERS.set(ctx.state, counter + 1, sender)
    ctx.emit(
        SessionOpened(session_id, sender, call.datum, session.price_per_gib, deposit, call.expires_at)
    )


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
    if not hosts or len(dict.fromkeys(hosts)) != len(hosts) or any(one.amount == 0 for one in call.allotments):
        raise InvalidAllotments
    if not all(hosting.is_holding(ctx.state, host, call.datum, ctx.epoch) for host in hosts):
        raise NotHosting


@MODULE.call(2, Settle, weight=320, is_duty=True)
def settle(ctx: Context, sender: Address, call: Settle) -> None:
    """Pay what the voucher adds, split by the parameters; anybody may send it, the host is paid. Emits Settled."""
    voucher = call.signed.voucher
    session, allotment = _check_voucher(ctx, call.signed)
    parameters = PARAMETERS.require(ctx.state)
    amount, size_bytes = voucher.amount - allotment.amount, voucher.bytes - allotment.bytes
    income, fee_pool = mul_ppm(amount, parameters.host_ppm), mul_ppm(amount, parameters.fee_pool_ppm)
    burned = amount - income - fee_pool
    balances.transfer(ctx, POT, voucher.host, income)
    balances.transfer(ctx, POT, FEE_POOL, fee_pool)
    balances.burn(ctx, POT, burned)
    settled = replace(allotment, bytes=voucher.bytes, amount=voucher.amount, settled_in=ctx.epoch)
    ALLOTMENTS.set(ctx.state, settled, voucher.session, voucher.host)
    grown = replace(session, bytes=session.bytes + size_bytes, amount=session.amount + amount)
    SESSIONS.set(ctx.state, grown, voucher.session)
    _count_traffic(ctx.state, session.payer, voucher.host, size_bytes, amount, income)
    _count_burned(ctx.state, ctx.epoch, voucher.host, burned)
    _count_download(ctx, session, grown)
    ctx.emit(
        Settled(
            session=voucher.session,
            host=voucher.host,
            payer=session.payer,
            datum=session.datum,
            bytes=size_bytes,
            amount=amount,
            price_per_gib=session.price_per_gib,
            income=income,
            fee_pool=fee_pool,
            burned=burned,
        )
    )


def _check_voucher(ctx: Context, signed: SignedVoucher) -> tuple[Session, Allotment]:
    """The session and allotment that a voucher may be settled on; the signature last, it costs most."""
    voucher = signed.voucher
    if voucher.genesis_hash != ctx.genesis_hash:
        raise OtherNetwork
    session = get_session(ctx.state, voucher.session)
    if session is None:
        raise NoSuchSession
    allotment = ALLOTMENTS.get(ctx.state, voucher.session, voucher.host)
    if allotment is None:
        raise NotAllotted
    if voucher.bytes <= allotment.bytes:
        raise NotHigher
    if voucher.amount != compute_price(voucher.bytes, session.price_per_gib):
        raise WrongAmount
    if voucher.amount > allotment.limit:
        raise Overdraft
    is_open = not session.is_closing and ctx.height <= session.expires_at
    if is_open and allotment.settled_in == ctx.epoch:
        raise SettledInEpoch
    if not is_voucher_signed(signed, session.voucher_key):
        raise BadVoucherSignature
    return session, allotment


def _count_traffic(
    state: Overlay, payer: Address, host: Address, size_bytes: int, amount: Amount, income: Amount
) -> None:
    served = get_traffic(state, host)
    served = replace(served, bytes_served=served.bytes_served + size_bytes, income=served.income + income)
    TRAFFIC.set(state, served, host)
    drawn = get_traffic(state, payer)
    drawn = replace(drawn, bytes_downloaded=drawn.bytes_downloaded + size_bytes, spent=drawn.spent + amount)
    TRAFFIC.set(state, drawn, payer)


def _count_burned(state: Overlay, epoch: Epoch, host: Address, burned: Amount) -> None:
    if burned:
        BURNED.set(state, (BURNED.get(state, epoch, host) or 0) + burned, epoch, host)


def _count_download(ctx: Context, before: Session, after: Session) -> None:
    """Tell the catalogue when the payer has paid for the whole datum."""
    datum = catalogue.get_datum(ctx.state, before.datum)
    if datum is not None and before.bytes < datum.size_bytes <= after.bytes:
        catalogue.record_paid_download(ctx, before.datum, before.payer)


@MODULE.call(3, CloseSession, weight=90)
def close_session(ctx: Context, sender: Address, call: CloseSession) -> None:
    """The payer ends a session early; hosts have `settle_blocks` left. Emits SessionClosing."""
    session = get_session(ctx.state, call.session)
    if session is None:
        raise NoSuchSession
    if session.payer != sender:
        raise NotPayer
    if session.is_closing:
        raise AlreadyClosing
    ends_at = min(session.ends_at, ctx.height + PARAMETERS.require(ctx.state).settle_blocks)
    ENDINGS.delete(ctx.state, session.ends_at, call.session)
    ENDINGS.set(ctx.state, True, ends_at, call.session)
    SESSIONS.set(ctx.state, replace(session, is_closing=True, ends_at=ends_at), call.session)
    ctx.emit(SessionClosing(call.session, ends_at))


def on_block_start(ctx: Context) -> None:
    """End the sessions whose time is over, oldest first, a bounded number per block."""
    due: list[tuple[Height, Hash]] = []
    for rest, _ in ENDINGS.items(ctx.state):
        ends_at = int.from_bytes(rest[:HEIGHT_BYTES], "big")
        if ends_at > ctx.height or len(due) == CLOSINGS_PER_BLOCK_MAX:
            break
        due.append((ends_at, rest[HEIGHT_BYTES:]))
    for ends_at, session_id in due:
        ENDINGS.delete(ctx.state, ends_at, session_id)
        _end(ctx, session_id)


def _end(ctx: Context, session_id: Hash) -> None:
    session = get_session(ctx.state, session_id)
    assert session is not None
    refunded = 0
    for host, allotment in list(ALLOTMENTS.items(ctx.state, session_id)):
        refunded += allotment.limit - allotment.amount
        ALLOTMENTS.delete(ctx.state, session_id, host)
    SESSIONS.delete(ctx.state, session_id)
    balances.transfer(ctx, POT, session.payer, refunded)
    ctx.emit(SessionEnded(session_id, session.payer, session.bytes, session.amount, refunded))


def take_burned(ctx: Context, epoch: Epoch) -> tuple[tuple[Address, Amount], ...]:
    """What was burned per host in an epoch, which is forgotten: `rewards` matches it once."""
    burned = tuple(BURNED.items(ctx.state, epoch))
    for host, _ in burned:
        BURNED.delete(ctx.state, epoch, host)
    return burned


class GenesisConfig(Record):
    """No session is open at genesis."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; refuses shares above one."""
    if config.parameters.host_ppm + config.parameters.fee_pool_ppm > 1_000_000:
        raise WrongAmount("host_ppm and fee_pool_ppm exceed 1,000,000")
    PARAMETERS.set(ctx.state, config.parameters)


def get_parameters(state: StateReader) -> Parameters:
    """Price, split and times."""
    return PARAMETERS.require(state)


def get_session(state: StateReader, session_id: Hash) -> Session | None:
    """An open session."""
    return SESSIONS.get(state, session_id)


def get_allotment(state: StateReader, session_id: Hash, host: Address) -> Allotment | None:
    """A host's part of an open session."""
    return ALLOTMENTS.get(state, session_id, host)


def get_traffic(state: StateReader, who: Address) -> Traffic:
    """What an account has served and downloaded."""
    return TRAFFIC.get(state, who) or Traffic()


def get_next_session_id(state: StateReader, genesis_hash: Hash, payer: Address) -> Hash:
    """The id of the next session that an account opens."""
    return compute_session_id(genesis_hash, payer, COUNTERS.get(state, payer) or 0)


def compute_session_id(genesis_hash: Hash, payer: Address, counter: int) -> Hash:
    """The name of an account's session number `counter`, from 0."""
    return hash_record(Domain.SESSION, (genesis_hash, payer, counter))


def compute_price(size_bytes: int, price_per_gib: Amount) -> Amount:
    """What so many bytes cost, rounded up."""
    return div_up(size_bytes * price_per_gib, catalogue.GIB)


def sign_voucher(key: KeyPair, voucher: Voucher) -> SignedVoucher:
    """The voucher, signed by the session's key."""
    return SignedVoucher(voucher, key.sign(signing_bytes(Domain.SIGN_VOUCHER, voucher.genesis_hash, voucher)))


def is_voucher_signed(signed: SignedVoucher, voucher_key: PublicKey) -> bool:
    """Whether the session's key signed the voucher."""
    message = signing_bytes(Domain.SIGN_VOUCHER, signed.voucher.genesis_hash, signed.voucher)
    return is_signed_by(voucher_key, message, signed.signature)


def check_invariants(state: StateReader) -> None:
    """The pot holds all allotments less what is settled; every session has one ending ahead."""
    allotments = [allotment for _, allotment in ALLOTMENTS.items(state)]
    assert all(allotment.amount <= allotment.limit for allotment in allotments)
    owed = sum(allotment.limit - allotment.amount for allotment in allotments)
    assert balances.get_balance(state, POT) == owed
    for session_id, session in SESSIONS.items(state):
        assert ENDINGS.has(state, session.ends_at, session_id)
        parts = [allotment for _, allotment in ALLOTMENTS.items(state, session_id)]
        assert session.amount == sum(allotment.amount for allotment in parts)
        assert session.bytes == sum(allotment.bytes for allotment in parts)
