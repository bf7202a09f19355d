"""Making a chain spec from a profile of `genesis/` and the accounts, validators and members of genesis.

A profile is a chain spec without accounts. Validators of genesis bond, host and reveal from the first
block; they have balance beside their bond, so that they can join, list and pay.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chain.genesis import ChainSpec
from chain.modules import catalogue, hosting
from chain.primitives.codec import replace
from chain.primitives.types import Address, Amount, Hash, PeerId, PublicKey, TimeMs

BEACON_LINKS = 200_000
"""Links of a genesis validator's chain: over half a year if it proposes one block in a hundred."""


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator-host at genesis."""

    account: Address
    consensus_key: PublicKey
    bond: Amount
    commission_ppm: int
    beacon_tip: Hash
    beacon_links: int
    peer_id: PeerId
    addresses: tuple[str, ...]
    capacity: int = 10 * 2**20


def build_spec(
    profile: ChainSpec,
    *,
    name: str,
    time_ms: TimeMs,
    seats: Iterable[GenesisValidator],
    accounts: Iterable[tuple[Address, Amount]],
    members: Iterable[Address] = (),
    listings: Iterable[tuple[Address, catalogue.ListDatum]] = (),
    holdings: Iterable[tuple[Address, tuple[Hash, ...]]] = (),
) -> ChainSpec:
    """The spec of a network; `accounts` must cover each seat's bond, each member's gate and each listing."""
    seats = tuple(seats)
    register = [
        (seat.account, hosting.RegisterHost(seat.peer_id, seat.addresses, seat.capacity)) for seat in seats
    ]
    return replace(
        profile,
        name=name,
        time_ms=time_ms,
        balances=replace(profile.balances, accounts=tuple(accounts)),
        staking=replace(profile.staking, bonds=tuple((seat.account, seat.bond) for seat in seats)),
        beacon=replace(
            profile.beacon,
            commitments=tuple((seat.account, seat.beacon_tip, seat.beacon_links) for seat in seats),
        ),
        catalogue=replace(profile.catalogue, listings=tuple(listings)),
        hosting=replace(profile.hosting, hosts=tuple(register), holdings=tuple(holdings)),
        membership=replace(profile.membership, members=tuple(members)),
        validators=replace(
            profile.validators,
            validators=tuple((seat.account, seat.consensus_key, seat.commission_ppm) for seat in seats),
        ),
    )
