"""What must hold of the disks of all nodes when a run is over: read from the stores of stopped nodes.

Every block of every store is compared, every promise looked up in every chain, every signature that is left
anywhere put beside all others. Nothing that the nodes say of themselves is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from chain.genesis import ChainSpec
from chain.modules import schedule
from chain.votes import build_certificate_votes
from node.ledger.ledger import Ledger
from storage.errors import StorageError
from storage.kv import LevelDbStore
from storage.sign_log import find_conflicts, load_signatures
from storage.sign_state import SignStep
from tests.e2e.audit.signatures import Audit, decode_signed
from tests.e2e.harness import Node


class Finding(NamedTuple):
    """One thing that was checked, and whether it holds."""

    what: str
    holds: bool
    figures: str


@contextmanager
def open_ledgers(nodes: Sequence[Node], spec: ChainSpec) -> Iterator[dict[str, Ledger]]:
    """The chain and state of each stopped node, by its name."""
    with ExitStack() as stack:
        yield {
            node.name: Ledger(stack.enter_context(closing(LevelDbStore(node.home.store))), spec)
            for node in nodes
        }


def judge(
    nodes: Sequence[Node], spec: ChainSpec, final: Mapping[str, int], left: Audit, kept: Audit
) -> list[Finding]:
    """All findings; nodes are stopped, `final` is what was promised, `left` the signatures that were seen
    outside the node that made them, `kept` those that were found on its disk.
    """
    with open_ledgers(nodes, spec) as ledgers:
        for ledger in ledgers.values():
            read_certificates(ledger, left)
        return [
            compare_blocks(ledgers),
            find_lost(ledgers, final),
            check_states(ledgers),
            check_signatures(nodes, left, kept),
        ]


def compare_blocks(ledgers: Mapping[str, Ledger]) -> Finding:
    """No fork: header, body and receipts are the same everywhere, up to the lowest head."""
    last = min(ledger.height for ledger in ledgers.values())
    forks = [
        height for height in range(last + 1) if len({_read(one, height) for one in ledgers.values()}) > 1
    ]
    heads = ", ".join(f"{name} {ledger.height}" for name, ledger in ledgers.items())
    return Finding("no fork", not forks, f"{last} heights compared ({heads}); different at {forks[:10]}")


def _read(ledger: Ledger, height: int) -> tuple[bytes | None, ...]:
    chain = ledger.chain
    return chain.get_header(height), chain.get_block(height), chain.get_receipts(height)


def find_lost(ledgers: Mapping[str, Ledger], final: Mapping[str, int]) -> Finding:
    """What one node called final is in the chain of every node, at that height."""
    lost = []
    for name, ledger in ledgers.items():
        for tx_id, height in final.items():
            place = ledger.chain.get_tx_place(bytes.fromhex(tx_id))
            if place is None or place.height != height:
                lost.append((name, tx_id[:8], height))
    return Finding("no final transaction lost", not lost, f"{len(final)} looked up in each; lost {lost[:10]}")


def check_states(ledgers: Mapping[str, Ledger]) -> Finding:
    """Chain and tree are whole, the supply is exact, every module's invariants hold."""
    faults = []
    for name, ledger in ledgers.items():
        try:
            ledger.chain.check_integrity(ledger.height + 1)
            ledger.state.check_integrity()
            schedule.check_invariants(ledger.state)
        except (StorageError, AssertionError) as error:
            faults.append(f"{name}: {error!r}")
    return Finding("stores whole, supply exact", not faults, "; ".join(faults) or f"{len(ledgers)} stores")


def read_certificates(ledger: Ledger, audit: Audit) -> None:
    """Every precommit that this node keeps, of its own certificates and of those in blocks."""
    for height in range(1, ledger.height + 1):
        block, own = ledger.get_block(height), ledger.get_certificate(height)
        for certificate in (own, block.inherents.last_commit if block else None):
            for signed in build_certificate_votes(certificate) if certificate else ():
                audit.note(signed.vote)


def check_signatures(nodes: Sequence[Node], left: Audit, kept: Audit) -> Finding:
    """No slot was signed twice, by all that is known; and nothing left a node that its log does not have."""
    logged, conflicts, count = Audit(), 0, 0
    for node in nodes:
        records = list(load_signatures(node.home.sign_log))
        conflicts += len(find_conflicts(records))
        count += len(records)
        for record in records:
            logged.note(decode_signed(SignStep(record.step), record.sign_bytes))
    unlogged = [slot for slot in left.seen if slot not in logged.seen]
    for audit in (left, kept):
        for slot, messages in audit.seen.items():
            logged.seen[slot] |= messages
    twice = len(logged.find_conflicts())
    figures = f"{len(logged.seen)} slots, {count} logged; twice {twice}, in one log {conflicts}"
    holds = not (twice or conflicts or unlogged)
    return Finding("no second signature", holds, f"{figures}; in no log {unlogged[:5]}")
