"""Guests that keep every rule and never leave take all inbound places: strangers stay out."""

import trio

from p2p.errors import NetworkError
from tests.attacks.target import Target, open_peer, watch_end

BREAKS_RULES = False
SECONDS = 40.0
GUESTS = 140
HOSTS = 6
DIALS_AT_ONCE = 8


async def attack(target: Target) -> None:
    """All of them at once, for as long as the attack lasts."""
    dials = trio.Semaphore(DIALS_AT_ONCE)
    async with trio.open_nursery() as nursery:
        for number in range(GUESTS):
            nursery.start_soon(_visit, target, target.get_host(number % HOSTS), dials)


async def _visit(target: Target, host: str, dials: trio.Semaphore) -> None:
    while True:
        try:
            async with open_peer(target.genesis_hash, host) as peer:
                gone = watch_end(peer)
                async with dials:
                    await peer.connect(target.address)
                await gone.wait()
            target.note_cut("disconnected")
        except NetworkError:
            await trio.sleep(0.5)
