"""Prints what the state machine makes of inputs whose order differs from process to process.

Python salts the hash of text and bytes again for each process, and a set is walked in the order of these
hashes. This program gathers its inputs in such sets and feeds them on unsorted wherever the interface
promises that order does not matter; `test_determinism` runs it under several salts. The first line it
prints is the order itself, the rest must agree.
"""

from hashlib import sha256
from random import Random

from chain.commitment import prove, update
from chain.primitives.codec import encode
from chain.state import MemoryState, Overlay
from chain.validator_set import ValidatorChange, build_validator_set, compute_hash, rotate
from tests.chain.stateful.test_chain_machine import ChainMachine, take_step


def numbered(purpose: str, number: int) -> bytes:
    """32 pseudorandom bytes of a number."""
    return sha256(f"{purpose} {number}".encode()).digest()


def show(what: str, data: bytes) -> None:
    """One line of the output."""
    print(what, sha256(data).hexdigest())


class Nodes(dict[bytes, bytes]):
    """Tree nodes in memory."""

    get_node = dict.get


def main() -> None:
    """Order, overlay, tree, proof, validator set, whole blocks."""
    keys = {numbered("key", number) for number in range(300)}
    show("order", b"".join(keys))

    overlay = Overlay(MemoryState({key: key[:8] for key in keys}))
    for key in {numbered("key", number) for number in range(100, 500)}:
        if key[0] < 128:
            overlay.set(key, key[::-1])
        else:
            overlay.delete(key)
    show("scan", encode(tuple(overlay.scan(b""))))

    first = update(Nodes(), None, 1, {key: key[:8] for key in keys})
    nodes = Nodes(first.nodes)
    second = update(nodes, 1, 2, overlay.changes)
    show("nodes", encode((first.nodes, second.nodes, second.stale)))
    nodes.update(second.nodes)
    show("proof", encode(prove(nodes, 2, min(keys))))

    members = {numbered("validator", number) for number in range(20)}
    validators = build_validator_set(ValidatorChange(who, who[::-1], 1 + who[0]) for who in members)
    for _ in range(30):
        validators = rotate(validators)
    show("validators", compute_hash(validators))
    show_blocks()


def show_blocks() -> None:
    """Calls of every module in whole blocks, over several eras."""
    chance, machine = Random(11), ChainMachine()
    machine.start(is_grown=True)
    for _ in range(60):
        take_step(machine, chance)
        machine.include()
    machine.advance(range(9))
    show("blocks", encode(tuple(machine.rig.blocks)))
    show("receipts", encode(tuple(machine.rig.receipts)))
    show("state", encode(tuple(machine.rig.state.scan(b""))))


if __name__ == "__main__":
    main()
