"""What blocks do that no transaction pays for: inherents and hooks, in the world of the weights.

Their cost is bounded by parameters (validators, hosts, datums per host, sessions ended per block), not by
weight. Each is measured once or a few times at the place in time where it does most.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.weights.cases import build_opening
from bench.weights.clock import KeyCost, measure
from bench.weights.world import GIB, HOSTS_PER_BLOCK, LISTER, SECRET, VIDYA, World, make_id
from chain import runtime
from chain.module import Context
from chain.modules import beacon, hosting, juries, membership, possession, schedule, sessions, validators
from chain.primitives.codec import replace
from chain.primitives.types import Height
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)

ABSENT_HOSTS = 10
JURORS = 1_000
SESSIONS = 100
"""More than may end in one block."""
LINKS = 1_000
Step = Callable[[Context], None]


class HookCase(NamedTuple):
    """Hooks at a height, after `adjust` has made the state what it takes."""

    name: str
    about: str
    height: Height
    hooks: tuple[Step, ...]
    adjust: Step | None = None


def measure_hooks(world: World, keys: KeyCost) -> list[dict[str, object]]:
    """A row per stage and situation."""
    return [_measure(world, keys, case) for case in _list_cases(world)]


def measure_beginning(world: World, keys: KeyCost) -> list[dict[str, object]]:
    """How every holding of the world takes effect: a block that lays out rows, the epoch start; committed."""
    laid_out, starting = world.first_height(world.epoch - 3), world.first_height(world.epoch - 2)
    count = HOSTS_PER_BLOCK * len(world.datums)
    case = HookCase("block end", f"{count} holdings laid out", laid_out, (hosting.on_block_end,))
    rows = [_measure(world, keys, case)]
    for height in range(laid_out, laid_out + len(world.hosts) // HOSTS_PER_BLOCK + 1):
        world.write(height, hosting.on_block_end)
    case = HookCase("epoch start", "100 rows change", starting, (hosting.on_epoch_start,))
    rows.append(_measure(world, keys, case))
    world.write(starting, hosting.on_epoch_start)
    return rows


def _measure(world: World, keys: KeyCost, case: HookCase) -> dict[str, object]:
    last: list[Context] = []

    def prepare() -> Callable[[], object]:
        ctx = world.open_context(case.height)
        if case.adjust is not None:
            case.adjust(ctx)
        last[:] = [ctx.fork()]

        def work() -> object:
            for hook in case.hooks:
                hook(last[0])
            return last[0].events and [runtime.encode_event(event) for event in last[0].events]

        return work

    handled = measure(prepare, runs_min=3)
    changes = last[0].state.changes
    return {
        "figure": "weights_hook",
        "hook": case.name,
        "case": case.about,
        "handled_us": round(handled),
        "keys": len(changes),
        "measured_us": round(handled + keys.compute(changes)),
    }


def _list_cases(world: World) -> Iterator[HookCase]:
    deadline = world.first_height(world.epoch) + possession.get_parameters(world.state).deadline_blocks
    epoch_end = world.first_height(world.epoch + 1) - 1
    era_end = (world.epoch // world.parameters.era_epochs + 1) * (
        world.parameters.era_epochs * world.parameters.epoch_blocks
    )
    starts = schedule.ON_BLOCK_START
    yield HookCase("inherents", "100 signatures", world.height, (_build_inherents(world),))
    yield HookCase("block start", "nothing due", world.height, starts)
    yield HookCase("block end", "no change of the set", world.height, schedule.ON_BLOCK_END)
    yield HookCase("block start", "all judged proven", deadline, starts, _prove_from(world, 0))
    yield HookCase("block start", "10 of 100 jailed", deadline, starts, _miss(world, b"m" * 48, 3))
    yield HookCase("block start", "10 of 100 gone", deadline, starts, _miss(world, b"c" * 96, 95))
    about = f"{HOSTS_PER_BLOCK * len(world.datums)} holdings end"
    yield HookCase("block start", about, world.height, starts, _end_holdings(world))
    ends = (hosting.on_block_end,)
    yield HookCase("block end", "256 holdings taken apart", world.height, ends, _leave(world))
    yield HookCase("block end", "1 more in a row of 4096", world.height, ends, _fill_row(world))
    world.write(world.height, _open_sessions(world))
    ending = world.height + 11 + sessions.get_parameters(world.state).settle_blocks
    yield HookCase(
        "block start", f"{sessions.types.ALLOTMENTS_ENDED_PER_BLOCK_MAX} allotments end", ending, starts
    )
    start = world.first_height(world.epoch + 1)
    yield HookCase("epoch start", "no change", start, schedule.ON_EPOCH_START)
    yield HookCase("epoch end", "all proven", epoch_end, schedule.ON_EPOCH_END, _prove_from(world, 0))
    yield HookCase("era end", "30 grants each", era_end, schedule.ON_ERA_END, _prove_from(world, 0))
    yield HookCase("epoch end", "8 data challenged", epoch_end, (juries.on_epoch_end,), _challenge(world))
    drawing, deciding = _open_cases(world, start, is_drawn=False), _open_cases(world, start, is_drawn=True)
    yield HookCase("epoch start", "8 juries drawn of 1000", start, (juries.on_epoch_start,), drawing)
    yield HookCase("epoch start", "8 data found junk", start, (juries.on_epoch_start,), deciding)


def _challenge(world: World) -> Step:
    """As many data as allowed are challenged in this epoch."""

    def adjust(ctx: Context) -> None:
        for datum_id in world.datums[10 : 10 + juries.get_parameters(ctx.state).cases_per_epoch_max]:
            juries.calls.challenge_datum(ctx, LISTER, juries.ChallengeDatum(datum_id))

    return adjust


def _open_cases(world: World, height: Height, *, is_drawn: bool) -> Step:
    """As many cases as an epoch may have, whose jury is due, or their decision: by all, against all hosts."""

    def adjust(ctx: Context) -> None:
        _challenge(world)(ctx)
        lock, bond = membership.Membership(1, 0), juries.types.Juror(100 * VIDYA, 0, seats=8)
        for who in world.accounts[1_000 : 1_000 + JURORS]:
            membership.MEMBERSHIPS.set(ctx.state, lock, who)
            juries.types.JURORS.set(ctx.state, bond, who)
        epoch = ctx.epoch
        beacon.SEEDS.set(ctx.state, make_id("seed", 1), epoch)
        for number in juries.queries.list_agenda(ctx.state, epoch + beacon.DELAY_EPOCHS):
            case = juries.get_case(ctx.state, number)
            assert case is not None
            juries.types.CASES.set(ctx.state, replace(case, drawn_in=epoch, is_drawn=is_drawn), number)
            juries.types.AGENDA.set(ctx.state, True, epoch, number)
            _seat(world, ctx, number)

    return adjust


def _seat(world: World, ctx: Context, number: int) -> None:
    """A full jury that has voted for junk, and a share of every host's pay."""
    for who in world.accounts[1_000 : 1_000 + juries.get_parameters(ctx.state).jury_size]:
        juries.types.SEATS.set(ctx.state, juries.types.Seat(None, is_junk=True), number, who)
    for host in world.hosts:
        juries.types.TAINTS.set(ctx.state, juries.types.Taint(100_000, 0), number, host)


