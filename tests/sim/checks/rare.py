"""Rare states: what a run must have had in it before its silence means anything.

A checker that finds nothing proves little where the state that a fault needs never occurred. So honest cores
are looked at after every turn, and histories at the end of a run; what occurred is counted by name. A long
series of seeds that lacks a name of `RARE_STATES` fails as blind (FoundationDB's "sometimes" assertions).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from chain.primitives.types import Address, Hash, Height, Round
from chain.runtime import decode_event
from chain.validator_set import ValidatorSet, build_roster
from chain.votes import SignedProposal, SignedVote, VoteKind
from consensus.core import Core
from consensus.types import Step
from node.ledger.ledger import Ledger
from tests.sim.checks.history import History
from tests.sim.world.economy import ECONOMY_EVENTS, ESCROW_EVENTS, JURY_EVENTS

HIGH_ROUND = 4

CORE_STATES = (
    "lock taken",
    "lock moved up to another block",
    "lock moved up by its own block",
    "polka that came after the precommit",
    "polka against the lock",
    "lock kept against an old polka",
    "lock given up for a later polka",
    "nil prevoted because of the lock",
    "round above 3",
    "round skipped",
    "decision of an earlier round",
    "lock restored from the log",
)
HISTORY_STATES = (
    "two polkas in one height",
    "block proposed again",
    "block proposed again with an old polka",
    "validator set changed",
    "validator set changed in three eras in a row",
    "equivocation by vote",
    "equivocation by proposal",
    "nil polka",
)
PRODUCT_STATES = (
    "killed between two jobs of the lane",
    "state sync finished",
    "state sync resumed after a crash",
    "own message repeated",
    "missing message sent",
    "block of a quorum asked for",
    "header followed by the light client",
    "header skipped to by the light client",
    "witness agreed with the light client",
    "trust of the light client expired",
    "liar refused by the light client",
    "key watched before it signed",
    "key signed after a watch",
    "process stopped since another one had its key",
    "slot signed twice by two processes of a key",
    "key of two processes slashed",
)
EVENTS = ECONOMY_EVENTS + JURY_EVENTS + ESCROW_EVENTS
RARE_STATES = CORE_STATES + HISTORY_STATES + PRODUCT_STATES + EVENTS


class _CoreState(NamedTuple):
    """The part of a core's state that is compared between turns."""

    height: Height
    round: Round
    step: Step
    locked: tuple[Round | None, Hash | None]
    valid: tuple[Round | None, Hash | None]


def _look(core: Core) -> _CoreState:
    locked, valid = (core.locked_round, core.locked_hash), (core.valid_round, core.valid_hash)
    return _CoreState(core.height, core.round, core.step, locked, valid)


