"""Releases: a session ends when each host has said that it claims nothing more, or one era after its end."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import DispatchError
from chain.modules import hosting, sessions
from chain.modules.hosting import RegisterHost
from chain.modules.sessions import CloseSession, Release, Settle
from chain.modules.sessions import types as session_types
from chain.modules.sessions.calls import RELEASES_MAX, compute_release_weight
from chain.primitives.codec import decode, encode, replace
from chain.primitives.errors import DecodeError
from chain.primitives.keys import PEER_ID_PREFIX, KeyPair
from chain.primitives.types import Address, Hash
from tests.chain.support.market_worlds import HOSTS, MEMBER, PRICE, SESSIONS, STRANGER, Market, build_settle
from tests.chain.support.worlds import VIDYA

ONE, TWO, THREE, FOUR = HOSTS
MIB = 2**20
NODE = KeyPair(b"n" * 32).public_key


@cache
def _build() -> tuple[Market, Hash]:
    world = Market()
    datum = world.publish(1, 5_000, (ONE, TWO, THREE))
    world.go_to_epoch(4)
    return world, datum


def build() -> tuple[Market, Hash]:
    """A world in which the first three hosts hold a datum; a copy of its own."""
    world, datum = _build()
    return world.fork(), datum


def close(world: Market, session: Hash) -> None:
    world.call(sessions.calls.close_session, MEMBER, CloseSession(session))


def release(
    world: Market,
    host: Address,
    *others: Hash,
    vouchers: tuple[Settle, ...] = (),
    sender: Address | None = None,
) -> list:
    """Release sessions of a host, by its own account unless another sender is named."""
    call = Release(host, tuple(one.signed for one in vouchers), others)
    return world.call(sessions.calls.release, sender or host, call)


def refuse(world: Market, error: type[DispatchError], sender: Address, call: Release) -> None:
    """The release is refused for this reason and leaves no trace."""
    before = dict(world.state.scan(b""))
    world.refuse(error, sessions.calls.release, sender, call)
    assert dict(world.state.scan(b"")) == before


def get_paid(world: Market, session: Hash, host: Address) -> int:
    allotment = sessions.get_allotment(world.state, session, host)
    assert allotment is not None
    return allotment.amount


def test_the_rest_returns_when_the_last_host_has_released() -> None:
    """With a voucher settled or without; in the block after the last release the session is over."""
    world, datum = build()
    before = world.balance(MEMBER)
    session = world.open(datum, VIDYA, VIDYA)
    close(world, session)
    *settled, released = release(world, ONE, vouchers=(build_settle(session, ONE, 10 * MIB),))
    assert [one.amount for one in settled] == [97_656_250]
    assert released == session_types.AllotmentReleased(session, ONE, 1)
    world.step(1)
    assert sessions.get_session(world.state, session) is not None
    assert release(world, TWO, session) == [session_types.AllotmentReleased(session, TWO, 0)]
    (ended,) = [event for event in world.step(1) if isinstance(event, session_types.SessionEnded)]
    assert ended == session_types.SessionEnded(session, MEMBER, 10 * MIB, 97_656_250, 2 * VIDYA - 97_656_250)
    assert world.balance(MEMBER) == before - 97_656_250
    assert sessions.get_session(world.state, session) is None


def test_a_silent_host_costs_the_payer_one_era_and_no_more() -> None:
    """What the others released does not return before, but at the end of the window."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA)
    close(world, session)
    release(world, ONE, session)
    world.step(SESSIONS.settle_blocks)
    world.settle(session, TWO, 10 * MIB)
    world.step(1)
    assert sessions.get_session(world.state, session) is None


def test_an_expired_session_is_released_like_a_closed_one() -> None:
    """Nobody has to close it."""
    world, datum = build()
    session = world.open(datum, VIDYA, blocks=2)
    world.step(2)
    refuse(world, session_types.StillRunning, ONE, Release(ONE, (), (session,)))
    world.step(1)
    release(world, ONE, session)
    world.step(1)
    assert sessions.get_session(world.state, session) is None


