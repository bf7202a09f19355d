"""Rewards: the hooks that pay, genesis, and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances, catalogue, escrow, hosting, lockers, sessions, staking, system
from chain.modules.rewards.payments import Payments, get_payments
from chain.modules.rewards.types import (
    DATUMS_LISTED_MAX,
    HOSTING_PAY,
    MINTED,
    PAID_UNTIL_MS,
    PARAMETERS,
    SUPPLY,
    EpochRewarded,
    HostingPay,
    Minted,
    Parameters,
    ValidatorRewarded,
)
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import mul_div
from chain.primitives.types import PPM, Address, Amount
from chain.state import StateReader

LOSS_PPM_MIN = 20_000
"""Least share of the price that a buyer loses who is also the host and owns all locks."""


def on_epoch_end(ctx: Context) -> None:
    """Pay uploads, hosting and validators, and the rest to lockers.

    Runs after the hook of `offences`, so that its jailings count.
    """
    payments = get_payments(ctx.state, ctx.epoch, ctx.time_ms)
    PAID_UNTIL_MS.set(ctx.state, ctx.time_ms)
    sessions.take_burned(ctx, ctx.epoch)
    for upload in payments.uploads:
        _pay(ctx, upload.host, upload.amount)
        ctx.emit(upload)
    for share in payments.hosting:
        _pay(ctx, share.host, share.amount, is_hosting=True)
        ctx.emit(replace(share, factors=share.factors[:DATUMS_LISTED_MAX]))
    _count_hosted(ctx, payments)
    drawn = _fill_validator_pot(ctx, payments)
    for validator in payments.validators:
        _pay_validator(ctx, validator)
    balances.mint(ctx, lockers.FUND, payments.lockers)
    _count(ctx, payments, drawn)


def _pay(
    ctx: Context, who: Address, amount: Amount, source: Address | None = None, *, is_hosting: bool = False
) -> None:
    escrow.pay(ctx, who, amount, _get_proven_eras(ctx.state, who), source, is_hosting=is_hosting)


def _get_proven_eras(state: StateReader, who: Address) -> int:
    """Eras that a host has proven; 0 if the account is not a host."""
    host = hosting.get_host(state, who)
    return 0 if host is None else host.proven_eras


def _fill_validator_pot(ctx: Context, payments: Payments) -> Amount:
    """Mint the part of the validators' pay that the pot does not cover; returns the pot's part.

    Only what is paid out is minted: pay that an absent validator loses does not go to others later.
    """
    pools = payments.pools
    paid = sum(payment.amount for payment in payments.validators)
    drawn = mul_div(pools.validator_pot, paid, max(pools.validators + pools.validator_pot, 1))
    balances.mint(ctx, staking.VALIDATOR_POT, paid - drawn)
    return drawn


def _pay_validator(ctx: Context, payment: ValidatorRewarded) -> None:
    pot, validator = staking.VALIDATOR_POT, payment.validator
    shared = staking.reward_delegators(ctx, validator, payment.to_delegators, pot)
    _pay(ctx, validator, payment.amount - shared, pot)
    ctx.emit(payment)


def _count_hosted(ctx: Context, payments: Payments) -> None:
    """Add the epoch to what hosting paid in this era, and for how many bytes."""
    hosted, paid = (
        HOSTING_PAY.get(ctx.state) or HostingPay(),
        [one for one in payments.hosting if one.amount > 0],
    )
    size_bytes = sum(factor.size_bytes for one in paid for factor in one.factors)
    grown = HostingPay(hosted.paid + sum(one.amount for one in paid), hosted.byte_epochs + size_bytes)
    HOSTING_PAY.set(ctx.state, grown)


def _count(ctx: Context, payments: Payments, drawn: Amount) -> None:
    """Add to the totals of minted units. Emits EpochRewarded."""
    uploads = sum(payment.amount for payment in payments.uploads)
    hosted = sum(payment.amount for payment in payments.hosting)
    validated = sum(payment.amount for payment in payments.validators)
    before, locked = get_minted(ctx.state), payments.lockers
    after = Minted(
        hosting=before.hosting + hosted,
        uploads=before.uploads + uploads,
        validators=before.validators + validated - drawn,
        lockers=before.lockers + locked,
    )
    MINTED.set(ctx.state, after)
    minted = uploads + hosted + validated - drawn + locked
    ctx.emit(EpochRewarded(ctx.epoch, payments.pools, hosted, uploads, validated, locked, minted))


def on_era_end(ctx: Context) -> None:
    """The next era's emission follows the current supply; pledges and bonds follow this era's pay."""
    SUPPLY.set(ctx.state, balances.get_total_supply(ctx.state))
    hosted = HOSTING_PAY.get(ctx.state) or HostingPay()
    era_epochs = system.get_parameters(ctx.state).era_epochs
    pay_per_gib = mul_div(hosted.paid, catalogue.GIB * era_epochs, max(hosted.byte_epochs, 1))
    HOSTING_PAY.delete(ctx.state)
    hosting.on_era_paid(ctx, pay_per_gib)
    catalogue.record_pay(ctx, pay_per_gib)


class GenesisConfig(Record):
    """Rewards at genesis."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters and the supply of the first era; runs after all modules that burn at genesis."""
    _check_parameters(config.parameters)
    check_no_profit(config.parameters, sessions.get_parameters(ctx.state))
    PARAMETERS.set(ctx.state, config.parameters)
    SUPPLY.set(ctx.state, balances.get_total_supply(ctx.state))
    PAID_UNTIL_MS.set(ctx.state, ctx.time_ms)
    MINTED.set(ctx.state, Minted())


def _check_parameters(parameters: Parameters) -> None:
    if parameters.hosting_ppm + parameters.upload_ppm + parameters.validator_ppm > PPM:
        raise InvalidChainSpec("rewards: the pools share at most 1000000 of the emission")
    if parameters.subtree_ppm > PPM:
        raise InvalidChainSpec("rewards: subtree_ppm at most 1000000")
    eras = [step.eras_from for step in parameters.tenure]
    factors = [step.factor_ppm for step in parameters.tenure]
    if eras != sorted(eras) or factors != sorted(factors):
        raise InvalidChainSpec("rewards: tenure ascends")


def check_no_profit(parameters: Parameters, split: sessions.Parameters) -> None:
    """Raises InvalidChainSpec if selling to oneself costs less than `LOSS_PPM_MIN` of the price.

    A seller to itself that also owns all locks loses the burned part, less its match. The burned part
    rounds up and the match down, so the bound holds to the base unit.
    """
    burned_ppm = PPM - split.host_ppm - split.lockers_ppm
    if (PPM - parameters.match_ppm) * burned_ppm < LOSS_PPM_MIN * PPM:
        raise InvalidChainSpec(f"rewards: a faked download must lose {LOSS_PPM_MIN} ppm or more of its price")


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of rewards."""
    return PARAMETERS.require(state)


def get_minted(state: StateReader) -> Minted:
    """Base units ever minted, by pool."""
    return MINTED.require(state)


def check_invariants(state: StateReader) -> None:
    """Every unit minted since genesis was minted here."""
    minted = get_minted(state)
    total = minted.hosting + minted.uploads + minted.validators + minted.lockers
    assert balances.get_supply(state).minted == total, "another module has minted"
