"""One devnet per file of tests: real processes, one network at a time."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Network, open_network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Four validator-hosts with sample content, hosted and proven; all of them end with the file."""
    with open_network(tmp_path_factory.mktemp("e2e")) as opened:
        yield opened
