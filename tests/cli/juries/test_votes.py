"""A juror's vote is hidden from everybody, and found again by the juror's key alone."""

from hypothesis import given
from hypothesis import strategies as st

from chain.modules import juries
from chain.primitives.keys import KeyPair
from cli.juries.votes import build_commitment, compute_salt, find_vote

GENESIS = b"g" * 32
SEEDS = st.binary(min_size=32, max_size=32)
CASES = st.integers(0, 2**53)


@given(SEEDS, CASES, st.booleans())
def test_a_vote_is_found_again(seed: bytes, case: int, is_junk: bool) -> None:
    """By the key and the case alone, and as the chain checks it when it is revealed."""
    key = KeyPair(seed)
    commitment = build_commitment(key, GENESIS, case, is_junk=is_junk)
    assert find_vote(key, GENESIS, case, commitment.hex()) is is_junk
    salt = compute_salt(key, GENESIS, case)
    assert commitment == juries.compute_commitment(GENESIS, case, key.public_key, is_junk, salt)


@given(SEEDS, SEEDS, CASES, CASES, st.booleans())
def test_no_other_key_case_or_network_finds_it(
    seed: bytes, other: bytes, case: int, another: int, is_junk: bool
) -> None:
    """So two votes of one juror tell nothing about each other."""
    key, commitment = KeyPair(seed), build_commitment(KeyPair(seed), GENESIS, case, is_junk=is_junk).hex()
    if other != seed:
        assert find_vote(KeyPair(other), GENESIS, case, commitment) is None
    if another != case:
        assert find_vote(key, GENESIS, another, commitment) is None
    assert find_vote(key, b"o" * 32, case, commitment) is None
    assert find_vote(key, GENESIS, case, None) is None


@given(SEEDS, CASES)
def test_salts_differ(seed: bytes, case: int) -> None:
    """A salt that was shown for one case opens no other."""
    key = KeyPair(seed)
    assert compute_salt(key, GENESIS, case) != compute_salt(key, GENESIS, case + 1)
    assert compute_salt(key, GENESIS, case) != seed
