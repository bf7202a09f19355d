"""A host that refuses chunks as sampled when they are not, to save the bandwidth of its sales."""

from chain.content import CHUNK_LEAVES, compute_leaf_count
from chain.modules import possession
from tests.economy.world.arena import HONEST, MEMBERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import KEY, OWN_NETWORK
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB
from tests.economy.world.trade import buy

EPOCHS_MAX = 64
CHUNKS_ASKED = 64


def run(arena: Arena, epochs: int) -> Outcome:
    """A member asks it first, and buys of another when it refuses. Honest: it sells what it may sell.

    Answered by: a buyer computes by its own chain which chunks are not sold, and takes the refusal of another
    as a host that has nothing to give. It loses the sale.
    """

    def trade(world: Arena, *, is_refusing: bool) -> None:
        world.prove(KEY)
        datum = min(world.contents)
        if not world.is_holding(KEY, datum):
            return
        seller = HONEST[0] if is_refusing and is_refusal_seen(world, datum) else KEY
        buy(world, MEMBERS[0], seller, datum, GIB)

    def play(world: Arena, *, is_refusing: bool) -> None:
        register(world, KEY, world.contents, OWN_NETWORK)
        world.run(min(epochs, EPOCHS_MAX), lambda current: trade(current, is_refusing=is_refusing))

    return compare(
        arena,
        lambda world: play(world, is_refusing=True),
        lambda world: play(world, is_refusing=False),
        (KEY,),
    )


def is_refusal_seen(world: Arena, datum: bytes) -> bool:
    """Whether the host may sell one of the chunks that it refuses, by the query that buyers use."""
    hold = possession.get_sales_hold(world.state, datum)
    chunks = compute_leaf_count(world.contents[datum].size) // CHUNK_LEAVES
    return any(hold.get_end(chunk, KEY) is None for chunk in range(min(chunks, CHUNKS_ASKED)))
