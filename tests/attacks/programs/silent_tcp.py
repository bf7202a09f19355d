"""TCP connections that never say a word take every place for a handshake; a validator that starts meanwhile
has no peer.
"""

import trio

from tests.attacks.target import Target, dial_tcp

BREAKS_RULES = False
SECONDS = 20.0
CONNECTIONS = 76
HOSTS = 10


async def attack(target: Target) -> None:
    """Keeps that many open all the time."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(_hold, target, target.get_host(number % HOSTS, number % HOSTS))


async def _hold(target: Target, host: str) -> None:
    while True:
        try:
            async with await dial_tcp(target, host) as stream:
                while await stream.receive_some(4096):
                    pass
        except (OSError, trio.BrokenResourceError):
            await trio.sleep(0.05)
        target.note_cut("closed")
        await trio.sleep(0.01)
