"""One case or two per call of the runtime: the call as heavy as an honest chain of the world's size sees it.

A case has what must be in the state before (`prepare`, committed to disk) and the call itself. Calls with a
weight per item have a case with few and one with many, so that both parts of the weight are seen.
"""

from collections.abc import Callable
from typing import NamedTuple

from bench.weights.world import (
    ERA,
    GIB,
    LISTER,
    PROVEN_LEAF,
    VIDYA,
    World,
    build_listing,
    leave_stake,
    make_id,
    make_key,
)
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    catalogue,
    hosting,
    juries,
    lockers,
    membership,
    offences,
    possession,
    sessions,
    staking,
    validators,
)
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Hash
from chain.votes import (
    SignedVote,
    Vote,
    VoteKind,
    build_duplicate_vote,
    get_vote_signing_bytes,
)

Step = Callable[[Context], None]
OFFENCE_AGE_BLOCKS = 140_000
VOUCHER_KEY = make_key("voucher", 0)
PRICE = 10 * VIDYA


class Case(NamedTuple):
    """A call in a state that makes it expensive."""

    about: str
    items: int
    sender: Address
    arguments: Record
    adjust: Step | None = None
    """Writes that the block has made before."""


def prepare_and_list(world: World) -> list[Case]:
    """All cases; what they need is committed to the world."""
    ctx = world.open_context(world.height)
    of_hosts = (_list_validators, _list_hosting, _list_possession, _list_offences)
    groups = (_list_money, _list_stake, *of_hosts, _list_sessions, _list_lockers, _list_juries)
    cases = [case for group in groups for case in group(world, ctx)]
    world.commit(ctx.state.changes)
    return cases


def _list_money(world: World, ctx: Context) -> list[Case]:
    payer, joiner, leaver = world.accounts[100], world.accounts[101], make_id("leaver", 0)
    lock = membership.get_parameters(ctx.state).lock
    membership.MEMBERSHIPS.set(ctx.state, membership.Membership(lock, 3, 12), leaver)
    balances.transfer(ctx, LISTER, membership.POT, lock)
    chain = beacon.Chain(make_id("tip", 0), 5, 0)
    beacon.CHAINS.set(ctx.state, chain, payer)
    beacon.NEXT_CHAINS.set(ctx.state, chain, payer)
    return [
        Case("to a new account", 0, payer, balances.Send(make_id("newcomer", 0), VIDYA)),
        Case("", 0, payer, balances.Burn(VIDYA)),
        Case("longest text", 0, payer, balances.LeaveMemo("x" * balances.MEMO_BYTES_MAX)),
        Case("", 0, joiner, membership.Join()),
        Case("", 0, world.members[0], membership.Leave()),
        Case("", 0, leaver, membership.WithdrawLock()),
        Case("next chain, two in state", 0, payer, beacon.CommitChain(make_id("tip", 1), 100_000)),
    ]


def _list_stake(world: World, ctx: Context) -> list[Case]:
    host, exiting, delegating = world.hosts[1], world.accounts[110], world.accounts[111]
    for leaving_host in world.hosts[: staking.calls.DELEGATIONS_WITHDRAWN_MAX]:
        pool = staking.types.StakePool(2 * VIDYA, 2 * VIDYA)
        staking.types.UNBONDING_POOLS.set(ctx.state, pool, leaving_host, 5)
        staking.types.UNBONDING_DELEGATIONS.set(
            ctx.state, staking.types.UnbondingDelegation(VIDYA, 5), exiting, ERA - 10, leaving_host
        )
        balances.transfer(ctx, LISTER, staking.types.POT, 2 * VIDYA)
    leave_stake(ctx, exiting, range(ERA - 22, ERA))
    leave_stake(ctx, host, range(ERA - 22, ERA))
    staking.calls.delegate(ctx, delegating, staking.calls.Delegate(host, 100 * VIDYA))
    staking.on_era_end(ctx)
    return [
        Case("21 chunks leaving", 0, host, staking.Bond(VIDYA)),
        Case("22 chunks leaving, one free", 0, host, staking.calls.Unbond(VIDYA)),
        Case("22 chunks, 16 delegations free", 0, exiting, staking.calls.Withdraw()),
        Case("", 0, world.accounts[112], staking.calls.Delegate(host, 10 * VIDYA)),
        Case("", 0, delegating, staking.calls.Undelegate(host, 10 * VIDYA)),
    ]


def _list_validators(world: World, ctx: Context) -> list[Case]:
    who, key = world.hosts[2], make_key("fresh", 0)
    validate = validators.sign_candidacy(key, ctx.genesis_hash, who, 50_000)
    return [
        Case("a new key", 0, who, validate),
        Case("", 0, who, validators.calls.Chill()),
        Case("", 0, who, validators.calls.SetCommission(55_000)),
    ]


