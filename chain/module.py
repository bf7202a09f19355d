"""How a module declares its calls, events and errors, and the context its functions run in.

A module is one file or folder, in this order: doc, parameters, records, storage, events, errors, calls,
hooks, genesis, queries, invariants. It declares itself on a `Module` object, which the runtime lists
explicitly: importing a module registers nothing globally. All numbers (module, call, event, error, storage
item) are protocol and are never reused.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from chain.errors import DispatchError
from chain.primitives.codec import Record
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address, Epoch, Era, Hash, Height, TimeMs, Weight
from chain.state import Overlay
from chain.votes import Verify

C = TypeVar("C", bound=Record)
E = TypeVar("E", bound=type[Record])
X = TypeVar("X", bound=type[DispatchError])
WeightOf = Callable[[Any], Weight]
Handler = Callable[["Context", Address, Any], None]


class Context:
    """The context of a handler or hook: the state it writes to, its position in the chain, its events.

    The sender is not part of it, because a hook has none.
    """

    __slots__ = ("epoch", "era", "events", "genesis_hash", "height", "proposer", "state", "time_ms", "verify")

    def __init__(
        self,
        state: Overlay,
        *,
        genesis_hash: Hash,
        height: Height,
        time_ms: TimeMs,
        epoch: Epoch,
        era: Era,
        proposer: Address,
        verify: Verify = is_signed_by,
    ) -> None:
        """`verify` checks a signature; a node passes one that remembers what it has verified."""
        self.state = state
        self.genesis_hash = genesis_hash
        self.height = height
        self.time_ms = time_ms
        self.epoch = epoch
        self.era = era
        self.proposer = proposer
        self.verify = verify
        self.events: list[Record] = []

    def emit(self, event: Record) -> None:
        """Add an event to the receipts; the chain never reads it again."""
        self.events.append(event)

    def fork(self) -> "Context":
        """A context at the same position with an empty layer on top and no events."""
        return Context(
            Overlay(self.state),
            genesis_hash=self.genesis_hash,
            height=self.height,
            time_ms=self.time_ms,
            epoch=self.epoch,
            era=self.era,
            proposer=self.proposer,
            verify=self.verify,
        )

    def join(self, inner: "Context") -> None:
        """Apply the writes and events of a fork."""
        self.state.apply(inner.state.changes)
        self.events.extend(inner.events)


class CallSpec:
    """A call as declared: number, arguments, handler, weight. A duty pays no fee and must succeed."""

    __slots__ = ("handler", "index", "is_duty", "kind", "name", "weight")

    def __init__(
        self, index: int, kind: type[Record], handler: Handler, weight: Weight | WeightOf, is_duty: bool
    ) -> None:
        self.index = index
        self.kind = kind
        self.handler = handler
        self.name = handler.__name__
        self.weight = weight
        self.is_duty = is_duty

    def compute_weight(self, arguments: Record) -> Weight:
        """Microseconds of the call on the reference machine, as measured by `bench/weights/run.py`."""
        return self.weight(arguments) if callable(self.weight) else self.weight


class Module:
    """A named, numbered part of the state machine, with its calls, events and errors."""

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.calls: dict[int, CallSpec] = {}
        self.events: dict[int, type[Record]] = {}
        self.errors: dict[int, type[DispatchError]] = {}

    def call(
        self, index: int, kind: type[C], *, weight: Weight | WeightOf, is_duty: bool = False
    ) -> Callable[[Callable[[Context, Address, C], None]], Callable[[Context, Address, C], None]]:
        """Declare the handler of call `index`, whose arguments are a `kind`."""

        def declare(handler: Callable[[Context, Address, C], None]) -> Callable[[Context, Address, C], None]:
            assert index not in self.calls, f"call {self.name}.{index} is taken"
            self.calls[index] = CallSpec(index, kind, handler, weight, is_duty)
            return handler

        return declare

    def event(self, index: int) -> Callable[[E], E]:
        """Declare event `index`."""

        def declare(kind: E) -> E:
            assert index not in self.events, f"event {self.name}.{index} is taken"
            self.events[index] = kind
            return kind

        return declare

    def error(self, number: int) -> Callable[[X], X]:
        """Declare error `number`; its code for people is `module.name_of_the_class`."""

        def declare(kind: X) -> X:
            assert number not in self.errors, f"error {self.name}.{number} is taken"
            kind.module, kind.number = self.index, number
            kind.code = f"{self.name}.{snake_case(kind.__name__)}"
            self.errors[number] = kind
            return kind

        return declare


def snake_case(name: str) -> str:
    """`NotBonded` -> `not_bonded`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
