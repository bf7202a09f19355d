"""Two accounts want the same name: a genesis, a block with both transactions, and the same block executed
again by another node. `run.py` starts this with a `chain` that has the module.
"""

import json
from pathlib import Path

from chain.block import Inherents, Receipt
from chain.commitment import TreeUpdate
from chain.genesis import (
    ChainSpec,
    build_genesis_header,
    build_genesis_state,
    compute_genesis_hash,
    parse_chain_spec,
)
from chain.modules import names
from chain.modules.schedule import check_invariants
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.runtime import build_block, build_call, decode_event, execute_block, get_error_code
from chain.spec_builder import GenesisValidator, build_spec
from chain.state import Changes
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from storage.kv import MemoryStore
from storage.state_store import StateStore

PROFILE = Path(__file__).parents[2] / "genesis" / "minimal.json"
VIDYA = 10**9
ALICE, BOB, VALIDATOR, CONSENSUS = (KeyPair(bytes((number,)) * 32) for number in range(1, 5))
REVEAL = bytes(32)
"""The validator's beacon link for the first block."""


def build_own_spec() -> ChainSpec:
    """The minimal profile with the module's section, one validator and two people."""
    document = json.loads(PROFILE.read_text())
    document["names"] = {"parameters": {"deposit": 5 * VIDYA}}
    seat = GenesisValidator(
        account=VALIDATOR.public_key,
        consensus_key=CONSENSUS.public_key,
        bond=1_000 * VIDYA,
        commission_ppm=0,
        beacon_tip=hash_bytes(Domain.BEACON_LINK, REVEAL),
        beacon_links=1,
        peer_id=b"\1",
        addresses=("/ip4/127.0.0.1/tcp/1",),
    )
    accounts = [(key.public_key, 2_000 * VIDYA) for key in (ALICE, BOB, VALIDATOR)]
    profile = parse_chain_spec(json.dumps(document).encode())
    return build_spec(profile, name="names", time_ms=profile.time_ms, seats=[seat], accounts=accounts)


class Node:
    """A state in memory, at genesis."""

    def __init__(self, spec: ChainSpec) -> None:
        self.store = MemoryStore()
        self.state = StateStore(self.store, versions_kept=2)
        changes = build_genesis_state(spec)
        self.write(changes, self.state.compute_update(0, changes))

    def write(self, changes: Changes, update: TreeUpdate) -> None:
        """Make the state the one after these changes."""
        self.store.write_batch(self.state.stage(update, changes))
        self.state.on_written(update)


def sign_call(spec: ChainSpec, key: KeyPair, call: names.TakeName) -> SignedTransaction:
    """A transaction with one call, the account's first."""
    transaction = Transaction(
        version=1,
        genesis_hash=compute_genesis_hash(spec),
        sender=key.public_key,
        nonce=0,
        valid_until=10,
        fee_max=VIDYA,
        tip=0,
        calls=(build_call(call),),
    )
    return sign_transaction(key, transaction)


def describe(receipt: Receipt) -> str:
    """What became of a transaction."""
    if receipt.error is not None:
        code, sentence = get_error_code(receipt.error)
        return f"refused: {code} ({sentence})"
    return f"done: {', '.join(decode_event(event)[0] for event in receipt.events)}"


def main() -> None:
    """Prints what became of the two transactions."""
    spec = build_own_spec()
    genesis_hash = compute_genesis_hash(spec)
    proposer, other = Node(spec), Node(spec)
    genesis = build_genesis_header(spec, proposer.state, proposer.state.head.root)
    made, _ = build_block(
        proposer.state,
        genesis_hash,
        genesis,
        proposer=VALIDATOR.public_key,
        time_ms=spec.time_ms + 1,
        inherents=Inherents(beacon_reveal=REVEAL, last_commit=None),
        candidates=[sign_call(spec, key, names.TakeName("vidya")) for key in (ALICE, BOB)],
    )
    result = execute_block(other.state, genesis_hash, genesis, made.block)
    other.write(result.changes, result.update)
    check_invariants(other.state)
    for who, receipt in zip(("alice", "bob"), result.receipts.transactions, strict=True):
        print(f"{who}: {describe(receipt)}")
    is_owner = names.get_owner(other.state, "vidya") == ALICE.public_key
    print(f"alice has the name: {is_owner}; invariants hold")


if __name__ == "__main__":
    main()