def _list_hosting(world: World, ctx: Context) -> list[Case]:
    lister, host = world.accounts[120], world.hosts[3]
    listing = build_listing(make_id("listed", 0))
    listed = catalogue.compute_datum_id(listing)
    catalogue.list_datum(ctx, lister, listing)
    _pay_for(world, ctx, listed)
    sponsored = _list_sponsored(world, ctx)
    known = hosting.get_host(ctx.state, host)
    assert known is not None
    named, spare = tuple(world.datums[: len(world.spare_datums)]), tuple(world.spare_datums)
    return [
        Case("longest texts", 0, lister, build_listing(make_id("listed", 1))),
        Case("29 members have paid", 0, lister, catalogue.Delist(listed)),
        Case("the last, admits", 0, world.accounts[121], catalogue.Sponsor(sponsored, 100 * VIDYA)),
        Case("ends the admission", 0, world.accounts[200], catalogue.LeaveSponsorship(world.datums[0])),
        Case("", 0, world.accounts[201], catalogue.WithdrawSponsorship(world.datums[0])),
        Case(
            "8 long addresses", 0, host, hosting.RegisterHost(known.peer_id, known.addresses, known.capacity)
        ),
        Case("1 added", 1, host, hosting.RegisterSubset(spare[:1], ())),
        Case("256 added", 256, host, hosting.RegisterSubset(spare, ())),
        Case("1 dropped", 1, host, hosting.RegisterSubset((), named[:1])),
        Case("256 dropped", 256, host, hosting.RegisterSubset((), named)),
        Case("256 each", 512, host, hosting.RegisterSubset(spare, named)),
    ]


def _pay_for(world: World, ctx: Context, datum_id: Hash) -> None:
    """All but one of the members that lift the cap of a datum have paid for it."""
    count = catalogue.get_parameters(ctx.state).outside_members - 1
    for number in range(count):
        catalogue.DOWNLOADERS.set(ctx.state, True, datum_id, world.accounts[130 + number])
    datum = catalogue.get_datum(ctx.state, datum_id)
    assert datum is not None
    catalogue.DATUMS.set(ctx.state, replace(datum, members=count), datum_id)


def _list_sponsored(world: World, ctx: Context) -> Hash:
    """A datum that waits for its last sponsor; another has one that can leave and one that has left."""
    waiting, admitted = world.spare_datums[0], world.datums[0]
    for number in range(catalogue.types.SPONSORS_MAX - 1):
        catalogue.sponsor(ctx, world.accounts[200 + number], catalogue.Sponsor(admitted, VIDYA))
    datum = catalogue.get_datum(ctx.state, admitted)
    assert datum is not None
    catalogue.DATUMS.set(ctx.state, replace(datum, needed=datum.sponsored), admitted)
    gone = catalogue.Sponsorship(VIDYA, unlocks_in=1)
    catalogue.SPONSORSHIPS.set(ctx.state, gone, admitted, world.accounts[201])
    spare = catalogue.get_datum(ctx.state, waiting)
    assert spare is not None
    catalogue.DATUMS.set(ctx.state, replace(spare, is_due=True), waiting)
    return waiting


def _ask(count: int) -> Step:
    def adjust(ctx: Context) -> None:
        parameters = possession.get_parameters(ctx.state)
        possession.types.PARAMETERS.set(ctx.state, replace(parameters, leaves_per_epoch=count))

    return adjust


def _list_possession(world: World, ctx: Context) -> list[Case]:
    host, watched, sender = world.hosts[4], world.hosts[5], world.accounts[140]
    epoch, leaves, demanded = world.epoch, possession.types.LEAVES_MAX, world.datums[7]
    demand = possession.types.Demand(world.members[1], possession.get_parameters(ctx.state).demand_fee)
    possession.types.DEMANDS.set(ctx.state, demand, epoch, host, demanded)
    for datum_id in world.datums[: possession.get_parameters(ctx.state).demands_per_host_max - 1]:
        possession.types.DEMANDS.set(ctx.state, demand, epoch + 1, watched, datum_id)
    balances.transfer(ctx, LISTER, possession.types.POT, 100 * VIDYA)
    four, most = (PROVEN_LEAF,) * 4, (PROVEN_LEAF,) * leaves
    return [
        Case("4 leaves of 1 GiB", 4, sender, possession.Prove(host, epoch, four)),
        Case("demanded", 4, sender, possession.Prove(host, epoch, four, demanded)),
        Case("16 leaves of 1 GiB", leaves, sender, possession.Prove(host, epoch, most), _ask(leaves)),
        Case("the 16th", 0, world.members[1], possession.calls.Challenge(watched, world.datums[-1])),
    ]


def build_opening(world: World, datum_id: Hash, hosts: int, expires_at: int) -> sessions.OpenSession:
    """A session that could buy the whole datum from each host."""
    allotments = tuple(sessions.HostAllotment(host, PRICE) for host in sorted(world.hosts[:hosts]))
    return sessions.OpenSession(datum_id, VOUCHER_KEY.public_key, PRICE, expires_at, allotments)


