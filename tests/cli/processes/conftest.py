"""One small devnet for the tests of this folder: a single validator that hosts the sample."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.harness import Network, open_network


@pytest.fixture(scope="package", autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """A run in the background, or below `nohup`, ignores signals, and so would the commands it starts."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A running devnet of one node; it ends with the folder's last test."""
    with open_network(tmp_path_factory.mktemp("processes"), "--validators", "1") as opened:
        yield opened
