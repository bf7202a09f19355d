"""The guard: whether this node may sign, given what is seen of signatures that it did not make.

The sign-state keeps one file from signing twice. It cannot know of another file: an older copy of itself put
back, or a second process with the same key. What can be known of those is on the chain and on the wire, and
the guard judges it:

- After every catch-up the newest heights are searched for own signatures, and so is each block that becomes
  final. One that this sign-state does not know means that it is an old copy, or not the only one: watch.
- A sign-state that never signed (a key new to this folder) watches first too, unless the whole chain is in
  sight and the key is nowhere on it: a chain that is younger than a watch needs no watch.
- An own message that comes from a peer and was not signed here is another process at work now: stop.

Watching ends when the chain has passed WATCH_HEIGHTS heights since the last sign of another signer. It is in
the sign-state, so a restart does not shorten it; after a stop, a restart begins with a watch. A height whose
log is gone, or has lost its end, is not signed at all: what was locked in it is forgotten.

Pure: an answer is what the sign-state is to be told; who calls does that before anything else is signed.
What no guard can see is a second process that starts in the same instant: then both stop after one height.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chain.primitives.types import Address, Height
from chain.votes import Certificate, Proposal, Vote, VoteKind, build_certificate_votes
from storage.sign_state import UNSIGNED, Hold, SignSlot, SignState, SignStep

WATCH_HEIGHTS = 20
"""Heights that are searched, and that must pass; a validator that signs leaves traces in far fewer."""

Message = Vote | Proposal

_STEP_OF = {VoteKind.PREVOTE: SignStep.PREVOTE, VoteKind.PRECOMMIT: SignStep.PRECOMMIT}


class Phase(StrEnum):
    """What the guard allows."""

    STARTING = "starting"
    """Nothing, before the first look back."""
    WATCHING = "watching"
    """Nothing, until the chain has passed `watch_ends`."""
    SIGNING = "signing"
    STOPPED = "stopped"
    """Nothing until the operator acts: another process signs with this key."""


@dataclass(frozen=True)
class BeginWatch:
    """The sign-state is to hold that nothing may be signed, and nothing at or below this slot ever."""

    slot: SignSlot


@dataclass(frozen=True)
class EndWatch:
    """The sign-state may sign again."""


WatchChange = BeginWatch | EndWatch


class Guard:
    """Of the key of one validator, from the start of its process."""

    def __init__(
        self,
        me: Address,
        state: SignState,
        *,
        log_height: Height,
        logged: Iterable[Message] = (),
        watch_heights: int = WATCH_HEIGHTS,
    ) -> None:
        self.me = me
        self.phase = Phase.STARTING
        self.watch_ends: Height | None = None
        """The last height that is not signed, while watching."""
        self.reason = "" if state.hold is Hold.NONE else "a watch had begun before this start"
        self._is_unused = state.slot == UNSIGNED
        self._known: SignSlot = state.slot
        """Whatever was signed at or below this slot, before this process or seen in a watch, is no news."""
        self._unlogged: Height = state.height if log_height < state.height else 0
        self._watch_heights = watch_heights
        self._made: dict[SignSlot, Message] = {}
        logged = tuple(logged)
        self._signed: SignSlot = state.slot
        self._logged: SignSlot = max(map(get_slot, logged), default=UNSIGNED)
        self._found = [message for message in logged if self._is_foreign(message)]

    def may_sign(self, height: Height) -> bool:
        """Whether this height may be signed."""
        return self.phase is Phase.SIGNING and height > self._unlogged

    def is_cut(self, height: Height, asked: Iterable[Message]) -> bool:
        """Whether the log of this height has lost its end, by all that it asked to be signed: if the
        sign-state knows of more, a lock may be forgotten, and the height is not signed.
        """
        newest = max((self._logged, *map(get_slot, asked)))
        if self._signed[0] == height and self._signed > newest:
            self._unlogged = height
        return self._unlogged == height

    def note_made(self, message: Message) -> None:
        """This process has signed this."""
        self._made[get_slot(message)] = message

    def on_caught_up(self, head: Height, own: Iterable[Message], *, is_whole: bool) -> WatchChange | None:
        """After a catch-up to `head`: `own` are this key's messages of the newest heights.

        `is_whole` says that these are all heights of the chain.
        """
        seen = list(own)
        found = [*self._found, *(message for message in seen if self._is_foreign(message))]
        self._found = []
        if found and self.phase is not Phase.STOPPED:
            return self._watch(
                head, found, "there are signatures of this key that its sign-state does not know"
            )
        if self.phase is not Phase.STARTING:
            return None
        if self.reason:
            return self._watch(head, [], self.reason)
        if self._is_unused and (seen or not is_whole):
            return self._watch(head, [], "the key is new to this folder")
        self.phase = Phase.SIGNING
        return None

    def on_final(self, height: Height, own: Iterable[Message]) -> WatchChange | None:
        """A block is final; `own` are this key's signatures in its certificate and last commit."""
        found = [message for message in own if self._is_foreign(message)]
        if self.phase is Phase.STARTING:
            self._found += found
        elif found and self.phase is not Phase.STOPPED:
            return self._watch(height, found, "a block became final with a signature made elsewhere")
        elif self.phase is Phase.WATCHING and self.watch_ends is not None and height >= self.watch_ends:
            return self._resume(height)
        self._forget(height)
        return None

    def on_received(self, message: Message) -> WatchChange | None:
        """A peer sent a well signed message of this key."""
        if not self._is_foreign(message):
            return None
        match self.phase:
            case Phase.STARTING:
                self._found.append(message)
            case Phase.WATCHING:
                return self._watch(message.height, [message], "another process signs with this key")
            case Phase.SIGNING:
                self.phase = Phase.STOPPED
                self.reason = "another process signs with this key"
                return BeginWatch(get_slot(message))
            case Phase.STOPPED:
                pass
        return None

    def _is_foreign(self, message: Message) -> bool:
        slot = get_slot(message)
        return slot > self._known and self._made.get(slot) != message

    def _watch(self, head: Height, found: list[Message], reason: str) -> BeginWatch:
        """Begin to watch, or begin again."""
        newest = max((head, *(message.height for message in found)))
        self.phase, self.reason = Phase.WATCHING, reason
        self.watch_ends = max(newest + self._watch_heights, self.watch_ends or 0)
        self._known = max((self._known, *map(get_slot, found)))
        return BeginWatch(self._known)

    def _resume(self, height: Height) -> EndWatch:
        self.phase, self.reason, self.watch_ends = Phase.SIGNING, "", None
        self._known = max(self._known, (height + 1, 0, 0))
        return EndWatch()

    def _forget(self, height: Height) -> None:
        """Drop what no look back can meet any more; slots were made in ascending order."""
        while self._made and (oldest := next(iter(self._made)))[0] < height - self._watch_heights:
            del self._made[oldest]


def get_slot(message: Message) -> SignSlot:
    """Where a message stands: nothing else may be signed there, nor below."""
    step = _STEP_OF[message.kind] if isinstance(message, Vote) else SignStep.PROPOSAL
    return message.height, message.round, int(step)


def list_own_votes(me: Address, certificates: Iterable[Certificate | None]) -> list[Vote]:
    """The votes of a validator in certificates."""
    votes = (signed.vote for one in certificates if one for signed in build_certificate_votes(one))
    return [vote for vote in votes if vote.validator == me]
