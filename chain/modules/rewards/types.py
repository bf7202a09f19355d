"""Rewards: parameters, records, storage and events."""

from chain.module import Module
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Hash, Ppm, TimeMs, Uint, Uint32
from chain.state import StorageValue

MODULE = Module("rewards", index=11)

DATUMS_LISTED_MAX = 8
"""Datums whose factors an event lists, by falling weight; `explain_host` lists all."""


class Tenure(Record):
    """A host that has proven `eras_from` eras or more since it registered a datum has this factor."""

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
    """From so many copies on, a datum's hosts share what that many would get."""
    scarce_below: Uint32
    """A datum with fewer copies weighs `scarce_ppm`."""
    scarce_ppm: Ppm
    tenure: tuple[Tenure, ...]
    """Ascending by eras; the factor is 1 before the first step."""
    weight_ppm_max: Ppm
    """Bound on the product of pay factor, scarcity and tenure of a byte."""
    halving_eras: Uint32
    """A datum's weight halves each time that so many eras pass in which nobody wanted it; 0: never."""
    subtree_ppm: Ppm
    """Bound on the share of the hosting pool for data of one lister that few others have paid for."""
    are_networks_counted: bool
    """Whether hosts in one network (/24, /48) are one copy; off where all nodes share one machine."""


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


class HostingPay(Record):
    """Hosting pay of an era so far, and the bytes that earned it, summed over epochs."""

    paid: Amount = 0
    byte_epochs: Uint = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
SUPPLY = StorageValue(MODULE.index, 1, int)
"""Total supply at the start of the current era."""
MINTED = StorageValue(MODULE.index, 2, Minted)
HOSTING_PAY = StorageValue(MODULE.index, 4, HostingPay)
"""Of this era."""
PAID_UNTIL_MS = StorageValue(MODULE.index, 3, int)
"""Chain time at the end of the last epoch that was paid."""


class DatumFactors(Record):
    """Why a datum weighs `weight`: `size_bytes` x the product of the factors, divided by `sharers`."""

    datum: Hash
    size_bytes: Uint
    copies: Uint32
    """Networks with a host that earns with it."""
    sharers: Uint32
    """Hosts that share the pay of this network's copy; 0 if other hosts there have held it for longer."""
    scarcity_ppm: Ppm
    tenure_eras: Uint32
    """Eras that the host has proven since it registered the datum."""
    tenure_ppm: Ppm
    demand_ppm: Ppm
    """Halved for each stretch of `halving_eras` without demand."""
    factor_ppm: Ppm
    weight: Uint
    capped_ppm: Ppm
    """The part of the weight that is paid: less than all where its lister's data reach `subtree_ppm`."""


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
    """`amount` = `pool` x `weight_paid` / `weight_total`; nothing if not proven, or excluded.

    `pool` is what hosting may pay: bounded by `hosting_price_ppm` of the price per weighted GiB and era.
    """

    host: Address
    epoch: Epoch
    amount: Amount
    pool: Amount
    weight: Uint
    weight_paid: Uint
    """`weight`, less what exceeds the bound on data of one lister."""
    weight_total: Uint
    """What the pool is divided by: the weight of all hosts, less what exceeds the bounds of listers."""
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
    """As elected."""
    commission_ppm: Ppm
    to_delegators: Amount


class DatumForecast(Record):
    """What one more GiB of a datum would bring an honest host in an era, if all else stays as it is."""

    datum: Hash
    is_admitted: bool
    copies: Uint32
    """Networks that would earn with it, the new host's included."""
    sharers: Uint32
    """Hosts that would share a copy in the new host's network; 0 if others there hold the datum already."""
    scarcity_ppm: Ppm
    tenure_ppm: Ppm
    demand_ppm: Ppm
    factor_ppm: Ppm
    capped_ppm: Ppm
    pay_per_gib: Amount
    """Base units, before a part is withheld; 0 if the datum is not admitted."""


class HostExplanation(Record):
    """The payments of an epoch to one account, by pool; None where it gets none."""

    hosting: HostingRewarded | None
    upload: UploadRewarded | None
    validator: ValidatorRewarded | None
