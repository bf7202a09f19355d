"""Refusals of the chain as people read them: a parameter that bounds something is told with its value.

An error of a module says "at least `amount_min`"; here that becomes "at least amount_min (1 VIDYA)", by the
chain spec of the network.
"""

import re
from typing import TYPE_CHECKING, Any

from cli.errors import RequestRefused
from cli.terminal.amounts import format_size

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

AMOUNTS = frozenset(
    ("amount_min", "delegation_min", "juror_bond_min", "settle_min", "sponsor_min", "sponsor_per_gib_min")
)
SIZES = frozenset(("datum_bytes_max",))
COUNTS = frozenset(("links_max", "weeks_max"))
_NAME = re.compile(r"`([a-z_]+)`")


def build_refusal(network: "NetworkContext", error: dict[str, Any], place: str = "") -> RequestRefused:
    """The exception for an error of a dry run or a receipt; `place` says where it happened."""
    return RequestRefused(error["code"], tell_bounds(network, error["code"], error["message"]) + place)


def tell_bounds(network: "NetworkContext", code: str, message: str) -> str:
    """The message of an error with the values of the parameters that it names."""
    module = getattr(network.spec, code.partition(".")[0], None)
    parameters = getattr(module, "parameters", None)

    def tell(match: re.Match[str]) -> str:
        value = getattr(parameters, match[1], None)
        return match[0] if value is None else f"{match[1]} ({_format(network, match[1], value)})"

    return _NAME.sub(tell, message)


def _format(network: "NetworkContext", name: str, value: int) -> str:
    if name in AMOUNTS:
        return network.amount(value)
    return format_size(value) if name in SIZES else str(value)
