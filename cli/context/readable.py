"""JSON of the API made readable for a table: amounts in tokens, sizes and times in their units.

Programs (`-o json`) get the data as it is: base units, bytes, milliseconds.
"""

from datetime import UTC, datetime
from typing import Any

from cli.context.network import NetworkContext
from cli.terminal.amounts import format_amount, format_size
from cli.terminal.output import Format

AMOUNTS = frozenset(
    (
        *(
            "active",
            "amount",
            "balance",
            "base_fee",
            "bond",
            "burned",
            "committed",
            "delegated",
            "delegated_to",
        ),
        *(
            "deposit",
            "earned",
            "escrow",
            "fee",
            "fee_max",
            "to_lockers",
            "free",
            "genesis",
            "income",
            "leaving",
        ),
        *("limit", "listing_fee_min", "locked", "minted", "paid", "price_max_per_gib", "price_per_gib"),
        *("refunded", "spent", "stake", "tip", "total", "withheld"),
    )
)
SIZES = frozenset(
    (
        "bytes",
        "bytes_downloaded",
        "bytes_held",
        "bytes_served",
        "bytes_total",
        "quota_bytes",
        "size_bytes",
        "used_bytes",
    )
)


def make_readable(network: NetworkContext, data: Any) -> Any:
    """The data for the format asked for."""
    if network.settings.format is not Format.TABLE:
        return data
    return _convert(data, "", network.spec.decimals, network.spec.symbol)


def _convert(value: Any, name: str, decimals: int, symbol: str) -> Any:
    if isinstance(value, dict):
        return {key: _convert(item, key, decimals, symbol) for key, item in value.items()}
    if isinstance(value, list):
        return [_convert(item, name, decimals, symbol) for item in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name in AMOUNTS:
        return format_amount(value, decimals, symbol)
    if name in SIZES:
        return format_size(value)
    if name.endswith("time_ms"):
        return format_time(value)
    return value


def format_time(time_ms: int) -> str:
    """UTC, to the second."""
    seconds = min(time_ms // 1000, 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
