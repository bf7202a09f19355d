"""The canonical codec: one accepted encoding per record, and DecodeError for every other string of bytes."""

from typing import Annotated

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from chain.primitives.codec import Record, check_bounds, decode, decode_trusted, encode, replace
from chain.primitives.errors import DecodeError
from chain.primitives.types import HASH_BYTES, INTEGER_MAX, Hash, Round, Uint, Uint8, Uint32


class Small(Record, tag=1):
    """One member of a union."""

    number: Uint8


class Large(Record, tag=2):
    """The other member."""

    number: Uint
    inner: tuple[Small, ...]


class Sample(Record):
    """A field of every sort that records use."""

    number: Uint
    is_set: bool
    name: Annotated[str, Meta(max_length=8)]
    data: Annotated[bytes, Meta(max_length=300)]
    parent: Hash | None
    numbers: Annotated[tuple[Uint, ...], Meta(max_length=20)]
    member: Small | Large


SAMPLE = Sample(300, True, "ä", b"\x01", None, (1, 2**63 - 1), Large(7, (Small(3),)))
SAMPLE_BYTES = bytes.fromhex("97cd012cc3a2c3a4c401 01c0 9201cf7fffffffffffffff 9302 07 91 9201 03")

edges = [2**bits + step for bits in range(3, 63) for step in (-1, 0)]
uints = st.integers(0, INTEGER_MAX) | st.sampled_from(edges)
smalls = st.builds(Small, st.integers(0, 255))
samples = st.builds(
    Sample,
    uints,
    st.booleans(),
    st.text(max_size=8),
    st.binary(max_size=300),
    st.none() | st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES),
    st.lists(uints, max_size=20).map(tuple),
    smalls | st.builds(Large, uints, st.lists(smalls, max_size=3).map(tuple)),
)


def lower_member(member: Small | Large) -> list[object]:
    """A union member as plain msgpack would be given it."""
    if isinstance(member, Small):
        return [1, member.number]
    return [2, member.number, [lower_member(inner) for inner in member.inner]]


def lower(sample: Sample) -> list[object]:
    """A sample as plain msgpack would be given it."""
    fields = [sample.number, sample.is_set, sample.name, sample.data, sample.parent, list(sample.numbers)]
    return [*fields, lower_member(sample.member)]


@given(samples)
def test_bytes_are_those_of_plain_msgpack(sample: Sample) -> None:
    """Another implementation of msgpack, given the same values as lists, writes the same bytes."""
    assert encode(sample) == msgpack.packb(lower(sample), use_bin_type=True)


@given(samples)
def test_round_trip(sample: Sample) -> None:
    """A record comes back equal from its bytes, by either door."""
    data = encode(sample)
    assert decode(Sample, data) == sample == decode_trusted(Sample, data) == check_bounds(sample)


def test_the_encoding_does_not_drift() -> None:
    """These bytes are protocol: an upgrade of the library may not change them."""
    assert encode(SAMPLE) == SAMPLE_BYTES
    assert decode(Sample, SAMPLE_BYTES) == SAMPLE


REFUSED = [
    ("nothing", Uint, ""),
    ("half an integer", Uint, "cd01"),
    ("a byte too many", Uint, "0100"),
    ("an integer in two bytes that fits in one", Uint, "cc01"),
    ("an integer in eight bytes that fits in one", Uint, "cf0000000000000001"),
    ("a positive integer in the signed form", Uint, "d001"),
    ("a negative integer", Uint, "ff"),
    ("an integer past the bound", Uint, "cf8000000000000000"),
    ("a whole float", Uint, "cb3ff0000000000000"),
    ("a float that is not a number", Uint, "cb7ff8000000000000"),
    ("a boolean for an integer", Uint, "c3"),
    ("an integer for a boolean", bool, "01"),
    ("nil for an integer", Uint, "c0"),
    ("text for bytes", bytes, "a161"),
    ("bytes for text", str, "c40161"),
    ("base64 text for bytes", bytes, "a4594745 3d"),
    ("text that is not UTF-8", str, "a1ff"),
    ("half a surrogate pair", str, "a3eda080"),
    ("text in the long form", str, "d90161"),
    ("bytes in the long form", bytes, "c5000161"),
    ("an array in the long form", tuple[Uint, ...], "dc000101"),
    ("a hash of 31 bytes", Hash, "c41f" + "00" * 31),
    ("a hash of 33 bytes", Hash, "c421" + "00" * 33),
    ("a map for a record", Small, "81a66e756d62657201"),
    ("a record without its number", Small, "9101"),
    ("a record with another's number", Small, "920201"),
    ("a record with its number as text", Small, "92a13101"),
    ("a record with its number in the long form", Small, "92cc0101"),
    ("a record of too few fields", Small, "9101"),
    ("a record of too many fields", Small, "93010203"),
    ("a union member that does not exist", Small | Large, "920301"),
    ("an extension type", Uint, "d40100"),
    ("a timestamp", Uint, "d6ff00000000"),
    ("the byte that msgpack never uses", Uint, "c1"),
    ("more elements than allowed", Annotated[tuple[Uint, ...], Meta(max_length=2)], "93010203"),
    ("an array that claims four thousand million elements", tuple[Uint, ...], "ddffffffff"),
    ("bytes that claim four thousand million", bytes, "c6ffffffff"),
]


