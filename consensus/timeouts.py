"""How long to wait in a round: X(r) = base + r * delta, without bound (C11).

The growth is what makes the protocol live without knowing the delay of the network: at some round every
timeout is longer than it. A cap would take that away.
"""

from chain.primitives.codec import Record
from chain.primitives.types import Round, Uint32
from consensus.types import TimeoutKind


class Timeout(Record):
    """Base and growth per round, in milliseconds."""

    base_ms: Uint32
    delta_ms: Uint32


class TimeoutParameters(Record):
    """One timeout per kind. The defaults are CometBFT's; a chain with faster blocks sets its own."""

    propose: Timeout = Timeout(3000, 500)
    prevote: Timeout = Timeout(1000, 500)
    precommit: Timeout = Timeout(1000, 500)
    rebroadcast: Timeout = Timeout(1000, 500)


def compute_timeout_ms(parameters: TimeoutParameters, kind: TimeoutKind, round: Round) -> int:
    """The duration of a timeout of this kind in `round`."""
    timeout = {
        TimeoutKind.PROPOSE: parameters.propose,
        TimeoutKind.PREVOTE: parameters.prevote,
        TimeoutKind.PRECOMMIT: parameters.precommit,
        TimeoutKind.REBROADCAST: parameters.rebroadcast,
    }[kind]
    return timeout.base_ms + round * timeout.delta_ms
