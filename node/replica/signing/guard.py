"""The guard: whether this node may sign, given the signatures of its key that it did not make itself.

The sign-state file prevents a second signature in one slot. It cannot know of another file: an older copy of
itself put back, or a second process with the same key. Their signatures are on the chain and on the wire:

- After every sync the newest heights are searched for own signatures, and so is each block that becomes
  final. A signature above the sign-state means that the file is an old copy, or not the only one: watch.
- A sign-state that never signed watches first too, since the key may be in use elsewhere, unless the chain is
  shorter than a watch and holds no signature of the key.
- A peer that sends an own message which was not signed here shows that another process signs now: stop.

A watch ends WATCH_HEIGHTS heights after the last foreign signature. It is in the sign-state, so a restart
does not shorten it; a restart after a stop begins with a watch. A height whose log is missing or cut short is
not signed at all, because the lock in it is forgotten.

Pure: methods return the change of the sign-state, which the caller makes before anything else is signed. Two
processes that start at the same time both stop after one height; no guard can prevent that one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chain.primitives.types import Address, Height
from chain.votes import Certificate, Proposal, Vote, VoteKind, build_certificate_votes
from storage.sign_state import UNSIGNED, Hold, SignSlot, SignState, SignStep

WATCH_HEIGHTS = 20
"""Heights that are searched, and that must pass; a validator that signs shows up in far fewer."""

Message = Vote | Proposal

_STEP_OF = {VoteKind.PREVOTE: SignStep.PREVOTE, VoteKind.PRECOMMIT: SignStep.PRECOMMIT}


class Phase(StrEnum):
    """What the guard allows."""

    STARTING = "starting"
    """Nothing: the chain was not searched yet."""
    WATCHING = "watching"
    """Nothing, until the chain is beyond `watch_ends`."""
    SIGNING = "signing"
    STOPPED = "stopped"
    """Nothing until the operator acts: another process signs with this key."""


@dataclass(frozen=True)
class BeginWatch:
    """The sign-state forbids every signature until `EndWatch`, and those at or below this slot forever."""

    slot: SignSlot


@dataclass(frozen=True)
class EndWatch:
    """The sign-state allows signatures again."""


WatchChange = BeginWatch | EndWatch


class Guard:
    """One validator key, from the start of its process."""

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
        """Signatures at or below this slot are known: made before this process began, or seen in a watch."""
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
        """Whether the log of this height is cut short; `asked` are the messages that it led to.

        It is if the sign-state has signed more. A lock may then be forgotten, so the height is not signed.
        """
        newest = max((self._logged, *map(get_slot, asked)))
        if self._signed[0] == height and self._signed > newest:
            self._unlogged = height
        return self._unlogged == height

    def note_made(self, message: Message) -> None:
        """This process has signed the message."""
        self._made[get_slot(message)] = message

    def on_caught_up(self, head: Height, own: Iterable[Message], *, is_whole: bool) -> WatchChange | None:
        """After a sync to `head`: `own` are this key's messages of the newest heights.

        `is_whole` says that the chain has no further heights.
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
        """Drop messages below every later search; slots were made in ascending order."""
        while self._made and (oldest := next(iter(self._made)))[0] < height - self._watch_heights:
            del self._made[oldest]


def get_slot(message: Message) -> SignSlot:
    """The slot of a message: nothing else may be signed there, nor below."""
    step = _STEP_OF[message.kind] if isinstance(message, Vote) else SignStep.PROPOSAL
    return message.height, message.round, int(step)


def list_own_votes(me: Address, certificates: Iterable[Certificate | None]) -> list[Vote]:
    """The votes of a validator in certificates."""
    votes = (signed.vote for one in certificates if one for signed in build_certificate_votes(one))
    return [vote for vote in votes if vote.validator == me]
