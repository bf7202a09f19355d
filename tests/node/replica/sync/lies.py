"""What a peer may do wrong in block sync, each as a change of what an honest one would answer.

Lies about certificates are made by the forge, which holds every key: a liar may well be a validator, or have
kept real votes of all of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chain.block import Block
from chain.modules import balances
from chain.primitives.codec import decode, encode, replace
from chain.primitives.types import Height, Signature
from chain.votes import CertificateSignature, CommitCertificate, Vote, VoteKind, get_vote_signing_bytes
from node.replica.sync.server import SyncServer
from p2p.wire.messages import Blocks, BlocksRequest, FinalBlock, Status, SyncReply, SyncRequest
from tests.node.cluster import Person
from tests.node.forge import ALICE, BOB, Forge
from tests.node.replica.sync.world import Answer

HEIGHT = 6
LIE_AT = 3
"""The height of the block with a transaction, which lies are about."""


class History(NamedTuple):
    """An honest chain; its blocks begin at height 1."""

    forge: Forge
    blocks: list[FinalBlock]

    @property
    def height(self) -> Height:
        """The head's height."""
        return len(self.blocks)


def build_history(height: Height = HEIGHT, validators: int = 4) -> History:
    """A chain with one transaction, at LIE_AT."""
    forge = Forge(validators)
    first = forge.grow(LIE_AT - 1)
    sent = forge.commit(forge.build([forge.sign(ALICE, balances.Send(BOB.address, 7))]))
    middle = FinalBlock(encode(sent.block), sent.certificate)
    return History(forge, [*first, middle, *forge.grow(height - LIE_AT)])


def build_honest(history: History) -> Answer:
    """The answers of an honest node with that chain."""
    return SyncServer(history.forge.ledger).answer


def build_shorter(history: History, height: Height) -> Answer:
    """The answers of an honest node with a lower head."""
    honest = build_honest(history)

    def answer(message: SyncRequest) -> SyncReply:
        if isinstance(message, BlocksRequest):
            message = replace(message, count=max(1, min(message.count, height + 1 - message.start)))
        reply = honest(message)
        return replace(reply, height=height) if isinstance(reply, Status) else reply

    return answer


def build_liar(
    history: History, lie: "Lie", honest: Answer | None = None
) -> Callable[[SyncRequest], SyncReply]:
    """Honest answers except for the lie."""

    def answer(message: SyncRequest) -> SyncReply:
        reply = (honest or build_honest(history))(message)
        assert reply is not None
        if isinstance(message, BlocksRequest) and isinstance(reply, Blocks):
            return lie(history, message, reply)
        return reply

    return answer


Lie = Callable[[History, BlocksRequest, Blocks], Blocks]
ChangeFinal = Callable[[History, FinalBlock], FinalBlock]


def at_height(change: ChangeFinal, height: Height = LIE_AT) -> Lie:
    """A lie about one block, whenever it is requested."""

    def apply(history: History, message: BlocksRequest, reply: Blocks) -> Blocks:
        blocks = [
            change(history, final) if final.certificate.height == height else final for final in reply.blocks
        ]
        return replace(reply, blocks=tuple(blocks))

    return apply


def about_block(change: Callable[[Block], Block]) -> Lie:
    """A lie about the body of the block."""
    return at_height(lambda history, final: replace(final, block=encode(change(decode(Block, final.block)))))


def about_certificate(change: Callable[[History, CommitCertificate], CommitCertificate]) -> Lie:
    """A lie about the certificate of the block."""
    return at_height(lambda history, final: replace(final, certificate=change(history, final.certificate)))


def keep_signatures(numbers: slice) -> Lie:
    """A certificate of some validators only."""
    return about_certificate(lambda history, one: replace(one, signatures=one.signatures[numbers]))


def fill_with(build_vote: Callable[[CommitCertificate, Person], Vote], real: int = 2) -> Lie:
    """Too few real precommits, filled up with other real votes of the same validators."""

    def change(history: History, certificate: CommitCertificate) -> CommitCertificate:
        filled = []
        for part in certificate.signatures[real:]:
            person = history.forge.by_address[part.validator]
            vote = build_vote(certificate, person)
            filled.append(CertificateSignature(part.validator, sign(history, person, vote)))
        return replace(certificate, signatures=(*certificate.signatures[:real], *filled))

    return about_certificate(change)


def sign(history: History, person: Person, vote: Vote) -> Signature:
    """A real signature of the person's consensus key."""
    return person.keys.consensus.sign(get_vote_signing_bytes(history.forge.genesis_hash, vote))


