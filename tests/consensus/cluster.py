"""A deterministic cluster of cores over a bad network: an event heap, a seed, checkers apart from the run.

Time is the heap's. Before `HEAL_MS` messages are lost, doubled and delayed at random; afterwards they only
take time. Signatures are real and every message is checked before it enters a core, as the shell does; each
node logs inputs, keeps a sign-state, and may crash, which loses what of the log no output depended on.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Address, Hash, Height
from chain.validator_set import ValidatorChange, ValidatorSet, build_validator_set, rotate
from chain.votes import (
    CommitCertificate,
    Evidence,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    check_certificate,
    check_evidence,
    check_signed_proposal,
    check_signed_vote,
    get_offender,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)
from consensus.catchup import VoteSummary, build_summary, select_missing
from consensus.core import Core
from consensus.timeouts import Timeout, TimeoutParameters
from consensus.types import (
    BlockBuilt,
    BlockReceived,
    BuildBlock,
    CastVote,
    CommitCertificateReceived,
    Decide,
    FetchBlock,
    HeightStarted,
    Input,
    Output,
    PolkaCertificateReceived,
    ProposalReceived,
    Rebroadcast,
    ReportEquivocation,
    ScheduleTimeout,
    SendProposal,
    TimeoutElapsed,
    VoteReceived,
    decode_input,
)

GENESIS = b"g" * 32
HEAL_MS = 6_000
END_MS = 240_000
SUMMARY_EVERY_MS = 700
MISSING_MAX = 64
TIMEOUTS = TimeoutParameters(Timeout(300, 150), Timeout(150, 100), Timeout(150, 100), Timeout(400, 100))

Message = SignedProposal | SignedVote | CommitCertificate | PolkaCertificate | VoteSummary


class Node:
    """An honest shell around a core per height."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.key = world.keys[number]
        self.address = world.addresses[number]
        self.certificates: dict[Height, CommitCertificate] = {}
        self.evidence: list[Evidence] = []
        self.signed: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}
        self.log: list[bytes] = []
        self.durable_count = 0
        self.begin(1)

    def begin(self, height: Height) -> None:
        """A new height: a new core, an empty log."""
        self.core = self.world.build_core(height, self.address)
        self.log, self.durable_count = [], 0
        self.enter(HeightStarted(height))

    def enter(self, received: Input) -> None:
        """Handle an input, make the log durable if something is signed, and carry out."""
        core = self.core
        outputs = core.handle(received)
        self.log.append(encode(received))
        if any(isinstance(output, CastVote | SendProposal | Decide) for output in outputs):
            self.durable_count = len(self.log)
        self.carry_out(core, outputs)

    def crash(self) -> None:
        """Lose the memory and the undurable tail of the log, and replay the rest."""
        self.log = self.log[: self.durable_count]
        self.core = core = self.world.build_core(self.core.height, self.address)
        outputs = [output for entry in self.log for output in core.handle(decode_input(entry))]
        if not self.log:
            self.enter(HeightStarted(core.height))
        self.carry_out(core, outputs)

    def carry_out(self, core: Core, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if core is self.core:
                self.do(output)

    def do(self, output: Output) -> None:
        """What the shell does for one output."""
        match output:
            case CastVote(vote):
                self.cast(vote)
            case SendProposal(proposal):
                self.propose(proposal)
            case BuildBlock(height, round):
                block_hash = self.world.make_block(f"{self.number} {height} {round}")
                self.world.after(5, self, BlockBuilt(height, round, block_hash))
            case FetchBlock(height, block_hash):
                self.world.after(20, self, BlockReceived(height, block_hash, self.world.blocks[block_hash]))
            case ScheduleTimeout(kind, height, round, duration_ms):
                self.world.after(duration_ms, self, TimeoutElapsed(kind, height, round))
            case ReportEquivocation(evidence):
                self.evidence.append(evidence)
            case Rebroadcast(proposal, votes, polka):
                extra = [message for message in (proposal, polka) if message is not None]
                for message in (*extra, *votes):
                    self.world.broadcast(self.number, message)
            case Decide(certificate):
                self.certificates[certificate.height] = certificate
                self.begin(certificate.height + 1)
            case _:
                raise AssertionError(f"{output} must not happen")

    def cast(self, vote: Vote) -> None:
        signed = SignedVote(
            vote, self.sign(("vote", vote.height, vote.round, vote.kind), self.vote_bytes(vote))
        )
        self.world.broadcast(self.number, signed)
        self.world.after(0, self, VoteReceived(signed))

    def propose(self, proposal: Proposal) -> None:
        message = get_proposal_signing_bytes(GENESIS, proposal)
        signed = SignedProposal(proposal, self.sign(("proposal", proposal.height, proposal.round), message))
        self.world.broadcast(self.number, signed)
        self.world.after(0, self, ProposalReceived(signed, True, True))

    def vote_bytes(self, vote: Vote) -> bytes:
        return get_vote_signing_bytes(GENESIS, vote)

    def sign(self, slot: tuple[Any, ...], message: bytes) -> bytes:
        """The sign-state: a slot is signed once; the same message gets its old signature."""
        if slot not in self.signed:
            self.signed[slot] = (message, self.key.sign(message))
        known, signature = self.signed[slot]
        assert known == message, f"an honest node would sign twice: {slot}"
        return signature

    def receive(self, sender: int, message: Message) -> None:
        """A message from the network: checked, then an input."""
        height = self.world.get_height(message)
        if isinstance(message, VoteSummary):
            self.answer(sender, message)
        elif height == self.core.height:
            self.enter(self.world.check(message))

    def answer(self, sender: int, summary: VoteSummary) -> None:
        """What the peer lacks; to one that is behind, the certificate of its height."""
        if summary.height in self.certificates:
            self.world.send(self.number, sender, self.certificates[summary.height])
        for message in select_missing(self.core, summary, MISSING_MAX):
            self.world.send(self.number, sender, message)


class Equivocator(Node):
    """Tells two stories: for each value there is another one, which it signs as well.

    Alone it tells each peer one of them at random, or both. Of several, all tell even peers the first story,
    odd peers the second, and each other both.
    """

    def cast(self, vote: Vote) -> None:
        both = [vote, replace(vote, block_hash=self.get_other(vote.block_hash))]
        signed = [SignedVote(one, self.key.sign(self.vote_bytes(one))) for one in both]
        self.tell(signed)
        self.world.after(0, self, VoteReceived(signed[0]))

    def propose(self, proposal: Proposal) -> None:
        both = [proposal, replace(proposal, block_hash=self.get_other(proposal.block_hash))]
        signed = [
            SignedProposal(one, self.key.sign(get_proposal_signing_bytes(GENESIS, one))) for one in both
        ]
        self.tell(signed)
        self.world.after(0, self, ProposalReceived(signed[0], True, True))

    def get_other(self, block_hash: Hash | None) -> Hash:
        return self.world.make_block(f"not {block_hash!r}")

    def tell(self, messages: list[Any]) -> None:
        for peer in range(len(self.world.keys)):
            stories = [messages[:1], messages[1:], messages]
            if len(self.world.villains) > 1:
                story = messages if peer in self.world.villains else stories[peer % 2]
            else:
                story = self.world.random.choice(stories)
            for message in story:
                self.world.send(self.number, peer, message)


class Disagreement(AssertionError):
    """Two honest nodes decided different blocks at one height."""


class World:
    """The network, the clock, and what no node may see: everybody."""

    def __init__(self, powers: list[int], seed: int, villains: frozenset[int] = frozenset()) -> None:
        self.random = Random(seed)
        self.villains = villains
        self.keys = [KeyPair(bytes([number + 1]) * 32) for number in range(len(powers))]
        self.addresses: list[Address] = [bytes([number + 1]) * 32 for number in range(len(powers))]
        changes = zip(self.addresses, self.keys, powers, strict=True)
        first = build_validator_set(
            ValidatorChange(who, key.public_key, power) for who, key, power in changes
        )
        self.sets: dict[Height, ValidatorSet] = {1: first}
        self.blocks: dict[Hash, bool] = {}
        self.verified: dict[tuple[bytes, bytes], bool] = {}
        self.now = 0
        self.order = count()
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.nodes: list[Node] = []
        for number in range(len(powers)):
            self.nodes.append((Equivocator if number in villains else Node)(self, number))
            self.at(self.random.randrange(SUMMARY_EVERY_MS), lambda number=number: self.summarise(number))
        self.honest = [node for node in self.nodes if node.number not in villains]

    def build_core(self, height: Height, me: Address) -> Core:
        while height not in self.sets:
            self.sets[len(self.sets) + 1] = rotate(self.sets[len(self.sets)])
        return Core(height, self.sets[height], me, TIMEOUTS)

    def make_block(self, name: str) -> Hash:
        """A valid block."""
        block_hash = hash_bytes(Domain.HEADER, name.encode())
        self.blocks[block_hash] = True
        return block_hash

    def at(self, when: int, action: Callable[[], None]) -> None:
        heappush(self.events, (when, next(self.order), action))

    def after(self, delay_ms: int, node: Node, received: Input) -> None:
        """An input for a node, dropped if it crashes or leaves the height in between."""
        core = node.core
        self.at(self.now + delay_ms, lambda: node.enter(received) if node.core is core else None)

    def broadcast(self, sender: int, message: Message) -> None:
        for receiver in range(len(self.keys)):
            self.send(sender, receiver, message)

    def send(self, sender: int, receiver: int, message: Message) -> None:
        if sender == receiver:
            return
        is_bad = self.now < HEAL_MS
        copies = self.random.choices([0, 1, 2], [40, 50, 10])[0] if is_bad else 1
        for _ in range(copies):
            delay_ms = self.random.randrange(1, 900 if is_bad else 60)
            self.at(self.now + delay_ms, lambda: self.nodes[receiver].receive(sender, message))

    def summarise(self, number: int) -> None:
        """Now and then each node tells a random peer what it knows."""
        peer = self.random.randrange(len(self.keys))
        self.send(number, peer, build_summary(self.nodes[number].core))
        self.at(self.now + SUMMARY_EVERY_MS, lambda: self.summarise(number))

    def get_height(self, message: Message) -> Height:
        match message:
            case SignedProposal(proposal):
                return proposal.height
            case SignedVote(vote):
                return vote.height
        return message.height

    def check(self, message: Any) -> Input:
        """What the shell does before an input enters."""
        validator_set = self.sets[self.get_height(message)]
        match message:
            case SignedVote():
                check_signed_vote(GENESIS, validator_set, message, self.verify)
                return VoteReceived(message)
            case SignedProposal(proposal):
                check_signed_proposal(GENESIS, validator_set, message, self.verify)
                return ProposalReceived(message, self.blocks[proposal.block_hash], True)
        check_certificate(GENESIS, validator_set, message, self.verify)
        is_commit = isinstance(message, CommitCertificate)
        return CommitCertificateReceived(message) if is_commit else PolkaCertificateReceived(message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Each signature is verified once for all nodes."""
        if (message, signature) not in self.verified:
            self.verified[message, signature] = is_signed_by(key, message, signature)
        return self.verified[message, signature]

    def run(self, heights: int) -> None:
        """Until every honest node has decided so many heights; raises AssertionError if that never is."""
        while any(node.core.height <= heights for node in self.honest):
            self.now, _, action = heappop(self.events)
            assert self.now <= END_MS, f"heights {[node.core.height for node in self.nodes]} at the end"
            action()

    def check_agreement(self) -> None:
        """Raises Disagreement if two honest nodes decided different blocks; certificates must hold."""
        for height in range(1, min(node.core.height for node in self.honest)):
            certificates = [node.certificates[height] for node in self.honest]
            if len({certificate.block_hash for certificate in certificates}) > 1:
                raise Disagreement(height)
            for certificate in certificates:
                check_certificate(GENESIS, self.sets[height], certificate, self.verify)

    def check_evidence(self, offenders: set[Address]) -> None:
        """All evidence holds, and is about the offenders only."""
        for node in self.honest:
            for evidence in node.evidence:
                assert get_offender(evidence) in offenders
                check_evidence(GENESIS, self.sets[1], evidence, self.verify)
