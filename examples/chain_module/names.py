"""Names: an account takes a name that nobody has, and pays a deposit for it.

A complete module with one call, in the order that every module has. `CONTRIBUTING.md` lists the steps that
add a module to the chain; `run.py` beside this file does them.

Invariant: the pot holds exactly one deposit per name.
"""

from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import balances
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount
from chain.state import StateReader, StorageMap, StorageValue

# Every number here is protocol: it is never changed and never given to anything else.
MODULE = Module("names", index=200)
POT = balances.compute_pot("names")

Name = Annotated[str, Meta(min_length=3, max_length=32, pattern="^[a-z0-9-]+$")]


class Parameters(Record):
    """What a name costs."""

    deposit: Amount


class Owner(Record):
    """Who has a name."""

    account: Address


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
OWNERS = StorageMap(MODULE.index, 1, Owner)


@MODULE.event(1)
class NameTaken(Record):
    """An account has a new name."""

    account: Address
    name: Name


@MODULE.error(1)
class AlreadyTaken(DispatchError):
    """Another account, or this one, has the name."""


class TakeName(Record):
    """Take a name that is free."""

    name: Name


@MODULE.call(1, TakeName, weight=60)
def take_name(ctx: Context, sender: Address, call: TakeName) -> None:
    """Pay the deposit and have the name. Read, refuse, write, emit: in this order."""
    parameters = PARAMETERS.require(ctx.state)
    if get_owner(ctx.state, call.name) is not None:
        raise AlreadyTaken
    balances.transfer(ctx, sender, POT, parameters.deposit)  # refuses if the sender has less
    OWNERS.set(ctx.state, Owner(sender), call.name.encode())
    ctx.emit(NameTaken(sender, call.name))


class GenesisConfig(Record):
    """Names at genesis."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; every name is free."""
    if config.parameters.deposit == 0:
        raise InvalidChainSpec("names: a deposit of at least one base unit")
    PARAMETERS.set(ctx.state, config.parameters)


def get_owner(state: StateReader, name: str) -> Address | None:
    """The account that has the name; None if it is free."""
    found = OWNERS.get(state, name.encode())
    return None if found is None else found.account


def check_invariants(state: StateReader) -> None:
    """The pot holds one deposit per name."""
    owed = PARAMETERS.require(state).deposit * sum(1 for _ in OWNERS.items(state))
    assert balances.get_balance(state, POT) == owed, "the names pot differs from its names"
