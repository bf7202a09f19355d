"""The adversarial network: it reads consensus messages, and decides which of them arrive.

It hides locks. In each round one validator, the *holder*, gets every vote while nothing of it reaches the
others; the proposal does not reach a few more (*starved*; less than a third of the power together). So the
holder alone sees a polka and locks, and the others go on without knowing why. In the next round another
validator is the holder: a height gets polkas of different blocks, and validators locked on different ones.
Favourites are chosen among those who propose two or three rounds later, so that a block with an old polka is
proposed again to validators with newer locks. No chance of loss and delay brings this about, and asynchrony
allows all of it.
"""

from collections.abc import Callable, Sequence
from random import Random

from chain.primitives.codec import decode
from chain.primitives.types import Address, Height, Round
from p2p.wire.messages import CompactProposal, ConsensusMessage, Votes

AHEAD_ROUNDS = (2, 2, 3)

FindProposer = Callable[[Height, Round], int | None]
"""The number of the machine that proposes in a round, if it is known yet."""


class Censor:
    """Judges each consensus message on its way."""

    def __init__(
        self,
        random: Random,
        addresses: Sequence[Address],
        powers: Sequence[int],
        find_proposer: FindProposer,
    ) -> None:
        self._random = random
        self._addresses = addresses
        self._powers = powers
        self._find_proposer = find_proposer
        self._height: Height = 0
        self._round: Round = -1
        self._holder = 0
        self._starved: tuple[int, ...] = ()

    def is_withheld(self, sender: int, receiver: int, data: bytes) -> bool:
        """Whether the message does not arrive; the censor follows the newest round that it hears of."""
        message = decode(ConsensusMessage, data)  # type: ignore[arg-type]  # a union is no class
        match message:
            case CompactProposal(signed):
                self._follow(signed.proposal.height, signed.proposal.round)
                is_now = (signed.proposal.height, signed.proposal.round) == (self._height, self._round)
                return sender == self._holder or (is_now and receiver in self._starved)
            case Votes(votes):
                name, slot = self._addresses[self._holder], (self._height, self._round)
                is_hidden = any(
                    one.vote.validator == name and (one.vote.height, one.vote.round) == slot for one in votes
                )
                return sender == self._holder or is_hidden
        return sender == self._holder

    def _follow(self, height: Height, round: Round) -> None:
        if ((height, round) > (self._height, self._round) and height < self._height + 2) or not self._height:
            self._height, self._round = height, round
            self._draw()

    def _draw(self) -> None:
        """The holder and the starved: without both there is no quorum, and the starved are the fewest."""
        self._holder = self._draw_holder()
        others = [number for number in range(len(self._powers)) if number != self._holder]
        total, holder = sum(self._powers), self._powers[self._holder]
        starved: list[int] = []
        for number in self._random.sample(others, len(others)):
            power = sum(self._powers[one] for one in starved)
            if 3 * (power + self._powers[number]) < total and 3 * (power + holder) < total:
                starved.append(number)
        self._starved = tuple(starved)

    def _draw_holder(self) -> int:
        """Who proposes in a later round; the proposer of this one has to be heard."""
        now = self._find_proposer(self._height, self._round)
        later = self._find_proposer(self._height, self._round + self._random.choice(AHEAD_ROUNDS))
        if later is not None and later != now:
            return later
        return self._random.choice([number for number in range(len(self._powers)) if number != now])
