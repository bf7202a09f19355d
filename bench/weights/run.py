"""Weights: what every call really costs beside what it declares, and what blocks do that nobody pays for.

A call's measured weight is decoding its arguments, dispatch and encoding its events, in a block that has
changed 5,000 keys already and over a state on LevelDB (`world`), plus its share of the new state root
and the commit: changed keys and bytes times constants measured in the same run. The envelope is what a whole
block of transfers costs per transaction, from the wire to the disk, less the transfer itself; a byte is
measured apart. The unit is `clock`'s: a verification of Ed25519 is 60.

Not measured: sending (see `p2p_stream`), waiting for the disk.

    python -m bench.weights            the tables
    python -m bench.weights --write    and puts the table into docs/spec/weights.md
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.run import print_rows
from bench.weights.cases import Case, prepare_and_list
from bench.weights.clock import KeyCost, measure, measure_keys
from bench.weights.envelope import measure_envelope
from bench.weights.hooks import measure_beginning, measure_hooks
from bench.weights.table import write_document
from bench.weights.world import World
from chain import runtime
from chain.module import Context
from chain.modules import balances

Row = dict[str, Any]
CALLS_AT_ONCE = 5
NO_PREFIX = b"\xff"


def build_world(directory: Path) -> World:
    """The world before its holdings begin."""
    world = World(directory)
    world.list_datums()
    world.register_subsets()
    return world


def run() -> list[Row]:
    """The envelope, a row per case of a call, a row per hook."""
    with TemporaryDirectory() as directory:
        world = build_world(Path(directory))
        gc.collect()
        gc.freeze()
        keys = measure_keys(world)
        beginning = measure_beginning(world, keys)
        world.grow_old()
        calls = [_measure_call(world, keys, case) for case in prepare_and_list(world)]
        hooks = [*beginning, *measure_hooks(world, keys)]
        world.store.close()
        envelope = measure_envelope(Path(directory), keys)
    return [*envelope, *calls, *hooks]


def _measure_call(world: World, keys: KeyCost, case: Case) -> Row:
    call = runtime.build_call(case.arguments)
    resolved = runtime.decode_call(call)
    block = _open_block(world, case, is_duty=resolved.spec.is_duty)
    before = dict(block.state.changes)
    contexts: list[Context] = []

    def prepare() -> Callable[[], object]:
        ctx = world.open_context(world.height)
        ctx.state.apply(before)
        next(
            ctx.state.scan(NO_PREFIX), None
        )  # no call is the first of its block that looks through the writes
        contexts.append(ctx)  # kept, so that nothing is freed within the measured time
        del contexts[: -2 * CALLS_AT_ONCE]

        def work() -> None:
            error, _ = runtime.dispatch(ctx, case.sender, (runtime.decode_call(call),))
            assert error is None, runtime.get_error_code(error)

        return work

    handled = measure(prepare, at_once=CALLS_AT_ONCE)
    absent = object()
    after = contexts[-1].state.changes
    changes = {key: value for key, value in after.items() if before.get(key, absent) != value}
    counted = {key: value for key, value in changes.items() if key not in before}
    measured, declared = handled + keys.compute(counted), resolved.spec.compute_weight(case.arguments)
    return {
        "figure": "weights",
        "call": f"{resolved.module.name}.{resolved.spec.name}",
        "case": case.about,
        "items": case.items,
        "handled_us": round(handled, 1),
        "keys": len(counted),
        "measured_us": round(measured, 1),
        "declared": declared,
        "declared_to_measured": round(declared / measured, 2),
    }


def _open_block(world: World, case: Case, *, is_duty: bool) -> Context:
    """A half full block; a sender who paid a fee has its account changed by that already."""
    block = world.open_block()
    if case.adjust is not None:
        case.adjust(block)
    if not is_duty:
        balances.use_nonce(block.state, case.sender)
    return block


def main() -> None:
    """Measure, print, and write the document if asked."""
    rows = run()
    print_rows(rows)
    if "--write" in sys.argv[1:]:
        write_document(rows)
