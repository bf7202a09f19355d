"""The price on a screen: what a GiB costs; if asked for, who gets it and where the price comes from."""

from chain.jsonable import to_json
from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.screens.price import CAUSE, build_price, compute_parts
from cli.terminal.options import build_settings
from node.home.profiles import load_profile

PUBLIC = load_profile("public")
PARAMS = {name: to_json(getattr(PUBLIC, name).parameters, "vidya") for name in ("sessions", "rewards")}


def test_the_parts_add_up_to_the_price() -> None:
    """A GiB is split as the chain splits it; the match is less than what is burned."""
    parts = compute_parts(PARAMS)
    assert parts["price"] == PUBLIC.sessions.parameters.price_per_gib
    assert parts["host"] + parts["lockers"] + parts["burned"] == parts["price"]
    assert 0 < parts["match_max"] < parts["burned"]


def test_why_says_who_gets_it_and_that_it_is_fixed() -> None:
    """Without --why the price alone."""
    network = NetworkContext(build_settings({"home": "/nonexistent"}), Client("http://127.0.0.1:9"))
    network.__dict__["spec"] = load_profile("devnet")
    parts = compute_parts(PARAMS)
    assert build_price(network, parts, is_explained=False) == {"price of a GiB": "10 VIDYA"}
    told = build_price(network, parts, is_explained=True)
    assert told["why"] == CAUSE and told["goes to"]["the host"] == "7 VIDYA"
