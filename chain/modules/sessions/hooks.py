"""Sessions: how they end, the burned amounts for rewards, genesis and invariants."""

from itertools import takewhile

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances
from chain.modules.sessions.queries import get_burned, get_session, list_allotments
from chain.modules.sessions.types import (
    ALLOTMENTS,
    ALLOTMENTS_ENDED_PER_BLOCK_MAX,
    BURNED,
    ENDINGS,
    PARAMETERS,
    PARTIES,
    POT,
    SESSIONS,
    Allotment,
    Parameters,
    SessionEnded,
)
from chain.primitives.codec import Record
from chain.primitives.types import HASH_BYTES, PPM, Address, Amount, Epoch, Hash
from chain.state import StateReader


def on_block_start(ctx: Context) -> None:
    """End the sessions that are due, the oldest first, with up to ALLOTMENTS_ENDED_PER_BLOCK_MAX
    allotments per block.
    """

    def is_due(entry: tuple[bytes, bool]) -> bool:
        return int.from_bytes(entry[0][:-HASH_BYTES], "big") <= ctx.height

    room, ended = ALLOTMENTS_ENDED_PER_BLOCK_MAX, []
    for key, _ in takewhile(is_due, ENDINGS.items(ctx.state)):
        allotments = list_allotments(ctx.state, key[-HASH_BYTES:])
        room -= len(allotments)
        if room < 0:
            break
        ended.append((key, allotments))
    for key, allotments in ended:
        ENDINGS.delete(ctx.state, key)
        _end(ctx, key[-HASH_BYTES:], allotments)


def _end(ctx: Context, session_id: Hash, allotments: tuple[tuple[Address, Allotment], ...]) -> None:
    session = get_session(ctx.state, session_id)
    assert session is not None
    refunded = 0
    for host, allotment in allotments:
        refunded += allotment.limit - allotment.amount
        ALLOTMENTS.delete(ctx.state, host, session_id)
    PARTIES.delete(ctx.state, session_id)
    SESSIONS.delete(ctx.state, session_id)
    balances.transfer(ctx, POT, session.payer, refunded)
    ctx.emit(SessionEnded(session_id, session.payer, session.bytes, session.amount, refunded))


def take_burned(ctx: Context, epoch: Epoch) -> tuple[tuple[Address, Amount], ...]:
    """The amounts burned per host in an epoch; deletes them, so that `rewards` matches them once."""
    burned = get_burned(ctx.state, epoch)
    for host, _ in burned:
        BURNED.delete(ctx.state, epoch, host)
    return burned


class GenesisConfig(Record):
    """No session is open at genesis."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec for shares above one in all, and for a price of 0."""
    parameters = config.parameters
    if parameters.host_ppm + parameters.lockers_ppm > PPM:
        raise InvalidChainSpec("sessions: host_ppm and lockers_ppm exceed 1000000")
    if parameters.price_per_gib == 0:
        raise InvalidChainSpec("sessions: price_per_gib is at least 1")
    PARAMETERS.set(ctx.state, parameters)


def check_invariants(state: StateReader) -> None:
    """The pot holds all allotments less the settled amounts; each session has one entry in ENDINGS, and
    counts the hosts that have not released.
    """
    allotments = [allotment for _, allotment in ALLOTMENTS.items(state)]
    assert all(allotment.amount <= allotment.limit for allotment in allotments), "overdrawn"
    owed = sum(allotment.limit - allotment.amount for allotment in allotments)
    assert balances.get_balance(state, POT) == owed, "sessions pot differs from its allotments"
    sessions = list(SESSIONS.items(state))
    assert len(sessions) == sum(1 for _ in ENDINGS.items(state)), "an ending without a session"
    for session_id, session in sessions:
        assert ENDINGS.has(state, session.ends_at, session_id), "a session without an ending"
        parts = [allotment for _, allotment in list_allotments(state, session_id)]
        assert session.amount == sum(allotment.amount for allotment in parts)
        assert session.bytes == sum(allotment.bytes for allotment in parts)
        assert session.unreleased == sum(not allotment.is_released for allotment in parts)
    assert sum(len(parties.hosts) for _, parties in PARTIES.items(state)) == len(allotments)
