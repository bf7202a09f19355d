"""Escrow: the part of minted rewards that a young host gets later and may lose until then.

Of every reward a share is withheld, smaller the more eras the host has proven, and released in equal parts at
the ends of the following eras. Until it is released it can be seized, so a host that cheats early loses
what cheating earned. Income from vouchers never passes through here.

Invariant: the pot holds exactly the sum of all grants, and `WITHHELD` is that sum per account.
"""

from chain.errors import InvalidChainSpec
from chain.module import Context, Module
from chain.modules import balances
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import mul_ppm
from chain.primitives.types import HASH_BYTES, PPM, Address, Amount, Era, Ppm, Uint32
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("escrow", index=12)
POT = balances.compute_pot("escrow")


class Tier(Record):
    """Hosts with fewer proven eras than `proven_eras_below` have `share_ppm` of a reward withheld."""

    proven_eras_below: Uint32
    share_ppm: Ppm


class Parameters(Record):
    """How much is withheld, and how long."""

    release_eras: Uint32
    tiers: tuple[Tier, ...]
    """Ascending."""
    last_share_ppm: Ppm
    """For hosts with more proven eras than all tiers."""


class Grant(Record):
    """Rewards of one account and era that are still withheld; released at `eras_left` more era ends."""

    amount: Amount
    eras_left: Uint32
    hosting: Amount = 0
    """The part of `amount` that is pay for hosting; it is released at the same pace."""


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
GRANTS = StorageMap(MODULE.index, 1, Grant)
WITHHELD = StorageMap(MODULE.index, 2, int)


@MODULE.event(1)
class Paid(Record):
    """A reward of `amount`; `withheld` of it (`share_ppm`, for a host with `proven_eras`) waits in escrow."""

    account: Address
    amount: Amount
    proven_eras: Uint32
    share_ppm: Ppm
    withheld: Amount


@MODULE.event(2)
class Released(Record):
    """`amount` withheld in earlier eras was paid to its owner."""

    account: Address
    amount: Amount


def pay(
    ctx: Context,
    who: Address,
    amount: Amount,
    proven_eras: int,
    source: Address | None = None,
    *,
    is_hosting: bool = False,
) -> Amount:
    """Pay `who` a reward from `source` (None: newly minted); returns the part that is withheld.

    The withheld part is rounded up, so the part paid at once is rounded down.
    """
    share_ppm = compute_share(get_parameters(ctx.state), proven_eras)
    withheld = amount - mul_ppm(amount, PPM - share_ppm)
    _move(ctx, source, who, amount - withheld)
    _move(ctx, source, POT, withheld)
    _add_grant(ctx, who, withheld, withheld if is_hosting else 0)
    if amount > 0:
        ctx.emit(Paid(who, amount, proven_eras, share_ppm, withheld))
    return withheld


def seize(ctx: Context, who: Address, ppm: Ppm, payee: Address) -> Amount:
    """Move `ppm` of each grant of `who`, rounded down, to `payee`; returns how much that was."""
    seized = 0
    for key, grant in GRANTS.items(ctx.state, who):
        taken = mul_ppm(grant.amount, ppm)
        left = grant.hosting - mul_ppm(grant.hosting, ppm)
        _set_grant(ctx.state, replace(grant, amount=grant.amount - taken, hosting=left), who, key)
        seized += taken
    _set_withheld(ctx.state, who, get_withheld(ctx.state, who) - seized)
    balances.transfer(ctx, POT, payee, seized)
    return seized


def burn_hosting(ctx: Context, who: Address, ppm: Ppm, since_era: Era) -> Amount:
    """Burn `ppm` of the hosting pay withheld from `who` in `since_era` and later, rounded up; returns it."""
    burned = 0
    for key, grant in GRANTS.items(ctx.state, who):
        if int.from_bytes(key, "big") < since_era:
            continue
        taken = grant.hosting - mul_ppm(grant.hosting, PPM - ppm)
        left = replace(grant, amount=grant.amount - taken, hosting=grant.hosting - taken)
        _set_grant(ctx.state, left, who, key)
        burned += taken
    _set_withheld(ctx.state, who, get_withheld(ctx.state, who) - burned)
    balances.burn(ctx, POT, burned, balances.BurnCause.JURIES)
    return burned


