"""Rewards: parameters, records, storage and events."""

from chain.module import Module
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Hash, Ppm, TimeMs, Uint, Uint32
from chain.state import StorageValue

MODULE = Module("rewards", index=11)

DATUMS_LISTED_MAX = 8
"""Datums whose factors an event lists, by falling weight; `explain_host` lists all."""


class Tenure(Record):
    """A host that has held a datum for `eras_from` eras or more, without a break, has this factor."""

    eras_from: Uint32
    factor_ppm: Ppm


class Parameters(Record):
    """The emission, the shares of its pools, and the factors of a hosted byte."""

    emission_ppm: Ppm
    """Share of the supply at the start of the era, per year of 365 days."""
    hosting_ppm: Ppm
    upload_ppm: Ppm
    validator_ppm: Ppm
    """The three pools' shares of the emission; lockers get the rest, and what these pools leave."""
    hosting_price_ppm: Ppm
    """A weighted GiB earns at most this share of the download price of a GiB per era; 0: no bound."""
    match_ppm: Ppm
    """Largest share of the units burned by a host's settlements that is minted for it."""
    replicas: Uint32
    """With more hosts than this, the hosts of a datum share what this many would get."""
    scarce_below: Uint32
    """A datum with fewer hosts weighs `scarce_ppm`."""
    scarce_ppm: Ppm
    tenure: tuple[Tenure, ...]
    """Ascending by eras; the factor is 1 before the first step."""
    weight_ppm_max: Ppm
    """Bound on the product of all factors of a byte."""


class Minted(Record):
    """Base units ever minted, by pool."""

    hosting: Amount = 0
    uploads: Amount = 0
    validators: Amount = 0
    lockers: Amount = 0


class Pools(Record):
    """Upper bounds of an epoch's payments. Validators also share their pot, which slashes fill.

    `emission` = `hosting` + `uploads` + `validators` + `lockers`.
    """

    supply: Amount
    elapsed_ms: TimeMs
    """Chain time that the epoch is paid for: at most its nominal length."""
    emission: Amount
    hosting: Amount
    uploads: Amount
    validators: Amount
    lockers: Amount
    validator_pot: Amount


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
SUPPLY = StorageValue(MODULE.index, 1, int)
"""Total supply at the start of the current era."""
MINTED = StorageValue(MODULE.index, 2, Minted)
PAID_UNTIL_MS = StorageValue(MODULE.index, 3, int)
"""Chain time at the end of the last epoch that was paid."""


class DatumFactors(Record):
    """The weight of a datum: `size_bytes` x `factor_ppm`, which is the product of the other factors."""

    datum: Hash
    size_bytes: Uint
    hosts: Uint32
    """Number of hosts that earn with it."""
    scarcity_ppm: Ppm
    tenure_eras: Era
    tenure_ppm: Ppm
    factor_ppm: Ppm
    weight: Uint


@MODULE.event(1)
class EpochRewarded(Record):
    """The pools of the epoch and the sums paid from them; `validators_paid` is partly from the pot.

    `lockers_paid` is their pool and what hosting left: uploads leave to hosting what they do not match.
    """

    epoch: Epoch
    pools: Pools
    hosting_paid: Amount
    uploads_paid: Amount
    validators_paid: Amount
    lockers_paid: Amount
    minted: Amount


@MODULE.event(2)
class HostingRewarded(Record):
    """`amount` = `pool` x `weight` / `weight_total`; nothing if not proven, or excluded (jail, tombstone).

    `pool` is what hosting may pay: bounded by `hosting_price_ppm` of the price per weighted GiB and era.
    """

    host: Address
    epoch: Epoch
    amount: Amount
    pool: Amount
    weight: Uint
    weight_total: Uint
    pay_factor_ppm: Ppm
    is_proven: bool
    is_excluded: bool
    datums: Uint32
    factors: tuple[DatumFactors, ...]
    """Of admitted datums, by falling weight."""


@MODULE.event(3)
class UploadRewarded(Record):
    """`amount` = min(`match_ppm` of `burned`, `pool` x `burned` / `burned_total`), nothing if excluded."""

    host: Address
    epoch: Epoch
    amount: Amount
    pool: Amount
    burned: Amount
    burned_total: Amount
    match_ppm: Ppm
    is_excluded: bool


@MODULE.event(4)
class ValidatorRewarded(Record):
    """`amount` = `pool` x `power_signed` / `power_due`, nothing if excluded.

    `to_delegators` is the delegators' part of it: by stake, less the commission.
    """

    validator: Address
    epoch: Epoch
    amount: Amount
    pool: Amount
    power_signed: Uint
    power_due: Uint
    """Total power, summed over all commits of the epoch."""
    commits_signed: Uint32
    commits_due: Uint32
    is_excluded: bool
    bond: Amount
    delegated: Amount
    commission_ppm: Ppm
    to_delegators: Amount


class HostExplanation(Record):
    """The payments of an epoch to one account, by pool; None where it gets none."""

    hosting: HostingRewarded | None
    upload: UploadRewarded | None
    validator: ValidatorRewarded | None
