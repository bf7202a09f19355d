"""When a newcomer's node counts as synced: what is bonded and bought before would be wrong."""

import time
from typing import Any

import pytest

from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.hosting.home import is_at_head
from cli.terminal.options import build_settings
from node.home.profiles import load_profile


class Peered(Client):
    """A node with peers that said these heights when they connected."""

    def __init__(self, heights: list[int]) -> None:
        super().__init__("http://127.0.0.1:9")
        self._heights = heights

    def get(self, path: str, **parameters: Any) -> Any:
        """The peers, and one that was not accepted."""
        accepted = [{"is_accepted": True, "height_at_hello": height} for height in self._heights]
        return {"peers": [*accepted, {"is_accepted": False, "height_at_hello": None}]}


@pytest.mark.parametrize(
    ("height", "heights", "expected"),
    [
        (1, [30], False),
        (30, [30], True),
        (31, [30, 10**18, 29], True),
        (29, [30, 10**18, 30], False),
        (31, [30, 10**18], True),
        (31, [], False),
        (0, [0], False),
    ],
)
def test_a_head_below_that_of_the_peers_is_not_the_networks(
    height: int, heights: list[int], expected: bool
) -> None:
    """Also on a chain so young that the first block is fresh; one peer that exaggerates does not matter."""
    network = NetworkContext(build_settings({"home": "/nonexistent"}), Peered(heights))
    network.__dict__["spec"] = load_profile("devnet")
    status = {"height": height, "syncing": False, "head_time_ms": time.time_ns() // 1_000_000}
    assert is_at_head(network, status) is expected
    assert not is_at_head(network, {**status, "syncing": True})
    assert not is_at_head(network, {**status, "head_time_ms": 0})
