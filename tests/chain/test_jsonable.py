"""Records as JSON and back: nothing is lost, and what is wrong is found at its place."""

import json
from collections.abc import Iterator
from enum import IntEnum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import Block, BlockReceipts
from chain.errors import DecodeError
from chain.genesis import ChainSpec
from chain.jsonable import from_json, get_fields, to_json
from chain.modules import balances, offences, schedule
from chain.primitives.codec import Record
from chain.transaction import SignedTransaction
from chain.votes import (
    Evidence,
    SignedVote,
    Vote,
    VoteKind,
    build_duplicate_vote,
)
from tests.chain.support.record_strategies import build_strategy

PREFIX = "vtest"
ALICE = b"a" * 32
ALICE_TEXT = to_json(balances.Burned(ALICE, 1), PREFIX)["account"]

KINDS: list[Any] = [
    *(spec.kind for module in schedule.MODULES for spec in module.calls.values()),
    *(kind for module in schedule.MODULES for kind in module.events.values()),
    Block,
    BlockReceipts,
    SignedTransaction,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@settings(max_examples=10)
@given(data=st.data())
def test_every_record_of_the_protocol_survives_json(kind: type[Record], data: st.DataObject) -> None:
    """Arguments, events, blocks: what is written as text is read back as the same record."""
    record = data.draw(build_strategy(kind))
    document = json.dumps(to_json(record, PREFIX))
    assert from_json(kind, json.loads(document), PREFIX) == record


@settings(max_examples=20)
@given(build_strategy(ChainSpec))
def test_every_chain_spec_survives_json(spec: ChainSpec) -> None:
    """Also one that genesis would refuse."""
    assert from_json(ChainSpec, json.loads(json.dumps(to_json(spec, PREFIX))), PREFIX) == spec


def iterate_types(kind: Any, seen: set[Any]) -> Iterator[Any]:
    """The type and all types in it."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for inner in get_args(kind):
        if inner is not ... and not isinstance(inner, msgspec.Meta):
            yield from iterate_types(inner, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for _, field, _ in get_fields(kind):
            yield from iterate_types(field, seen)


def test_types_are_those_that_json_can_tell_apart() -> None:
    """Unions are of records, or of one type and None; no member has a field named `kind`."""
    seen: set[Any] = set()
    for kind in (*KINDS, ChainSpec):
        for found in iterate_types(kind, seen):
            bare = get_args(found)[0] if get_origin(found) is Annotated else found
            if get_origin(bare) in (Union, UnionType):
                members = [member for member in get_args(bare) if member is not type(None)]
                assert len(members) == 1 or all(issubclass(one, Record) for one in members), found
                for member in members if len(members) > 1 else ():
                    assert "kind" not in [name for name, _, _ in get_fields(member)], member
            elif isinstance(bare, type) and issubclass(bare, int | str | bytes):
                assert bare in (int, str, bytes, bool) or issubclass(bare, IntEnum), bare


def test_people_see_addresses_hashes_and_kinds() -> None:
    """Accounts are bech32m with the network's prefix, other bytes hex, members of a union named."""
    votes = [SignedVote(Vote(VoteKind.PREVOTE, 1, 0, value, ALICE), bytes(64)) for value in (None, b"h" * 32)]
    report = offences.Report(build_duplicate_vote(*votes))
    document = to_json(report, PREFIX)
    assert document["evidence"]["kind"] == "DuplicateVote"
    vote = document["evidence"]["second"]["vote"]
    assert vote["validator"] == ALICE_TEXT and ALICE_TEXT.startswith("vtest1")
    assert (vote["kind"], vote["block_hash"]) == (1, (b"h" * 32).hex())
    assert document["evidence"]["first"]["vote"]["block_hash"] is None
    assert from_json(offences.Report, document, PREFIX) == report


class Inner(Record):
    """Something in a list."""

    names: tuple[str, ...]


class Sample(Record):
    """One of each."""

    who: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32, title="address")]
    key: Annotated[bytes, msgspec.Meta(max_length=2)]
    count: Annotated[int, msgspec.Meta(ge=0, le=9)]
    is_good: bool
    pair: tuple[int, str]
    inner: Annotated[tuple[Inner, ...], msgspec.Meta(max_length=1)]
    vote: VoteKind = VoteKind.PREVOTE
    evidence: Evidence | None = None


