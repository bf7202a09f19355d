"""Sessions: what the state says about sessions, allotments, traffic and burns."""

from chain.modules.sessions.types import (
    ALLOTMENTS,
    BURNED,
    COUNTERS,
    PARAMETERS,
    SESSIONS,
    TRAFFIC,
    Allotment,
    Parameters,
    Session,
    Traffic,
)
from chain.modules.sessions.vouchers import compute_session_id
from chain.primitives.types import Address, Amount, Epoch, Hash, Height
from chain.state import StateReader


def get_parameters(state: StateReader) -> Parameters:
    """Price, split and times."""
    return PARAMETERS.require(state)


def get_session(state: StateReader, session_id: Hash) -> Session | None:
    """An open session."""
    return SESSIONS.get(state, session_id)


def get_allotment(state: StateReader, session_id: Hash, host: Address) -> Allotment | None:
    """A host's part of an open session."""
    return ALLOTMENTS.get(state, session_id, host)


def list_allotments(state: StateReader, session_id: Hash) -> tuple[tuple[Address, Allotment], ...]:
    """Every host's part of an open session, in the order of accounts."""
    return tuple(ALLOTMENTS.items(state, session_id))


def is_running(session: Session, height: Height) -> bool:
    """Whether the payer still downloads: it has neither closed the session nor let it expire."""
    return not session.is_closing and height <= session.expires_at


def get_traffic(state: StateReader, who: Address) -> Traffic:
    """What an account has served and downloaded."""
    return TRAFFIC.get(state, who) or Traffic()


def get_burned(state: StateReader, epoch: Epoch) -> tuple[tuple[Address, Amount], ...]:
    """What was burned per host in an epoch, in the order of accounts, until `take_burned`."""
    return tuple(BURNED.items(state, epoch))


def get_next_session_id(state: StateReader, genesis_hash: Hash, payer: Address) -> Hash:
    """The id of the next session that an account opens."""
    return compute_session_id(genesis_hash, payer, COUNTERS.get(state, payer) or 0)
