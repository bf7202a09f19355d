"""Sessions: reads of sessions, allotments, traffic and burned amounts."""

from chain.errors import DispatchError
from chain.modules.sessions.types import (
    ALLOTMENTS,
    BURNED,
    COUNTERS,
    PARAMETERS,
    PARTIES,
    SESSIONS,
    TRAFFIC,
    Allotment,
    AlreadyReleased,
    NoSuchSession,
    Parameters,
    Session,
    SettledInEpoch,
    SettlementTooSmall,
    Traffic,
)
from chain.modules.sessions.vouchers import Voucher, compute_session_id
from chain.primitives.types import Address, Amount, Epoch, Hash, Height
from chain.state import StateReader


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of sessions."""
    return PARAMETERS.require(state)


def get_session(state: StateReader, session_id: Hash) -> Session | None:
    """An open session."""
    return SESSIONS.get(state, session_id)


def get_allotment(state: StateReader, session_id: Hash, host: Address) -> Allotment | None:
    """A host's allotment of an open session."""
    return ALLOTMENTS.get(state, host, session_id)


def list_allotments(state: StateReader, session_id: Hash) -> tuple[tuple[Address, Allotment], ...]:
    """Every host's allotment of an open session, in the order of accounts."""
    parties = PARTIES.get(state, session_id)
    found = ((host, get_allotment(state, session_id, host)) for host in parties.hosts) if parties else ()
    return tuple((host, allotment) for host, allotment in found if allotment is not None)


def list_releasable(state: StateReader, host: Address, height: Height) -> tuple[tuple[Hash, Allotment], ...]:
    """(session, allotment) of those that a host can release in a block at `height`, by session.

    Reads all open sessions that have an allotment for the host.
    """
    releasable = []
    for session_id, allotment in ALLOTMENTS.items(state, host):
        session = None if allotment.is_released else get_session(state, session_id)
        if session is not None and is_ended(session, height):
            releasable.append((session_id, allotment))
    return tuple(releasable)


def is_running(session: Session, height: Height) -> bool:
    """Whether a session is neither closed nor expired."""
    return not session.is_closing and height <= session.expires_at


def is_ended(session: Session, height: Height) -> bool:
    """Whether a session is closed or expired, and its hosts can still settle."""
    return not is_running(session, height) and height < session.ends_at


def check_due(
    parameters: Parameters,
    session: Session,
    allotment: Allotment,
    added: Amount,
    height: Height,
    epoch: Epoch,
) -> None:
    """Raises NoSuchSession, AlreadyReleased, SettledInEpoch or SettlementTooSmall if `added` cannot be
    settled now.
    """
    if height >= session.ends_at:
        raise NoSuchSession
    if allotment.is_released:
        raise AlreadyReleased
    if allotment.settled_in == epoch and is_running(session, height):
        raise SettledInEpoch
    if added < parameters.settle_min:
        raise SettlementTooSmall


def is_due(state: StateReader, voucher: Voucher, height: Height, epoch: Epoch) -> bool:
    """Whether a block would settle this otherwise valid voucher now; for the host's node."""
    session = get_session(state, voucher.session)
    allotment = get_allotment(state, voucher.session, voucher.host)
    if session is None or allotment is None or voucher.bytes <= allotment.bytes:
        return False
    try:
        check_due(get_parameters(state), session, allotment, voucher.amount - allotment.amount, height, epoch)
    except DispatchError:
        return False
    return True


def get_traffic(state: StateReader, who: Address) -> Traffic:
    """The settled traffic of an account."""
    return TRAFFIC.get(state, who) or Traffic()


def get_burned(state: StateReader, epoch: Epoch) -> tuple[tuple[Address, Amount], ...]:
    """(host, base units burned) in an epoch, in the order of accounts; empty after `take_burned`."""
    return tuple(BURNED.items(state, epoch))


def get_next_session_id(state: StateReader, genesis_hash: Hash, payer: Address) -> Hash:
    """The id of the next session that an account opens."""
    return compute_session_id(genesis_hash, payer, COUNTERS.get(state, payer) or 0)
