"""Hosting: reads of the state."""

from collections.abc import Iterator

from chain.modules import balances, catalogue
from chain.modules.hosting.leaf_row import EMPTY_ROW, LeafRow
from chain.modules.hosting.types import (
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LEAF_ROWS,
    LEAVING,
    NO_TOTALS,
    PARAMETERS,
    PLEDGE_PER_GIB,
    PREPARED,
    REGISTERED_BYTES,
    SUBSET_TOTALS,
    Holding,
    Host,
    Parameters,
    SubsetEntry,
    SubsetTotals,
)
from chain.primitives.fixed_point import div_up, mul_ppm
from chain.primitives.keys import PEER_ID_PREFIX
from chain.primitives.types import PPM, Address, Amount, Epoch, Hash, PublicKey
from chain.state import StateReader


def get_parameters(state: StateReader) -> Parameters:
    """Delays and the price of a registered byte."""
    return PARAMETERS.require(state)


def get_host(state: StateReader, who: Address) -> Host | None:
    """The record of a host; None if the account is not one."""
    return HOSTS.get(state, who)


def is_operated_by(state: StateReader, who: Address, key: PublicKey) -> bool:
    """Whether a key may act for a host: its account, or the Ed25519 key in its registered peer id."""
    host = get_host(state, who)
    return host is not None and (key == who or host.peer_id == PEER_ID_PREFIX + key)


def get_subset(state: StateReader, who: Address, epoch: Epoch) -> tuple[SubsetEntry, ...]:
    """The datums that a host holds in an epoch, sorted; for the last epoch and up to `delay_epochs` ahead."""
    held = () if has_left(state, who, epoch) else HOLDINGS.items(state, who)
    return tuple(
        SubsetEntry(datum_id, holding.size_bytes, holding.root, holding.from_epoch, holding.from_proven_eras)
        for datum_id, holding in held
        if is_in_effect(holding, epoch)
    )


def get_hosts_of(state: StateReader, datum_id: Hash, epoch: Epoch) -> tuple[Address, ...]:
    """The hosts that hold the datum in an epoch, sorted."""
    return tuple(who for who, _ in HOLDERS.items(state, datum_id) if is_holding(state, who, datum_id, epoch))


def get_holding(state: StateReader, who: Address, datum_id: Hash) -> Holding | None:
    """A host's registration of a datum, also before it takes effect and shortly after it is over."""
    return HOLDINGS.get(state, who, datum_id)


def is_holding(state: StateReader, who: Address, datum_id: Hash, epoch: Epoch) -> bool:
    """Whether the host holds the datum in an epoch."""
    holding = HOLDINGS.get(state, who, datum_id)
    return holding is not None and is_in_effect(holding, epoch) and not has_left(state, who, epoch)


def get_subset_totals(state: StateReader, who: Address) -> SubsetTotals:
    """The sums over what a host holds in the current epoch."""
    return SUBSET_TOTALS.get(state, who) or NO_TOTALS


def list_subset_totals(state: StateReader) -> Iterator[tuple[Address, SubsetTotals]]:
    """All hosts that hold a datum in the current epoch, in the order of their accounts."""
    return SUBSET_TOTALS.items(state)


def get_next_subset_totals(state: StateReader, who: Address, epoch: Epoch) -> SubsetTotals:
    """The sums over what a host holds in `epoch`, which is the next one; final at the end of the current."""
    if has_left(state, who, epoch):
        return NO_TOTALS
    return PREPARED.get(state, who) or get_subset_totals(state, who)


def get_leaf_row(state: StateReader, who: Address, totals: SubsetTotals) -> LeafRow:
    """The leaves that a host holds in the current or the next epoch, in one row; `totals` say in which."""
    return LEAF_ROWS.get(state, who, totals.from_epoch) or EMPTY_ROW


def has_left(state: StateReader, who: Address, epoch: Epoch) -> bool:
    """Whether the host was unregistered as a whole, so that none of its holdings is in effect in an epoch."""
    left_from = LEAVING.get(state, who)
    return left_from is not None and left_from <= epoch


def is_in_effect(holding: Holding, epoch: Epoch) -> bool:
    """Whether the epoch lies in [from_epoch, until_epoch); only valid if the host has not left."""
    return holding.from_epoch <= epoch and (holding.until_epoch is None or epoch < holding.until_epoch)


def get_pledge_per_gib(state: StateReader) -> Amount:
    """The own bond in base units that a GiB needs if it is registered now: both parts, rounded up."""
    parameters = get_parameters(state)
    total = max(REGISTERED_BYTES.get(state) or 0, parameters.pledge_bytes_min)
    supply = balances.get_total_supply(state)
    share = div_up(supply * parameters.pledge_supply_ppm * catalogue.GIB, PPM * total)
    return PLEDGE_PER_GIB.require(state) + share


def compute_pledge(per_gib: Amount, size_bytes: int) -> Amount:
    """The own bond in base units that so many bytes need, rounded up."""
    return div_up(size_bytes * per_gib, catalogue.GIB)


def compute_pledge_step(parameters: Parameters, before: Amount, pay_per_gib: Amount) -> Amount:
    """The first part of a pledge after an era in which a GiB earned so much: it moves by a bounded step."""
    wanted = max(pay_per_gib * parameters.pledge_eras, parameters.pledge_per_gib_min)
    step = mul_ppm(before, parameters.pledge_step_ppm)
    return min(max(wanted, before - step), before + step)
