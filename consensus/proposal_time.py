"""Proposer-based time: when the time of a proposed block is accepted.

The proposer stamps the block with its clock, which must exceed the time of the block before. A validator
prevotes a *new* block only if it came neither later than the message delay allows nor from the future:

    receive - delay(r) - precision <= time <= receive + precision

The delay grows with the round, for the reason that timeouts grow: a delay that is set too small would stop
the chain for good. A block proposed again (`pol_round` is set) is exempt: a polka shows that honest
validators found it timely. After CometBFT's PBTS; there the delay grows by a tenth per round, here linearly,
without a power to compute.
"""

from chain.primitives.codec import Record
from chain.primitives.types import Round, TimeMs, Uint32


class SynchronyParameters(Record):
    """What the validators' clocks and network are trusted to do; the same on all nodes of a chain."""

    precision_ms: Uint32 = 505
    message_delay_ms: Uint32 = 15_000
    message_delay_delta_ms: Uint32 = 1_500


def is_timely(
    receive_ms: TimeMs, block_time_ms: TimeMs, round: Round, parameters: SynchronyParameters
) -> bool:
    """Whether a new block of this time, first received at `receive_ms` (own clock), may be prevoted."""
    delay_ms = parameters.message_delay_ms + round * parameters.message_delay_delta_ms
    earliest_ms = receive_ms - delay_ms - parameters.precision_ms
    return earliest_ms <= block_time_ms <= receive_ms + parameters.precision_ms
