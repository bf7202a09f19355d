"""Sessions: a deposit is paid out by vouchers alone, in three parts, and what nobody claimed returns."""

from functools import cache

import msgpack
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import DispatchError, InvalidChainSpec
from chain.modules import balances, catalogue, sessions
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession, Settle, Voucher
from chain.modules.sessions import hooks as session_hooks
from chain.primitives.codec import decode, encode, replace
from chain.primitives.errors import DecodeError
from chain.primitives.keys import KeyPair
from chain.primitives.types import INTEGER_MAX, Address, Hash
from tests.chain.support.market_worlds import (
    HOSTS,
    MEMBER,
    OTHER,
    PRICE,
    SESSIONS,
    STRANGER,
    VOUCHER_KEY,
    Market,
    build_settle,
)
from tests.chain.support.worlds import GENESIS_HASH, VIDYA, account

ONE, TWO, THREE, FOUR = HOSTS
MIB = 2**20
SIZE = 5_000
KEY = VOUCHER_KEY.public_key


@cache
def _build() -> tuple[Market, Hash]:
    world = Market()
    datum = world.publish(1, SIZE, (ONE, TWO, THREE))
    world.go_to_epoch(4)
    return world, datum


def build() -> tuple[Market, Hash]:
    """A world in the first block of an epoch, where the first three hosts hold a datum; a copy of its own."""
    world, datum = _build()
    return world.fork(), datum


def state_of(world: Market) -> dict[bytes, bytes]:
    return dict(world.state.scan(b""))


def refuse(world: Market, error: type[DispatchError], call: Settle) -> None:
    before = state_of(world)
    world.refuse(error, sessions.calls.settle, STRANGER, call)
    assert state_of(world) == before


def release(world: Market, session: Hash, host: Address, size: int) -> None:
    """Settle a last voucher of any size, as the host."""
    call = sessions.Release(host, (build_settle(session, host, size).signed,), ())
    world.call(sessions.calls.release, host, call)


def test_opening_locks_the_deposit() -> None:
    """The sum of the allotments moves into the pot, at the current price, under the id known before."""
    world, datum = build()
    expected = sessions.get_next_session_id(world.state, GENESIS_HASH, MEMBER)
    before = world.balance(MEMBER)
    session_id = world.open(datum, 3 * VIDYA, 2 * VIDYA)
    assert session_id == expected != sessions.get_next_session_id(world.state, GENESIS_HASH, MEMBER)
    assert world.balance(MEMBER) == before - 5 * VIDYA
    assert world.balance(sessions.types.POT) == 5 * VIDYA
    session = sessions.get_session(world.state, session_id)
    assert session is not None and (session.payer, session.price_per_gib) == (MEMBER, PRICE)
    assert sessions.get_allotment(world.state, session_id, TWO) == sessions.types.Allotment(2 * VIDYA)


def test_ids_differ_by_payer_and_counter() -> None:
    """No two sessions of a network share an id."""
    world, datum = build()
    ids = [world.open(datum, VIDYA, payer=payer) for payer in (MEMBER, MEMBER, OTHER)]
    assert len({*ids}) == 3


LIFETIME = SESSIONS.lifetime_blocks_max


@pytest.mark.parametrize(
    ("error", "sender", "changes"),
    [
        (sessions.types.NotMember, STRANGER, {}),
        (sessions.types.BadVoucherKey, MEMBER, {"voucher_key": bytes(32)}),
        (sessions.types.PriceAboveLimit, MEMBER, {"price_max_per_gib": PRICE - 1}),
        (sessions.types.InvalidExpiry, MEMBER, {"expires_at": 21}),
        (sessions.types.InvalidExpiry, MEMBER, {"expires_at": 21 + LIFETIME + 1}),
        (sessions.types.InvalidAllotments, MEMBER, {"allotments": ()}),
        (sessions.types.InvalidAllotments, MEMBER, {"allotments": (HostAllotment(ONE, 0),)}),
        (
            sessions.types.InvalidAllotments,
            MEMBER,
            {"allotments": (HostAllotment(ONE, 1), HostAllotment(ONE, 1))},
        ),
        (sessions.types.NotHosting, MEMBER, {"allotments": (HostAllotment(FOUR, 1),)}),
        (sessions.types.NotHosting, MEMBER, {"datum": b"n" * 32}),
        (balances.InsufficientBalance, MEMBER, {"allotments": (HostAllotment(ONE, 10_000 * VIDYA),)}),
        (balances.InsufficientBalance, MEMBER, {"allotments": (HostAllotment(ONE, INTEGER_MAX),)}),
    ],
)
def test_opening_is_refused(error, sender, changes) -> None:
    """Every opening that may not happen is refused for its reason and leaves no trace."""
    world, datum = build()
    assert world.height == 21
    good = OpenSession(datum, KEY, PRICE, 21 + LIFETIME, (HostAllotment(ONE, VIDYA),))
    world.refuse(error, sessions.calls.open_session, sender, replace(good, **changes))
    world.call(sessions.calls.open_session, MEMBER, good)


