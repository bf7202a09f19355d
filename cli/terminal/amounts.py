"""Amounts, sizes, shares and durations as people write them, exactly: no float touches money.

`12.5` is 12.5 tokens, in base units by the chain spec's decimals; more digits than that are refused, not
rounded. Sizes take KB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (of 1024).
"""

import re

from chain.primitives.types import INTEGER_MAX, PPM
from cli.errors import UsageFault

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))? ?([A-Za-z]+)?", re.ASCII)
_SIZE = re.compile(r"([0-9]+)(?:\.([0-9]+))? ?([A-Za-z]*)", re.ASCII)
_SHARE = re.compile(r"([0-9]+)(?:\.([0-9]{1,4}))?%", re.ASCII)
_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", start=1)},
}
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DURATIONS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 10))
DIGITS_MAX = 40
"""More of what was typed is neither shown nor converted."""


def parse_amount(text: str, decimals: int, symbol: str) -> int:
    """Base units; raises UsageFault."""
    match, shown = _AMOUNT.fullmatch(text.strip()), _quote(text)
    if match is None:
        raise UsageFault(f"{shown} is no amount; write 12.5, in {symbol}")
    whole, fraction, unit = match[1].lstrip("0"), match[2] or "", match[3]
    if unit is not None and unit.upper() != symbol.upper():
        raise UsageFault(f"{shown}: the token of this network is {symbol}")
    if len(fraction) > decimals:
        raise UsageFault(f"{shown}: {symbol} has {decimals} decimals")
    if (
        len(whole) > DIGITS_MAX
        or (units := int((whole or "0") + fraction.ljust(decimals, "0"))) > INTEGER_MAX
    ):
        most = format_amount(INTEGER_MAX, decimals, symbol, is_grouped=True)
        raise UsageFault(f"{shown} is more than there can be, {most}")
    return units


def _quote(text: str) -> str:
    return repr(text if len(text) <= DIGITS_MAX else f"{text[:DIGITS_MAX]}...")


def format_amount(units: int, decimals: int, symbol: str = "", *, is_grouped: bool = False) -> str:
    """`12.5 VIDYA`, all digits that matter and no others; `999,987.5` if grouped, for reading only."""
    whole, fraction = divmod(units, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0") if fraction else ""
    shown = f"{whole:,}" if is_grouped else str(whole)
    return f"{shown}{'.' if digits else ''}{digits} {symbol}".rstrip()


def parse_size(text: str) -> int:
    """Bytes; raises UsageFault. A fraction of a byte is dropped."""
    match = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(match[3].lower()) if match else None
    if match is None or factor is None:
        raise UsageFault(f"{_quote(text)} is no size; write 500MB, 5GB or 5GiB")
    if len(text) > DIGITS_MAX:
        raise UsageFault(f"{_quote(text)} is longer than any size")
    fraction = match[2] or ""
    scale: int = 10 ** len(fraction)
    return int(match[1] + fraction) * factor // scale


def format_size(count: int) -> str:
    """`4.7 MiB`."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_BINARY) - 1)
    tenths = count * 10 >> 10 * power
    return f"{tenths // 10}.{tenths % 10} {_BINARY[power]}" if power else f"{count} B"


def format_share(ppm: int) -> str:
    """`5%`, `0.25%`: parts per million as percent."""
    return f"{format_amount(ppm, 4)}%"


def format_duration(milliseconds: int) -> str:
    """`2 min`: the largest unit that fits, cut to a whole number; below 10 s with one decimal."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds // 1000
    for name, size in _DURATIONS:
        if seconds >= size:
            count = seconds // (1 if name == "s" else size)
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{seconds}.{milliseconds % 1000 // 100} s"


def parse_share(text: str) -> int:
    """Parts per million out of `5%` or `50000`; raises UsageFault."""
    match = _SHARE.fullmatch(text.strip()) if len(text) <= DIGITS_MAX else None
    ppm = int(match[1] + (match[2] or "").ljust(4, "0")) if match else None
    if ppm is None and len(text) <= DIGITS_MAX and text.strip().isdecimal() and text.isascii():
        ppm = int(text)
    if ppm is None or ppm > PPM:
        raise UsageFault(f"{_quote(text)} is no share; write 5% or 50000 (parts per million)")
    return ppm
