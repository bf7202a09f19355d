"""The recomputed economy: a good run passes, and events that cannot be right are seen."""

from chain.modules.sessions import Settled
from chain.modules.sessions.types import SessionOpened
from chain.modules.staking.types import Unbonded, Withdrawn
from chain.primitives.codec import replace
from tests.sim.checks.economy import _Settlements, _Withdrawals, check_economy
from tests.sim.checks.test_custody import get_process
from tests.sim.world.accounts import VIDYA

A, B, DATUM = b"a" * 32, b"b" * 32, b"d" * 32
OPENED = SessionOpened(b"s" * 32, A, DATUM, VIDYA, 3 * VIDYA, 60)
HALF = 2**29
SETTLED = Settled(
    session=b"s" * 32,
    host=B,
    payer=A,
    datum=DATUM,
    bytes=HALF,
    amount=VIDYA // 2,
    price_per_gib=VIDYA,
    income=VIDYA // 2 - 20,
    to_lockers=10,
    burned=10,
)


def find_faults(*events: object) -> list[str]:
    """What is wrong with these settlements."""
    settlements = _Settlements()
    for event in events:
        settlements.add(event)  # type: ignore[arg-type]
    return settlements.faults


def test_a_good_run_passes() -> None:
    """No settlement and no withdrawal of a run is accused."""
    assert check_economy(get_process().ledger) == []


def test_settlements_are_priced_again() -> None:
    """Twice half a GiB is one GiB; more than that, more than the deposit, or a part too much is seen."""
    assert find_faults(OPENED, SETTLED, SETTLED) == []
    [fault] = find_faults(OPENED, SETTLED, replace(SETTLED, amount=VIDYA, income=VIDYA - 20))
    assert "bytes that cost" in fault
    [fault] = find_faults(replace(OPENED, deposit=VIDYA // 2), SETTLED, SETTLED)
    assert "of a deposit" in fault
    [fault] = find_faults(OPENED, replace(SETTLED, burned=11))
    assert "not the whole" in fault


def test_early_withdrawals_are_seen() -> None:
    """Stake that unlocks in era 5 can be withdrawn then, once."""
    withdrawals = _Withdrawals()
    withdrawals.add(0, Unbonded(A, 10, 5, 5))
    withdrawals.add(5, Withdrawn(A, 10))
    assert withdrawals.faults == []
    withdrawals.add(6, Withdrawn(A, 1))
    withdrawals.add(0, Unbonded(B, 10, 5, 5))
    withdrawals.add(4, Withdrawn(B, 10))
    assert len(withdrawals.faults) == 2
