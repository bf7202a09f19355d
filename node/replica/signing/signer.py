"""The signer: a consensus key that never signs two things in one slot.

Each signature is recorded durably by `storage.sign_state` before it leaves, and then in the log of
signatures, for audits. Blocking (an fsync per signature): call it in a thread. Whether the key may be used at
all is the affair of `custody`.
"""

from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash, Signature
from chain.votes import (
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)
from node.replica.signing.guard import Message, get_slot
from storage.sign_log import SignLog
from storage.sign_state import LastSignState, SignSlot, SignState, SignStep


class Signer:
    """Signs for the validator `address`; raises DoubleSignRefused for a second message of a slot.

    Raises ValidatorMoved where there is nothing to sign any more.
    """

    def __init__(
        self,
        address: Address,
        key: KeyPair,
        state: LastSignState,
        genesis_hash: Hash,
        log: SignLog | None = None,
    ) -> None:
        state.check_here()
        self.address = address
        self._key = key
        self._state = state
        self._genesis_hash = genesis_hash
        self._log = log

    @property
    def state(self) -> SignState:
        """What was signed last."""
        return self._state.state

    def sign_vote(self, vote: Vote) -> SignedVote:
        """The vote with its signature, old or new."""
        return SignedVote(vote, self._sign(vote, get_vote_signing_bytes(self._genesis_hash, vote)))

    def sign_proposal(self, proposal: Proposal) -> SignedProposal:
        """The proposal with its signature, old or new."""
        sign_bytes = get_proposal_signing_bytes(self._genesis_hash, proposal)
        return SignedProposal(proposal, self._sign(proposal, sign_bytes))

    def _sign(self, message: Message, sign_bytes: bytes) -> Signature:
        height, round, number = get_slot(message)
        step = SignStep(number)
        signature = self._state.check_and_record(height, round, step, sign_bytes, self._key.sign)
        if self._log is not None:
            self._log.append(height, round, step, sign_bytes, signature)
        return signature

    def begin_watch(self, slot: SignSlot) -> None:
        """Sign nothing until `end_watch`, and nothing at or below `slot` ever."""
        self._state.begin_watch(slot)

    def end_watch(self) -> None:
        """The key is in use nowhere else."""
        self._state.end_watch()
