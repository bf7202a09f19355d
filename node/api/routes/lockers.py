"""Lockers: the fund and its totals, and the locks of an account with what each is worth now."""

from fastapi import APIRouter

from chain.modules import balances, lockers, system
from chain.primitives.types import Era
from node.api.context import AddressPath, ApiOf, ViewOf
from node.api.forms import Json, format_record
from node.api.schemas import Lockers, Locks
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1/lockers", tags=["lockers"])


@router.get("")
async def get_lockers(view: ViewOf) -> Lockers:
    """What is locked by all, what waits for lockers, and what the fund would pay if the era ended now."""
    state, totals = view.state, lockers.get_totals(view.state)
    fund = balances.get_balance(state, lockers.FUND)
    payable = lockers.compute_payable(lockers.get_parameters(state), fund, totals.amount)
    return Lockers(
        height=view.height,
        era=get_era(view),
        locked=totals.amount,
        weight=totals.weight,
        fund=fund,
        payable=payable if totals.weight else 0,
        accrued=balances.get_balance(state, lockers.ACCRUED_POT),
    )


@router.get("/{address}")
async def list_locks(api: ApiOf, view: ViewOf, address: AddressPath) -> Locks:
    """An account's open locks; `claimable` and `forfeited` are what a claim or leaving would give now."""
    who, state, era = api.parse_address(address), view.state, get_era(view)
    parameters = lockers.get_parameters(state)
    return Locks(
        address=api.format_address(who),
        height=view.height,
        era=era,
        locks=[
            {"number": number, **format_record(lock, api.prefix), **_value(parameters, lock, era)}
            for number, lock in lockers.list_locks(state, who)
        ],
    )


def _value(parameters: lockers.Parameters, lock: lockers.Lock, era: Era) -> Json:
    vested, served = lockers.compute_shares(parameters, lock, era)
    claimable = lockers.compute_claimable(parameters, lock, era)
    return {
        "vested_ppb": vested,
        "served_ppb": served,
        "claimable": claimable,
        "forfeited": lock.accrued - lock.claimed - claimable,
    }


def get_era(view: LedgerView) -> Era:
    """The era of the next block."""
    return system.compute_era(system.get_parameters(view.state), view.height + 1)
