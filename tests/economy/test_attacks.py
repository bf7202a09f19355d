"""A share of the attack table, small enough for every run of the tests."""

import pytest

from chain.modules import sessions
from chain.modules.lockers import LockTokens
from tests.economy.catalogue import AGENTS
from tests.economy.page import format_block, get_block, load
from tests.economy.table import build_arena, judge, play
from tests.economy.world.arena import ATTACKERS, HONEST
from tests.economy.world.compare import Outcome
from tests.economy.world.rules import FIRST, SECOND, VIDYA

SCALE, EPOCHS = 12, 288
QUICK = (
    "ghost host, no disk",
    "ghost host, accomplice's disk",
    "partial storer",
    "skipper",
    "small-item farmer",
    "exit before detection",
    "fine drainer",
    "link withholder",
    "fast blocks",
    "griefing challenger",
    "receipt forger",
    "network squatter",
    "seed grinder",
    "early closer",
    "silent host",
    "sale refuser",
)
BOUNDED = ("replicas behind 5 networks", "resend taker", "prepayment keeper")
SEEN = {
    "ghost host, no disk": 8_000,
    "ghost host, accomplice's disk": 8_000,
    "small-item farmer": 10_000,
    "fine drainer": 90,
    "fast blocks": 20_000,
    "griefing challenger": 20,
    "just-in-time delegator": 30,
    "network squatter": 3_000,
    "credit thief": 100,
}
"""Least profit in VIDYA, in three days, that the first edition must show."""


def show(name: str, rules: str) -> Outcome:
    return play((rules, name, 1, SCALE, EPOCHS))[1]


@pytest.mark.parametrize("name", QUICK)
def test_no_profit_under_the_rules_that_are_built(name: str) -> None:
    """None of these agents gains anything over the honest use of what it has."""
    assert judge([show(name, SECOND)]) == "no profit"


@pytest.mark.parametrize("name", SEEN)
def test_the_simulator_sees_what_the_first_edition_paid(name: str) -> None:
    """The same agent profits under the first edition, in the order of size that was measured then."""
    outcome = show(name, FIRST)
    assert outcome.profit >= SEEN[name] * VIDYA
    assert judge([outcome]).startswith("PROFITS")
    assert judge([show(name, SECOND)]) == "no profit"


@pytest.mark.parametrize("name", BOUNDED)
def test_rules_that_only_bound_keep_their_bound(name: str) -> None:
    """What such an attack brings is something, and no more than what the rules let pass."""
    outcome = show(name, SECOND)
    assert 0 < outcome.profit <= outcome.bound


def test_the_forger_would_profit_if_signatures_were_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its vouchers are refused for their signatures alone: without that check it is paid for them."""
    monkeypatch.setattr(sessions.calls, "_check_signature", lambda ctx, signed, session: None)
    assert show("receipt forger", SECOND).profit > VIDYA


def test_whoever_misses_is_named_at_once() -> None:
    """A host without an eighth of its bytes is named by the chain within days."""
    outcome = show("partial storer", SECOND)
    assert outcome.detected is not None
    assert outcome.detected * SCALE < EPOCHS


@pytest.mark.parametrize("rules", [FIRST, SECOND])
def test_the_page_shows_the_outcomes_that_were_kept(rules: str) -> None:
    """Every figure of the table is computed from the outcome of each seed; all agents are there."""
    table = load(rules)
    assert get_block(rules) == format_block(table)
    assert list(table.outcomes) == list(AGENTS)
    assert {len(runs) for runs in table.outcomes.values()} == {table.seeds}


@pytest.mark.slow
@pytest.mark.parametrize("rules", [FIRST, SECOND])
def test_a_run_gives_the_outcome_that_was_kept(rules: str) -> None:
    """The program as it is plays the first seed of the quick agents as the table says."""
    table = load(rules)
    for name in QUICK:
        assert play((rules, name, 1, table.scale, table.epochs))[1] == table.outcomes[name][0], name


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_nobody_profits_beyond_a_bound(name: str) -> None:
    """Every agent, on another seed: no profit, or one within the bound that the rules state."""
    assert judge([play((SECOND, name, 2, SCALE, 960))[1]]) != "PROFITS"


def test_a_copy_of_the_arena_is_independent() -> None:
    """What happens on a copy leaves the arena as it was; both can go on."""
    arena = build_arena(SECOND, 1, SCALE)
    before = arena.wealth(*HONEST, *ATTACKERS)
    copy = arena.fork()
    copy.call(ATTACKERS[0], LockTokens(10 * VIDYA, 2))
    copy.run(4)
    assert copy.wealth(ATTACKERS[0]) == arena.wealth(ATTACKERS[0])
    assert copy.wealth(*HONEST) > arena.wealth(*HONEST)
    assert arena.wealth(*HONEST, *ATTACKERS) == before
