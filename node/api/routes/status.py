"""The node, its chain, and the constants and sums of its economy."""

from typing import Any

from fastapi import APIRouter

from chain.block import compute_header_hash
from chain.modules import (
    balances,
    beacon,
    catalogue,
    escrow,
    fees,
    hosting,
    lockers,
    membership,
    offences,
    possession,
    rewards,
    sessions,
    staking,
    system,
    validators,
)
from node.api.context import ApiOf, ViewOf
from node.api.forms import Json, format_record
from node.api.schemas import Fees, Status, Supply
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1", tags=["chain"])

_PARAMETERS: tuple[tuple[str, Any], ...] = (
    ("system", system.get_parameters),
    ("fees", fees.get_parameters),
    ("staking", staking.get_parameters),
    ("validators", validators.get_parameters),
    ("membership", membership.get_parameters),
    ("beacon", beacon.get_parameters),
    ("catalogue", catalogue.get_parameters),
    ("hosting", hosting.get_parameters),
    ("possession", possession.get_parameters),
    ("sessions", sessions.get_parameters),
    ("rewards", rewards.get_parameters),
    ("escrow", escrow.get_parameters),
    ("offences", offences.get_parameters),
    ("lockers", lockers.get_parameters),
)


@router.get("/status")
async def get_status(api: ApiOf, view: ViewOf) -> Status:
    """The node and its head."""
    services, spec, header = api.services, api.services.spec, view.head
    parameters = system.get_parameters(view.state)
    account, (signing, reason) = services.account, services.describe_signing()
    return Status(
        chain_id=services.ledger.genesis_hash.hex(),
        name=spec.name,
        prefix=spec.prefix,
        symbol=spec.symbol,
        decimals=spec.decimals,
        height=view.height,
        head=compute_header_hash(header).hex(),
        head_time_ms=header.time_ms,
        state_root=header.state_root.hex(),
        epoch=system.compute_epoch(parameters, view.height),
        era=system.compute_era(parameters, view.height),
        syncing=services.sync.is_syncing,
        sync_target=max(services.sync.target, view.height),
        peers=len(services.peers.peers),
        pooled=len(services.mempool),
        account=None if account is None else api.format_address(account),
        is_validator=account is not None and validators.is_validator(view.state, account),
        signing=signing,
        signing_reason=reason,
        version=services.version,
        loop_lag_ms=int(services.metrics.loop_lag_seconds * 1000),
        chunks_damaged=services.count_damaged_chunks(),
        pledge_per_gib=hosting.get_pledge_per_gib(view.state),
    )


@router.get("/chain")
async def get_chain(api: ApiOf) -> Json:
    """The chain spec, as a file of it reads."""
    return format_record(api.services.spec, api.prefix)


@router.get("/params")
async def get_params(api: ApiOf, view: ViewOf) -> dict[str, Json]:
    """The parameters of every module."""
    return {name: format_record(read(view.state), api.prefix) for name, read in _PARAMETERS}


@router.get("/fees")
async def get_fees(api: ApiOf, view: ViewOf) -> Fees:
    """What a unit of weight costs in the next block."""
    parameters = format_record(fees.get_parameters(view.state), api.prefix)
    return Fees(base_fee=fees.get_base_fee(view.state), parameters=parameters)


@router.get("/supply")
async def get_supply(api: ApiOf, view: ViewOf) -> Supply:
    """How many base units there are, minted by pool and burned by cause, and what modules hold for others."""
    supply = balances.get_supply(view.state)
    return Supply(
        genesis=supply.genesis,
        minted=supply.minted,
        minted_by=format_record(rewards.get_minted(view.state), api.prefix),
        burned=supply.burned,
        burned_by=format_record(supply.burned_by, api.prefix),
        total=balances.get_total_supply(view.state),
        pots=_get_pots(view),
    )


def _get_pots(view: LedgerView) -> dict[str, int]:
    accounts = balances.ACCOUNTS.items(view.state, balances.POT_TAG)
    return {
        name.rstrip(b"\0").decode(): account.free
        for name, account in accounts
        if balances.is_pot(balances.POT_TAG + name)
    }
