"""Hosting: who holds what, where to reach him, and the bond behind every registered byte.

A host registers datums of the catalogue; a change made in epoch e takes effect in e + `delay_epochs`, so that nobody can
pick his subset after the sampling seed is known. A datum that was dropped can not be registered again by the same
host within `drop_interval_epochs`. Every registered byte needs own bond, committed in `staking` until the byte is
out of effect.

Invariants: `Host.bytes` is the sum of the sizes of his holdings that are not over; HOLDERS mirrors HOLDINGS;
a datum's `holdings` count is the number of its holders.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from msgspec import Meta

from chain.errors import DispatchError
from chain.module import Context, Module
from chain.modules import catalogue, staking
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import HASH_BYTES, Address, Amount, Epoch, Era, Hash, PeerId, Uint, Uint32
from chain.state import StateReader, StorageMap, StorageValue

MODULE = Module("hosting", index=8)

CHANGES_MAX = 256
ADDRESSES_MAX = 8

NetworkAddress = Annotated[str, Meta(min_length=1, max_length=128)]
NetworkAddresses = Annotated[tuple[NetworkAddress, ...], Meta(max_length=ADDRESSES_MAX)]
DatumIds = Annotated[tuple[Hash, ...], Meta(max_length=CHANGES_MAX)]


class Parameters(Record):
    """Delays and the price of a registered byte."""

    bond_per_gib: Amount
    """Own bond that a registered GiB needs; 20 eras of its expected reward by default."""
    delay_epochs: Uint32
    drop_interval_epochs: Uint32
    subset_datums_max: Uint32


class Host(Record):
    """A host: where it is reached and how much it has registered."""

    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint
    """Declared, bytes per second."""
    since_era: Era
    bytes: Uint = 0
    datums: Uint32 = 0


class Holding(Record):
    """A host's claim to hold a datum, in effect in epochs [from_epoch, until_epoch)."""

    root: Hash
    size_bytes: Uint
    from_epoch: Epoch
    from_era: Era
    until_epoch: Epoch | None = None


class Held(NamedTuple):
    """A holding as sampling sees it."""

    datum: Hash
    size_bytes: int
    root: Hash
    from_era: Era


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
HOSTS = StorageMap(MODULE.index, 1, Host)
HOLDINGS = StorageMap(MODULE.index, 2, Holding)
"""(host, datum)."""
HOLDERS = StorageMap(MODULE.index, 3, bool)
"""(datum, host) -> True, for every holding that is not over."""
ENDINGS = StorageMap(MODULE.index, 4, bool)
"""(epoch, host, datum): in this epoch the holding is over (True) or its record is forgotten (False)."""


@MODULE.event(1)
class HostRegistered(Record):
    """An account is a host, or changed where it is reached."""

    host: Address
    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint


@MODULE.event(2)
class HoldingRegistered(Record):
    """The host holds the datum from this epoch on; `committed` is all bond it has behind its bytes."""

    host: Address
    datum: Hash
    size_bytes: Uint
    from_epoch: Epoch
    committed: Amount


@MODULE.event(3)
class HoldingDropped(Record):
    """The host holds the datum until this epoch, exclusive."""

    host: Address
    datum: Hash
    until_epoch: Epoch


@MODULE.error(1)
class NotHost(DispatchError):
    """The account has not registered as a host."""


@MODULE.error(2)
class AlreadyHeld(DispatchError):
    """The datum is registered by this host, or was dropped too short a time ago."""


@MODULE.error(3)
class NotHeld(DispatchError):
    """The host has not registered this datum, or has dropped it already."""


@MODULE.error(4)
class UncoveredBytes(DispatchError):
    """The host's own bond is too small for all the bytes it would register; bond more first."""


@MODULE.error(5)
class TooManyDatums(DispatchError):
    """One host can not register more datums."""


@MODULE.error(6)
class NothingToChange(DispatchError):
    """The call names no datum, or one twice."""


@MODULE.error(7)
class Excluded(DispatchError):
    """A tombstoned account can not host."""