def test_settlement_is_split_to_the_base_unit() -> None:
    """10 MiB at 10 VIDYA cost 97,656,250: 70 % and 10 % rounded down, the rest burned, all in the event."""
    world, datum = build()
    session = world.open(datum, VIDYA)
    before, burned, pooled = world.balance(ONE), world.burned(), world.lockers_fund
    event = world.settle(session, ONE, 10 * MIB + 1)
    assert event == sessions.Settled(
        session=session,
        host=ONE,
        payer=MEMBER,
        datum=datum,
        bytes=10 * MIB + 1,
        amount=97_656_260,
        price_per_gib=PRICE,
        income=68_359_382,
        to_lockers=9_765_626,
        burned=19_531_252,
    )
    assert world.balance(ONE) - before == 68_359_382
    assert world.lockers_fund - pooled == 9_765_626
    assert world.burned() - burned == 19_531_252
    assert sessions.get_burned(world.state, 4) == ((ONE, 19_531_252),)
    assert sessions.get_traffic(world.state, ONE).bytes_served == 10 * MIB + 1
    assert sessions.get_traffic(world.state, MEMBER).spent == 97_656_260


def test_income_is_not_withheld() -> None:
    """What a voucher pays is the host's at once: escrow is for what was minted."""
    world, datum = build()
    withheld = world.balance(balances.compute_pot("escrow"))
    world.settle(world.open(datum, VIDYA), ONE, 10 * MIB)
    assert world.balance(balances.compute_pot("escrow")) == withheld


def test_highest_voucher_wins_and_no_byte_is_paid_twice() -> None:
    """A later voucher pays only what it adds; an equal or lower one is refused forever."""
    world, datum = build()
    session = world.open(datum, VIDYA)
    first = world.settle(session, ONE, 3 * MIB)
    world.go_to_epoch(5)
    for size in (3 * MIB, 3 * MIB - 1, 1, 0):
        refuse(world, sessions.types.NotHigher, build_settle(session, ONE, size))
    second = world.settle(session, ONE, 10 * MIB)
    assert first.amount + second.amount == sessions.compute_price(10 * MIB, PRICE)
    assert second.bytes == 7 * MIB


