"""The audit of signatures: everything that validators were seen to sign, and no slot with two messages.

It is told what a listening peer hears (`observer`), and reads what is left on the disks of dead nodes
(write-ahead logs, last-sign states) and the certificates in the chains of all. A slot (validator, step,
height, round) with two different messages is a conflict, whoever is to blame.
"""

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chain.primitives.addresses import decode_address
from chain.primitives.codec import decode, encode
from chain.primitives.types import HASH_BYTES, Address
from chain.votes import Proposal, SignedProposal, SignedVote, Vote, VoteKind
from consensus.types import ProposalReceived, VoteReceived, decode_input
from storage.errors import CorruptWal, WalMissing
from storage.sign_state import LastSignState, SignState, SignStep
from storage.wal import Wal
from tests.e2e.harness import Json, Node

SIGN_PREFIX_BYTES = 1 + HASH_BYTES
"""Purpose and name of the network, before the message that is signed."""
INPUT_TAG = b"\x01"
"""Of an entry of the log that is an input of consensus."""


class Slot(NamedTuple):
    """Where a validator may sign one message."""

    validator: Address
    step: str
    height: int
    round: int


class Audit:
    """Messages seen, by slot."""

    def __init__(self) -> None:
        self.seen: defaultdict[Slot, set[bytes]] = defaultdict(set)

    def note(self, message: Vote | Proposal) -> None:
        """A signed message."""
        if isinstance(message, Vote):
            slot = Slot(message.validator, message.kind.name, message.height, message.round)
        else:
            slot = Slot(message.proposer, "PROPOSAL", message.height, message.round)
        self.seen[slot].add(encode(message))

    def find_conflicts(self) -> dict[Slot, set[bytes]]:
        """Slots in which two different things were signed."""
        return {slot: messages for slot, messages in self.seen.items() if len(messages) > 1}

    def count_slots(self, validator: Address) -> int:
        """Slots in which this validator was seen to sign."""
        return sum(slot.validator == validator for slot in self.seen)

    def read_log(self, node: Node) -> None:
        """The write-ahead log of a node: what it told its consensus, of the height that was being decided."""
        for entry in read_wal(node.home.wal):
            if entry[:1] != INPUT_TAG:
                continue
            match decode_input(entry[1:]):
                case VoteReceived(SignedVote(vote)):
                    self.note(vote)
                case ProposalReceived(SignedProposal(proposal)):
                    self.note(proposal)

    def read_sign_state(self, node: Node) -> SignState:
        """What a dead node signed last, though nobody else may have seen it."""
        state = load_sign_state(node)
        if state.signed is not None:
            self.note(decode_signed(SignStep(state.step), state.signed.sign_bytes))
        return state

    def read_chain(self, node: Node, first: int = 1) -> None:
        """Each block's own certificate as this node keeps it, and the one that the next block carries."""
        prefix = str(node.get("status")["prefix"])
        for height in range(max(first, 1), node.height + 1):
            block = node.get_block(height)
            for certificate in (block["certificate"], block["inherents"]["last_commit"]):
                for vote in list_votes(prefix, certificate):
                    self.note(vote)


def list_votes(prefix: str, certificate: Json | None) -> Iterator[Vote]:
    """The precommits that a certificate stands for."""
    for part in certificate["signatures"] if certificate else ():
        yield Vote(
            VoteKind.PRECOMMIT,
            certificate["height"],
            certificate["round"],
            bytes.fromhex(certificate["block_hash"]),
            decode_address(prefix, part["validator"]),
        )


def read_wal(path: Path) -> list[bytes]:
    """The entries of a log; none if it is just being replaced. It is read as a copy and left as it is."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            copy = Path(shutil.copy(path, folder))
            log = Wal.load(copy)
        except (FileNotFoundError, WalMissing, CorruptWal):
            return []
        entries = list(log.replay())
        log.close()
        return entries


def load_sign_state(node: Node) -> SignState:
    """The file of a dead node, read as a copy and left as it is."""
    key = bytes.fromhex(json.loads((node.home.keys / "consensus.json").read_text())["public_key"])
    with tempfile.TemporaryDirectory() as folder:
        opened = LastSignState.load(Path(shutil.copy(node.home.sign_state, folder)), key)
        opened.close()
        return opened.state


def decode_signed(step: SignStep, sign_bytes: bytes) -> Vote | Proposal:
    """The message in the bytes that were signed: purpose, name of the network, canonical encoding."""
    kind = Proposal if step is SignStep.PROPOSAL else Vote
    return decode(kind, sign_bytes[SIGN_PREFIX_BYTES:])
