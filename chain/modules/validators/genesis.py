"""Validators: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules.validators.calls import check_key, stand
from chain.modules.validators.election import rank, set_target
from chain.modules.validators.queries import get_current, get_next, get_previous
from chain.modules.validators.types import (
    CANDIDATES,
    CHANGES,
    CURRENT,
    HISTORY,
    KEYS,
    NEXT,
    PARAMETERS,
    PREVIOUS,
    Parameters,
)
from chain.primitives.codec import Record
from chain.primitives.types import Address, Ppm, PublicKey
from chain.state import Overlay, StateReader
from chain.validator_set import (
    ValidatorSet,
    build_validator_set,
    check_continuity,
    check_validator_set,
    rotate,
)

VALIDATORS_ELECTED_MAX = 128
"""Half of what a set may hold: while NEXT approaches TARGET, all old and all new members may be in it."""
POWER_UNIT_MIN = 1_000
"""Keeps twice the power of the largest possible stake below POWER_TOTAL_MAX."""


class GenesisConfig(Record):
    """The first validators: (account, consensus key, commission); their bonds are in staking's genesis."""

    parameters: Parameters
    validators: tuple[tuple[Address, PublicKey, Ppm], ...]


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """All named accounts stand and are elected; possession and keys need no proof (see `candidacy`)."""
    parameters = config.parameters
    if not 0 < parameters.validators_min <= parameters.validators_max <= VALIDATORS_ELECTED_MAX:
        bounds = f"1 <= validators_min <= validators_max <= {VALIDATORS_ELECTED_MAX}"
        raise InvalidChainSpec(f"validators: {bounds}")
    if parameters.power_unit < POWER_UNIT_MIN or parameters.bond_min < parameters.power_unit:
        raise InvalidChainSpec(f"validators: {POWER_UNIT_MIN} <= power_unit <= bond_min")
    PARAMETERS.set(ctx.state, parameters)
    for who, key, commission_ppm in config.validators:
        check_key(ctx.state, who, key)
        stand(ctx, who, key, commission_ppm)
    target = rank(ctx.state, parameters, [who for who, _, _ in config.validators])
    set_target(ctx, target, (), len(target))
    _start(ctx.state, build_validator_set(target))


def _start(state: Overlay, first: ValidatorSet) -> None:
    PREVIOUS.set(state, first)
    CURRENT.set(state, first)
    NEXT.set(state, rotate(first))
    HISTORY.set(state, first, 0)
    CHANGES.set(state, (0,))


def check_invariants(state: StateReader) -> None:
    """The three sets are valid, each within a third of the one before; keys belong to candidates."""
    sets = get_previous(state), get_current(state), get_next(state)
    for one in sets:
        check_validator_set(one)
    check_continuity(sets[0], sets[1])
    check_continuity(sets[1], sets[2])
    for who, candidate in CANDIDATES.items(state):
        assert KEYS.get(state, candidate.consensus_key) == who, "a candidate with the key of another account"
