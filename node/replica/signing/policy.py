"""The signing policy: shows the guard every signature of the consensus key, and carries out its decisions.

It reads the log before the first height, and the chain after every sync, both in the lane; it gets each input
of the core and each final block. The guard's decision is on disk before any later job of the lane can sign.
Without a signer it allows nothing. Not here: the decisions (`guard`).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from chain.primitives.types import Height
from chain.votes import SignedProposal, SignedVote, Vote
from consensus.types import (
    CommitCertificateReceived,
    Input,
    PolkaCertificateReceived,
    ProposalReceived,
    VoteReceived,
)
from node.ledger.ledger import CommittedBlock, Ledger
from node.replica.journal import Journal
from node.replica.ports import World
from node.replica.signing.guard import (
    WATCH_HEIGHTS,
    BeginWatch,
    EndWatch,
    Guard,
    Message,
    Phase,
    WatchChange,
    list_own_votes,
)
from node.replica.signing.signer import Signer
from storage.errors import DoubleSignRefused

_log = structlog.get_logger("signing")

S = TypeVar("S", SignedVote, SignedProposal)


class SigningPolicy:
    """For one validator key, or for none (`signer` is None)."""

    def __init__(self, world: World, ledger: Ledger, signer: Signer | None, journal: Journal) -> None:
        self._world = world
        self._ledger = ledger
        self._signer = signer
        self._journal = journal
        self.guard: Guard | None = None

    def may_sign(self, height: Height) -> bool:
        """Whether the key may be used at this height, by what is known now."""
        return self.guard is not None and self.guard.may_sign(height)

    def describe(self) -> tuple[str, str]:
        """For people: whether the key is used now, and why not. A node without a key observes."""
        if self._signer is None:
            return "observing", ""
        if self.guard is None:
            return str(Phase.STARTING), ""
        until = f", until height {self.guard.watch_ends}" if self.guard.watch_ends is not None else ""
        return str(self.guard.phase), self.guard.reason + until

    def load(self, then: Callable[[], None]) -> None:
        """Called once, before the first catch-up."""

        def on_read(logged: list[Message]) -> None:
            if self._signer is not None:
                address, state = self._signer.address, self._signer.state
                self.guard = Guard(address, state, log_height=self._journal.height, logged=logged)
            then()

        self._world.run(self._read_log, on_read)

    def is_cut(self, height: Height, asked: Iterable[Message]) -> bool:
        """Whether more was signed than the log of the height led to (`asked`); then it is signed no more."""
        return self.guard is not None and self.guard.is_cut(height, asked)

    def search_chain(self, then: Callable[[], None]) -> None:
        """Called after every sync; a watch begins before `then` if the chain shows another signer."""
        guard, head = self.guard, self._ledger.height
        if guard is None:
            then()
            return

        def on_read(seen: tuple[list[Vote], bool]) -> None:
            own, is_whole = seen
            self._apply(guard.on_caught_up(head, own, is_whole=is_whole))
            then()

        self._world.run(partial(self._read_chain, guard, head), on_read)

    def on_final(self, committed: CommittedBlock) -> None:
        """Called for every final block."""
        if self.guard is not None:
            certificates = (committed.certificate, committed.block.inherents.last_commit)
            own = list_own_votes(self.guard.me, certificates)
            self._apply(self.guard.on_final(committed.block.header.height, own))

    def on_received(self, received: Input) -> None:
        """Called for every verified input; `note_made` was called before for messages made here."""
        if self.guard is not None:
            for message in _list_own(received, self.guard):
                self._apply(self.guard.on_received(message))

    def note_made(self, message: Message) -> None:
        """This process has signed the message and is about to send it."""
        # Only a signer signs, and `load` gives every signer a guard before the first height.
        assert self.guard is not None
        self.guard.note_made(message)

    def sign(self, message: Message, sign: Callable[[], S]) -> S:
        """Calls `sign` if the guard allows it; raises DoubleSignRefused. Blocks: call it in the lane."""
        if self.guard is None or not self.guard.may_sign(message.height):
            raise DoubleSignRefused("the guard allows no signature now")
        return sign()

    def _apply(self, change: WatchChange | None) -> None:
        signer, guard = self._signer, self.guard
        if change is None or signer is None or guard is None:
            return
        match change:
            case BeginWatch(slot):
                _log_phase(guard)
                self._world.run(lambda: signer.begin_watch(slot), lambda _: None)
            case EndWatch():
                _log.info("watch_over", validating_from=self._ledger.height + 1)
                self._world.run(signer.end_watch, lambda _: None)

    def _read_log(self) -> list[Message]:
        if self._signer is None:
            return []
        me, own = self._signer.address, list[Message]()
        for note in self._journal.read():
            match note:
                case VoteReceived(signed) if signed.vote.validator == me:
                    own.append(signed.vote)
                case ProposalReceived(signed) if signed.proposal.proposer == me:
                    own.append(signed.proposal)
        return own

    def _read_chain(self, guard: Guard, head: Height) -> tuple[list[Vote], bool]:
        """Own signatures of the newest heights; whether the chain has no further heights."""
        chain, heights = self._ledger.live, range(max(1, head - WATCH_HEIGHTS + 1), head + 1)
        certificates = [chain.get_certificate(height) for height in heights]
        blocks = (chain.get_block(height) for height in heights)
        # A last commit holds precommits that came after its block was final.
        last_commits = [block.inherents.last_commit for block in blocks if block is not None]
        is_whole = head <= WATCH_HEIGHTS and None not in certificates
        return list_own_votes(guard.me, [*certificates, *last_commits]), is_whole


def _list_own(received: Input, guard: Guard) -> list[Message]:
    """The messages of this key in an input."""
    match received:
        case VoteReceived(signed) if signed.vote.validator == guard.me:
            return [signed.vote]
        case ProposalReceived(signed) if signed.proposal.proposer == guard.me:
            return [signed.proposal]
        case CommitCertificateReceived(certificate) | PolkaCertificateReceived(certificate):
            return [*list_own_votes(guard.me, [certificate])]
        case _:
            return []


def _log_phase(guard: Guard) -> None:
    if guard.phase is Phase.STOPPED:
        _log.error(
            "signing_stopped", reason=guard.reason, do="find that process, stop it, start this one again"
        )
    else:
        _log.warning("watching_before_signing", reason=guard.reason, until_height=guard.watch_ends)
