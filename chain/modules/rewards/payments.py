"""Rewards: the payments of an epoch, as a function of the state.

The payments are the events themselves: `on_epoch_end` pays and emits them, `explain_host` shows them before
the epoch ends. Every division rounds down; the remainder is not minted.
"""

from collections.abc import Iterable
from typing import NamedTuple

from chain.modules import balances, catalogue, possession, sessions, staking, system, validators
from chain.modules.rewards.division import Division, divide
from chain.modules.rewards.types import (
    PAID_UNTIL_MS,
    PARAMETERS,
    SUPPLY,
    HostExplanation,
    HostingRewarded,
    Parameters,
    Pools,
    UploadRewarded,
    ValidatorRewarded,
)
from chain.modules.rewards.weights import (
    TermsOf,
    Weighed,
    cap,
    is_excluded,
    sum_by_lister,
    sum_weights,
    weigh_hosts,
)
from chain.modules.validators import Participation
from chain.primitives.fixed_point import div_up, mul_div, mul_ppm
from chain.primitives.types import (
    INTEGER_MAX,
    PPM,
    Address,
    Amount,
    Epoch,
    Ppm,
    TimeMs,
    Uint,
)
from chain.state import StateReader
from chain.validator_set import compute_total_power, get_validator

YEAR_MS = 365 * 24 * 60 * 60 * 1000


class Payments(NamedTuple):
    """All payments of one epoch."""

    pools: Pools
    lockers: Amount
    uploads: tuple[UploadRewarded, ...]
    hosting: tuple[HostingRewarded, ...]
    validators: tuple[ValidatorRewarded, ...]


def get_payments(state: StateReader, epoch: Epoch, now_ms: TimeMs) -> Payments:
    """The payments of the current epoch, if it ended at `now_ms`."""
    pools = get_pools(state, now_ms)
    uploads = get_uploads(state, epoch, pools.uploads)
    available = compute_available(pools, uploads)
    hosting_ = _get_hosting(state, epoch, available)
    payable = _get_payable(hosting_)
    return Payments(
        pools,
        pools.lockers + available - payable,
        uploads,
        hosting_,
        _get_validators(state, epoch, pools.validators + pools.validator_pot),
    )


def explain_host(state: StateReader, host: Address, epoch: Epoch, now_ms: TimeMs) -> HostExplanation:
    """The payments of one account, with every factor of every datum."""
    payments = get_payments(state, epoch, now_ms)
    return HostExplanation(
        next((one for one in payments.hosting if one.host == host), None),
        next((one for one in payments.uploads if one.host == host), None),
        next((one for one in payments.validators if one.validator == host), None),
    )


def get_pools(state: StateReader, now_ms: TimeMs) -> Pools:
    """The pools of an epoch of this era that ends at `now_ms`.

    Pay follows chain time: blocks that are made faster than their interval mint nothing more, and a chain
    that stood still mints for one epoch at most.
    """
    parameters, supply = PARAMETERS.require(state), SUPPLY.require(state)
    elapsed_ms = min(max(now_ms - PAID_UNTIL_MS.require(state), 0), get_epoch_ms(state))
    emission = compute_emission(parameters.emission_ppm, supply, elapsed_ms)
    shares = (parameters.hosting_ppm, parameters.upload_ppm, parameters.validator_ppm)
    hosting_, uploads, validators_ = (mul_ppm(emission, share) for share in shares)
    return Pools(
        supply=supply,
        elapsed_ms=elapsed_ms,
        emission=emission,
        hosting=hosting_,
        uploads=uploads,
        validators=validators_,
        lockers=emission - hosting_ - uploads - validators_,
        validator_pot=balances.get_balance(state, staking.VALIDATOR_POT),
    )


def get_epoch_end_ms(state: StateReader) -> TimeMs:
    """When the running epoch ends, if it lasts as long as intended."""
    return PAID_UNTIL_MS.require(state) + get_epoch_ms(state)


def get_epoch_ms(state: StateReader) -> int:
    """The intended length of an epoch."""
    parameters = system.get_parameters(state)
    return parameters.block_ms * parameters.epoch_blocks