def test_a_last_voucher_may_be_small_once() -> None:
    """Less than `settle_min` is paid with the release, after which nothing more can be claimed."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA)
    close(world, session)
    (settled, _) = release(world, ONE, vouchers=(build_settle(session, ONE, 1),))
    assert settled.amount == sessions.compute_price(1, PRICE) < SESSIONS.settle_min
    world.refuse(
        session_types.AlreadyReleased, sessions.calls.settle, STRANGER, build_settle(session, ONE, 9 * MIB)
    )
    again = Release(ONE, (build_settle(session, ONE, 9 * MIB).signed,), ())
    refuse(world, session_types.AlreadyReleased, ONE, again)
    refuse(world, session_types.AlreadyReleased, ONE, Release(ONE, (), (session,)))


def test_only_the_host_releases() -> None:
    """Its account and the key of its peer id; the payer, another host and a stranger are refused."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA)
    close(world, session)
    call = Release(ONE, (), (session,))
    for sender in (MEMBER, STRANGER, TWO, NODE):
        refuse(world, session_types.NotTheHost, sender, call)
    place = RegisterHost(PEER_ID_PREFIX + NODE, ("/ip4/127.0.0.1/tcp/1",), 1_000)
    world.call(hosting.calls.register_host, ONE, place)
    refuse(world, session_types.NotTheHost, NODE, Release(TWO, (), (session,)))
    release(world, ONE, session, sender=NODE)


def test_a_payer_can_not_cut_a_host_short() -> None:
    """Whatever lower vouchers the payer settles first, the host's release pays all of the last one."""
    world, datum = build()
    session = world.open(datum, VIDYA)
    world.settle(session, ONE, 2 * MIB, sender=MEMBER)
    close(world, session)
    for sizes in (4 * MIB, 89 * MIB):
        world.settle(session, ONE, sizes, sender=MEMBER)
    release(world, ONE, vouchers=(build_settle(session, ONE, 90 * MIB),))
    assert get_paid(world, session, ONE) == sessions.compute_price(90 * MIB, PRICE)


def test_a_voucher_that_another_settled_does_not_spoil_a_release() -> None:
    """The same or a higher voucher was brought before: the release passes over it and counts."""
    world, datum = build()
    session = world.open(datum, VIDYA)
    close(world, session)
    world.settle(session, ONE, 3 * MIB, sender=MEMBER)
    events = release(world, ONE, vouchers=(build_settle(session, ONE, 3 * MIB),))
    assert events == [session_types.AllotmentReleased(session, ONE, 0)]


