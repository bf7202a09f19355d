"""What every test of the command line needs."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """A run in the background, or below `nohup`, ignores signals, and so would the commands it starts."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