@pytest.mark.parametrize(("kind", "data"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(kind: type, data: str) -> None:
    """What is not the one encoding of a value within bounds is no value."""
    with pytest.raises(DecodeError):
        decode(kind, bytes.fromhex(data))


def test_deep_nesting_is_refused() -> None:
    """A small message of very many opening arrays exhausts nothing."""
    with pytest.raises(DecodeError):
        decode(Sample, b"\x91" * 100_000)


class Tree(Record):
    """A record that can hold itself."""

    children: tuple["Tree", ...]


def test_deep_nesting_of_a_recursive_record_is_refused() -> None:
    """Where the type itself would allow any depth, the decoder still ends with an error of ours."""
    with pytest.raises(DecodeError):
        decode(Tree, b"\x91" * 100_000 + b"\x90")


def test_length_is_checked_before_anything_is_read() -> None:
    """A record one byte over the caller's bound is refused, however well formed."""
    size = len(SAMPLE_BYTES)
    assert decode(Sample, SAMPLE_BYTES, bytes_max=size) == SAMPLE
    with pytest.raises(DecodeError, match=f"at most {size - 1}"):
        decode(Sample, SAMPLE_BYTES, bytes_max=size - 1)


def assert_refused_or_canonical(data: bytes) -> None:
    try:
        value = decode(Sample, data)
    except DecodeError:
        return
    assert encode(value) == data


@given(samples.map(encode), st.data())
def test_changed_bytes_are_refused_or_canonical(data: bytes, draw: st.DataObject) -> None:
    """Cut anywhere and continued with anything, bytes decode only if they are what their value encodes to."""
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, min(start + 3, len(data))))
    assert_refused_or_canonical(data[:start] + draw.draw(st.binary(max_size=9)) + data[stop:])


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_canonical(data: bytes) -> None:
    """No string of bytes raises anything but DecodeError."""
    assert_refused_or_canonical(data)


def test_every_single_byte_change_is_refused_or_canonical() -> None:
    """All 255 other values at each position of one sample."""
    for position in range(len(SAMPLE_BYTES)):
        for value in range(256):
            before, after = SAMPLE_BYTES[:position], SAMPLE_BYTES[position + 1 :]
            assert_refused_or_canonical(before + bytes((value,)) + after)


@pytest.mark.parametrize(
    ("kind", "highest"), [(Uint, INTEGER_MAX), (Uint8, 2**8 - 1), (Uint32, 2**32 - 1), (Round, 2**31 - 1)]
)
def test_integer_bounds(kind: type, highest: int) -> None:
    """Each integer type ends exactly where it says."""
    assert decode(kind, encode(highest)) == highest
    assert decode(kind, encode(0)) == 0
    for beyond in (highest + 1, -1):
        with pytest.raises(DecodeError):
            decode(kind, encode(beyond))


@pytest.mark.parametrize("number", [-1, INTEGER_MAX + 1, 2**64, -(2**64), 1.5, "1", None])
def test_bounds_of_people_s_input(number: object) -> None:
    """A record built by hand with a value outside its bounds is refused before it is used."""
    with pytest.raises(DecodeError):
        check_bounds(replace(SAMPLE, number=number))


def test_records_are_immutable_values() -> None:
    """`replace` makes another record, and a record's fields cannot be set."""
    other = replace(SAMPLE, number=1)
    assert (other.number, SAMPLE.number) == (1, 300)
    assert replace(other, number=300) == SAMPLE
    with pytest.raises(AttributeError):
        SAMPLE.number = 2  # type: ignore[misc]
