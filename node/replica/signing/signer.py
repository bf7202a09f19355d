"""The signer: a consensus key that never signs two messages in one slot.

`storage.sign_state` has each signature on disk before it is returned; the log of signatures gets it next, for
audits. Blocking (an fsync per signature): call it in a thread. Not here: whether the key may be used at all
(`policy`).
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
    """Signs for the validator `address`; raises DoubleSignRefused for a second message in a slot.

    Raises ValidatorMoved if the key was exported from this folder.
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
        """The last signature and its slot."""
        return self._state.state

    def sign_vote(self, vote: Vote) -> SignedVote:
        """The vote with its signature: the stored one if this vote was signed last."""
        return SignedVote(vote, self._sign(vote, get_vote_signing_bytes(self._genesis_hash, vote)))

    def sign_proposal(self, proposal: Proposal) -> SignedProposal:
        """The proposal with its signature: the stored one if this proposal was signed last."""
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
