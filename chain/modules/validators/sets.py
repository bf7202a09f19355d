"""Validators: the set of each height, and the history that evidence needs."""

from itertools import takewhile

from chain.module import Context
from chain.modules import system
from chain.modules.validators.election import lower_fallen
from chain.modules.validators.queries import get_current, get_next, get_target, is_expired
from chain.modules.validators.types import CHANGES, CURRENT, EPOCH_ENDS, HISTORY, NEXT, PREVIOUS
from chain.primitives.codec import replace
from chain.validator_set import ValidatorChange, ValidatorSet, compute_total_power, rotate, update


def on_block_end(ctx: Context) -> None:
    """Lower the power of validators whose stake fell; move the sets on by one height; forget old ones."""
    lower_fallen(ctx)
    following = get_next(ctx.state)
    advanced = rotate(following)
    changes = compute_step(advanced, get_target(ctx.state))
    if changes:
        advanced = update(advanced, changes)
        HISTORY.set(ctx.state, advanced, ctx.height + 2)
        CHANGES.set(ctx.state, (*CHANGES.require(ctx.state), ctx.height + 2))
    PREVIOUS.set(ctx.state, get_current(ctx.state))
    CURRENT.set(ctx.state, following)
    NEXT.set(ctx.state, advanced)
    if system.is_epoch_end(system.get_parameters(ctx.state), ctx.height):
        EPOCH_ENDS.set(ctx.state, ctx.time_ms, ctx.epoch)
        _forget(ctx)


def compute_step(
    validator_set: ValidatorSet, target: tuple[ValidatorChange, ...]
) -> tuple[ValidatorChange, ...]:
    """Changes that bring a set nearer to `target`: all gains of power, and losses up to a third of the total.

    Members that leave altogether lose first, then the others by address.
    """
    wanted = {member.address: member for member in target}
    known = {member.address: member for member in validator_set.validators}
    changes = [one for one in target if one.address not in known or one.power > known[one.address].power]
    budget = compute_total_power(validator_set) // 3
    for member in sorted(validator_set.validators, key=lambda one: (one.address in wanted, one.address)):
        goal = wanted.get(member.address) or ValidatorChange(member.address, member.consensus_key, 0)
        if goal.power > member.power:
            continue
        loss = min(member.power - goal.power, budget)
        budget -= loss
        if loss > 0 or goal.consensus_key != member.consensus_key:
            changes.append(replace(goal, power=member.power - loss))
    return tuple(sorted(changes, key=lambda change: change.address))


def _forget(ctx: Context) -> None:
    """Delete sets and times of heights whose evidence has expired."""
    parameters = system.get_parameters(ctx.state)
    heights = CHANGES.require(ctx.state)
    expired = [end for end in heights[1:] if is_expired(ctx.state, ctx.height, ctx.time_ms, end - 1)]
    for height in heights[: len(expired)]:
        HISTORY.delete(ctx.state, height)
    if expired:
        CHANGES.set(ctx.state, heights[len(expired) :])

    def is_old(entry: tuple[bytes, int]) -> bool:
        following = int.from_bytes(entry[0], "big") + 1
        last_height = system.compute_first_height(parameters, following) - 1
        return is_expired(ctx.state, ctx.height, ctx.time_ms, last_height)

    for epoch, _ in takewhile(is_old, EPOCH_ENDS.items(ctx.state)):
        EPOCH_ENDS.delete(ctx.state, epoch)
