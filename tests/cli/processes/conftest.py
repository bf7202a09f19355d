"""One small devnet for the tests of this folder: a single validator that hosts the sample."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Network, open_network


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A running devnet of one node; it ends with the folder's last test."""
    with open_network(tmp_path_factory.mktemp("processes"), "--validators", "1") as opened:
        yield opened
