"""What the rules let pass where they only bound, computed from the chain spec. No run is measured for it."""

from chain.modules import balances, hosting, possession, rewards
from chain.primitives.types import PPM
from tests.economy.world.arena import DOWN_PPM, HONEST, Arena


def compute_hosting_pool(arena: Arena, epochs: int) -> int:
    """The most that hosting can be paid in so many epochs: its pool, and all that uploads leave."""
    parameters, elapsed_ms = rewards.get_parameters(arena.state), epochs * arena.epoch_ms
    supply = balances.get_total_supply(arena.state)
    minted = rewards.payments.compute_emission(parameters.emission_ppm, supply, elapsed_ms)
    most = rewards.payments.compute_emission(parameters.emission_ppm, supply + minted, elapsed_ms)
    return most * (parameters.hosting_ppm + parameters.upload_ppm) // PPM


def compute_pay_factor(arena: Arena) -> int:
    """The expected pay factor of the arena's honest hosts, in ppm: A' of those that miss as often."""
    lost = DOWN_PPM * PPM // (PPM - possession.get_parameters(arena.state).pay_floor_ppm)
    return PPM - lost


def compute_replica_bound(arena: Arena, epochs: int, copies: int) -> int:
    """(R - 1) / (R + A' n) of the hosting pool: what R copies behind R networks get more than one true copy.

    Each key can earn as much as a true copy that never misses. The n honest copies of the arena have the pay
    factor A' of hosts that miss as often as those do. They have held for longer, which lowers the true share.
    """
    others = compute_pay_factor(arena) * len(HONEST)
    return compute_hosting_pool(arena, epochs) * (copies - 1) * PPM // (copies * PPM + others)


def compute_lister_bound(arena: Arena, epochs: int, listers: int = 1) -> int:
    """What the data of so many listers can be paid while few outsiders have paid for them."""
    share = rewards.get_parameters(arena.state).subtree_ppm
    return compute_hosting_pool(arena, epochs) * min(share * listers, PPM) // PPM


def compute_unprotected_bound(arena: Arena, epochs: int, keys: int) -> tuple[int, int]:
    """The bytes of small data that a key can register, and what so many keys can earn with them.

    The honest hosts hold all data with the pay factor A'; the keys never miss.
    """
    datums_max = hosting.get_parameters(arena.state).subset_datums_max
    bytes_max = datums_max * possession.get_parameters(arena.state).unsold_bytes_min
    total = sum(content.size for content in arena.contents.values())
    others = compute_pay_factor(arena) * len(HONEST) * total
    own = keys * bytes_max * PPM
    return bytes_max, compute_hosting_pool(arena, epochs) * own // (own + others)