class CoreWatch:
    """Compares each honest core with what it was a turn before."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._before: dict[int, tuple[Core, _CoreState]] = {}

    def on_turn(self, number: int, core: Core) -> None:
        """A turn of a machine has ended."""
        now = _look(core)
        known, before = self._before.get(number, (None, None))
        if known is core and now == before:
            return
        self._before[number] = core, now
        if known is core and before is not None:
            self._compare(core, before, now)
        elif now.locked[0] is not None and now.step < Step.DECIDED:
            self._counts["lock restored from the log"] += 1

    def _compare(self, core: Core, before: _CoreState, now: _CoreState) -> None:
        found = {
            "lock taken": before.locked[0] is None and now.locked[0] is not None,
            "lock moved up to another block": _has_moved(before, now) and before.locked[1] != now.locked[1],
            "lock moved up by its own block": _has_moved(before, now) and before.locked[1] == now.locked[1],
            "polka that came after the precommit": _is_late_polka(before, now),
            "polka against the lock": _is_late_polka(before, now) and _is_against(now),
            "round above 3": now.round >= HIGH_ROUND > before.round,
            "round skipped": now.round > before.round + 1,
            "decision of an earlier round": _has_decided(before, now) and _is_of_earlier_round(core),
        }
        self._counts.update(name for name, is_so in found.items() if is_so)
        if before.step is Step.PROPOSE and (now.step > Step.PROPOSE or now.round > before.round):
            self._judge_prevote(core, before)

    def _judge_prevote(self, core: Core, before: _CoreState) -> None:
        """Counts how the lock decided the prevote that a core has just cast."""
        locked_round, locked_hash = before.locked
        known = core.proposals.get(before.round, ())
        if locked_round is None or not known:
            return
        proposal = known[0].signed.proposal
        if proposal.block_hash == locked_hash:
            return
        has_polka = proposal.pol_round is not None and core.tally.has_quorum(
            VoteKind.PREVOTE, proposal.pol_round, proposal.block_hash
        )
        if proposal.pol_round is None:
            self._counts["nil prevoted because of the lock"] += 1
        elif has_polka and proposal.pol_round < locked_round:
            self._counts["lock kept against an old polka"] += 1
        elif has_polka:
            self._counts["lock given up for a later polka"] += 1


def _has_moved(before: _CoreState, now: _CoreState) -> bool:
    return None not in (before.locked[0], now.locked[0]) and before.locked[0] != now.locked[0]


def _is_late_polka(before: _CoreState, now: _CoreState) -> bool:
    """L42-43 without L41: the valid value moves, the lock does not."""
    return before.valid != now.valid and before.locked == now.locked


def _is_against(now: _CoreState) -> bool:
    return now.locked[1] is not None and now.locked[1] != now.valid[1]


def _has_decided(before: _CoreState, now: _CoreState) -> bool:
    return before.step < Step.DECIDED <= now.step


def _is_of_earlier_round(core: Core) -> bool:
    return core.decided_hash is not None and core.tally.commits[core.decided_hash] < core.round


def count_history(history: History, sets: Mapping[Height, ValidatorSet], era_blocks: int) -> Counter[str]:
    """What occurred in a run as a whole."""
    counts: Counter[str] = Counter()
    for polkas in _find_polkas(history, sets).values():
        blocks = {block_hash for _, block_hash in polkas if block_hash is not None}
        counts["two polkas in one height"] += len(blocks) > 1
        counts["nil polka"] += any(block_hash is None for _, block_hash in polkas)
    for (_, _, round, _), messages in history.signed.items():
        kinds = [type(one) for one in messages.values()]
        counts["equivocation by vote"] += kinds.count(SignedVote) > 1
        counts["equivocation by proposal"] += kinds.count(SignedProposal) > 1
        pol_rounds = [_get_pol_round(one) for one in messages.values()]
        counts["block proposed again"] += any(one is not None for one in pol_rounds)
        is_old = any(one is not None and one < round - 1 for one in pol_rounds)
        counts["block proposed again with an old polka"] += is_old
    changes = [height for height in sorted(sets) if _has_changed(sets, height)]
    counts["validator set changed"] += len(changes)
    gaps = [later - earlier for earlier, later in pairwise(changes)]
    counts["validator set changed in three eras in a row"] += sum(
        max(two) <= era_blocks for two in pairwise(gaps)
    )
    return +counts


def count_events(chain: Ledger) -> Counter[str]:
    """Events of the economy in the blocks of a chain, by name."""
    counts: Counter[str] = Counter()
    for height in range(1, chain.height + 1):
        receipts = chain.get_receipts(height)
        if receipts is not None:
            records = [record for receipt in receipts.transactions for record in receipt.events]
            records += [*receipts.start, *receipts.end]
            counts.update(type(decode_event(record)[1]).__name__ for record in records)
    return Counter({name: counts[name] for name in EVENTS if counts[name]})


def _get_pol_round(message: SignedVote | SignedProposal) -> Round | None:
    return message.proposal.pol_round if isinstance(message, SignedProposal) else None


def _has_changed(sets: Mapping[Height, ValidatorSet], height: Height) -> bool:
    return height - 1 in sets and build_roster(sets[height]) != build_roster(sets[height - 1])


def _find_polkas(
    history: History, sets: Mapping[Height, ValidatorSet]
) -> dict[Height, dict[tuple[Round, Hash | None], int]]:
    """Rounds and values with more than two thirds of the prevotes, by height."""
    powers = {
        height: {one.address: one.power for one in members.validators} for height, members in sets.items()
    }
    sums: dict[Height, Counter[tuple[Round, Hash | None]]] = {}
    for vote in _iterate_prevotes(history):
        height, who, value = vote
        if height in powers:
            sums.setdefault(height, Counter())[value] += powers[height].get(who, 0)
    return {
        height: {
            value: power for value, power in found.items() if 3 * power > 2 * sum(powers[height].values())
        }
        for height, found in sums.items()
    }


def _iterate_prevotes(history: History) -> Iterable[tuple[Height, Address, tuple[Round, Hash | None]]]:
    for messages in history.signed.values():
        for one in messages.values():
            if isinstance(one, SignedVote) and one.vote.kind is VoteKind.PREVOTE:
                yield one.vote.height, one.vote.validator, (one.vote.round, one.vote.block_hash)
