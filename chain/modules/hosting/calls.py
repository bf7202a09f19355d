"""Hosting: the calls that register hosts and change their subsets."""

from chain.module import Context
from chain.modules import catalogue, staking
from chain.modules.hosting.effects import count, drop
from chain.modules.hosting.networks import compute_network
from chain.modules.hosting.queries import compute_pledge, get_host, get_parameters, get_pledge_per_gib
from chain.modules.hosting.rows import plan_change
from chain.modules.hosting.types import (
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LEAVING,
    MODULE,
    AlreadyHeld,
    DatumIds,
    Excluded,
    Holding,
    HoldingRegistered,
    Host,
    HostRegistered,
    NetworkAddresses,
    NothingToChange,
    NotHost,
    StillLeaving,
    TooManyDatums,
    UncoveredBytes,
)
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Epoch, Hash, PeerId, Uint


class RegisterHost(Record):
    """Set the libp2p identity and addresses of the host's node, and its capacity in bytes per second."""

    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint


class RegisterSubset(Record):
    """Begin to host some datums, and stop hosting others."""

    add: DatumIds
    drop: DatumIds


@MODULE.call(1, RegisterHost, weight=80)
def register_host(ctx: Context, sender: Address, call: RegisterHost) -> None:
    """Open to any account; a later call changes identity, addresses, capacity. Emits HostRegistered."""
    if staking.is_tombstoned(ctx.state, sender):
        raise Excluded
    known, network = get_host(ctx.state, sender), compute_network(call.addresses)
    before = known or Host(call.peer_id, call.addresses, call.capacity, ctx.era)
    has_stayed = known is not None and known.network == network
    fresh = replace(
        before,
        peer_id=call.peer_id,
        addresses=call.addresses,
        capacity=call.capacity,
        network=network,
        network_since=before.network_since if has_stayed else ctx.epoch,
    )
    HOSTS.set(ctx.state, fresh, sender)
    ctx.emit(HostRegistered(sender, call.peer_id, call.addresses, call.capacity))


def compute_subset_weight(call: RegisterSubset) -> int:
    """A fixed part and one per datum, which includes the work of later blocks for it.

    That work is to write the longest row once, to put the datum into it, and to end and delete its holding.
    """
    return 4_600 + 340 * (len(call.add) + len(call.drop))


@MODULE.call(2, RegisterSubset, weight=compute_subset_weight)
def register_subset(ctx: Context, sender: Address, call: RegisterSubset) -> None:
    """Change what the sender hosts, `delay_epochs` from now. Emits HoldingRegistered and HoldingDropped."""
    named = (*call.add, *call.drop)
    if not named or len(dict.fromkeys(named)) != len(named):
        raise NothingToChange
    if get_host(ctx.state, sender) is None:
        raise NotHost
    if LEAVING.has(ctx.state, sender):
        raise StillLeaving
    if call.add and staking.is_tombstoned(ctx.state, sender):
        raise Excluded
    for datum_id in call.drop:
        drop(ctx, sender, datum_id, ctx.epoch + get_parameters(ctx.state).delay_epochs)
    for datum_id in call.add:
        add(ctx, sender, datum_id, ctx.epoch + get_parameters(ctx.state).delay_epochs)


def add(ctx: Context, who: Address, datum_id: Hash, from_epoch: Epoch) -> None:
    """Register a holding; emits HoldingRegistered. Only genesis lets it begin at once."""
    parameters = get_parameters(ctx.state)
    host = HOSTS.get(ctx.state, who)
    datum = catalogue.get_datum(ctx.state, datum_id)
    assert host is not None
    if datum is None:
        raise catalogue.NotListed
    if HOLDINGS.has(ctx.state, who, datum_id):
        raise AlreadyHeld
    if host.datums >= parameters.subset_datums_max:
        raise TooManyDatums
    pledge = compute_pledge(get_pledge_per_gib(ctx.state), datum.size_bytes)
    committed = host.pledged + pledge
    if staking.get_bond(ctx.state, who) < committed:
        raise UncoveredBytes(f"needs a bond of {committed}")
    holding = Holding(datum.root, datum.size_bytes, from_epoch, host.proven_eras, pledge)
    HOLDINGS.set(ctx.state, holding, who, datum_id)
    HOLDERS.set(ctx.state, True, datum_id, who)
    plan_change(ctx, who, datum_id, from_epoch)
    catalogue.count_holding(ctx, datum_id, 1)
    count(ctx, who, holding, 1)
    ctx.emit(HoldingRegistered(who, datum_id, datum.size_bytes, from_epoch, pledge, committed))
