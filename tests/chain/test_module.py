"""Declaring modules: numbers are taken once, names follow from classes."""

import pytest

from chain.errors import DispatchError
from chain.module import Context, Module, snake_case
from chain.primitives.codec import Record
from chain.state import MemoryState, Overlay


class Ask(Record):
    """Arguments."""

    amount: int


def build_context() -> Context:
    """An empty place."""
    return Context(
        Overlay(MemoryState()),
        genesis_hash=bytes(32),
        height=5,
        time_ms=6,
        epoch=1,
        era=0,
        proposer=b"p" * 32,
    )


def test_a_number_is_taken_once() -> None:
    """Of calls, of events and of errors, each by itself."""
    module = Module("things", index=77)
    module.call(1, Ask, weight=1)(lambda ctx, sender, call: None)
    module.event(1)(Ask)
    module.error(1)(type("First", (DispatchError,), {}))
    for declare in (
        lambda: module.call(1, Ask, weight=1)(lambda ctx, sender, call: None),
        lambda: module.event(1)(Ask),
        lambda: module.error(1)(type("Second", (DispatchError,), {})),
    ):
        with pytest.raises(AssertionError, match=r"things\.1 is taken"):
            declare()


def test_errors_know_where_they_belong() -> None:
    """Number and code follow from the declaration."""
    kind = Module("things", index=77).error(3)(type("NotYetBonded", (DispatchError,), {}))
    assert (kind.module, kind.number, kind.code) == (77, 3, "things.not_yet_bonded")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NotBonded", "not_bonded"), ("Excluded", "excluded"), ("AllotmentV2Used", "allotment_v2_used")],
)
def test_names_of_errors(name: str, expected: str) -> None:
    """Words are split at capitals."""
    assert snake_case(name) == expected


def test_weight_is_a_number_or_a_function_of_the_arguments() -> None:
    """Both are asked in the same way."""
    module = Module("things", index=77)
    module.call(1, Ask, weight=9)(lambda ctx, sender, call: None)
    module.call(2, Ask, weight=lambda call: 2 * call.amount)(lambda ctx, sender, call: None)
    assert [spec.compute_weight(Ask(21)) for spec in module.calls.values()] == [9, 42]


def test_a_fork_is_dropped_or_joined_as_a_whole() -> None:
    """Its writes and its events, and it is at the same place."""
    ctx = build_context()
    ctx.emit(Ask(1))
    dropped, joined = ctx.fork(), ctx.fork()
    for number, inner in ((2, dropped), (3, joined)):
        inner.state.set(b"k%d" % number, b"v")
        inner.emit(Ask(number))
    assert (ctx.state.changes, ctx.events) == ({}, [Ask(1)])
    ctx.join(joined)
    assert ctx.state.changes == {b"k3": b"v"}
    assert ctx.events == [Ask(1), Ask(3)]
    for name in ("genesis_hash", "height", "time_ms", "epoch", "era", "proposer"):
        assert getattr(joined, name) == getattr(ctx, name)
