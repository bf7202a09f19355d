"""Every attack program against a real node: it must be withstood (`verdict` says what that is)."""

from collections.abc import Iterator

import pytest

from tests.attacks.runner import list_programs, run_attack
from tests.e2e.harness import Network, open_network

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One validator, which needs nobody else to make blocks."""
    with open_network(tmp_path_factory.mktemp("attacks"), "--validators", "1") as opened:
        yield opened


@pytest.mark.parametrize("name", list_programs())
async def test_a_node_withstands(network: Network, name: str) -> None:
    """Alive, within its memory, blocks in time, strangers served, the attacker cut and banned."""
    verdict = await run_attack(name, network)
    assert not verdict.list_failures(), verdict.format()
