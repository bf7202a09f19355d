"""Addresses: the vectors of BIP-350, the round trip, and a telling message for every way to get one wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.addresses import (
    PREFIX_CHARS_MAX,
    check_prefix,
    decode_address,
    decode_bech32m,
    decode_id,
    encode_address,
    encode_bech32m,
    encode_id,
)
from chain.primitives.errors import InvalidAddress

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

# BIP-350, "Test vectors for Bech32m".
VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    ("\x201xj0phk", "character 1 is a blank"),
    ("\x7f1g6xzxy", "character 1 is a blank or not ASCII"),
    ("\x801vctc34", "character 1 is a blank or not ASCII"),
    ("an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4", "91 "),
    ("qyrz8wqd2c9m", "prefix is missing"),
    ("1qyrz8wqd2c9m", "prefix is missing"),
    ("y1b0jsk6g", "character 3 .'b'. is never"),
    ("lt1igcx5c0", "character 4 .'i'. is never"),
    ("in1muywd", "cut short"),
    ("mm1crxm3i", "character 9 .'i'. is never"),
    ("au1s5cgom", "character 8 .'o'. is never"),
    ("M1VUXWEZ", "checksum"),
    ("16plkw9", "prefix is missing"),
    ("1p2gdwpf", "prefix is missing"),
]

# BIP-350, "Test vectors for v0-v16 native segregated witness addresses": version 1, 32-byte programs.
WITNESS = [
    (
        "tb",
        "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        "bc",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
]

KEY = bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
keys = st.binary(min_size=32, max_size=32)
prefixes = st.from_regex(r"[a-z][a-z0-9]{0,19}", fullmatch=True)


@pytest.mark.parametrize("text", VALID)
def test_valid_vectors_decode_and_encode_again(text: str) -> None:
    """Each valid vector decodes, and encoding what came out gives the same text in small letters."""
    assert encode_bech32m(*decode_bech32m(text)) == text.lower()


@pytest.mark.parametrize(("text", "message"), INVALID)
def test_invalid_vectors_are_refused_for_their_reason(text: str, message: str) -> None:
    """Each invalid vector of the BIP is refused, with a message that names its fault."""
    with pytest.raises(InvalidAddress, match=message):
        decode_bech32m(text)


@pytest.mark.parametrize(("prefix", "text", "program"), WITNESS)
def test_grouping_of_bits_is_that_of_the_bip(prefix: str, text: str, program: str) -> None:
    """The 5-bit groups after the version of a witness address are those that we make of the same 32 bytes."""
    _, witness_values = decode_bech32m(text)
    _, our_values = decode_bech32m(encode_id(prefix, bytes.fromhex(program)))
    assert witness_values[1:] == our_values


@given(prefixes, keys)
def test_round_trip(prefix: str, key: bytes) -> None:
    """What is encoded has a fixed length and decodes to the same 32 bytes, also in capitals."""
    text = encode_address(prefix, key)
    assert len(text) == len(prefix) + 59
    assert decode_address(prefix, text) == decode_address(prefix, text.upper()) == key


@given(keys, st.data())
def test_up_to_four_wrong_characters_are_found(key: bytes, data: st.DataObject) -> None:
    """No replacement of one to four characters of the data part gives a valid address (BIP-173)."""
    text = list(encode_address("vidya", key))
    positions = st.lists(st.integers(6, len(text) - 1), min_size=1, max_size=4, unique=True)
    for position in data.draw(positions):
        text[position] = data.draw(st.sampled_from(ALPHABET.replace(text[position], "")))
    with pytest.raises(InvalidAddress, match="checksum"):
        decode_address("vidya", "".join(text))


@given(st.text(max_size=100))
def test_any_text_decodes_or_is_refused(text: str) -> None:
    """Whatever is typed, the only failure is InvalidAddress."""
    try:
        decode_id("vidya", text)
    except InvalidAddress:
        return
    pytest.fail("random text passed a 30-bit checksum and a prefix")


def test_other_network_is_named() -> None:
    """A good address of another network is refused with both prefixes in the message."""
    text = encode_address("vidyadev", KEY)
    with pytest.raises(InvalidAddress, match="begins with 'vidyadev', but 'vidya' is expected"):
        decode_address("vidya", text)


def test_kinds_of_ids_do_not_mix() -> None:
    """A content id is no session id, though both are 32 bytes."""
    with pytest.raises(InvalidAddress, match="'content'"):
        decode_id("session", encode_id("content", KEY))


def test_mixed_case_is_refused() -> None:
    """Capitals among small letters are refused as such, before the checksum is looked at."""
    text = encode_address("vidya", KEY)
    with pytest.raises(InvalidAddress, match="mixed"):
        decode_address("vidya", text.replace("vidya", "Vidya"))


@pytest.mark.parametrize("count", [0, 51, 53])
def test_other_lengths_are_refused(count: int) -> None:
    """Data of another length than an id is refused, though its checksum is right."""
    with pytest.raises(InvalidAddress, match=f"{count} characters .* 52 are expected"):
        decode_id("vidya", encode_bech32m("vidya", bytes(count)))


@pytest.mark.parametrize("last", [1, 2, 4, 8])
def test_set_padding_bits_are_refused(last: int) -> None:
    """An id has one text only: the four unused bits must be zero."""
    with pytest.raises(InvalidAddress, match="unused last bits"):
        decode_id("vidya", encode_bech32m("vidya", bytes([0] * 51 + [last])))


@pytest.mark.parametrize(
    "text", ["", "1", "vidya", "vidya1", " vidya1qqqqqq", "vidya1qqqqqq\n", "vidya1qqqq\N{KELVIN SIGN}q"]
)
def test_scraps_are_refused(text: str) -> None:
    """Cut, padded or look-alike text is refused (the Kelvin sign is a `k` in small letters)."""
    with pytest.raises(InvalidAddress):
        decode_id("vidya", text)


@pytest.mark.parametrize(
    "prefix", ["", "Vidya", "1a", "vi-dya", "a" * (PREFIX_CHARS_MAX + 1), "vidya\n", "ü"]
)
def test_unfit_prefixes_are_refused(prefix: str) -> None:
    """A prefix is refused if it could be confused with the data or would make addresses too long."""
    with pytest.raises(InvalidAddress, match="a prefix is"):
        check_prefix(prefix)
