"""Tendermint for one height (arXiv 1807.04938, Algorithm 1), as a function from inputs to outputs.

After each input the rules are tried in a fixed order until none is enabled; each is one method that names its
lines of the algorithm. Deterministic: the same inputs give the same outputs, so the write-ahead log holds
inputs, and crash recovery is a fresh core fed with them. Outputs repeated by a replay are harmless: the
sign-state answers a known vote with its old signature, and timeouts, blocks to build and blocks to fetch
count only while nothing logged answers them.

What the shell guarantees about inputs: they are of this validator set, signatures and certificates are
verified (`chain.votes`), a proposal's block was executed. What the core guarantees whatever arrives:
  - at most one prevote and one precommit are cast per round, at most one proposal is sent;
  - memory is bounded: per round two proposals, per validator and slot two votes besides certificates; of
    rounds more than ROUNDS_AHEAD_MAX ahead only each validator's highest (C12, C13);
  - powers are counted, never heads: quorum 3 * power > 2 * total, an honest member 3 * power > total.

Where the paper leaves a choice:
  - a proposer starts the propose timeout too: a block that cannot be built or signed costs one round;
  - a block is decided without its proposal, by certificate and content, which FetchBlock asks for (C12);
  - the skip rule counts both kinds of votes together, each validator once, and takes the highest round (C9);
  - a fourth timeout repeats own messages, because the proof assumes gossip and networks lose messages (C14).

Not here: other heights (the shell keeps or fetches them), signing, time, the network. An observer is a core
whose `me` is not in the set: it follows every rule and casts nothing.
"""

from typing import assert_never

from chain.primitives.types import Address, Hash, Height, Round
from chain.validator_set import ValidatorSet, get_validator
from chain.votes import (
    Certificate,
    CommitCertificate,
    DuplicateVote,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_certificate_votes,
    build_commit_certificate,
    build_duplicate_proposal,
    build_polka_certificate,
)
from consensus.proposers import Proposers
from consensus.tally import FarVotes, VoteTally
from consensus.timeouts import TimeoutParameters, compute_timeout_ms
from consensus.types import (
    BlockBuilt,
    BlockReceived,
    BuildBlock,
    CastVote,
    CommitCertificateReceived,
    ConsensusFailure,
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
    Step,
    TimeoutElapsed,
    TimeoutKind,
    VoteReceived,
)

