"""The price of a download: what a GiB costs, who gets it, and where the price comes from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chain.modules.catalogue import GIB
from chain.modules.sessions import Parameters, compute_price
from chain.modules.sessions.calls import compute_split
from chain.primitives.fixed_point import mul_ppm

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

CAUSE = "a parameter of the chain spec: it does not follow supply and demand in this version"


def compute_parts(params: Mapping[str, Any]) -> dict[str, int]:
    """Of a GiB, in base units: the price, its three parts, and what is minted for the host at most."""
    sold, match_ppm = params["sessions"], params["rewards"]["match_ppm"]
    parameters = Parameters(**sold)
    price = compute_price(GIB, parameters.price_per_gib)
    split = compute_split(parameters, price)
    return {
        "price": price,
        "host": split.income,
        "lockers": split.to_lockers,
        "burned": split.burned,
        "match_max": mul_ppm(split.burned, match_ppm),
    }


def build_price(network: "NetworkContext", parts: Mapping[str, int], is_explained: bool) -> dict[str, Any]:
    """The price of a GiB; if explained, where it goes and comes from."""
    amounts = {name: network.amount(units) for name, units in parts.items()}
    shown: dict[str, Any] = {"price of a GiB": amounts["price"]}
    if is_explained:
        shown["goes to"] = {
            "the host": amounts["host"],
            "the fund of lockers": amounts["lockers"],
            "nobody, burned": amounts["burned"],
        }
        shown["minted for the host"] = f"{amounts['match_max']} at most, at the end of the epoch"
        shown["why"] = CAUSE
    return shown
