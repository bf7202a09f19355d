"""The supply: what there was at genesis, what was minted and burned since and why, what the pots hold."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

MINTED_WORDS = {
    "hosting": "for proven bytes",
    "uploads": "matching what own sales burned",
    "validators": "for signed commits",
    "lockers": "to lockers, with what other pools left",
}
BURNED_WORDS = {
    "fees": "fees of transactions",
    "listing": "fees of listings",
    "joining": "part of joining fees",
    "downloads": "part of paid downloads",
    "slashes": "part of slashes",
    "demands": "fees of challenges that were met",
    "juries": "bonds lost by a verdict, silent jurors, withheld pay for junk",
    "own": "by their owners",
}
"""Pool or cause -> words; what has none is told by its name."""


def build_supply(network: "NetworkContext", found: Mapping[str, Any], is_explained: bool) -> dict[str, Any]:
    """Sums, and pots; if explained, also by pool and cause."""
    sums = {name: network.amount(found[name]) for name in ("genesis", "minted", "burned", "total")}
    why = {
        "minted, why": _list_parts(network, found["minted_by"], MINTED_WORDS),
        "burned, why": _list_parts(network, found["burned_by"], BURNED_WORDS),
    }
    pots = {name: network.amount(units) for name, units in found["pots"].items()}
    return {**sums, **(why if is_explained else {}), "pots": pots}


def _list_parts(
    network: "NetworkContext", parts: Mapping[str, int], words: Mapping[str, str]
) -> dict[str, str]:
    return {words.get(name, name): network.amount(units) for name, units in parts.items()}
