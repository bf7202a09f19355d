"""Ghost hosts over a library of small data, whose sampled chunks are always sold."""

from chain.modules.possession.types import PARAMETERS
from chain.primitives.codec import replace
from tests.economy.world.arena import ATTACKERS, DATUM_BYTES, Arena
from tests.economy.world.bounds import compute_unprotected_bound
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle
from tests.economy.world.hosts import prove_bought, register

KEYS = ATTACKERS[:7]


def run(arena: Arena, epochs: int) -> Outcome:
    """Seven keys, in seven networks, each with as many small data as allowed. Honest: the bond lies idle.

    The arena's data stand for small ones of the same size together: the size from which data are large is set
    above theirs. Only bounded: a key can register so many data, each below that size.
    """
    whole = arena.fork()
    parameters = PARAMETERS.require(whole.state)
    PARAMETERS.set(whole.state, replace(parameters, unsold_bytes_min=DATUM_BYTES + 1))
    bytes_max, bound = compute_unprotected_bound(arena, epochs, len(KEYS))
    datums = sorted(arena.contents)[: bytes_max // DATUM_BYTES]

    def attack(world: Arena) -> None:
        world.run(1)
        for number, key in enumerate(KEYS):
            register(world, key, datums, f"34.{number}.0")
        world.run(epochs - 1, lambda current: [prove_bought(current, key) for key in KEYS])

    return compare(whole, attack, idle(epochs), KEYS, bound=bound)