class RegisterHost(Record):
    """Say where the sender's node is reached: libp2p identity, addresses, declared capacity in bytes per second."""

    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint


class RegisterSubset(Record):
    """Begin and end to host datums."""

    add: DatumIds
    drop: DatumIds


@MODULE.call(1, RegisterHost, weight=80)
def register_host(ctx: Context, sender: Address, call: RegisterHost) -> None:
    """Anybody may be a host; calling again changes the particulars. Emits HostRegistered."""
    if staking.is_tombstoned(ctx.state, sender):
        raise Excluded
    known = get_host(ctx.state, sender)
    fresh = Host(call.peer_id, call.addresses, call.capacity, ctx.era)
    if known is not None:
        fresh = replace(known, peer_id=call.peer_id, addresses=call.addresses, capacity=call.capacity)
    HOSTS.set(ctx.state, fresh, sender)
    ctx.emit(HostRegistered(sender, call.peer_id, call.addresses, call.capacity))


def compute_subset_weight(call: RegisterSubset) -> int:
    """A fixed part and one per datum."""
    return 90 + 70 * (len(call.add) + len(call.drop))


@MODULE.call(2, RegisterSubset, weight=compute_subset_weight)
def register_subset(ctx: Context, sender: Address, call: RegisterSubset) -> None:
    """Change what the sender hosts, `delay_epochs` from now. Emits HoldingRegistered and HoldingDropped."""
    named = (*call.add, *call.drop)
    if not named or len(dict.fromkeys(named)) != len(named):
        raise NothingToChange
    if get_host(ctx.state, sender) is None:
        raise NotHost
    if call.add and staking.is_tombstoned(ctx.state, sender):
        raise Excluded
    for datum_id in call.drop:
        _drop(ctx, sender, datum_id, ctx.epoch + get_parameters(ctx.state).delay_epochs)
    for datum_id in call.add:
        _add(ctx, sender, datum_id)


def _add(ctx: Context, who: Address, datum_id: Hash) -> None:
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
    committed = compute_commitment(parameters, host.bytes + datum.size_bytes)
    if staking.get_bond(ctx.state, who) < committed:
        raise UncoveredBytes(f"needs a bond of {committed}")
    from_epoch = ctx.epoch + parameters.delay_epochs
    HOLDINGS.set(ctx.state, Holding(datum.root, datum.size_bytes, from_epoch, ctx.era), who, datum_id)
    HOLDERS.set(ctx.state, True, datum_id, who)
    _count(ctx, who, datum_id, datum.size_bytes, 1)
    ctx.emit(HoldingRegistered(who, datum_id, datum.size_bytes, from_epoch, committed))


def _drop(ctx: Context, who: Address, datum_id: Hash, until_epoch: Epoch) -> None:
    holding = HOLDINGS.get(ctx.state, who, datum_id)
    if holding is None or holding.until_epoch is not None:
        raise NotHeld
    forgotten_at = max(until_epoch + 1, ctx.epoch + get_parameters(ctx.state).drop_interval_epochs)
    HOLDINGS.set(ctx.state, replace(holding, until_epoch=until_epoch), who, datum_id)
    ENDINGS.set(ctx.state, True, until_epoch, who, datum_id)
    ENDINGS.set(ctx.state, False, forgotten_at, who, datum_id)
    ctx.emit(HoldingDropped(who, datum_id, until_epoch))


def _count(ctx: Context, who: Address, datum_id: Hash, size_bytes: int, change: int) -> None:
    """A holding more or less: totals of the host, the datum's count, the committed bond."""
    host = HOSTS.get(ctx.state, who)
    assert host is not None
    host = replace(host, bytes=host.bytes + change * size_bytes, datums=host.datums + change)
    HOSTS.set(ctx.state, host, who)
    catalogue.count_holding(ctx, datum_id, change)
    staking.set_commitment(ctx, who, compute_commitment(get_parameters(ctx.state), host.bytes))