def on_era_end(ctx: Context) -> None:
    """Release one part of every grant of an earlier era; the last part is the whole rest."""
    released: dict[Address, Amount] = {}
    for key, grant in GRANTS.items(ctx.state):
        who, era = key[:HASH_BYTES], key[HASH_BYTES:]
        if int.from_bytes(era, "big") >= ctx.era:
            continue
        part = grant.amount // grant.eras_left
        hosting = grant.hosting - grant.hosting // grant.eras_left
        remaining = Grant(grant.amount - part, grant.eras_left - 1, hosting)
        _set_grant(ctx.state, remaining, who, era)
        released[who] = released.get(who, 0) + part
    for who, amount in released.items():  # in the order of the scan, which is the order of addresses
        _release(ctx, who, amount)


def _release(ctx: Context, who: Address, amount: Amount) -> None:
    if amount == 0:
        return
    balances.transfer(ctx, POT, who, amount)
    _set_withheld(ctx.state, who, get_withheld(ctx.state, who) - amount)
    ctx.emit(Released(who, amount))


def _move(ctx: Context, source: Address | None, payee: Address, amount: Amount) -> None:
    if source is None:
        balances.mint(ctx, payee, amount)
    else:
        balances.transfer(ctx, source, payee, amount)


def _add_grant(ctx: Context, who: Address, amount: Amount, hosting: Amount) -> None:
    if amount == 0:
        return
    grant = GRANTS.get(ctx.state, who, ctx.era) or Grant(0, get_parameters(ctx.state).release_eras)
    grown = replace(grant, amount=grant.amount + amount, hosting=grant.hosting + hosting)
    GRANTS.set(ctx.state, grown, who, ctx.era)
    _set_withheld(ctx.state, who, get_withheld(ctx.state, who) + amount)


def _set_grant(state: Overlay, grant: Grant, who: Address, era: bytes) -> None:
    if grant.amount == 0:
        GRANTS.delete(state, who, era)
    else:
        GRANTS.set(state, grant, who, era)


def _set_withheld(state: Overlay, who: Address, amount: Amount) -> None:
    if amount == 0:
        WITHHELD.delete(state, who)
    else:
        WITHHELD.set(state, amount, who)


class GenesisConfig(Record):
    """Escrow at genesis."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; nothing is withheld yet."""
    parameters = config.parameters
    ages = [tier.proven_eras_below for tier in parameters.tiers]
    shares = [*(tier.share_ppm for tier in parameters.tiers), parameters.last_share_ppm]
    if parameters.release_eras == 0 or ages != sorted(ages) or max(shares) > PPM:
        raise InvalidChainSpec("escrow: release_eras at least 1, tiers ascending, shares at most 1000000")
    PARAMETERS.set(ctx.state, parameters)


def compute_share(parameters: Parameters, proven_eras: int) -> Ppm:
    """The share of a reward that is withheld from a host with so many proven eras."""
    for tier in parameters.tiers:
        if proven_eras < tier.proven_eras_below:
            return tier.share_ppm
    return parameters.last_share_ppm


def get_withheld(state: StateReader, who: Address) -> Amount:
    """Base units withheld from an account, over all eras."""
    return WITHHELD.get(state, who) or 0


def list_grants(state: StateReader, who: Address) -> tuple[tuple[Era, Grant], ...]:
    """(era, grant) of everything that is withheld from an account, the oldest first."""
    return tuple((int.from_bytes(era, "big"), grant) for era, grant in GRANTS.items(state, who))


def compute_last_release(grant: Grant, era: Era, current: Era) -> Era:
    """The era at whose end the last part of a grant of `era` is released."""
    return max(current, era + 1) + grant.eras_left - 1


def get_parameters(state: StateReader) -> Parameters:
    """How much is withheld, and how long."""
    return PARAMETERS.require(state)


def check_invariants(state: StateReader) -> None:
    """The pot owes exactly what the grants say, in total and per account."""
    owed: dict[Address, Amount] = {}
    for key, grant in GRANTS.items(state):
        assert grant.amount > 0 and grant.eras_left > 0, "an empty grant is kept"
        assert 0 <= grant.hosting <= grant.amount, "more is withheld for hosting than in all"
        who = key[:HASH_BYTES]
        owed[who] = owed.get(who, 0) + grant.amount
    assert owed == dict(WITHHELD.items(state)), "withheld per account differs from its grants"
    assert balances.get_balance(state, POT) == sum(owed.values()), "escrow pot differs from its grants"