def test_releases_that_are_refused() -> None:
    """Of nothing, of other sessions and hosts, twice in one call, or with vouchers that pay nothing."""
    world, datum = build()
    session, running = world.open(datum, VIDYA // 10, VIDYA), world.open(datum, VIDYA)
    close(world, session)
    good = build_settle(session, ONE, 3 * MIB).signed
    forged = build_settle(session, ONE, 3 * MIB, KeyPair(b"w" * 32)).signed
    foreign = build_settle(session, ONE, 3 * MIB, genesis_hash=b"o" * 32).signed
    overdrawn = build_settle(session, ONE, 90 * MIB).signed
    wrong = build_settle(session, ONE, 3 * MIB, amount=1).signed
    refuse(world, session_types.NothingToRelease, ONE, Release(ONE, (), ()))
    refuse(world, session_types.NoSuchSession, ONE, Release(ONE, (), (b"s" * 32,)))
    refuse(world, session_types.NotAllotted, THREE, Release(THREE, (), (session,)))
    refuse(world, session_types.StillRunning, ONE, Release(ONE, (), (running,)))
    refuse(world, session_types.AlreadyReleased, ONE, Release(ONE, (), (session, session)))
    refuse(world, session_types.AlreadyReleased, ONE, Release(ONE, (good,), (session,)))
    refuse(world, session_types.BadVoucherSignature, ONE, Release(ONE, (forged,), ()))
    refuse(world, session_types.OtherNetwork, ONE, Release(ONE, (foreign,), ()))
    refuse(world, session_types.Overdraft, ONE, Release(ONE, (overdrawn,), ()))
    refuse(world, session_types.WrongAmount, ONE, Release(ONE, (wrong,), ()))
    refuse(world, session_types.NotAllotted, TWO, Release(TWO, (good,), ()))
    world.step(SESSIONS.settle_blocks + 1)
    refuse(world, session_types.NoSuchSession, ONE, Release(ONE, (good,), ()))


def test_a_release_is_bounded() -> None:
    """A call names at most RELEASES_MAX sessions of each kind, and weighs more with each."""
    most = Release(ONE, (), tuple(bytes((number,)) * 32 for number in range(RELEASES_MAX)))
    assert decode(Release, encode(most)) == most
    with pytest.raises(DecodeError):
        decode(Release, encode(replace(most, others=(*most.others, b"x" * 32))))
    weights = [compute_release_weight(replace(most, others=most.others[:count])) for count in (1, 2)]
    assert weights[1] - weights[0] == sessions.calls.RELEASE_WEIGHT


def test_a_host_finds_what_it_can_release() -> None:
    """Its ended sessions alone, and none that it has released."""
    world, datum = build()
    running, closed, foreign = (
        world.open(datum, VIDYA),
        world.open(datum, VIDYA),
        world.open(datum, VIDYA, VIDYA),
    )
    close(world, closed)
    close(world, foreign)

    def find(host: Address) -> list[Hash]:
        return sorted(session for session, _ in sessions.list_releasable(world.state, host, world.height))

    assert find(ONE) == sorted((closed, foreign)) and find(TWO) == [foreign] and find(FOUR) == []
    release(world, ONE, closed)
    assert find(ONE) == [foreign]
    close(world, running)
    world.step(SESSIONS.settle_blocks + 1)
    assert find(ONE) == []


actions = st.one_of(
    st.tuples(st.just("settle"), st.integers(0, 2), st.integers(0, 60 * MIB)),
    st.tuples(st.just("serve"), st.integers(0, 2), st.integers(1, 60 * MIB)),
    st.tuples(st.just("crash"), st.integers(0, 2), st.integers(0, 60 * MIB)),
    st.tuples(st.just("release"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("close"), st.just(0), st.just(0)),
    st.tuples(st.just("step"), st.just(0), st.integers(1, 3)),
)


@settings(max_examples=60)
@given(st.lists(actions, max_size=25))
def test_over_any_order_hosts_get_their_vouchers_and_the_payer_the_rest(steps: list) -> None:
    """Over any order of settling, closing, releasing, expiry and crashes: no payment but by vouchers, what
    a host has released or settled is paid to the base unit, and after the window the rest has returned.
    """
    world, datum = build()
    before = world.balance(MEMBER)
    run = Run(world, world.open(datum, VIDYA, VIDYA, VIDYA, blocks=4))
    for name, number, size in steps:
        try:
            run.act(name, number, size)
        except DispatchError:
            continue
    known = sessions.get_session(world.state, run.session)
    if known is not None:
        is_all_released = len(run.released) == 3
        assert known.unreleased == 3 - len(run.released)
        world.step(1 if is_all_released else max(known.ends_at - world.height, 0))
    assert sessions.get_session(world.state, run.session) is None
    paid = sum(sessions.compute_price(size, PRICE) for size in run.claimed)
    assert world.balance(MEMBER) == before - paid


class Run:
    """One session with three hosts: the best voucher that each keeps, and what each has claimed."""

    def __init__(self, world: Market, session: Hash) -> None:
        self.world, self.session = world, session
        self.kept, self.claimed = [0, 0, 0], [0, 0, 0]
        self.released: set[int] = set()

    def act(self, name: str, number: int, size: int) -> None:
        """One step; raises DispatchError if the chain refuses it."""
        host = HOSTS[number]
        if name == "serve":
            self.kept[number] = min(self.kept[number] + size, 100 * MIB)
        elif name == "crash":
            self.kept[number] = min(self.kept[number], size)
        elif name == "settle":
            self.world.settle(self.session, host, size, sender=MEMBER)
            self.claimed[number] = size
        elif name == "release":
            release(self.world, host, vouchers=(build_settle(self.session, host, self.kept[number]),))
            self.claimed[number] = max(self.claimed[number], self.kept[number])
            self.released.add(number)
        elif name == "close":
            close(self.world, self.session)
        else:
            self.world.step(size)


def test_nothing_of_a_session_stays_in_the_state() -> None:
    """Whatever the order of releases, the session's records are gone in the block after the last one."""
    world, datum = build()
    session = world.open(datum, VIDYA, VIDYA, VIDYA)
    assert [host for host, _ in sessions.list_allotments(world.state, session)] == sorted((ONE, TWO, THREE))
    close(world, session)
    for host in (THREE, ONE, TWO):
        release(world, host, session)
    world.step(1)
    assert (
        list(session_types.PARTIES.items(world.state)) == list(sessions.ALLOTMENTS.items(world.state)) == []
    )
