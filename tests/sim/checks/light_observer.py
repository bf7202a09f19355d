"""A light client that follows the run: it asks one node, compares with another, and must convict a fork.

It uses `chain.light` as `cli.light.client` does, with answers that went through their encoding. Honest nodes
always give it an acceptable answer. A divergence is a violation, except in the control, where it must occur
and its evidence must name villains only.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from chain.block import compute_header_hash
from chain.genesis import ChainSpec
from chain.light import (
    Bisection,
    CrossCheck,
    Divergence,
    LightBlock,
    LightError,
    TrustExpired,
    build_genesis_light_block,
    build_rules,
    list_double_signers,
    list_equivocations,
)
from chain.primitives.codec import decode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Height, TimeMs
from chain.votes import DuplicateVote, Verify
from p2p.wire.messages import LIGHT_BLOCK_BYTES_MAX, LightBlockReply
from tests.sim.checks.checkers import Violation
from tests.sim.checks.history import History

POLL_MS = 2_000


class Source(Protocol):
    """A node that answers a light client."""

    number: int
    is_honest: bool
    height: Height

    def get_light_block(self, height: Height) -> LightBlockReply | None:
        """The answer; None if the node refuses."""


class Fork(NamedTuple):
    """What the light client has seen of a fork."""

    height: Height
    signers: tuple[Address, ...]
    evidence: tuple[DuplicateVote, ...]


class Unanswered(Exception):
    """The node has no such block."""


class LightObserver:
    """Follows the chain from genesis, or from a block it is given when its trust has expired."""

    def __init__(
        self, spec: ChainSpec, verify: Verify, counts: Counter[str], trusting_ms: int | None = None
    ) -> None:
        rules = build_rules(spec, verify)
        period_ms = rules.trusting_period_ms if trusting_ms is None else trusting_ms
        self._rules = rules._replace(trusting_period_ms=period_ms)
        self._trusted = build_genesis_light_block(spec)
        self._counts = counts
        self.primary = -1
        """The number of the node that it asks first."""
        self.forks: list[Fork] = []
        self.violations: list[Violation] = []

    def poll(self, primary: Source, witness: Source, now_ms: TimeMs, target: Height | None = None) -> None:
        """Moves trust to a height of the primary, at most its head, and compares with the witness."""
        self.primary = primary.number
        height = primary.height if target is None else target
        if height <= self._trusted.header.height:
            return
        bisection = Bisection(self._rules, self._trusted, height)
        if not self._try(primary, lambda: self._feed(bisection, primary, now_ms)):
            return
        self._counts["header followed by the light client"] += 1
        self._counts["header skipped to by the light client"] += len(bisection.trace) == 2
        cross = CrossCheck(self._rules, bisection.trace)
        if witness.height >= height and self._try(witness, lambda: self._feed(cross, witness, now_ms)):
            self._counts["witness agreed with the light client"] += 1
        self._trusted = bisection.trusted

    def check_trusted(self, history: History) -> None:
        """What the light client trusts is final on the nodes."""
        header = self._trusted.header
        final = {fact.block_hash for fact in history.finalities if fact.height == header.height}
        if final and compute_header_hash(header) not in final:
            self.violations.append(
                Violation("light", f"trusts a header of {header.height} that is not final")
            )

    def _feed(self, machine: Bisection | CrossCheck, source: Source, now_ms: TimeMs) -> None:
        while machine.wanted is not None:
            reply = source.get_light_block(machine.wanted)
            if reply is None:
                raise Unanswered
            machine.supply(decode(LightBlock, reply.block, LIGHT_BLOCK_BYTES_MAX), now_ms)

    def _try(self, source: Source, action: Callable[[], None]) -> bool:
        """Whether the source's answers were acceptable; what an honest one must not say is a violation."""
        try:
            action()
        except Divergence as fork:
            self._note_fork(fork)
        except TrustExpired:
            self._counts["trust of the light client expired"] += 1
            self._anchor(source)
        except (LightError, DecodeError) as error:
            self._counts["liar refused by the light client"] += 1
            if source.is_honest:
                detail = f"node {source.number}: {type(error).__name__}: {error}"
                self.violations.append(Violation("light", detail))
        except Unanswered:
            self._counts["light client unanswered"] += 1
        else:
            return True
        return False

    def _anchor(self, source: Source) -> None:
        """What an operator does: name a recent block, which an honest node shows."""
        if source.is_honest:
            self.trust(source, source.height)

    def trust(self, source: Source, height: Height) -> None:
        """Begin at a block of this node."""
        reply = source.get_light_block(height)
        if reply is not None:
            self._trusted = decode(LightBlock, reply.block, LIGHT_BLOCK_BYTES_MAX)

    def _note_fork(self, fork: Divergence) -> None:
        signers = list_double_signers(fork.ours, fork.theirs)
        self.forks.append(Fork(fork.ours.header.height, signers, list_equivocations(fork.ours, fork.theirs)))


def check_no_fork(forks: Sequence[Fork]) -> list[Violation]:
    """With less than a third of the power in villains' hands a light client never sees a fork."""
    return [Violation("light", f"the light client saw a fork at height {fork.height}") for fork in forks]
