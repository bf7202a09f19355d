"""Juries: reads of jurors and cases."""

from chain.modules import beacon, catalogue
from chain.modules.juries.types import (
    AGENDA,
    CASE_COUNT,
    CASES,
    JURORS,
    PARAMETERS,
    SEATS,
    Case,
    Juror,
    Parameters,
    Seat,
)
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Amount, Epoch, Hash
from chain.state import StateReader


def get_parameters(state: StateReader) -> Parameters:
    """Who judges, how long it takes, and what is at stake."""
    return PARAMETERS.require(state)


def get_juror(state: StateReader, who: Address) -> Juror | None:
    """The bond of a juror."""
    return JURORS.get(state, who)


def get_case(state: StateReader, number: int) -> Case | None:
    """A case that is not decided yet."""
    return CASES.get(state, number)


def get_case_count(state: StateReader) -> int:
    """Cases ever opened: the number of the next one."""
    return CASE_COUNT.get(state) or 0


def get_seat(state: StateReader, number: int, who: Address) -> Seat | None:
    """The place of an account in the jury of an open case."""
    return SEATS.get(state, number, who)


def list_seats(state: StateReader, number: int) -> tuple[tuple[Address, Seat], ...]:
    """(juror, place) of an open case, in the order of accounts."""
    return tuple(SEATS.items(state, number))


def list_agenda(state: StateReader, epoch: Epoch) -> tuple[int, ...]:
    """The cases whose jury is drawn, or which are decided, at the start of an epoch."""
    return tuple(int.from_bytes(key, "big") for key, _ in AGENDA.items(state, epoch))


def list_opened(state: StateReader, epoch: Epoch) -> tuple[tuple[int, Case], ...]:
    """(number, case) of the cases that were opened in an epoch and have no jury yet."""
    numbers = list_agenda(state, epoch + beacon.DELAY_EPOCHS)
    cases = ((number, get_case(state, number)) for number in numbers)
    return tuple((number, case) for number, case in cases if case is not None and not case.is_drawn)


def compute_reveals_from(state: StateReader, case: Case) -> Epoch:
    """The first epoch in which verdicts are revealed."""
    return case.drawn_in + get_parameters(state).commit_epochs


def compute_decided_in(state: StateReader, case: Case) -> Epoch:
    """The epoch at whose start the case is decided."""
    return compute_reveals_from(state, case) + get_parameters(state).reveal_epochs


def compute_challenge_bond(state: StateReader, datum_id: Hash) -> Amount:
    """What a challenge of a datum costs now: what its sponsors have bonded, at most `challenge_bond_max`."""
    held = sum(one.amount for _, one in catalogue.list_sponsorships(state, datum_id))
    most = get_parameters(state).challenge_bond_max
    return min(held, most) if held else most


def compute_commitment(genesis_hash: Hash, case: int, juror: Address, is_junk: bool, salt: Hash) -> Hash:
    """What a juror commits to; the salt hides the verdict until it is revealed."""
    return hash_record(Domain.VERDICT, (genesis_hash, case, juror, is_junk, salt))