def _build_inherents(world: World) -> Step:
    certificate = _build_certificate(world)
    link = beacon.compute_link(SECRET, LINKS, 0)

    def process(ctx: Context) -> None:
        validators.process_last_commit(ctx, certificate)
        beacon.process_reveal(ctx, link)

    return process


def _build_certificate(world: World) -> CommitCertificate:
    """The commit of the block before, by all."""
    block_hash = make_id("block", 0)
    signed = []
    for host, key in zip(world.hosts, world.consensus_keys, strict=True):
        vote = Vote(VoteKind.PRECOMMIT, world.height - 1, 0, block_hash, host)
        signed.append(SignedVote(vote, key.sign(get_vote_signing_bytes(world.genesis_hash, vote))))
    return build_commit_certificate(signed)


def _prove_from(world: World, first: int) -> Step:
    """All hosts but the first few have proven their epoch."""

    def adjust(ctx: Context) -> None:
        for host in world.hosts[first:]:
            history = possession.get_record(ctx.state, host)
            possession.types.HISTORIES.set(ctx.state, replace(history, last_proven=ctx.epoch), host)

    return adjust


def _miss(world: World, window: bytes, in_row: int) -> Step:
    """Some hosts have missed, with this window before."""

    def adjust(ctx: Context) -> None:
        _prove_from(world, ABSENT_HOSTS)(ctx)
        for host in world.hosts[:ABSENT_HOSTS]:
            before = possession.types.History(window=window, misses_in_row=in_row)
            possession.types.HISTORIES.set(ctx.state, before, host)

    return adjust


def _end_holdings(world: World) -> Step:
    """As many holdings come off the books as a block can have dropped."""

    def adjust(ctx: Context) -> None:
        for host in world.hosts[:HOSTS_PER_BLOCK]:
            for datum_id, holding in list(hosting.HOLDINGS.items(ctx.state, host)):
                over = replace(holding, until_epoch=ctx.epoch)
                hosting.HOLDINGS.set(ctx.state, over, host, datum_id)
                hosting.types.ENDINGS.set(ctx.state, True, ctx.height, host, datum_id)

    return adjust


def _leave(world: World) -> Step:
    """A host has left with the last epoch."""

    def adjust(ctx: Context) -> None:
        hosting.types.LEAVING.set(ctx.state, ctx.epoch, world.hosts[0])

    return adjust


def _fill_row(world: World) -> Step:
    """A host holds as many datums as may be, and one changes."""

    def adjust(ctx: Context) -> None:
        host, count = world.hosts[0], hosting.types.SUBSET_DATUMS_MAX - 1
        known = [datum_id for datum_id in world.datums if datum_id != world.datums[0]]
        others = [make_id("row", number) for number in range(count - len(known))]
        leaves = [(datum_id, 2**20) for datum_id in sorted(known + others)]
        totals = hosting.SubsetTotals(count, count * GIB, count * 2**20, ctx.epoch)
        hosting.SUBSET_TOTALS.set(ctx.state, totals, host)
        hosting.types.LEAF_ROWS.set(ctx.state, hosting.leaf_row.build_leaf_row(leaves), host, ctx.epoch)
        hosting.types.CHANGES.set(ctx.state, True, ctx.height, host, world.datums[0])

    return adjust


def _open_sessions(world: World) -> Step:
    """As many sessions as may end in a block do, each with as many hosts as may be."""

    def adjust(ctx: Context) -> None:
        opening = build_opening(world, world.datums[0], sessions.types.HOSTS_MAX, world.height + 10)
        cheap = tuple(replace(allotment, amount=1) for allotment in opening.allotments)
        for number in range(SESSIONS):
            payer = world.members[10 + number % 40]
            sessions.calls.open_session(ctx, payer, replace(opening, allotments=cheap))

    return adjust
