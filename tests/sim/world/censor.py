"""The worst network there may be: one that reads, and withholds what it likes from whom it likes.

In each round it keeps the proposal from some (less than a third), and lets nobody hear one *favourite* whose
vote the others would need to see a polka. So the favourite locks a block, the others go on without having
seen why, and the next round has another favourite: blocks of several rounds with a polka each, and validators
locked on different ones, which no accident of loss and delay brings about. Asynchrony allows all of it.
"""

from collections.abc import Sequence
from random import Random

from chain.primitives.codec import decode
from chain.primitives.types import Address, Height, Round
from p2p.wire.messages import CompactProposal, ConsensusMessage, Votes


class Censor:
    """Judges each consensus message on its way."""

    def __init__(self, random: Random, addresses: Sequence[Address], powers: Sequence[int]) -> None:
        self._random = random
        self._addresses = addresses
        self._powers = powers
        self._height: Height = 0
        self._round: Round = -1
        self._favourite = 0
        self._starved: tuple[int, ...] = ()

    def is_withheld(self, sender: int, receiver: int, data: bytes) -> bool:
        """Whether the message does not arrive; it follows the newest round that it hears of."""
        message = decode(ConsensusMessage, data)  # type: ignore[arg-type]  # a union is no class
        match message:
            case CompactProposal(signed):
                self._follow(signed.proposal.height, signed.proposal.round)
                is_now = (signed.proposal.height, signed.proposal.round) == (self._height, self._round)
                return sender == self._favourite or (is_now and receiver in self._starved)
            case Votes(votes):
                slots = [(one.vote.height, one.vote.round) for one in votes]
                name = self._addresses[self._favourite]
                if any(
                    one.vote.validator == name and slot == (self._height, self._round)
                    for one, slot in zip(votes, slots, strict=True)
                ):
                    return True
        return sender == self._favourite

    def _follow(self, height: Height, round: Round) -> None:
        if ((height, round) > (self._height, self._round) and height < self._height + 2) or not self._height:
            self._height, self._round = height, round
            self._draw()

    def _draw(self) -> None:
        """A favourite, and the starved: together a third of the power, the starved alone less."""
        numbers = self._random.sample(range(len(self._powers)), len(self._powers))
        self._favourite, total = numbers[0], sum(self._powers)
        starved: list[int] = []
        for number in numbers[1:]:
            power = sum(self._powers[one] for one in (*starved, number))
            if 3 * power < total and 3 * (power - self._powers[number] + self._powers[numbers[0]]) <= total:
                starved.append(number)
        self._starved = tuple(starved)