def unregister_all(ctx: Context, who: Address) -> None:
    """End all holdings of a host that has gone, from the next epoch on."""
    for datum_id, holding in list(HOLDINGS.items(ctx.state, who)):
        if holding.until_epoch is None:
            _drop(ctx, who, datum_id, ctx.epoch + 1)


def on_epoch_start(ctx: Context) -> None:
    """Holdings that are over free their bond; old records are forgotten."""
    for rest, is_over in list(ENDINGS.items(ctx.state, ctx.epoch)):
        who, datum_id = rest[:HASH_BYTES], rest[HASH_BYTES:]
        ENDINGS.delete(ctx.state, ctx.epoch, rest)
        if is_over:
            holding = HOLDINGS.get(ctx.state, who, datum_id)
            assert holding is not None
            HOLDERS.delete(ctx.state, datum_id, who)
            _count(ctx, who, datum_id, holding.size_bytes, -1)
        else:
            HOLDINGS.delete(ctx.state, who, datum_id)


class GenesisConfig(Record):
    """Hosts at genesis, who hold nothing yet: the index begins empty."""

    parameters: Parameters
    hosts: tuple[tuple[Address, RegisterHost], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters and register the hosts by the call itself."""
    PARAMETERS.set(ctx.state, config.parameters)
    for who, call in config.hosts:
        register_host(ctx, who, call)


def get_parameters(state: StateReader) -> Parameters:
    """Delays and the price of a registered byte."""
    return PARAMETERS.require(state)


def get_host(state: StateReader, who: Address) -> Host | None:
    """A host's particulars."""
    return HOSTS.get(state, who)


def list_hosts(state: StateReader) -> Iterator[tuple[Address, Host]]:
    """All hosts, in the order of their accounts."""
    return HOSTS.items(state)


def get_subset(state: StateReader, who: Address, epoch: Epoch) -> tuple[Held, ...]:
    """What the host holds in an epoch, sorted by datum; known `delay_epochs` ahead, gone one epoch after its end."""
    held = HOLDINGS.items(state, who)
    return tuple(
        Held(datum_id, holding.size_bytes, holding.root, holding.from_era)
        for datum_id, holding in held
        if is_in_effect(holding, epoch)
    )


def get_hosts_of(state: StateReader, datum_id: Hash, epoch: Epoch) -> tuple[Address, ...]:
    """Who holds the datum in an epoch, sorted."""
    return tuple(who for who, _ in HOLDERS.items(state, datum_id) if is_holding(state, who, datum_id, epoch))


def is_holding(state: StateReader, who: Address, datum_id: Hash, epoch: Epoch) -> bool:
    """Whether the host holds the datum in an epoch."""
    holding = HOLDINGS.get(state, who, datum_id)
    return holding is not None and is_in_effect(holding, epoch)


def is_in_effect(holding: Holding, epoch: Epoch) -> bool:
    """Whether the epoch lies in [from_epoch, until_epoch)."""
    return holding.from_epoch <= epoch and (holding.until_epoch is None or epoch < holding.until_epoch)


def compute_commitment(parameters: Parameters, size_bytes: int) -> Amount:
    """Own bond that so many bytes need, rounded up."""
    return div_up(size_bytes * parameters.bond_per_gib, catalogue.GIB)


def check_invariants(state: StateReader) -> None:
    """Host totals, the mirror and the catalogue's counts agree with the holdings."""
    holders: list[bytes] = []
    for who, host in HOSTS.items(state):
        live = [(key, one) for key, one in HOLDINGS.items(state, who) if HOLDERS.has(state, key, who)]
        holders.extend(key + who for key, _ in live)
        assert host.bytes == sum(holding.size_bytes for _, holding in live)
        assert host.datums == len(live)
        assert all(HOLDINGS.has(state, who, key) for key, _ in live)
    mirrored = [key for key, _ in HOLDERS.items(state)]
    assert sorted(holders) == mirrored
    for datum_id, datum in catalogue.DATUMS.items(state):
        assert datum.holdings == sum(1 for key in mirrored if key.startswith(datum_id))