GOOD = {
    "who": ALICE_TEXT,
    "key": "00ff",
    "count": 9,
    "is_good": True,
    "pair": [1, "one"],
    "inner": [{"names": ["a", "ü"]}],
}


def test_defaults_may_be_left_out() -> None:
    """As in a chain spec."""
    sample = Sample(ALICE, b"\x00\xff", 9, True, (1, "one"), (Inner(("a", "ü")),))
    assert from_json(Sample, GOOD, PREFIX) == sample
    assert from_json(Sample, GOOD | {"vote": 2}, PREFIX).vote is VoteKind.PRECOMMIT


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        ({"who": ALICE_TEXT[:-1] + "q"}, "Sample.who", "checksum"),
        ({"who": ALICE_TEXT.replace("vtest1", "vidya1")}, "Sample.who", ""),
        ({"who": "61" * 32}, "Sample.who", ""),
        ({"who": 5}, "Sample.who", "expected text"),
        ({"key": "0"}, "Sample.key", "not hex"),
        ({"key": "0g"}, "Sample.key", "not hex"),
        ({"key": "00FF"}, "Sample.key", "small letters"),
        ({"key": "00 ff"}, "Sample.key", "small letters"),
        ({"key": "000000"}, "Sample.key", "length <= 2"),
        ({"count": 10}, "Sample.count", "<= 9"),
        ({"count": -1}, "Sample.count", ">= 0"),
        ({"count": 2**70}, "Sample.count", ""),
        ({"count": 1.0}, "Sample.count", "point"),
        ({"count": True}, "Sample.count", "bool"),
        ({"count": "1"}, "Sample.count", "str"),
        ({"count": None}, "Sample.count", "null"),
        ({"is_good": 1}, "Sample.is_good", "int"),
        ({"pair": [1]}, "Sample.pair", "2 entries"),
        ({"pair": [1, "one", 2]}, "Sample.pair", "2 entries"),
        ({"pair": [1, 2]}, "Sample.pair[1]", "str"),
        ({"pair": {"0": 1}}, "Sample.pair", "a list"),
        ({"pair": [1, "\ud800"]}, "Sample.pair[1]", "surrogate"),
        ({"inner": [{"names": []}, {"names": []}]}, "Sample.inner", "length <= 1"),
        ({"inner": [[]]}, "Sample.inner[0]", "an object"),
        ({"inner": [{"names": [1]}]}, "Sample.inner[0].names[0]", "str"),
        ({"inner": [{}]}, "Sample.inner[0]", "'names' is missing"),
        ({"inner": [{"names": [], "nmaes": []}]}, "Sample.inner[0]", "unknown field 'nmaes'"),
        ({"vote": 3}, "Sample.vote", "enum"),
        ({"evidence": {}}, "Sample.evidence", "kind must be one of DuplicateVote, DuplicateProposal"),
        ({"evidence": {"kind": "Vote"}}, "Sample.evidence", "kind must be one of"),
        ({"evidence": {"kind": "DuplicateVote"}}, "Sample.evidence", "'first' is missing"),
        ({"evidence": 7}, "Sample.evidence", "kind must be one of"),
    ],
)
def test_what_is_wrong_is_found_at_its_place(change: dict[str, Any], place: str, reason: str) -> None:
    """Types, bounds, names and counts."""
    with pytest.raises(DecodeError) as caught:
        from_json(Sample, GOOD | change, PREFIX)
    assert str(caught.value).startswith(f"{place}: ")
    assert reason in str(caught.value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)) | st.just("evidence"), JUNK)
def test_junk_is_refused_and_never_anything_worse(field: str, junk: object) -> None:
    """Whatever stands in a field, it is taken for what it is or refused as DecodeError."""
    try:
        sample = from_json(Sample, GOOD | {field: junk}, PREFIX)
    except DecodeError:
        return
    assert json.loads(json.dumps(to_json(sample, PREFIX)))[field] == junk