def compute_emission(emission_ppm: Ppm, supply: Amount, elapsed_ms: int) -> Amount:
    """Base units minted in `elapsed_ms` at a yearly rate of `emission_ppm`."""
    return mul_div(supply * emission_ppm, elapsed_ms, PPM * YEAR_MS)


def get_era_pay(state: StateReader, who: Address) -> Amount:
    """What the validator pool would pay a validator for a nominal era with all its commits signed."""
    parameters, members = PARAMETERS.require(state), validators.get_current(state)
    member = get_validator(members, who)
    if member is None:
        return 0
    emission = compute_emission(parameters.emission_ppm, SUPPLY.require(state), get_epoch_ms(state))
    pool = mul_ppm(emission, parameters.validator_ppm) * system.get_parameters(state).era_epochs
    return mul_div(pool, member.power, compute_total_power(members))


def compute_available(pools: Pools, uploads: tuple[UploadRewarded, ...]) -> Amount:
    """What an epoch has for hosting before it is bounded by price: its pool, and what uploads leave."""
    return pools.hosting + pools.uploads - sum(payment.amount for payment in uploads)


def get_uploads(state: StateReader, epoch: Epoch, pool: Amount) -> tuple[UploadRewarded, ...]:
    """What uploads earn in the running epoch, so far."""
    match_ppm = PARAMETERS.require(state).match_ppm
    burned = sessions.get_burned(state, epoch)
    total = sum(amount for _, amount in burned)
    return tuple(
        UploadRewarded(
            host=host,
            epoch=epoch,
            amount=0 if is_excluded(state, host) else compute_match(match_ppm, amount, pool, total),
            pool=pool,
            burned=amount,
            burned_total=total,
            match_ppm=match_ppm,
            is_excluded=is_excluded(state, host),
        )
        for host, amount in burned
    )


def compute_match(match_ppm: Ppm, burned: Amount, pool: Amount, burned_total: Amount) -> Amount:
    """Base units minted for `burned`: `match_ppm` of it, at most its share of the pool."""
    return min(mul_ppm(burned, match_ppm), mul_div(pool, burned, burned_total))


def _get_payable(payments: tuple[HostingRewarded, ...]) -> Amount:
    """The part of the hosting pool that is for hosts: without what the bound on one lister's data leaves."""
    if not payments or payments[0].weight_total == 0:
        return 0
    weight = sum(payment.weight_paid for payment in payments)
    return mul_div(payments[0].pool, weight, payments[0].weight_total)


class HostingShares(NamedTuple):
    """How an epoch's hosting pay is divided."""

    pool: Amount
    weight_total: Uint
    weighed: Weighed


def share_pool(state: StateReader, weighed: Weighed, terms: TermsOf, available: Amount) -> HostingShares:
    """Divide what an epoch has for hosting among the weights, bounded by price and by lister."""
    listers = sum_by_lister(weighed, terms)
    pool, division = divide_pool(state, sum_weights(weighed), listers.values(), available)
    return HostingShares(pool, division.weight_total, cap(weighed, terms, listers, division))


def divide_pool(
    state: StateReader, weight: Uint, lister_weights: Iterable[Uint], available: Amount
) -> tuple[Amount, Division]:
    """The pool that `weight` may be paid of what is available, and its division."""
    parameters = PARAMETERS.require(state)
    pool = min(available, _get_hosting_bound(state, parameters, weight))
    weight_min = _get_weight_min(state, parameters, pool, weight)
    return pool, divide(parameters.subtree_ppm, weight, lister_weights, weight_min)


def _get_hosting(state: StateReader, epoch: Epoch, available: Amount) -> tuple[HostingRewarded, ...]:
    terms = TermsOf()
    weighed = weigh_hosts(state, PARAMETERS.require(state), epoch, terms)
    pool, total, weighed = share_pool(state, weighed, terms, available)
    payments = []
    for subset, factors in weighed:
        weight_paid = sum(mul_ppm(one.weight, one.capped_ppm) for one in factors)
        is_proven = possession.is_proven(state, subset.host, epoch)
        is_paid = is_proven and weight_paid > 0
        payments.append(
            HostingRewarded(
                host=subset.host,
                epoch=epoch,
                amount=mul_div(pool, weight_paid, total) if is_paid else 0,
                pool=pool,
                weight=sum(one.weight for one in factors),
                weight_paid=weight_paid,
                weight_total=total,
                pay_factor_ppm=subset.pay_factor,
                is_proven=is_proven,
                is_excluded=subset.is_excluded,
                datums=len(factors),
                factors=factors,
            )
        )
    return tuple(payments)


