"""The supply on a screen: every pool and cause in words, and the parts only if asked for."""

from chain.modules.balances import BurnCause
from chain.modules.rewards.types import Minted
from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.screens.supply import BURNED_WORDS, MINTED_WORDS, build_supply
from cli.terminal.options import build_settings
from node.home.profiles import load_profile

SUMS = {"genesis": 9_000_000_000, "minted": 3, "burned": 2, "total": 9_000_000_001, "pots": {"escrow": 7}}


def test_every_pool_and_cause_has_words() -> None:
    """A pool or cause that is added gets words for people."""
    assert set(MINTED_WORDS) == set(Minted.__struct_fields__)
    assert set(BURNED_WORDS) == {cause.value for cause in BurnCause}


def test_why_shows_the_parts_in_tokens() -> None:
    """Without --why the sums and pots; with it, what they are made of."""
    network = NetworkContext(build_settings({"home": "/nonexistent"}), Client("http://127.0.0.1:9"))
    network.__dict__["spec"] = load_profile("devnet")
    found = {**SUMS, "minted_by": {"hosting": 3}, "burned_by": {"fees": 1, "own": 1}}
    plain = build_supply(network, found, is_explained=False)
    assert list(plain) == ["genesis", "minted", "burned", "total", "pots"] and plain["genesis"] == "9 VIDYA"
    told = build_supply(network, found, is_explained=True)
    assert told["minted, why"] == {"for proven bytes": "0.000000003 VIDYA"}
    assert list(told["burned, why"]) == ["fees of transactions", "by their owners"]
