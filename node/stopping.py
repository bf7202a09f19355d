"""How a process that runs an event loop is asked to end: Ctrl-C, SIGTERM, or its terminal going away."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

import trio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Ts = TypeVarTuple("Ts")


def list_stop_signals() -> list[signal.Signals]:
    """Those that this process does not ignore: `nohup` and background jobs of a shell ignore some."""
    return [one for one in STOP_SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]


async def wait_for_stop() -> signal.Signals:
    """The first of these signals that arrives."""
    with trio.open_signal_receiver(*list_stop_signals()) as signals:
        async for number in signals:
            return signal.Signals(number)
    raise AssertionError("a signal receiver never ends by itself")


async def run_until_stopped(
    work: Callable[[*Ts], Awaitable[object]], *arguments: *Ts
) -> signal.Signals | None:
    """Runs `work`; a signal cancels it and is returned, None if it ended by itself. Raises what it raises."""
    received: signal.Signals | None = None

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal received
        received = await wait_for_stop()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        await work(*arguments)
        nursery.cancel_scope.cancel()
    return received