def _list_sessions(world: World, ctx: Context) -> list[Case]:
    payer, datum_id, host = world.members[2], world.datums[-1], world.hosts[0]
    _pay_for(world, ctx, datum_id)
    session_id = sessions.get_next_session_id(ctx.state, world.genesis_hash, payer)
    opening = build_opening(world, datum_id, sessions.types.HOSTS_MAX, world.height + 100)
    sessions.calls.open_session(ctx, payer, opening)
    signed = _sign_voucher(world, session_id, host)
    most = sessions.RELEASES_MAX
    ended = tuple(_end_session(world, ctx, world.members[20 + number], datum_id) for number in range(most))
    vouchers = tuple(_sign_voucher(world, one, host) for one in ended)
    other, expires_at = world.members[3], world.height + 100
    return [
        Case("1 host", 1, other, build_opening(world, datum_id, 1, expires_at)),
        Case("32 hosts", 32, other, opening),
        Case("by the member that lifts the cap", 0, world.accounts[141], sessions.Settle(signed)),
        Case("32 hosts", 0, payer, sessions.CloseSession(session_id)),
        Case("16 and their vouchers", most, host, sessions.Release(host, vouchers, ())),
        Case("16 without vouchers", most, host, sessions.Release(host, (), ended)),
    ]


def _end_session(world: World, ctx: Context, payer: Address, datum_id: Hash) -> Hash:
    """A closed session with the first host, who is the last to release."""
    session_id = sessions.get_next_session_id(ctx.state, world.genesis_hash, payer)
    opening = build_opening(world, datum_id, 1, world.height + 100)
    sessions.calls.open_session(ctx, payer, opening)
    sessions.calls.close_session(ctx, payer, sessions.CloseSession(session_id))
    return session_id


def _sign_voucher(world: World, session_id: Hash, host: Address) -> sessions.SignedVoucher:
    """For a whole datum of 1 GiB."""
    voucher = sessions.Voucher(world.genesis_hash, session_id, host, GIB, PRICE)
    return sessions.sign_voucher(VOUCHER_KEY, voucher)


def _list_offences(world: World, ctx: Context) -> list[Case]:
    offender, jailed, losing, reporter = 50, world.hosts[6], world.hosts[7], world.accounts[142]
    staking.jail(ctx, jailed, 0)
    height, who = world.height - OFFENCE_AGE_BLOCKS, world.hosts[offender]
    signed = []
    for number in range(2):
        vote = Vote(VoteKind.PREVOTE, height, 0, make_id("block", number), who)
        message = get_vote_signing_bytes(world.genesis_hash, vote)
        signed.append(SignedVote(vote, world.consensus_keys[offender].sign(message)))
    evidence = build_duplicate_vote(signed[0], signed[1])
    return [
        Case("100 validators, 500 holdings", 0, reporter, offences.Report(evidence)),
        Case("", 0, jailed, offences.Unjail()),
        Case("of 500 holdings", 0, losing, offences.DeclareLoss(world.datums[3])),
    ]


def _list_lockers(world: World, ctx: Context) -> list[Case]:
    who, past = world.accounts[120], lockers.LOCKS_MAX - 1
    for _ in range(past):
        lockers.lock_tokens(ctx, who, lockers.LockTokens(10 * VIDYA, 4))
    for number in range(past):
        lock = lockers.get_lock(ctx.state, who, number)
        assert lock is not None
        lockers.LOCKS.set(ctx.state, replace(lock, since_era=0, promised_era=0, accrued=VIDYA), who, number)
    balances.transfer(ctx, LISTER, lockers.ACCRUED_POT, past * VIDYA)
    return [
        Case("the 64th", 0, who, lockers.LockTokens(10 * VIDYA, 52)),
        Case("", 0, who, lockers.ExtendLock(0, 52)),
        Case("", 0, who, lockers.ClaimLock(1)),
        Case("", 0, who, lockers.LeaveLock(2)),
    ]


def _list_juries(world: World, ctx: Context) -> list[Case]:
    """Case 0 takes commitments, case 1 verdicts; the datum of the challenge has 31 sponsors."""
    juror, retiring, salt = world.members[5], world.members[6], make_id("salt", 0)
    for who in (juror, retiring):
        juries.calls.serve_as_juror(ctx, who, juries.ServeAsJuror(100 * VIDYA))
    commitment = juries.compute_commitment(world.genesis_hash, 1, juror, True, salt)
    juries.types.CASE_COUNT.set(ctx.state, 2)
    times = world.epoch - 1, world.epoch - juries.get_parameters(ctx.state).commit_epochs
    for number, drawn_in in enumerate(times):
        case = juries.types.Case(world.datums[1 + number], LISTER, VIDYA, drawn_in, is_drawn=True)
        juries.types.CASES.set(ctx.state, case, number)
        juries.types.SEATS.set(ctx.state, juries.types.Seat(commitment), number, juror)
    return [
        Case("more", 0, juror, juries.ServeAsJuror(VIDYA)),
        Case("", 0, retiring, juries.RetireAsJuror()),
        Case("31 sponsors", 0, world.accounts[150], juries.ChallengeDatum(world.datums[0])),
        Case("", 0, juror, juries.CommitVerdict(0, commitment)),
        Case("", 0, juror, juries.RevealVerdict(1, True, salt)),
    ]
