"""The time parameters of a chain, in the types of `consensus`."""

from chain.modules import system
from consensus.proposal_time import SynchronyParameters
from consensus.timeouts import Timeout, TimeoutParameters


def build_timeouts(parameters: system.Parameters) -> TimeoutParameters:
    """The consensus timeouts of the chain spec."""
    vote = Timeout(parameters.vote_timeout_ms, parameters.vote_timeout_delta_ms)
    return TimeoutParameters(
        propose=Timeout(parameters.propose_timeout_ms, parameters.propose_timeout_delta_ms),
        prevote=vote,
        precommit=vote,
    )


def build_synchrony(parameters: system.Parameters) -> SynchronyParameters:
    """The bounds of proposer-based time of the chain spec."""
    return SynchronyParameters(
        precision_ms=parameters.precision_ms,
        message_delay_ms=parameters.message_delay_ms,
        message_delay_delta_ms=parameters.message_delay_delta_ms,
    )
