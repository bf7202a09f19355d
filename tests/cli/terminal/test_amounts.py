"""Amounts, sizes and shares as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.types import INTEGER_MAX
from cli.errors import UsageFault
from cli.terminal.amounts import format_amount, format_size, parse_amount, parse_share, parse_size

UNITS = st.integers(0, INTEGER_MAX)
DECIMALS = st.integers(0, 12)


@given(UNITS, DECIMALS)
def test_amount_reads_back(units: int, decimals: int) -> None:
    """What is shown of an amount is the amount, to the base unit."""
    assert parse_amount(format_amount(units, decimals), decimals, "VIDYA") == units
    assert parse_amount(format_amount(units, decimals, "VIDYA"), decimals, "VIDYA") == units


@pytest.mark.parametrize(
    ("text", "units"),
    [("12.5", 12_500_000_000), ("0", 0), ("0.000000001", 1), ("7 VIDYA", 7 * 10**9), ("1vidya", 10**9)],
)
def test_amount_is_exact(text: str, units: int) -> None:
    """Decimals become base units without any rounding."""
    assert parse_amount(text, 9, "VIDYA") == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1e3",
        "1,5",
        ".5",
        "5.",
        "0x10",
        "1 000",
        "1.0000000001",
        "9999999999.9",
        "1 BTC",
        "١",
        "1" * 50,
    ],
)
def test_doubtful_amount_is_refused(text: str) -> None:
    """What could be meant differently, or is finer or larger than can be, is no amount."""
    with pytest.raises(UsageFault):
        parse_amount(text, 9, "VIDYA")


@pytest.mark.parametrize("digits", [11, 20, 41, 5000])
def test_a_number_that_is_too_large_is_said_to_be_that(digits: int) -> None:
    """However long it is, its beginning is shown, and what the most is; a share or a size says its form."""
    with pytest.raises(UsageFault, match=r"is more than there can be, 9,223,372,036\.85") as refused:
        parse_amount("9" * digits, 9, "VIDYA")
    assert len(refused.value.message) < 120
    assert parse_amount("0" * digits + "7", 9, "VIDYA") == 7 * 10**9
    with pytest.raises(UsageFault, match="is no share"):
        parse_share("9" * digits)
    if digits > 40:
        with pytest.raises(UsageFault, match="longer than any size"):
            parse_size("9" * digits)


@pytest.mark.parametrize(
    ("text", "count"),
    [("5GB", 5 * 10**9), ("5GiB", 5 * 2**30), ("1.5kb", 1500), ("0.5 MiB", 2**19), ("42", 42), ("7B", 7)],
)
def test_size_counts_bytes(text: str, count: int) -> None:
    """Units of 1000 and of 1024 are told apart."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5 XB", "5GBB", "1e9", "9" * 60])
def test_doubtful_size_is_refused(text: str) -> None:
    """What is no size is refused."""
    with pytest.raises(UsageFault):
        parse_size(text)


@given(st.integers(0, 2**60))
def test_shown_size_is_not_above_the_size(count: int) -> None:
    """The unit shown is the largest that fits, and the number is cut, not rounded up."""
    number, unit = format_size(count).split()
    shown = parse_size(f"{number}{unit}")
    assert shown <= count < shown + max(shown // 9, 1) + 1


@pytest.mark.parametrize(
    ("text", "ppm"), [("5%", 50_000), ("0.5%", 5_000), ("100%", 10**6), ("50000", 50_000)]
)
def test_share_is_parts_per_million(text: str, ppm: int) -> None:
    """Per cent and parts per million are read alike."""
    assert parse_share(text) == ppm


@pytest.mark.parametrize("text", ["", "101%", "-1%", "5 percent", "1000001", "0.00001%"])
def test_doubtful_share_is_refused(text: str) -> None:
    """More than everything, or finer than can be kept, is no share."""
    with pytest.raises(UsageFault):
        parse_share(text)