ROUNDS_AHEAD_MAX = 4
PROPOSALS_PER_ROUND_MAX = 2
RULES_PER_INPUT_MAX = 16
"""One input starts at most two rounds, and no rule fires twice in a round."""

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Core:
    """One height, from its start to its decision."""

    def __init__(
        self,
        height: Height,
        validator_set: ValidatorSet,
        me: Address | None,
        timeouts: TimeoutParameters,
    ) -> None:
        self.height = height
        self.validator_set = validator_set
        self.round: Round = 0
        self.step = Step.UNSTARTED
        self.locked_hash: Hash | None = None
        self.locked_round: Round | None = None
        self.valid_hash: Hash | None = None
        self.valid_round: Round | None = None
        self.decided_hash: Hash | None = None
        self.tally = VoteTally(validator_set)
        self.proposals: dict[Round, list[ProposalReceived]] = {}
        self._me = me if me is not None and get_validator(validator_set, me) else None
        self._timeouts = timeouts
        self._proposers = Proposers(validator_set)
        self._far_votes = FarVotes(validator_set)
        self._verdicts: dict[Hash, bool] = {}
        self._fired: set[tuple[str, Round | Hash]] = set()
        self._outputs: list[Output] = []

    @property
    def is_observer(self) -> bool:
        """Whether this core casts nothing."""
        return self._me is None

    def start(self) -> list[Output]:
        """Begin round 0; the same as handling HeightStarted, for a shell that logs it by itself."""
        return self.handle(HeightStarted(self.height))

    def handle(self, received: Input) -> list[Output]:
        """Applies one input and every rule it enables; returns what to do, in order."""
        self._take_in(received)
        fired = 0
        while self._apply_first_enabled_rule():
            fired += 1
            assert fired <= RULES_PER_INPUT_MAX, "a rule that fired is still enabled"
        outputs, self._outputs = self._outputs, []
        return outputs

    def build_commit_certificate(self) -> CommitCertificate | None:
        """The certificate of the decided block, or the first with a quorum, all precommits in it."""
        for block_hash, round in self.tally.commits.items():
            if self.decided_hash in (None, block_hash):
                return build_commit_certificate(self.tally.get_votes_for(PRECOMMIT, round, block_hash))
        return None

    def build_polka_certificate(self) -> PolkaCertificate | None:
        """The certificate for `valid_hash` at `valid_round`."""
        if self.valid_hash is None or self.valid_round is None:
            return None
        return build_polka_certificate(self.tally.get_votes_for(PREVOTE, self.valid_round, self.valid_hash))

    def get_entry_votes(self) -> list[SignedVote]:
        """The votes that let any node enter the current round: L65's quorum, or L55's third."""
        if self.round == 0:
            return []
        if self.tally.has_any_quorum(PRECOMMIT, self.round - 1):
            return self.tally.get_votes(PRECOMMIT, self.round - 1)
        return [signed for kind in VoteKind for signed in self.tally.get_votes(kind, self.round)]

    # Inputs

    def _take_in(self, received: Input) -> None:
        match received:
            case HeightStarted(height):
                if height == self.height and self.step is Step.UNSTARTED:
                    self._start_round(0)
            case ProposalReceived(signed, is_valid, _):
                self._on_proposal(received, signed, is_valid)
            case VoteReceived(signed):
                self._on_vote(signed)
            case CommitCertificateReceived(certificate) | PolkaCertificateReceived(certificate):
                self._on_certificate(certificate)
            case BlockBuilt(height, round, block_hash):
                self._on_block_built(height, round, block_hash)
            case BlockReceived(height, block_hash, is_valid):
                if height == self.height and self._has_fired("fetch", block_hash):
                    self._verdicts.setdefault(block_hash, is_valid)
            case TimeoutElapsed(kind, height, round):
                if (height, round) == (self.height, self.round) and self._is_running():
                    self._on_timeout(kind)
            case _:
                assert_never(received)

    def _on_proposal(self, received: ProposalReceived, signed: SignedProposal, is_valid: bool) -> None:
        proposal = signed.proposal
        if proposal.height != self.height or proposal.round > self.round + ROUNDS_AHEAD_MAX:
            return
        if proposal.pol_round is not None and proposal.pol_round >= proposal.round:
            return
        if proposal.proposer != self._proposers.get(proposal.round):
            return
        known = self.proposals.setdefault(proposal.round, [])
        if any(other.signed.proposal == proposal for other in known) or len(known) >= PROPOSALS_PER_ROUND_MAX:
            return
        known.append(received)
        self._verdicts.setdefault(proposal.block_hash, is_valid)
        if len(known) == PROPOSALS_PER_ROUND_MAX:
            self._emit(ReportEquivocation(build_duplicate_proposal(known[0].signed, signed)))

    def _on_vote(self, signed: SignedVote) -> None:
        if signed.vote.height != self.height:
            return
        if signed.vote.round > self.round + ROUNDS_AHEAD_MAX:
            self._emit_evidence(self._far_votes.add(signed))
        else:
            self._count(signed, is_certified=False)

    def _on_certificate(self, certificate: Certificate) -> None:
        if certificate.height == self.height:
            for signed in build_certificate_votes(certificate):
                self._count(signed, is_certified=True)

    def _count(self, signed: SignedVote, *, is_certified: bool) -> None:
        self._emit_evidence(self.tally.add(signed, is_certified=is_certified))

    def _emit_evidence(self, evidence: DuplicateVote | None) -> None:
        if evidence is not None:
            self._emit(ReportEquivocation(evidence))

    def _on_block_built(self, height: Height, round: Round, block_hash: Hash) -> None:
        """L18, for a block that the application was asked for."""
        is_awaited = (height, round, self.step) == (self.height, self.round, Step.PROPOSE)
        if is_awaited and self._has_fired("build", round) and self._fire_once("propose", round):
            self._send_proposal(block_hash, None)

    def _on_timeout(self, kind: TimeoutKind) -> None:
        """L57-67; that height and round still match was checked (C10)."""
        self._rebroadcast()
        if kind is TimeoutKind.PROPOSE and self.step is Step.PROPOSE:
            self._prevote(None)
        elif kind is TimeoutKind.PREVOTE and self.step is Step.PREVOTE:
            self._precommit(None)
        elif kind is TimeoutKind.PRECOMMIT:
            self._start_round(self.round + 1)
        elif kind is TimeoutKind.REBROADCAST:
            self._schedule(TimeoutKind.REBROADCAST)

    # Rules, in the order in which they are tried (C16)

    def _apply_first_enabled_rule(self) -> bool:
        if self.step >= Step.DECIDED:
            return False
        if self._rule_fetch() or self._rule_decide():
            return True
        return self._is_running() and (
            self._rule_skip()
            or self._rule_prevote_new()
            or self._rule_prevote_again()
            or self._rule_wait_for_prevotes()
            or self._rule_lock()
            or self._rule_precommit_nil()
            or self._rule_wait_for_precommits()
        )

    def _rule_fetch(self) -> bool:
        """C12: a quorum of precommits for a block that is not known."""
        for block_hash in self.tally.commits:
            if block_hash not in self._verdicts and self._fire_once("fetch", block_hash):
                self._emit(FetchBlock(self.height, block_hash))
                return True
        return False

    def _rule_decide(self) -> bool:
        """L49: a known block with a quorum of precommits, in whatever round (C8)."""
        for block_hash, round in self.tally.commits.items():
            if block_hash not in self._verdicts:
                continue
            certificate = build_commit_certificate(self.tally.get_votes_for(PRECOMMIT, round, block_hash))
            if self._verdicts[block_hash]:
                self.step, self.decided_hash = Step.DECIDED, block_hash
                self._emit(Decide(certificate))
            else:
                self.step = Step.HALTED
                self._emit(ConsensusFailure(certificate))
            return True
        return False

    def _rule_skip(self) -> bool:
        """L55: more than a third is in a later round (C9)."""
        target = max(self.tally.skip_round, self._far_votes.skip_round)
        if target <= self.round:
            return False
        self._start_round(target)
        return True

    def _rule_prevote_new(self) -> bool:
        """L22: a proposal of a new block (C2)."""
        received = self._get_awaited_proposal()
        if received is None or received.signed.proposal.pol_round is not None:
            return False
        block_hash = received.signed.proposal.block_hash
        is_free = self.locked_round is None or self.locked_hash == block_hash
        is_accepted = self._verdicts[block_hash] and received.is_timely and is_free
        self._prevote(block_hash if is_accepted else None)
        return True

    def _rule_prevote_again(self) -> bool:
        """L28: a proposal of an earlier block, and its polka; without the polka wait (C3)."""
        received = self._get_awaited_proposal()
        if received is None or received.signed.proposal.pol_round is None:
            return False
        block_hash, pol_round = received.signed.proposal.block_hash, received.signed.proposal.pol_round
        if not self.tally.has_quorum(PREVOTE, pol_round, block_hash):
            return False
        is_free = (
            self.locked_round is None or self.locked_round <= pol_round or self.locked_hash == block_hash
        )
        self._prevote(block_hash if self._verdicts[block_hash] and is_free else None)
        return True

    def _rule_wait_for_prevotes(self) -> bool:
        """L34: a quorum of any prevotes, for the first time in this round (C4)."""
        if self.step is not Step.PREVOTE or not self.tally.has_any_quorum(PREVOTE, self.round):
            return False
        if not self._fire_once("wait for prevotes", self.round):
            return False
        self._schedule(TimeoutKind.PREVOTE)
        return True

    def _rule_lock(self) -> bool:
        """L36: a polka for a proposal of this round, for the first time; L42-43 hold in both steps (C5)."""
        if self.step < Step.PREVOTE:
            return False
        block_hash = self._get_block_with_polka()
        if block_hash is None or not self._fire_once("lock", self.round):
            return False
        if self.step is Step.PREVOTE:
            self.locked_hash, self.locked_round = block_hash, self.round
            self._precommit(block_hash)
        self.valid_hash, self.valid_round = block_hash, self.round
        return True

    def _rule_precommit_nil(self) -> bool:
        """L44: a polka for nil; it unlocks nothing (C6)."""
        if self.step is not Step.PREVOTE or not self.tally.has_quorum(PREVOTE, self.round, None):
            return False
        self._precommit(None)
        return True

    def _rule_wait_for_precommits(self) -> bool:
        """L47: a quorum of any precommits, for the first time in this round, in any step (C7)."""
        if not self.tally.has_any_quorum(PRECOMMIT, self.round):
            return False
        if not self._fire_once("wait for precommits", self.round):
            return False
        self._schedule(TimeoutKind.PRECOMMIT)
        return True

    # What rules and inputs do

    def _start_round(self, round: Round) -> None:
        """L11-21 (C1)."""
        self.round, self.step = round, Step.PROPOSE
        for signed in self._far_votes.take(round + ROUNDS_AHEAD_MAX):
            self._count(signed, is_certified=False)
        if self._me is not None and self._me == self._proposers.get(round):
            self._propose()
        self._schedule(TimeoutKind.PROPOSE)
        self._schedule(TimeoutKind.REBROADCAST)

    def _propose(self) -> None:
        """L14-18: propose the valid value (not the locked one), else a new block."""
        if self.valid_hash is None:
            self._fire_once("build", self.round)
            self._emit(BuildBlock(self.height, self.round))
        else:
            self._send_proposal(self.valid_hash, self.valid_round)

    def _send_proposal(self, block_hash: Hash, pol_round: Round | None) -> None:
        assert self._me is not None
        self._emit(SendProposal(Proposal(self.height, self.round, block_hash, pol_round, self._me)))

    def _prevote(self, block_hash: Hash | None) -> None:
        assert self.step is Step.PROPOSE
        self.step = Step.PREVOTE
        self._cast(PREVOTE, block_hash)

    def _precommit(self, block_hash: Hash | None) -> None:
        assert self.step is Step.PREVOTE
        self.step = Step.PRECOMMIT
        self._cast(PRECOMMIT, block_hash)

    def _cast(self, kind: VoteKind, block_hash: Hash | None) -> None:
        if self._me is not None:
            self._emit(CastVote(Vote(kind, self.height, self.round, block_hash, self._me)))

    def _rebroadcast(self) -> None:
        """C14: own messages of this round, and the proofs of how the node came to its round and value."""
        if self._me is None:
            return
        votes = (*self.get_entry_votes(), *self.tally.get_votes_of(self._me, self.round))
        proposal = self._get_own_proposal()
        polka = self.build_polka_certificate()
        if votes or proposal or polka:
            self._emit(Rebroadcast(proposal, tuple(dict.fromkeys(votes)), polka))

    def _schedule(self, kind: TimeoutKind) -> None:
        duration_ms = compute_timeout_ms(self._timeouts, kind, self.round)
        self._emit(ScheduleTimeout(kind, self.height, self.round, duration_ms))

    # What is known

    def _is_running(self) -> bool:
        return Step.UNSTARTED < self.step < Step.DECIDED

    def _get_awaited_proposal(self) -> ProposalReceived | None:
        """The proposal to prevote on: the first of this round, while none was prevoted on."""
        known = self.proposals.get(self.round)
        return known[0] if known and self.step is Step.PROPOSE else None

    def _get_own_proposal(self) -> SignedProposal | None:
        known = self.proposals.get(self.round)
        return known[0].signed if known and known[0].signed.proposal.proposer == self._me else None

    def _get_block_with_polka(self) -> Hash | None:
        """The valid block out of this round's proposals that has a polka in this round."""
        for received in self.proposals.get(self.round, ()):
            block_hash = received.signed.proposal.block_hash
            if self._verdicts[block_hash] and self.tally.has_quorum(PREVOTE, self.round, block_hash):
                return block_hash
        return None

    def _fire_once(self, rule: str, subject: Round | Hash) -> bool:
        """Whether the rule has not fired for the subject yet; from now on it has."""
        is_first = not self._has_fired(rule, subject)
        self._fired.add((rule, subject))
        return is_first

    def _has_fired(self, rule: str, subject: Round | Hash) -> bool:
        return (rule, subject) in self._fired

    def _emit(self, output: Output) -> None:
        self._outputs.append(output)
