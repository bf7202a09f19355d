"""The screen of a session says who has not released, and when the rest of the deposit returns."""

from typing import Any

import pytest

from cli.screens.sessions import build_session
from cli.terminal.style import render
from cli.terminal.tables import build_details
from tests.cli.screens.screens import Screens

HOSTS = ("vdev1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sm0cfm7", "vdev1zzz")
WIDTHS = (60, 100)


def build_answer(*, is_running: bool, released: tuple[bool, bool]) -> dict[str, Any]:
    """As the API answers."""
    session = {
        "payer": HOSTS[0],
        "datum": "ab" * 32,
        "price_per_gib": 10**10,
        "expires_at": 500,
        "ends_at": 621,
        "unreleased": released.count(False),
        "bytes": 2**20,
        "amount": 9_765_625,
    }
    parts = [
        {"host": host, "limit": 10**9, "bytes": size, "amount": amount, "is_released": one}
        for host, one, size, amount in zip(HOSTS, released, (2**20, 0), (9_765_625, 0), strict=True)
    ]
    return {"id": "cd" * 32, "session": session, "is_running": is_running, "allotments": parts}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("is_running", "released", "words"),
    [
        (True, (False, False), ("running", "when 2 hosts have released; block 621 (in")),
        (False, (True, False), ("ended", "when 1 host has released; block 621 (in", "yes", "not yet")),
        (False, (True, True), ("with the next block",)),
    ],
)
def test_a_session_says_when_the_rest_returns(
    width: int, is_running: bool, released: tuple[bool, bool], words: tuple[str, ...]
) -> None:
    """Running, waiting for a host, and released by all; at every width."""
    built = build_session(Screens().reader, build_answer(is_running=is_running, released=released))
    shown = " ".join(render(build_details(built), width=width).split())
    assert "1.990234375 VIDYA" in shown
    for word in words:
        assert word in shown
