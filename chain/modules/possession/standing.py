"""Possession: whether a validator-host can still prove the running era, without which it is not elected."""

from typing import NamedTuple

from chain.modules import hosting, system
from chain.modules.possession.history import get_era_rule, get_judgement, get_parameters, get_record
from chain.primitives.fixed_point import div_up
from chain.primitives.types import PPM, Address
from chain.state import StateReader


class EraStanding(NamedTuple):
    """What the running era asks of a validator-host, and what the host has of it so far."""

    asked_bytes: int
    """To be held at the era's end; 0 if the era asks nothing."""
    held_bytes: int
    """Registered, also if it does not count yet."""
    needed_epochs: int
    proven_epochs: int
    left_epochs: int
    """Epochs of the era that are not judged yet."""

    @property
    def is_on_course(self) -> bool:
        """Whether the era can still count as proven with what is registered now."""
        has_epochs = self.proven_epochs + self.left_epochs >= self.needed_epochs
        return self.asked_bytes == 0 or (self.held_bytes >= self.asked_bytes and has_epochs)


def get_era_standing(state: StateReader, who: Address) -> EraStanding:
    """How a host stands in the era of the next block."""
    parameters, periods = get_parameters(state), system.get_parameters(state)
    era = system.compute_era(periods, system.get_position(state).height + 1)
    begun, over = era * periods.era_epochs, (era + 1) * periods.era_epochs
    host, judgement = hosting.get_host(state, who), get_judgement(state)
    judged_until = begun if judgement is None else max(judgement.epoch + 1, begun)
    return EraStanding(
        asked_bytes=get_era_rule(state).bytes,
        held_bytes=0 if host is None else host.bytes,
        needed_epochs=div_up(parameters.era_proven_ppm * periods.era_epochs, PPM),
        proven_epochs=get_record(state, who).proven_in_era,
        left_epochs=over - judged_until,
    )
