"""Juries: parameters, records, storage, events and errors."""

from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Hash, Ppm, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("juries", index=15)
POT = balances.compute_pot("juries")

JURY_SIZE_MAX = 64


class Parameters(Record):
    """Who judges, how long it takes, and what is at stake."""

    jury_size: Uint32
    jurors_min: Uint32
    """While fewer jurors qualify, validators are drawn."""
    juror_bond_min: Amount
    juror_eras: Uint32
    """Full eras that a juror's bond must have been locked before the juror is drawn."""
    challenge_bond_max: Amount
    """A challenge costs this or what sponsors have bonded, whichever is less."""
    commit_epochs: Uint32
    reveal_epochs: Uint32
    cases_per_epoch_max: Uint32
    """Cases whose jury is drawn in one epoch."""
    winner_ppm: Ppm
    jurors_ppm: Ppm
    """Shares of the loser's bond for the winner and for the jurors who voted; the rest is burned."""
    silent_ppm: Ppm
    """What a drawn juror that reveals no verdict loses of its bond."""


class Juror(Record):
    """A bond for judging; `since_era` is the era of its last increase, `seats` the open cases it judges."""

    amount: Amount
    since_era: Era
    seats: Uint32 = 0


class Case(Record):
    """A challenge that is not decided yet."""

    datum: Hash
    challenger: Address
    bond: Amount
    drawn_in: Epoch
    """Commitments are taken from this epoch on."""
    is_drawn: bool = False
    are_validators: bool = False
    """Whether validators judge, because too few jurors qualified."""


class Seat(Record):
    """The place of one juror in a jury, and what it has said so far."""

    commitment: Hash | None = None
    is_junk: bool | None = None


class Taint(Record):
    """The share of a host's hosting pay that came from the datum of a case, and since which era."""

    share_ppm: Ppm
    since_era: Era


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
JURORS = StorageMap(MODULE.index, 1, Juror)
CASES = StorageMap(MODULE.index, 2, Case)
SEATS = StorageMap(MODULE.index, 3, Seat)
"""(case, juror)."""
TAINTS = StorageMap(MODULE.index, 4, Taint)
"""(case, host)."""
AGENDA = StorageMap(MODULE.index, 5, bool)
"""(epoch, case) -> True: at the start of the epoch the jury is drawn, or the case decided."""
CASE_COUNT = StorageValue(MODULE.index, 6, int)
"""Cases ever opened: the number of the next one."""


@MODULE.event(1)
class JurorBonded(Record):
    """`amount` was added to the juror's bond, whose age begins again."""

    juror: Address
    amount: Amount
    bond: Amount


@MODULE.event(2)
class JurorRetired(Record):
    """The juror got its bond back."""

    juror: Address
    bond: Amount


@MODULE.event(3)
class CaseOpened(Record):
    """`challenger` says that `datum` is junk; the jury is drawn at the start of epoch `drawn_in`."""

    case: Uint
    datum: Hash
    challenger: Address
    bond: Amount
    drawn_in: Epoch


@MODULE.event(4)
class JuryDrawn(Record):
    """The jury of a case: it commits before epoch `reveals_from`, and reveals before `decided_in`."""

    case: Uint
    jurors: Annotated[tuple[Address, ...], Meta(max_length=JURY_SIZE_MAX)]
    are_validators: bool
    candidates: Uint32
    weight_total: Uint
    reveals_from: Epoch
    decided_in: Epoch


@MODULE.event(5)
class VerdictCommitted(Record):
    """A juror has fixed its verdict; nobody can read it yet."""

    case: Uint
    juror: Address


@MODULE.event(6)
class VerdictRevealed(Record):
    """A juror has shown its verdict."""

    case: Uint
    juror: Address
    is_junk: bool


@MODULE.event(7)
class CaseDecided(Record):
    """The verdict (None: as many for junk as against it) and where the loser's bond went.

    `forfeited` = `winner` + `jurors` + `burned`; without a verdict nobody loses a bond.
    """

    case: Uint
    datum: Hash
    is_junk: bool | None
    for_junk: Uint32
    against: Uint32
    silent: Uint32
    forfeited: Amount
    winner: Amount
    jurors: Amount
    burned: Amount


@MODULE.event(8)
class SilentJurorFined(Record):
    """A drawn juror revealed nothing: `amount` of its bond was burned."""

    case: Uint
    juror: Address
    amount: Amount


@MODULE.event(9)
class WithheldBurned(Record):
    """`share_ppm` of the hosting pay withheld from `host` since `since_era` was burned: pay for junk."""

    case: Uint
    host: Address
    share_ppm: Ppm
    since_era: Era
    amount: Amount


@MODULE.error(1)
class NotMember(DispatchError):
    """Only a member may be a juror."""


@MODULE.error(2)
class JurorBondTooSmall(DispatchError):
    """A juror's bond is at least `juror_bond_min`."""


@MODULE.error(3)
class NotJuror(DispatchError):
    """The account has no bond as a juror."""


@MODULE.error(4)
class Seated(DispatchError):
    """The juror sits in a jury: its bond stays until the verdict."""


@MODULE.error(5)
class NothingToJudge(DispatchError):
    """The datum is neither admitted nor sponsored: it earns nothing."""


@MODULE.error(6)
class TooManyCases(DispatchError):
    """As many cases as allowed have been opened in this epoch."""


@MODULE.error(7)
class NoSuchCase(DispatchError):
    """The case is not open."""


@MODULE.error(8)
class NotDrawn(DispatchError):
    """The account is not in the jury of the case, or the jury is not drawn yet."""


@MODULE.error(9)
class WrongPhase(DispatchError):
    """Verdicts are committed first, and revealed when the time for that has come."""


@MODULE.error(10)
class AlreadyRevealed(DispatchError):
    """The juror has revealed its verdict."""


@MODULE.error(11)
class WrongVerdict(DispatchError):
    """The verdict and salt are not those that the juror committed to."""