def test_vouchers_that_pay_nothing() -> None:
    """Of another network, session or host, of a wrong amount, overdrawn, unsigned: no trace is left."""
    world, datum = build()
    session, other = world.open(datum, VIDYA // 10, VIDYA // 10), world.open(datum, VIDYA, payer=OTHER)
    size, stranger = 3 * MIB, KeyPair(b"w" * 32)
    amount = sessions.compute_price(size, PRICE)
    good = build_settle(session, ONE, size)
    tampered = Settle(replace(good.signed, voucher=replace(good.signed.voucher, host=TWO)))
    elsewhere = Settle(replace(good.signed, voucher=replace(good.signed.voucher, session=other)))
    largest = (VIDYA // 10) * 2**30 // PRICE
    refuse(world, sessions.types.OtherNetwork, build_settle(session, ONE, size, genesis_hash=b"o" * 32))
    refuse(world, sessions.types.NoSuchSession, build_settle(b"s" * 32, ONE, size))
    refuse(world, sessions.types.NotAllotted, build_settle(session, THREE, size))
    refuse(world, sessions.types.WrongAmount, build_settle(session, ONE, size, amount=amount + 1))
    refuse(world, sessions.types.WrongAmount, build_settle(session, ONE, size, amount=amount - 1))
    refuse(world, sessions.types.Overdraft, build_settle(session, ONE, largest + 1))
    refuse(world, sessions.types.BadVoucherSignature, build_settle(session, ONE, size, stranger))
    refuse(world, sessions.types.BadVoucherSignature, tampered)
    refuse(world, sessions.types.BadVoucherSignature, elsewhere)
    refuse(world, sessions.types.BadVoucherSignature, Settle(replace(good.signed, signature=bytes(64))))
    world.settle(session, ONE, largest)
    world.call(sessions.calls.settle, MEMBER, build_settle(session, TWO, largest))


def test_a_running_session_settles_once_per_epoch_and_host() -> None:
    """Hosts settle in batches: the second settlement waits for the next epoch, another host's does not."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA)
    world.settle(session, ONE, 2 * MIB)
    again = build_settle(session, ONE, 4 * MIB)
    refuse(world, sessions.types.SettledInEpoch, again)
    assert not sessions.is_due(world.state, again.signed.voucher, world.height, 4)
    world.settle(session, TWO, 2 * MIB)
    world.go_to_epoch(5)
    assert sessions.is_due(world.state, again.signed.voucher, world.height, 5)
    world.call(sessions.calls.settle, STRANGER, again)


def test_small_settlements_are_refused_also_after_the_end() -> None:
    """Below `settle_min` only the host's release is taken: a settlement pays no fee."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA)
    small = build_settle(session, ONE, MIB)
    assert small.signed.voucher.amount < SESSIONS.settle_min
    refuse(world, sessions.types.SettlementTooSmall, small)
    world.call(sessions.calls.close_session, MEMBER, CloseSession(session))
    refuse(world, sessions.types.SettlementTooSmall, small)
    assert not sessions.is_due(world.state, small.signed.voucher, world.height, 4)
    world.settle(session, ONE, 2 * MIB)


def test_closing_leaves_hosts_time_and_returns_the_rest() -> None:
    """After closing a host can settle in `settle_blocks` more blocks; then the payer gets what is left."""
    world, datum = build()
    before = world.balance(MEMBER)
    session = world.open(datum, VIDYA, VIDYA)
    (closing,) = world.call(sessions.calls.close_session, MEMBER, CloseSession(session))
    ends_at = world.height + 1 + SESSIONS.settle_blocks
    assert closing == sessions.types.SessionClosing(session, ends_at)
    world.step(SESSIONS.settle_blocks)
    paid = world.settle(session, ONE, 10 * MIB).amount
    ended = [event for event in world.step() if isinstance(event, sessions.types.SessionEnded)]
    assert world.height == ends_at
    assert ended == [sessions.types.SessionEnded(session, MEMBER, 10 * MIB, paid, 2 * VIDYA - paid)]
    assert world.balance(MEMBER) == before - paid
    assert world.balance(sessions.types.POT) == 0
    refuse(world, sessions.types.NoSuchSession, build_settle(session, TWO, 10 * MIB))
    world.refuse(sessions.types.NoSuchSession, sessions.calls.close_session, MEMBER, CloseSession(session))


def test_only_the_payer_closes_and_only_once() -> None:
    """Only the account that opened a session can close it, and only while it runs."""
    world, datum = build()
    session, short = world.open(datum, VIDYA), world.open(datum, VIDYA, blocks=1)
    world.refuse(sessions.types.NotPayer, sessions.calls.close_session, OTHER, CloseSession(session))
    world.refuse(sessions.types.NoSuchSession, sessions.calls.close_session, OTHER, CloseSession(b"s" * 32))
    world.call(sessions.calls.close_session, MEMBER, CloseSession(session))
    world.refuse(sessions.types.AlreadyClosing, sessions.calls.close_session, MEMBER, CloseSession(session))
    world.step(2)
    world.refuse(sessions.types.AlreadyClosing, sessions.calls.close_session, MEMBER, CloseSession(short))


def test_expiry_does_what_closing_does() -> None:
    """An expired session is settled for `settle_blocks` more blocks, also twice in an epoch, and ends."""
    world, datum = build()
    before = world.balance(MEMBER)
    session = world.open(datum, VIDYA, blocks=1)
    world.step(1)
    world.settle(session, ONE, 2 * MIB)
    refuse(world, sessions.types.SettledInEpoch, build_settle(session, ONE, 4 * MIB))
    world.step(1)
    paid = world.settle(session, ONE, 4 * MIB).amount * 2
    world.step(SESSIONS.settle_blocks - 1)
    assert sessions.get_session(world.state, session) is not None
    world.step(1)
    assert sessions.get_session(world.state, session) is None
    assert world.balance(MEMBER) == before - paid


def test_endings_are_bounded_and_late_ones_pay_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that end together end over several blocks, by their allotments; none gains time by it."""
    monkeypatch.setattr(session_hooks, "ALLOTMENTS_ENDED_PER_BLOCK_MAX", 5)
    world, datum = build()
    opened = [world.open(datum, VIDYA, VIDYA, blocks=1) for _ in range(5)]
    world.step(SESSIONS.settle_blocks + 2)
    counts = []
    for _ in range(3):
        left = [one for one in opened if sessions.get_session(world.state, one) is not None]
        counts.append(len(left))
        for one in left:
            refuse(world, sessions.types.NoSuchSession, build_settle(one, ONE, 2 * MIB))
        world.step()
    assert counts == [3, 1, 0]


def test_paying_for_all_of_a_datum_is_demand() -> None:
    """The session that pays for the last byte tells the catalogue; members count once."""
    world, datum = build()
    for payer, members in ((MEMBER, 0), (MEMBER, 1), (OTHER, 1)):
        session = world.open(datum, VIDYA, VIDYA, payer=payer)
        world.call(sessions.calls.close_session, payer, CloseSession(session))
        release(world, session, ONE, SIZE - 1)
        known = catalogue.get_datum(world.state, datum)
        assert known is not None and known.members == members
        release(world, session, TWO, 1)
    known = catalogue.get_datum(world.state, datum)
    assert known is not None and (known.members, known.wanted_in) == (2, world.context().era)


@given(st.integers(0, 2**48), st.integers(0, 2**48), st.integers(1, 10**13))
def test_price_is_rounded_up_once(size: int, more: int, price: int) -> None:
    """A price is the least integer not below the exact one; splitting a download never makes it cheaper."""
    amount = sessions.compute_price(size, price)
    assert (amount - 1) * 2**30 < size * price <= amount * 2**30
    together = sessions.compute_price(size + more, price)
    assert amount <= together <= amount + sessions.compute_price(more, price)


@given(st.integers(0, 10**17), st.integers(0, 10**6), st.integers(0, 10**6))
def test_split_is_exact(amount: int, host: int, pool: int) -> None:
    """The three parts are the whole; who receives rounds down, so at least the intended share is burned."""
    parameters = replace(SESSIONS, host_ppm=host, lockers_ppm=min(pool, 10**6 - host))
    parts = sessions.calls.compute_split(parameters, amount)
    assert parts.income + parts.to_lockers + parts.burned == amount
    assert parts.income * 10**6 <= amount * host < (parts.income + 1) * 10**6
    assert parts.burned * 10**6 >= amount * (10**6 - parameters.host_ppm - parameters.lockers_ppm)


steps = st.lists(st.tuples(st.sampled_from((0, 1, 2)), st.integers(0, 120 * MIB)), max_size=8)


@settings(max_examples=40)
@given(steps, st.booleans())
def test_nothing_is_lost_and_no_allotment_overdrawn(vouchers: list[tuple[int, int]], is_closed: bool) -> None:
    """Over any vouchers in any order: paid + returned = deposit, each host gets at most its allotment."""
    world, datum = build()
    before = {who: world.balance(who) for who in (MEMBER, *HOSTS)}
    burned, pooled = world.burned(), world.lockers_fund
    session = world.open(datum, VIDYA, VIDYA // 2, VIDYA // 3, blocks=2)
    if is_closed:
        world.call(sessions.calls.close_session, MEMBER, CloseSession(session))
    paid = 0
    for number, size in vouchers:
        try:
            paid += world.settle(session, HOSTS[number], size).amount
        except DispatchError:
            continue
    gained = [world.balance(host) - before[host] for host in HOSTS]
    limits = (VIDYA, VIDYA // 2, VIDYA // 3, 0)
    assert all(gain <= limit * 7 // 10 for gain, limit in zip(gained, limits, strict=True))
    assert paid == sum(gained) + world.burned() - burned + world.lockers_fund - pooled
    session_hooks.on_block_start(move(world, 20))
    assert world.balance(MEMBER) == before[MEMBER] - paid
    world.check()


def move(world: Market, blocks: int):
    """The context so many blocks ahead, with nothing run on the way."""
    world.height += blocks
    return world.context()


def test_burned_is_taken_once() -> None:
    """Rewards reads the amount burned per host and epoch, over all sessions, exactly once."""
    world, datum = build()
    sizes = {ONE: 3 * MIB, TWO: 5 * MIB}
    burned = {
        host: world.settle(world.open(datum, VIDYA, VIDYA), host, size).burned for host, size in sizes.items()
    }
    burned[ONE] += world.settle(world.open(datum, VIDYA, payer=OTHER), ONE, 2 * MIB).burned
    assert dict(sessions.get_burned(world.state, 4)) == burned
    ctx = world.context()
    assert dict(sessions.take_burned(ctx, 4)) == burned
    assert sessions.take_burned(ctx, 4) == ()


def test_counters_stop_at_their_maximum() -> None:
    """Statistics that could grow without end do not break the chain when they reach the largest integer."""
    world, datum = build()
    full = sessions.types.Traffic(*[INTEGER_MAX] * 4)
    for who in (ONE, MEMBER):
        sessions.TRAFFIC.set(world.state, full, who)
    world.settle(world.open(datum, VIDYA), ONE, 2 * MIB)
    assert sessions.get_traffic(world.state, ONE) == sessions.get_traffic(world.state, MEMBER) == full


def test_voucher_bytes_are_bounded_by_the_codec() -> None:
    """A voucher for more bytes than a session can sum up is no voucher."""
    voucher = Voucher(GENESIS_HASH, bytes(32), ONE, sessions.vouchers.VOUCHER_BYTES_MAX, 1)
    assert decode(Voucher, encode(voucher)) == voucher
    with pytest.raises(DecodeError):
        decode(Voucher, encode(replace(voucher, bytes=sessions.vouchers.VOUCHER_BYTES_MAX + 1)))


def test_opening_weighs_one_release_per_host() -> None:
    """The opening pays for the releases, which pay no fee."""
    release = sessions.MODULE.calls[4]
    opening = sessions.MODULE.calls[1]
    one, two = (
        opening.compute_weight(OpenSession(bytes(32), KEY, 0, 0, (HostAllotment(ONE, 1),) * count))
        for count in (1, 2)
    )
    weights = [release.compute_weight(sessions.Release(ONE, (), (bytes(32),) * count)) for count in (1, 2)]
    assert release.is_duty and not opening.is_duty
    assert two - one > weights[1] - weights[0]


@pytest.mark.parametrize("change", [{"host_ppm": 900_001}, {"price_per_gib": 0}])
def test_nonsense_parameters_are_refused(change: dict[str, int]) -> None:
    """Shares above one, and downloads for nothing, start no chain."""
    with pytest.raises(InvalidChainSpec, match="sessions"):
        Market(sold=replace(SESSIONS, **change))


def test_vouchers_have_known_bytes() -> None:
    """What a payer signs, and how a session is named, is pinned for other implementations."""
    voucher = Voucher(b"g" * 32, b"s" * 32, account(7), 262_144, 2_441_407)
    parts = ("95c420" + "67" * 32, "c420" + "73" * 32, "c420" + "07" * 32, "ce00040000", "ce002540bf")
    assert encode(voucher).hex() == "".join(parts)
    message = bytes((68,)) + b"g" * 32 + encode(voucher)
    assert sessions.sign_voucher(VOUCHER_KEY, voucher).signature == VOUCHER_KEY.sign(message)
    named = msgpack.packb([b"g" * 32, account(7), 3])
    key = blake3(b"vidya SESSION").digest()
    assert sessions.vouchers.compute_session_id(b"g" * 32, account(7), 3) == blake3(named, key=key).digest()