def precommit(certificate: CommitCertificate, person: Person, **changes: object) -> Vote:
    """The vote that the certificate stands for, with changes."""
    vote = Vote(
        VoteKind.PRECOMMIT, certificate.height, certificate.round, certificate.block_hash, person.address
    )
    return replace(vote, **changes)


def spoil_last(history: History, certificate: CommitCertificate) -> CommitCertificate:
    """A quorum of good signatures and a bad one."""
    last = replace(certificate.signatures[-1], signature=bytes(64))
    return replace(certificate, signatures=(*certificate.signatures[:-1], last))


def repeat_first(history: History, certificate: CommitCertificate) -> CommitCertificate:
    """The signature of one validator, once per validator."""
    return replace(certificate, signatures=certificate.signatures[:1] * len(certificate.signatures))


def add_stranger(history: History, certificate: CommitCertificate) -> CommitCertificate:
    """A quorum, and a good signature of somebody without power."""
    vote = precommit(certificate, ALICE)
    stranger = CertificateSignature(ALICE.address, sign(history, ALICE, vote))
    signatures: Sequence[CertificateSignature] = (*certificate.signatures, stranger)
    return replace(certificate, signatures=tuple(sorted(signatures, key=lambda part: part.validator)))


def certify_other(history: History, final: FinalBlock) -> FinalBlock:
    """A good certificate of the same height for a block with another time."""
    certificate = final.certificate
    other = history.forge.genesis_hash
    parts = [
        CertificateSignature(
            part.validator,
            sign(
                history,
                person := history.forge.by_address[part.validator],
                precommit(certificate, person, block_hash=other),
            ),
        )
        for part in certificate.signatures
    ]
    return replace(final, certificate=replace(certificate, block_hash=other, signatures=tuple(parts)))


def swap_with_next(history: History, final: FinalBlock) -> FinalBlock:
    """The body of another height under the certificate of this one."""
    return replace(final, block=history.blocks[final.certificate.height].block)


LIES: dict[str, Lie] = {
    "nothing": lambda history, message, reply: Blocks(message.start, ()),
    "another start": lambda history, message, reply: Blocks(message.start + 1, reply.blocks),
    "a gap": lambda history, message, reply: Blocks(message.start, reply.blocks[1:]),
    "a gap in the middle": lambda history, message, reply: replace(
        reply, blocks=reply.blocks[:2] + reply.blocks[3:]
    ),
    "the wrong way round": lambda history, message, reply: replace(reply, blocks=reply.blocks[::-1]),
    "one block again and again": lambda history, message, reply: replace(
        reply, blocks=reply.blocks[:1] * len(reply.blocks)
    ),
    "more than asked for": lambda history, message, reply: replace(
        reply, blocks=(*reply.blocks, *reply.blocks[-1:])
    ),
    "blocks before the start": lambda history, message, reply: (
        replace(reply, blocks=tuple(history.blocks[: len(reply.blocks) - 1]))
        if message.start > 1
        else replace(reply, blocks=reply.blocks[:1])
    ),
    "no block": at_height(lambda history, final: replace(final, block=b"\x90")),
    "the block of another height": at_height(swap_with_next),
    "nobody's certificate": keep_signatures(slice(0)),
    "half of the power": keep_signatures(slice(2)),
    "one validator many times": about_certificate(repeat_first),
    "one bad signature beyond a quorum": about_certificate(spoil_last),
    "a stranger beyond a quorum": about_certificate(add_stranger),
    "signers in the wrong order": about_certificate(
        lambda history, one: replace(one, signatures=one.signatures[::-1])
    ),
    "filled up with precommits for nil": fill_with(
        lambda certificate, person: precommit(certificate, person, block_hash=None)
    ),
    "filled up with prevotes": fill_with(
        lambda certificate, person: precommit(certificate, person, kind=VoteKind.PREVOTE)
    ),
    "filled up with another round's precommits": fill_with(
        lambda certificate, person: precommit(certificate, person, round=certificate.round + 1)
    ),
    "filled up with another height's precommits": fill_with(
        lambda certificate, person: precommit(certificate, person, height=certificate.height + 1)
    ),
    "filled up with precommits for another block": fill_with(
        lambda certificate, person: precommit(certificate, person, block_hash=bytes(32))
    ),
    "precommits of another round": about_certificate(lambda history, one: replace(one, round=one.round + 1)),
    "the certificate of another block": at_height(certify_other),
    "a body without its transactions": about_block(lambda block: replace(block, transactions=())),
    "a body with another reveal": about_block(
        lambda block: replace(block, inherents=replace(block.inherents, beacon_reveal=bytes(32)))
    ),
    "a header of its own making": about_block(
        lambda block: replace(block, header=replace(block.header, time_ms=block.header.time_ms + 1))
    ),
}
"""Lies about blocks, for which the sender is banned when the block is checked."""
