"""The computed tables of docs/economy: each row by the functions that pay, with the public parameters."""

from collections.abc import Callable, Iterator
from math import comb

from chain.content.tree import LEAF_BYTES
from chain.modules import lockers, offences, rewards, sessions
from chain.modules.hosting.networks import PREFIX_BYTES_V4, PREFIX_BYTES_V6
from chain.primitives.fixed_point import mul_ppm
from node.content.prepayment import PREPAID_BYTES_MAX
from tests.economy.pages.parameters import PPM, PUBLIC, VIDYA, percent
from tests.economy.world.arena import DOWN_PPM, HONEST, SUPPLY

GIB, TIB = 2**30, 2**40
ERA_MS = (
    PUBLIC.system.parameters.block_ms
    * PUBLIC.system.parameters.epoch_blocks
    * PUBLIC.system.parameters.era_epochs
)
PAID, PROVEN = PUBLIC.rewards.parameters, PUBLIC.possession.parameters
EMISSION = rewards.payments.compute_emission(PAID.emission_ppm, SUPPLY, ERA_MS)
Rows = Iterator[tuple[str, ...]]


def tokens(amount: float, digits: int = 0) -> str:
    """Whole tokens, rounded down, or with digits."""
    return f"{amount / VIDYA:,.{digits}f}" if digits else f"{int(amount) // VIDYA:,}"


def compute_supply() -> Rows:
    """The pools of an era."""
    yield "emission", tokens(EMISSION)
    hosting = mul_ppm(EMISSION, PAID.hosting_ppm + PAID.upload_ppm)
    yield "hosting, if uploads leave all of theirs", tokens(hosting)
    yield "validators", tokens(mul_ppm(EMISSION, PAID.validator_ppm))
    rest = PPM - PAID.hosting_ppm - PAID.upload_ppm - PAID.validator_ppm
    yield "lockers, if hosting takes all of its pool", tokens(mul_ppm(EMISSION, rest))


def compute_juries() -> Rows:
    """The chance that more than half of a full jury is drawn from a share of all bonds."""
    size = PUBLIC.juries.parameters.jury_size
    for share in (0.2, 0.3, 0.4, 0.5):
        chances = (
            comb(size, count) * share**count * (1 - share) ** (size - count) for count in range(size + 1)
        )
        yield (
            f"{share:.0%}".replace("%", " %"),
            f"{sum(list(chances)[size // 2 + 1 :]):.1%}".replace("%", " %"),
        )


def compute_pledge() -> Rows:
    """The second part of a pledge."""
    parameters = PUBLIC.hosting.parameters
    for label, total in (
        ("at 100 TiB registered, or less", 100 * TIB),
        ("at 1,000 TiB registered", 1000 * TIB),
    ):
        share = SUPPLY * parameters.pledge_supply_ppm / PPM * GIB / max(total, parameters.pledge_bytes_min)
        yield label, tokens(share, 2)


def compute_possession() -> Rows:
    """Misses of a partial storer."""
    window = PROVEN.window_epochs
    for lacking in (0.01, 0.02, 0.05, 0.1):
        missed = 1 - (1 - lacking) ** PROVEN.leaves_per_epoch
        floor = PROVEN.pay_floor_ppm / PPM
        factor = max(0.0, (1 - missed - floor) / (1 - floor))
        found = 1 - (1 - missed) ** window
        yield f"{lacking * 100:g} %", f"{missed * 100:.1f} %", f"{found * 100:.1f} %", f"{factor:.2f}"


def compute_tenure() -> Rows:
    """The steps of tenure."""
    for step in PAID.tenure:
        yield f"{step.eras_from} era{'s' * (step.eras_from > 1)}", f"{step.factor_ppm / PPM:.7g}"


def compute_copies() -> Rows:
    """What R copies on one disk earn more than one."""
    pay_factor = 1 - DOWN_PPM / (PPM - PROVEN.pay_floor_ppm)
    assert (len(HONEST), pay_factor) == (5, 0.9)
    pool = mul_ppm(EMISSION, PAID.hosting_ppm + PAID.upload_ppm)
    for copies in (2, 5, 20):
        yield str(copies), tokens(pool * (copies - 1) / (copies + pay_factor * len(HONEST)))


def compute_withheld() -> Rows:
    """The steps of escrow."""
    for tier in PUBLIC.escrow.parameters.tiers:
        yield f"below {tier.proven_eras_below}", percent(tier.share_ppm)


def compute_lockers() -> Rows:
    """Weights of terms."""
    parameters, amount = PUBLIC.lockers.parameters, 1_000 * VIDYA
    for weeks in (1, 4, 13, 26, 52):
        weight = lockers.compute_weight(parameters, amount, weeks)
        yield str(weeks), tokens(weight, 2), f"{weight * 100 / amount:.2f} %"


def compute_downloads() -> Rows:
    """A GiB."""
    parameters = PUBLIC.sessions.parameters
    price = sessions.compute_price(GIB, parameters.price_per_gib)
    parts = sessions.calls.compute_split(parameters, price)
    match = rewards.payments.compute_match(PAID.match_ppm, parts.burned, 10**20, parts.burned)
    yield "price", tokens(price, 2)
    yield "to the host", tokens(parts.income, 2)
    yield "to the fund of lockers", tokens(parts.to_lockers, 2)
    yield "burned", tokens(parts.burned, 2)
    yield "minted for the host at most", tokens(match, 2)


TABLES: dict[str, tuple[Callable[[], Rows], ...]] = {
    "supply-and-emission": (compute_supply,),
    "juries": (compute_juries,),
    "pledge-and-stake": (compute_pledge,),
    "possession": (compute_possession,),
    "copies-and-weight": (compute_tenure, compute_copies),
    "withheld-pay": (compute_withheld,),
    "lockers": (compute_lockers,),
    "downloads": (compute_downloads,),
}


def list_rows(page: str) -> list[str]:
    """The computed rows of a page, as they are written."""
    return [f"| {' | '.join(cells)} |" for make in TABLES.get(page, ()) for cells in make()]


def list_phrases(page: str) -> list[str]:
    """What a page says in figures outside its tables."""
    supply = f"supply of {SUPPLY // VIDYA // 10**6} million VIDYA"
    assert (LEAF_BYTES, sessions.compute_price(2**30, VIDYA)) == (1024, VIDYA)
    assert offences.compute_equivocation_slash(0, 2, 12) == (3 * 2 * PPM // 12) ** 2 // PPM
    assert rewards.payments.YEAR_MS == 365 * 86_400_000
    return {
        "supply-and-emission": [supply, "one year of 365 days"],
        "pledge-and-stake": [supply],
        "possession": ["leaves of 1 KiB"],
        "slashing": ["(3x / n)^2"],
        "copies-and-weight": [
            f"the /{8 * PREFIX_BYTES_V4} of an IPv4 address",
            f"the /{8 * PREFIX_BYTES_V6} of an IPv6 address",
            f"beside {len(HONEST)} honest copies at A' = 0.9",
            supply,
        ],
        "lockers": ["weight of 1,000 VIDYA"],
        "downloads": [
            f"which is {percent(compute_loss())} of the amount",
            "/ 2^30",
            f"at most {PREPAID_BYTES_MAX >> 20} MiB per host and session",
            "HIP-10",
        ],
    }.get(page, [])


def compute_loss() -> int:
    """What a faked download loses of its amount, in ppm."""
    sold = PUBLIC.sessions.parameters
    return mul_ppm(PPM - sold.host_ppm - sold.lockers_ppm, PPM - PAID.match_ppm)
