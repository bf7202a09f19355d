"""Layers of the state against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.codec import Record
from chain.primitives.types import Uint
from chain.state import INSERTED_MAX, MemoryState, Overlay, StorageMap, StorageValue, encode_key

KEYS = st.binary(min_size=1, max_size=3)
VALUES = st.binary(max_size=2)
WRITES = st.dictionaries(KEYS, st.none() | VALUES, max_size=12)


def write(overlay: Overlay, key: bytes, value: bytes | None) -> None:
    """Set or delete."""
    if value is None:
        overlay.delete(key)
    else:
        overlay.set(key, value)


class Item(Record):
    """Something to keep."""

    number: Uint


@given(st.dictionaries(KEYS, VALUES), st.lists(st.tuples(WRITES, st.booleans(), KEYS), max_size=6))
def test_layers_show_what_a_dictionary_would(
    below: dict[bytes, bytes], layers: list[tuple[dict[bytes, bytes | None], bool, bytes]]
) -> None:
    """Reads and scans see the newest write below them; a layer that is dropped leaves nothing."""
    expected, overlay = dict(below), Overlay(MemoryState(below))
    for writes, is_kept, prefix in layers:
        upper, seen = Overlay(overlay), dict(expected)
        for key, value in writes.items():
            write(upper, key, value)
            seen.pop(key, None)
            if value is not None:
                seen[key] = value
            assert upper.get(key) == value
            assert list(upper.scan(prefix)) == sorted(p for p in seen.items() if p[0].startswith(prefix))
        if is_kept:
            overlay.apply(upper.changes)
            expected = seen
        assert list(overlay.scan(b"")) == sorted(expected.items())
    base = MemoryState(below)
    base.apply(overlay.changes)
    assert base.values == expected


def test_many_writes_between_two_scans_are_found() -> None:
    """The index takes over a few keys one by one, and many at once."""
    overlay = Overlay(MemoryState())
    expected = {}
    for number in range(3 * INSERTED_MAX):
        key = encode_key((number * 7919 % 1009,))
        overlay.set(key, b"%d" % number)
        expected[key] = b"%d" % number
        if number in (1, 2, 5, 10, 2 * INSERTED_MAX):
            assert list(overlay.scan(b"")) == sorted(expected.items())
    assert list(overlay.scan(b"")) == sorted(expected.items())


def test_entries_may_be_deleted_and_added_while_they_are_walked() -> None:
    """As hooks do; the walk shows what was there when it began."""
    things = StorageMap(9, 1, Item)
    overlay = Overlay(MemoryState({things.key(number): b"\x91\x01" for number in range(3)}))
    things.set(overlay, Item(5), 5)
    walked = []
    for key, _ in things.items(overlay):
        number = int.from_bytes(key, "big")
        walked.append(number)
        things.delete(overlay, number)
        things.set(overlay, Item(1), number + 100)
    assert walked == [0, 1, 2, 5]
    assert [int.from_bytes(key, "big") for key, _ in things.items(overlay)] == [100, 101, 102, 105]


def test_a_map_is_walked_in_the_order_of_its_numbers() -> None:
    """Fixed-width keys: 2 comes before 10, and a prefix of parts selects."""
    things = StorageMap(9, 1, Item)
    overlay = Overlay(MemoryState())
    for first, second in ((10, 1), (2, 9), (2, 300)):
        things.set(overlay, Item(second), first, second)
    assert [item.number for _, item in things.items(overlay)] == [9, 300, 1]
    assert [item.number for _, item in things.items(overlay, 2)] == [9, 300]
    assert things.has(overlay, 2, 9) and not things.has(overlay, 2, 10)
    assert things.get(overlay, 2, 10) is None


def test_values_and_maps_of_other_items_do_not_mix() -> None:
    """Module and item number are the first two bytes of a key."""
    one, two, other = StorageValue(9, 1, Item), StorageValue(9, 2, Item), StorageMap(10, 1, Item)
    overlay = Overlay(MemoryState())
    one.set(overlay, Item(1))
    two.set(overlay, Item(2))
    other.set(overlay, Item(3), b"k")
    assert (one.require(overlay), two.get(overlay)) == (Item(1), Item(2))
    two.delete(overlay)
    assert two.get(overlay) is None
    assert list(overlay.scan(bytes((9,)))) == [(one.key, b"\x91\x01")]
