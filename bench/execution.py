"""Transactions executed per second in one process: building and executing blocks of signed transfers.

A real ledger on LevelDB has `accounts` funded accounts. Each block has `BLOCK_TRANSACTIONS` transfers between
random accounts. Measured separately: building (as the proposer; the pool has verified the signatures),
executing (as another validator, signatures verified before), executing with every signature verified in the
same thread, and the synced commit. Ratios are relative to verifying the same signatures in the same run.

    python -m bench.execution
"""

import json
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from chain.block import Inherents
from chain.genesis import ChainSpec
from chain.modules import balances, beacon
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.spec_builder import GenesisValidator, build_spec
from chain.transaction import SignedTransaction, Transaction, check_signature, sign_transaction
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)
from node.duties.reveals import Reveals, compute_chain_secret
from node.home.profiles import load_profile
from node.ledger.ledger import Ledger
from storage.kv import LevelDbStore

VIDYA = 10**9
ACCOUNTS = 10_000
BLOCK_TRANSACTIONS = 1_000
BLOCKS = 6
LINKS = 1_000
BLOCK_WEIGHT_MAX = 10**9


def make_key(number: int) -> KeyPair:
    """The key of an account."""
    return KeyPair(number.to_bytes(32, "big"))


class Rig:
    """A chain with one validator and many accounts; blocks are made one call at a time."""

    def __init__(self, directory: Path, accounts: int) -> None:
        self.random = Random(1)
        self.validator, self.consensus = make_key(2**200), make_key(2**201)
        self.keys = [make_key(number + 1) for number in range(accounts)]
        self.nonces = [0] * accounts
        self.reveals = Reveals(bytes(32))
        self.spec = self._build_spec()
        self.ledger = Ledger(LevelDbStore(directory / "store"), self.spec, check=lambda signed: None)
        self.strict = Ledger(LevelDbStore(directory / "strict"), self.spec)

    def _build_spec(self) -> ChainSpec:
        tip = beacon.compute_chain(compute_chain_secret(bytes(32), 0), LINKS)
        account, key = self.validator.public_key, self.consensus.public_key
        seat = GenesisValidator(account, key, 10_000 * VIDYA, 0, tip, LINKS, b"\1", ())
        profile = load_profile("public")
        parameters = replace(
            profile.system.parameters,
            block_weight_max=BLOCK_WEIGHT_MAX,
            block_transactions_max=BLOCK_TRANSACTIONS,
        )
        owned = [(account, 20_000 * VIDYA)] + [(one.public_key, VIDYA) for one in self.keys]
        profile = replace(profile, system=replace(profile.system, parameters=parameters))
        return build_spec(profile, name="bench", time_ms=0, seats=[seat], accounts=owned)

    def make_transactions(self) -> list[SignedTransaction]:
        """Transfers between random accounts; each account sends once."""
        senders = self.random.sample(range(len(self.keys)), BLOCK_TRANSACTIONS)
        return [self._make_transfer(sender) for sender in senders]

    def _make_transfer(self, sender: int) -> SignedTransaction:
        recipient = self.keys[self.random.randrange(len(self.keys))].public_key
        transaction = Transaction(
            version=1,
            genesis_hash=self.ledger.genesis_hash,
            sender=self.keys[sender].public_key,
            nonce=self.nonces[sender],
            valid_until=self.ledger.height + 100,
            fee_max=VIDYA // 100,
            tip=1,
            calls=(build_call(balances.Send(recipient, 1)),),
        )
        self.nonces[sender] += 1
        return sign_transaction(self.keys[sender], transaction)

    def certify(self, height: int, block_hash: bytes) -> CommitCertificate:
        """The certificate that the only validator signs."""
        vote = Vote(VoteKind.PRECOMMIT, height, 0, block_hash, self.validator.public_key)
        message = get_vote_signing_bytes(self.ledger.genesis_hash, vote)
        return build_commit_certificate([SignedVote(vote, self.consensus.sign(message))])

    def run_block(self) -> dict[str, float]:
        """Microseconds per transaction of each stage of one block."""
        transactions = self.make_transactions()
        height = self.ledger.height + 1
        chain = beacon.get_chain(self.ledger.state, self.validator.public_key, 0)
        last = self.ledger.get_certificate(height - 1)
        inherents = Inherents(self.reveals.get_next_link(chain), last)
        marks = [perf_counter()]
        for signed in transactions:
            check_signature(signed)
        marks.append(perf_counter())
        proposer, time_ms = self.validator.public_key, height * 1000
        result, refused = self.ledger.build(proposer, time_ms, inherents, transactions)
        marks.append(perf_counter())
        assert not refused, refused[0]
        self.ledger._results.clear()  # the proposer's result: what follows is another validator's work
        again = self.ledger.execute(result.block)
        marks.append(perf_counter())
        strict = self.strict.execute(result.block)
        marks.append(perf_counter())
        certificate = self.certify(height, result.block_hash)
        self.ledger.move_head(self.ledger.commit(again, certificate))
        marks.append(perf_counter())
        self.strict.move_head(self.strict.commit(strict, certificate))
        names = ("verify", "build", "execute", "execute_verify", "commit")
        steps = zip(names, marks, marks[1:], strict=False)
        return {name: (after - before) * 1e6 / len(transactions) for name, before, after in steps}


def run() -> list[dict[str, Any]]:
    """One row: medians over blocks, in us per transaction, and ratios to bare verification."""
    with TemporaryDirectory() as directory:
        rig = Rig(Path(directory), ACCOUNTS)
        blocks = [rig.run_block() for _ in range(BLOCKS)][1:]
    row: dict[str, Any] = {
        "figure": "execution",
        "accounts": ACCOUNTS,
        "block_transactions": BLOCK_TRANSACTIONS,
    }
    for name in blocks[0]:
        figures = [block[name] for block in blocks]
        row[f"{name}_us"] = round(median(figures), 1)
        row[f"{name}_us_spread"] = [round(min(figures), 1), round(max(figures), 1)]
    row["executed_per_second"] = round(1e6 / row["execute_us"])
    row["executed_and_verified_per_second"] = round(1e6 / row["execute_verify_us"])
    row["execute_to_verify_ratio"] = round(row["execute_us"] / row["verify_us"], 2)
    return [row]


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
