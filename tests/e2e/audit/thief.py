"""Somebody who has stolen a validator's consensus key, and votes with it beside the validator: once."""

from collections.abc import Sequence

import trio

from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash
from chain.votes import SignedProposal, SignedVote, get_vote_signing_bytes
from p2p.peers.manager import ConnectedPeer
from p2p.wire.messages import Votes
from p2p.wire.protocols import CONSENSUS
from p2p.wire.requests import open_stream, send_message
from tests.e2e.audit.observer import Observer
from tests.e2e.audit.signatures import Audit


class Thief(Observer):
    """Hears a vote of the validator, and tells everybody another one in the same slot."""

    def __init__(
        self, addresses: Sequence[str], genesis_hash: Hash, audit: Audit, victim: Address, key: KeyPair
    ) -> None:
        super().__init__(addresses, genesis_hash, audit)
        self._victim, self._key = victim, key
        self._forged: SignedVote | None = None
        self._has_forged = trio.Event()

    def _note(self, signed: SignedVote | SignedProposal) -> None:
        super()._note(signed)
        if isinstance(signed, SignedVote) and signed.vote.validator == self._victim and not self._forged:
            vote = replace(signed.vote, block_hash=None if signed.vote.block_hash else b"x" * 32)
            sign_bytes = get_vote_signing_bytes(self._genesis_hash, vote)
            self._forged = SignedVote(vote, self._key.sign(sign_bytes))
            self._audit.note(vote)
            self._has_forged.set()

    async def _run_peer(self, connected: ConnectedPeer) -> None:
        async with open_stream(self._network, connected.peer, CONSENSUS) as stream:
            await self._has_forged.wait()
            assert self._forged is not None
            await send_message(stream, Votes((self._forged,)))
            await trio.sleep_forever()