def _get_hosting_bound(state: StateReader, parameters: Parameters, weight: Uint) -> Amount:
    """The most that hosting may pay in an epoch for `weight`, at the current price of a download."""
    if parameters.hosting_price_ppm == 0:
        return INTEGER_MAX if weight else 0
    price, epochs = sessions.get_parameters(state).price_per_gib, system.get_parameters(state).era_epochs
    return compute_hosting_bound(parameters.hosting_price_ppm, price, weight, epochs)


def _get_weight_min(state: StateReader, parameters: Parameters, pool: Amount, weight: Uint) -> Uint:
    """The least weight among which a pool may be divided: with less, the bound by price would be exceeded."""
    if parameters.hosting_price_ppm == 0:
        return 0
    price, epochs = sessions.get_parameters(state).price_per_gib, system.get_parameters(state).era_epochs
    earned = price * parameters.hosting_price_ppm
    return min(div_up(pool * PPM * catalogue.GIB * epochs, max(earned, 1)), weight)


def compute_hosting_bound(price_ppm: Ppm, price_per_gib: Amount, weight: Uint, era_epochs: int) -> Amount:
    """`price_ppm` of the price of a GiB, per weighted GiB and era: an epoch's part, rounded down."""
    return mul_div(price_per_gib * price_ppm, weight, PPM * catalogue.GIB * era_epochs)


def _get_validators(state: StateReader, epoch: Epoch, pool: Amount) -> tuple[ValidatorRewarded, ...]:
    entries = validators.get_participation(state, epoch)
    power_due = _get_power_due(state, epoch, sum(entry.proposed for entry in entries))
    return tuple(_get_validator(state, epoch, pool, power_due, entry) for entry in entries if entry.due > 0)


def _get_power_due(state: StateReader, epoch: Epoch, blocks: int) -> int:
    """Total power of the sets, summed over the commits in the first `blocks` blocks of the epoch.

    A block carries the commit of the height before; block 1 carries none.
    """
    first = system.compute_first_height(system.get_parameters(state), epoch)
    sets = (validators.get_members_at(state, height - 1) for height in range(max(first, 2), first + blocks))
    return sum(compute_total_power(members) for members in sets if members is not None)


def _get_validator(
    state: StateReader, epoch: Epoch, pool: Amount, power_due: int, entry: Participation
) -> ValidatorRewarded:
    who = entry.validator
    amount = 0 if is_excluded(state, who) else mul_div(pool, entry.weight, power_due)
    bond, delegated = _get_shares_of_pay(state, who)
    commission_ppm = validators.get_commission(state, who)
    return ValidatorRewarded(
        validator=who,
        epoch=epoch,
        amount=amount,
        pool=pool,
        power_signed=entry.weight,
        power_due=power_due,
        commits_signed=entry.signed,
        commits_due=entry.due,
        is_excluded=is_excluded(state, who),
        bond=bond,
        delegated=delegated,
        commission_ppm=commission_ppm,
        to_delegators=compute_delegators_part(amount, bond, delegated, commission_ppm),
    )


def _get_shares_of_pay(state: StateReader, who: Address) -> tuple[Amount, Amount]:
    """The own and the delegated stake that share a validator's pay: as elected, not as it became since.

    A pool that is empty now has nobody to be paid.
    """
    elected = validators.get_elected_stake(state, who)
    return elected.bond, elected.delegated if staking.get_pool(state, who).shares else 0


def compute_delegators_part(amount: Amount, bond: Amount, delegated: Amount, commission_ppm: Ppm) -> Amount:
    """The delegators' part of a validator's pay: by stake, less the commission."""
    if delegated == 0:
        return 0
    return mul_ppm(mul_div(amount, delegated, bond + delegated), PPM - commission_ppm)
