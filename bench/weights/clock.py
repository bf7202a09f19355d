"""The clock of weights: microseconds of the reference machine, on which one Ed25519 verification takes 60.

Every figure is a ratio to verifications measured right beside it, in CPU time of the thread: so it holds on a
machine that is slower, or busy with other things. Medians, for what disturbs a run only ever adds to it.
"""

import gc
from collections.abc import Callable
from statistics import median
from time import thread_time
from typing import NamedTuple

from bench.weights.world import VIDYA, World, make_id, make_key
from chain.modules import balances
from chain.primitives.codec import encode
from chain.primitives.keys import is_signed_by
from chain.state import Changes

VERIFICATION = 60
"""Weight of one Ed25519 verification, by definition of the unit."""
VERIFICATIONS = 5
RUNS_MIN, RUNS_MAX = 7, 60
CASE_SECONDS = 0.6
ROUNDS = 12
ROUND_KEYS = 1_000
LONG_VALUE_BYTES = 4_096

_KEY = make_key("clock", 0)
_MESSAGE = bytes(200)
_SIGNATURE = _KEY.sign(_MESSAGE)


class KeyCost(NamedTuple):
    """What changing the state costs, beside running the code that does."""

    per_key: float
    """A new root, and the commit of key and tree nodes."""
    per_byte: float
    """Of a value."""

    def compute(self, changes: Changes) -> float:
        """The cost of a change set."""
        size_bytes = sum(len(value) for value in changes.values() if value is not None)
        return self.per_key * len(changes) + self.per_byte * size_bytes


def measure_verification() -> float:
    """Seconds of a verification now."""
    started = thread_time()
    for _ in range(VERIFICATIONS):
        assert is_signed_by(_KEY.public_key, _MESSAGE, _SIGNATURE)
    return (thread_time() - started) / VERIFICATIONS


def measure(
    prepare: Callable[[], Callable[[], object]], *, runs_min: int = RUNS_MIN, at_once: int = 1
) -> float:
    """Weight of what `prepare` returns, which is made again each time.

    What blocks do thousands of is run a few times `at_once`: alone it would be measured with cold caches.
    """
    weights: list[float] = []
    spent = 0.0
    while len(weights) < runs_min or (spent < CASE_SECONDS and len(weights) < RUNS_MAX):
        works = [prepare() for _ in range(at_once)]
        gc.collect(0)
        before = measure_verification()
        started = thread_time()
        for work in works:
            work()
        used = (thread_time() - started) / at_once
        weights.append(used * 2 * VERIFICATION / (before + measure_verification()))
        spent += used * at_once
    return median(weights)


def measure_keys(world: World) -> KeyCost:
    """Root and commit per key (the costliest of changed, new and deleted) and per byte of a value."""
    rounds = range(ROUNDS)
    owners = [[make_id("short", number * ROUND_KEYS + at) for at in range(ROUND_KEYS)] for number in rounds]
    longs = [[make_id("long", number * ROUND_KEYS + at) for at in range(ROUND_KEYS)] for number in rounds]
    short = balances.ACCOUNTS.key
    account = balances.Account(7, VIDYA)
    made = [_measure_commit(world, {short(who): encode(account) for who in names}) for names in owners]
    changed = [
        _measure_commit(world, {short(who): encode(balances.Account(8, VIDYA)) for who in names})
        for names in owners
    ]
    long = [
        _measure_commit(world, {b"\xff\x01" + name: bytes(LONG_VALUE_BYTES) for name in names})
        for names in longs
    ]
    deleted = [_measure_commit(world, {short(who): None for who in names}) for names in owners]
    for names in longs:
        _measure_commit(world, {b"\xff\x01" + name: None for name in names})
    per_key = max(median(made), median(changed), median(deleted))
    per_byte = max(median(long) - median(made), 0) / (LONG_VALUE_BYTES - len(encode(account)))
    return KeyCost(per_key, per_byte)


def _measure_commit(world: World, changes: Changes) -> float:
    """Weight per key."""
    before = measure_verification()
    started = thread_time()
    world.commit(changes)
    used = thread_time() - started
    return used * 2 * VERIFICATION / (before + measure_verification()) / len(changes)
