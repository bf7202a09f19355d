"""How a page shows a parameter of the chain spec: the value of a public network with its unit."""

from typing import Any

from chain.genesis import ChainSpec
from chain.jsonable import get_fields
from node.home.profiles import load_profile

MODULES = (
    "escrow",
    "lockers",
    "staking",
    "beacon",
    "catalogue",
    "hosting",
    "possession",
    "membership",
    "sessions",
    "validators",
    "offences",
    "rewards",
    "juries",
)
"""Whose parameters are the economy's; of system only the lengths of time."""
TIMES = ("block_ms", "epoch_blocks", "era_epochs")
LISTS = frozenset(("escrow.tiers", "rewards.tenure"))
"""Shown as tables of their own."""
VIDYA, PPM = 10**9, 10**6
UNITS = (("eras", "era"), ("epochs", "epoch"), ("blocks", "block"))
PUBLIC: ChainSpec = load_profile("public")


def list_parameters() -> dict[str, str]:
    """Every parameter that some page must show, as it is shown."""
    names = [("system", name) for name in TIMES]
    for module in MODULES:
        names += [(module, name) for name, *_ in get_fields(type(getattr(PUBLIC, module).parameters))]
    shown = {f"{module}.{name}": (module, name) for module, name in names}
    return {full: format_parameter(*parts) for full, parts in shown.items() if full not in LISTS}


def format_parameter(module: str, name: str) -> str:
    """`5 %`, `7 eras`, `45 VIDYA`, `5 GiB`, `yes`, `3/2`."""
    value: Any = getattr(getattr(PUBLIC, module).parameters, name)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return f"{value.numerator}/{value.denominator}".removesuffix("/1")
    return format_number(name, value)


def format_number(name: str, value: int) -> str:
    """By the ending of the name; a number whose name has no unit is an amount or a count."""
    parts = name.removesuffix("_max").removesuffix("_min").split("_")
    if "ppm" in parts:
        return percent(value)
    if parts[-1] == "ms":
        return f"{value // 1000} s"
    if "bytes" in parts:
        return format_bytes(value)
    for unit, single in UNITS:
        if parts[-1] == unit:
            return f"{value:,} {single if value == 1 else unit}"
    return f"{value / VIDYA:,g} VIDYA" if value >= VIDYA // 100 else f"{value:,}"


def percent(ppm: int) -> str:
    """`0.1 %`."""
    return f"{ppm / 10_000:g} %"


def format_bytes(count: int) -> str:
    """Whole MiB, GiB or TiB."""
    power = next(power for power in (40, 30, 20) if count % 2**power == 0)
    return f"{count >> power} {'MGT'[power // 10 - 2]}iB"
