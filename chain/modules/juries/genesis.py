"""Juries: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances, catalogue
from chain.modules.juries.queries import compute_decided_in, list_seats
from chain.modules.juries.types import (
    AGENDA,
    CASES,
    JURORS,
    JURY_SIZE_MAX,
    PARAMETERS,
    POT,
    SEATS,
    TAINTS,
    Parameters,
)
from chain.primitives.codec import Record
from chain.primitives.types import PPM
from chain.state import StateReader


class GenesisConfig(Record):
    """Juries at genesis: no jurors and no cases."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec for juries of nobody and phases without time."""
    parameters = config.parameters
    if not 1 <= parameters.jury_size <= JURY_SIZE_MAX:
        raise InvalidChainSpec(f"juries: jury_size is 1 to {JURY_SIZE_MAX}")
    counts = (parameters.jurors_min, parameters.commit_epochs, parameters.reveal_epochs)
    if min(*counts, parameters.cases_per_epoch_max, parameters.juror_bond_min) == 0:
        raise InvalidChainSpec(
            "juries: jurors_min, juror_bond_min, phases and cases_per_epoch_max at least 1"
        )
    if parameters.winner_ppm + parameters.jurors_ppm > PPM or parameters.silent_ppm > PPM:
        raise InvalidChainSpec("juries: winner_ppm and jurors_ppm at most 1000000 together, silent_ppm too")
    PARAMETERS.set(ctx.state, parameters)


def check_invariants(state: StateReader) -> None:
    """The pot holds the bonds of jurors and open cases; seats are counted; each case waits for its epoch."""
    cases = {int.from_bytes(key, "big"): case for key, case in CASES.items(state)}
    jurors = dict(JURORS.items(state))
    held = sum(juror.amount for juror in jurors.values()) + sum(case.bond for case in cases.values())
    assert balances.get_balance(state, POT) == held
    seats = dict.fromkeys(jurors, 0)
    for number, case in cases.items():
        datum = catalogue.get_datum(state, case.datum)
        assert datum is not None and datum.case == number
        due_in = compute_decided_in(state, case) if case.is_drawn else case.drawn_in
        assert AGENDA.has(state, due_in, number)
        for who, _ in () if case.are_validators else list_seats(state, number):
            seats[who] += 1
    assert seats == {who: juror.seats for who, juror in jurors.items()}
    assert len(list(AGENDA.items(state))) == len(cases)
    for rows in (SEATS.items(state), TAINTS.items(state)):
        assert all(int.from_bytes(key[:8], "big") in cases for key, _ in rows)
    assert sum(datum.case is not None for _, datum in catalogue.DATUMS.items(state)) == len(cases)
