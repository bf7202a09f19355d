"""What a session allots to its hosts."""

from hypothesis import given
from hypothesis import strategies as st

from chain.modules.sessions import compute_price
from cli.content.sessions import compute_limit

SIZES = st.integers(1, 2**40)
PRICES = st.integers(1, 10**12)


@given(SIZES, PRICES, st.integers(1, 32))
def test_half_of_the_hosts_can_carry_the_whole(size_bytes: int, price: int, hosts: int) -> None:
    """If the other half fails, those left can still be paid for all bytes."""
    limit, half = compute_limit(size_bytes, price, hosts), (hosts + 1) // 2
    assert half * limit >= compute_price(size_bytes, price)


@given(SIZES, PRICES, st.integers(1, 32))
def test_no_host_is_allotted_more_than_everything(size_bytes: int, price: int, hosts: int) -> None:
    """A deposit is never larger than one host with everything, for each host."""
    assert 1 <= compute_limit(size_bytes, price, hosts) <= max(compute_price(size_bytes, price), 1)
