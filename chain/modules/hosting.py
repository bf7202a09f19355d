"""Hosting: who holds what, where to reach him, and the bond behind every registered byte.

A host registers datums of the catalogue; a change made in epoch e takes effect in e + `delay_epochs`, so that
nobody can pick his subset after the sampling seed is known. A datum that was dropped can not be registered again
by the same host within `drop_interval_epochs`. Every registered byte needs own bond, committed in `staking` until
the byte is out of effect.

What a host holds in this epoch is also kept as one row of leaves (LAYOUTS), so that a leaf is found by binary
search however many datums there are; it is rewritten only when a holding begins or ends.

Invariants: `Host.bytes` is the sum of the sizes of his holdings that are not over; HOLDERS mirrors HOLDINGS;
a datum's `holdings` count is the number of its holders; layouts hold what is in effect, and EXTENTS their sums.
Not here: whether a host really holds what it registered (possession).
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Annotated, NamedTuple

from msgspec import Meta

from chain.content import compute_leaf_count
from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import catalogue, staking
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import HASH_BYTES, Address, Amount, Epoch, Era, Hash, PeerId, Uint, Uint32
from chain.state import StateReader, StorageMap, StorageValue

MODULE = Module("hosting", index=8)

CHANGES_MAX = 256
SUBSET_DATUMS_MAX = 4096
"""Bounds a layout to 160 KiB of state."""
_END_BYTES = 8
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


class Extent(Record):
    """How much of a host is in effect in this epoch; exists only for hosts that hold something."""

    datums: Uint32
    bytes: Uint
    leaves: Uint


class Layout(Record):
    """A subset as one row of leaves: its datums in order, and for each the position where its leaves end."""

    datums: bytes
    """Ids, 32 bytes each."""
    ends: bytes
    """8 bytes each, big-endian, ascending."""


class Place(NamedTuple):
    """A leaf of a datum."""

    datum: Hash
    leaf_index: int


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
HOSTS = StorageMap(MODULE.index, 1, Host)
HOLDINGS = StorageMap(MODULE.index, 2, Holding)
"""(host, datum)."""
HOLDERS = StorageMap(MODULE.index, 3, bool)
"""(datum, host) -> True, for every holding that is not over."""
ENDINGS = StorageMap(MODULE.index, 4, bool)
"""(epoch, host, datum): in this epoch the holding is over (True) or its record is forgotten (False)."""
BEGINNINGS = StorageMap(MODULE.index, 5, bool)
"""(epoch, host, datum) -> True: in this epoch the holding takes effect, unless it is over before."""
EXTENTS = StorageMap(MODULE.index, 6, Extent)
LAYOUTS = StorageMap(MODULE.index, 7, Layout)


NOTHING = Extent(0, 0, 0)
EMPTY_LAYOUT = Layout(b"", b"")


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
    BEGINNINGS.set(ctx.state, True, from_epoch, who, datum_id)
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


def unregister(ctx: Context, who: Address, datum_id: Hash) -> None:
    """End a holding from the next epoch on, also one that was dropped already; raises NotHeld."""
    holding, following = HOLDINGS.get(ctx.state, who, datum_id), ctx.epoch + 1
    if holding is None:
        raise NotHeld
    if holding.until_epoch is None:
        _drop(ctx, who, datum_id, following)
    elif holding.until_epoch > following:
        HOLDINGS.set(ctx.state, replace(holding, until_epoch=following), who, datum_id)
        ENDINGS.delete(ctx.state, holding.until_epoch, who, datum_id)
        ENDINGS.set(ctx.state, True, following, who, datum_id)
        ctx.emit(HoldingDropped(who, datum_id, following))


def unregister_all(ctx: Context, who: Address) -> None:
    """End all holdings of a host that has gone, from the next epoch on."""
    for datum_id, _ in list(HOLDINGS.items(ctx.state, who)):
        unregister(ctx, who, datum_id)


def on_epoch_start(ctx: Context) -> None:
    """Holdings take effect; those that are over free their bond; old records are forgotten."""
    changes: dict[Address, dict[Hash, int]] = {}  # host -> datum -> bytes, 0 for one that is over
    for who, datum_id, _ in _take(ctx, BEGINNINGS):
        holding = HOLDINGS.get(ctx.state, who, datum_id)
        if holding is not None and is_in_effect(holding, ctx.epoch):
            changes.setdefault(who, {})[datum_id] = holding.size_bytes
    for who, datum_id, is_over in _take(ctx, ENDINGS):
        if is_over:
            _end(ctx, who, datum_id)
            changes.setdefault(who, {})[datum_id] = 0
        else:
            HOLDINGS.delete(ctx.state, who, datum_id)
    for who, sizes in changes.items():  # in the order of the scans
        _lay_out(ctx, who, sizes)


def _take(ctx: Context, plan: StorageMap[bool]) -> Iterator[tuple[Address, Hash, bool]]:
    """Remove and give what was planned for this epoch: (host, datum, value)."""
    for rest, value in list(plan.items(ctx.state, ctx.epoch)):
        plan.delete(ctx.state, ctx.epoch, rest)
        yield rest[:HASH_BYTES], rest[HASH_BYTES:], value


def _end(ctx: Context, who: Address, datum_id: Hash) -> None:
    holding = HOLDINGS.get(ctx.state, who, datum_id)
    assert holding is not None
    HOLDERS.delete(ctx.state, datum_id, who)
    _count(ctx, who, datum_id, holding.size_bytes, -1)


def _lay_out(ctx: Context, who: Address, sizes: dict[Hash, int]) -> None:
    """Rewrite a host's row of leaves with some datums more and some less."""
    extent = get_extent(ctx.state, who)
    leaves = dict(list_leaves(get_layout(ctx.state, who)))
    size_bytes = extent.bytes
    for datum_id, size in sizes.items():
        if size:
            leaves[datum_id] = compute_leaf_count(size)
            size_bytes += size
        elif leaves.pop(datum_id, 0):
            holding = HOLDINGS.get(ctx.state, who, datum_id)
            assert holding is not None
            size_bytes -= holding.size_bytes
    if not leaves:
        EXTENTS.delete(ctx.state, who)
        LAYOUTS.delete(ctx.state, who)
        return
    EXTENTS.set(ctx.state, Extent(len(leaves), size_bytes, sum(leaves.values())), who)
    LAYOUTS.set(ctx.state, build_layout(sorted(leaves.items())), who)


