"""The re-signer: an equivocator who signs each of its two messages in several valid ways.

Ed25519 (RFC 8032) derives the nonce from key and message, but any nonce makes a valid signature, so the owner
of a key can sign one message as often as it likes. A node that remembers signatures instead of messages fills
its bounded memory with copies of the first message and refuses the second one, which is the evidence.
"""

from hashlib import sha512
from random import Random

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from chain.primitives.codec import encode, replace
from chain.primitives.types import PeerId, Signature
from chain.votes import SignedVote, Vote, get_proposal_signing_bytes, get_vote_signing_bytes
from p2p.wire.messages import CompactProposal, ConsensusMessage
from tests.sim.adversary.behaviour import Villain
from tests.sim.adversary.proposing import EquivocatingProposer
from tests.sim.adversary.voting import SplitVoter
from tests.sim.world.accounts import ValidatorKeys

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
COPIES_MAX = 4


def sign_with_nonce(seed: bytes, public_key: bytes, message: bytes, nonce: int) -> Signature:
    """A valid Ed25519 signature (RFC 8032, 5.1.6) with this nonce in place of the derived one."""
    digest = bytearray(sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    secret = int.from_bytes(digest, "little")
    point = crypto_scalarmult_ed25519_base_noclamp((nonce % GROUP_ORDER).to_bytes(32, "little"))
    challenge = int.from_bytes(sha512(point + public_key + message).digest(), "little")
    response = (nonce + challenge * secret) % GROUP_ORDER
    return point + response.to_bytes(32, "little")


def resign(keys: ValidatorKeys, message: bytes, random: Random) -> Signature:
    """Another valid signature over the message, by the consensus key."""
    nonce = random.randrange(1, GROUP_ORDER)
    return sign_with_nonce(keys.consensus_seed, keys.consensus.public_key, message, nonce)


class ResigningVoter(SplitVoter):
    """Tells one half {V, V signed again} and the other half {V', V' signed again}."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._pairs: dict[bytes, tuple[Vote, Vote]] = {}
        self._copies: dict[bytes, tuple[SignedVote, ...]] = {}

    def tell(self, peer: PeerId, signed: SignedVote) -> list[SignedVote]:
        """One vote, always the same for this peer, in all its signatures."""
        self.villain.count(type(self).__name__)
        slot = encode(replace(signed.vote, block_hash=None))
        if slot not in self._pairs:
            self._pairs[slot] = signed.vote, replace(signed.vote, block_hash=self._get_other(signed.vote))
        return list(self._sign_often(self._pairs[slot][self.villain.get_side(peer) % 2]))

    def _sign_often(self, vote: Vote) -> tuple[SignedVote, ...]:
        name = encode(vote)
        if name not in self._copies:
            message = get_vote_signing_bytes(self.genesis_hash, vote)
            count = self.villain.random.randint(2, COPIES_MAX)
            signatures = [resign(self.villain.keys, message, self.villain.random) for _ in range(count)]
            self._copies[name] = tuple(SignedVote(vote, signature) for signature in signatures)
        return self._copies[name]


class ResigningProposer(EquivocatingProposer):
    """Tells one half {P, P signed again} and the other half {P', P' signed again}; votes only once."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._copies: dict[bytes, list[CompactProposal]] = {}

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """One of the two proposals, in all its signatures."""
        forged = self.get_forged(message)
        if forged is None or not isinstance(message, CompactProposal):
            return [message]
        told = (message, forged)[self.villain.get_side(peer) % 2]
        return list(self._sign_often(told))

    def _sign_often(self, compact: CompactProposal) -> list[CompactProposal]:
        proposal = compact.signed.proposal
        name = encode(proposal)
        if name not in self._copies:
            message = get_proposal_signing_bytes(self.genesis_hash, proposal)
            self._copies[name] = [
                replace(compact, signed=replace(compact.signed, signature=signature))
                for signature in (
                    resign(self.villain.keys, message, self.villain.random) for _ in range(COPIES_MAX)
                )
            ]
        return self._copies[name]
