"""What `vidya leave` does at each moment, until nothing is left."""

from chain.modules.hosting import RegisterSubset
from chain.modules.staking.calls import Unbond, Withdraw
from chain.modules.validators.calls import Chill
from cli.hosting.leaving import HostPosition, list_calls

DATUM = "ab" * 32
BEGIN = HostPosition(5, 1, True, ({"datum": DATUM, "until_epoch": None},), 1000, 300, ())


def test_everything_that_is_free_goes_at_once() -> None:
    """Candidacy, content, and the bond that no hosted byte needs, in one transaction."""
    dropped = RegisterSubset((), (bytes.fromhex(DATUM),))
    assert list_calls(BEGIN) == [Chill(), dropped, Unbond(700)]


def test_while_content_must_be_proven_its_bond_stays() -> None:
    """Nothing can be done, and it is not over."""
    waiting = BEGIN._replace(
        is_candidate=False, holdings=({"datum": DATUM, "until_epoch": 8},), active=300,
        unlocking=({"amount": 700, "unlocks_in": 12},),
    )  # fmt: skip
    assert list_calls(waiting) == [] and not waiting.is_gone


def test_what_has_unlocked_is_withdrawn_and_then_it_is_over() -> None:
    """The last run pays out; after it there is nothing."""
    last = BEGIN._replace(
        era=12, is_candidate=False, holdings=(), active=0, committed=0,
        unlocking=({"amount": 1000, "unlocks_in": 12},),
    )  # fmt: skip
    assert list_calls(last) == [Withdraw()] and not last.is_gone
    over = last._replace(unlocking=())
    assert list_calls(over) == [] and over.is_gone