class GenesisConfig(Record):
    """Hosts at genesis, who hold nothing yet: the index begins empty."""

    parameters: Parameters
    hosts: tuple[tuple[Address, RegisterHost], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters and register the hosts by the call itself."""
    if config.parameters.delay_epochs == 0 or config.parameters.subset_datums_max > SUBSET_DATUMS_MAX:
        raise InvalidChainSpec(
            f"hosting: delay_epochs at least 1, subset_datums_max at most {SUBSET_DATUMS_MAX}"
        )
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


def get_holding(state: StateReader, who: Address, datum_id: Hash) -> Holding | None:
    """A host's claim to hold a datum, also before it takes effect and shortly after it is over."""
    return HOLDINGS.get(state, who, datum_id)


def is_holding(state: StateReader, who: Address, datum_id: Hash, epoch: Epoch) -> bool:
    """Whether the host holds the datum in an epoch."""
    holding = HOLDINGS.get(state, who, datum_id)
    return holding is not None and is_in_effect(holding, epoch)


def get_extent(state: StateReader, who: Address) -> Extent:
    """How much of a host is in effect in this epoch."""
    return EXTENTS.get(state, who) or NOTHING


def list_extents(state: StateReader) -> Iterator[tuple[Address, Extent]]:
    """All hosts that hold something in this epoch, in the order of their accounts."""
    return EXTENTS.items(state)


def get_hosted_bytes(state: StateReader, who: Address) -> Uint:
    """Bytes in effect in this epoch."""
    return get_extent(state, who).bytes


def get_layout(state: StateReader, who: Address) -> Layout:
    """What a host holds in this epoch, as one row of leaves."""
    return LAYOUTS.get(state, who) or EMPTY_LAYOUT


def build_layout(leaves: list[tuple[Hash, int]]) -> Layout:
    """The row of (datum, leaves), which are in order."""
    ends = accumulate(count for _, count in leaves)
    datums = b"".join(datum_id for datum_id, _ in leaves)
    return Layout(datums, b"".join(end.to_bytes(_END_BYTES, "big") for end in ends))


def list_leaves(layout: Layout) -> Iterator[tuple[Hash, int]]:
    """(datum, leaves) of a row, in order."""
    count = len(layout.ends) // _END_BYTES
    ends = (0, *(_get_end(layout, index) for index in range(count)))
    for index, (start, end) in enumerate(pairwise(ends)):
        yield _get_datum(layout, index), end - start


def compute_place(layout: Layout, position: int) -> Place:
    """Which leaf of which datum stands at a position of the row, which must have one there."""
    count = len(layout.ends) // _END_BYTES
    index = bisect_right(range(count), position, key=lambda at: _get_end(layout, at))
    start = _get_end(layout, index - 1) if index else 0
    return Place(_get_datum(layout, index), position - start)


def _get_end(layout: Layout, index: int) -> int:
    return int.from_bytes(layout.ends[index * _END_BYTES : (index + 1) * _END_BYTES], "big")


def _get_datum(layout: Layout, index: int) -> Hash:
    return layout.datums[index * HASH_BYTES : (index + 1) * HASH_BYTES]


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
