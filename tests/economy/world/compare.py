"""An attack beside the honest use of the same bond, bandwidth and disk: two copies of one world."""

from typing import NamedTuple

from chain.modules.juries.types import WithheldBurned
from chain.modules.offences import DemandsFailed, MissesPunished, RevealsWithheld, WentOffline
from chain.modules.possession.types import DemandFailed, Missed
from chain.primitives.types import Address
from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.courses import Course, Play, run_course

ALARMS = (
    DemandsFailed,
    MissesPunished,
    RevealsWithheld,
    WentOffline,
    DemandFailed,
    Missed,
    WithheldBurned,
)
"""Events that name who did something wrong."""


class Outcome(NamedTuple):
    """What an attack brought, in base units, over the honest use; and when the chain named the attacker."""

    profit: int
    """Gain of the coalition over the same people's honest run."""
    harm: int
    """Loss of the honest hosts, or of who else is named as the victim."""
    detected: int | None
    """Simulated epochs until an event names somebody of the coalition; None: never."""
    bound: int = 0
    """What the rules let pass, if they only bound."""


def compare(
    arena: Arena,
    attack: Play,
    honest: Course | Play,
    coalition: tuple[Address, ...],
    *,
    victims: tuple[Address, ...] = HONEST,
    bound: int = 0,
) -> Outcome:
    """Play both on copies of the arena."""
    attacked, calm = run_course(arena, attack), run_course(arena, honest)
    return Outcome(
        profit=attacked.wealth(*coalition) - calm.wealth(*coalition),
        harm=calm.wealth(*victims) - attacked.wealth(*victims),
        detected=find_alarm(attacked, coalition, arena.epoch),
        bound=bound,
    )


def find_alarm(arena: Arena, coalition: tuple[Address, ...], since: int) -> int | None:
    """Epochs from `since` to the first event that names a member; misses of honest machines do not count."""
    for epoch, event in arena.events:
        if isinstance(event, ALARMS):
            named = getattr(event, "host", None) or getattr(event, "validator", None)
            is_failure = isinstance(event, Missed) and named in HONEST
            if named in coalition and not is_failure:
                return epoch - since
    return None
