"""Refusals name their bounds: every parameter that an error of the chain speaks of has a form for people."""

import re

import pytest

from chain.modules.schedule import MODULES
from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.terminal.options import build_settings
from cli.transactions.refusals import AMOUNTS, COUNTS, SIZES, build_refusal, tell_bounds
from node.home.profiles import load_profile

NAMED = [
    (kind.code, (kind.__doc__ or "").split("\n")[0], name)
    for module in MODULES
    for kind in module.errors.values()
    for name in re.findall(r"`([a-z_]+)`", (kind.__doc__ or "").split("\n")[0])
]


@pytest.fixture
def network() -> NetworkContext:
    """A network of the devnet's profile; no node is asked."""
    made = NetworkContext(build_settings({"home": "/nonexistent"}), Client("http://127.0.0.1:9"))
    made.__dict__["spec"] = load_profile("devnet")
    return made


@pytest.mark.parametrize(("code", "message", "name"), NAMED)
def test_every_bound_is_told_with_its_value(
    network: NetworkContext, code: str, message: str, name: str
) -> None:
    """The name in backticks is a parameter of the error's module, and its unit is known."""
    parameters = getattr(network.spec, code.partition(".")[0]).parameters
    assert hasattr(parameters, name) and name in AMOUNTS | SIZES | COUNTS
    assert f"{name} (" in tell_bounds(network, code, message)


def test_units_fit_the_parameter(network: NetworkContext) -> None:
    """An amount in tokens, a size in bytes; what is no parameter stays as it is."""
    error = {"code": "lockers.amount_too_small", "message": "A lock holds at least `amount_min`."}
    assert str(build_refusal(network, error, " (here)")) == (
        "A lock holds at least amount_min (1 VIDYA). (here)"
    )
    told = tell_bounds(network, "catalogue.too_large", "at most `datum_bytes_max`")
    assert re.fullmatch(r"at most datum_bytes_max \([\d.]+ [KMGTP]iB\)", told)
    assert tell_bounds(network, "nonce_too_low", "see `nowhere`") == "see `nowhere`"
