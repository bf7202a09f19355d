"""Local verification: an honest answer passes, every lie in it is seen."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chain.block import Header
from chain.errors import ChainError
from chain.modules.balances import ACCOUNTS, Account
from chain.primitives.codec import decode, encode, replace
from chain.validator_set import Roster
from chain.votes import CommitCertificate
from cli.light import check_answer, check_chain
from node.api.routes.accounts import prove_keys
from tests.node.api.world import ALICE, World, open_client

KEYS = {"alice": ACCOUNTS.key(ALICE.address), "nobody": ACCOUNTS.key(bytes(32))}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """One validator's chain of two blocks."""
    async with open_client() as client:
        client.world.make_block()
        client.world.make_block()
        yield client.world


def ask(world: World) -> dict[str, Any]:
    """What the API would answer."""
    with world.ledger.open_view() as view:
        return dict(prove_keys(view, KEYS))


async def test_honest_answer_is_verified(world: World) -> None:
    """Presence and absence are proven, and the validators of genesis vouch for the header."""
    proven = check_answer(world.ledger.genesis_hash, ask(world), KEYS, world.services.spec)
    value = proven.values["alice"]
    assert value is not None and decode(Account, value).free == world.ledger.get_free(ALICE.address)
    assert proven.values["nobody"] is None and proven.height == world.ledger.height
    assert proven.genesis_share is not None and proven.genesis_share[0] == proven.genesis_share[1]


async def test_without_a_chain_spec_the_set_is_taken_on_trust(world: World) -> None:
    """The result says what was not checked."""
    proven = check_answer(world.ledger.genesis_hash, ask(world), KEYS, None)
    assert "--chain" in proven.describe()["trusted"]


def lie_about_value(answer: dict[str, Any]) -> None:
    entry = answer["entries"][0]
    account = decode(Account, bytes.fromhex(entry["value"]))
    entry["value"] = encode(replace(account, free=account.free + 1)).hex()


def deny_value(answer: dict[str, Any]) -> None:
    answer["entries"][0]["value"] = None


def invent_value(answer: dict[str, Any]) -> None:
    answer["entries"][1]["value"] = encode(Account(0, 1)).hex()


def swap_entries(answer: dict[str, Any]) -> None:
    first, second = answer["entries"]
    first["name"], second["name"] = second["name"], first["name"]


def leave_out(answer: dict[str, Any]) -> None:
    del answer["entries"][1]


def change_header(answer: dict[str, Any]) -> None:
    header = decode(Header, bytes.fromhex(answer["header"]))
    answer["header"] = encode(replace(header, time_ms=header.time_ms + 1)).hex()


def drop_signatures(answer: dict[str, Any]) -> None:
    certificate = decode(CommitCertificate, bytes.fromhex(answer["certificate"]))
    answer["certificate"] = encode(replace(certificate, signatures=())).hex()


def spoil_signature(answer: dict[str, Any]) -> None:
    certificate = decode(CommitCertificate, bytes.fromhex(answer["certificate"]))
    (part,) = certificate.signatures
    spoiled = replace(part, signature=bytes(64))
    answer["certificate"] = encode(replace(certificate, signatures=(spoiled,))).hex()


def other_set(answer: dict[str, Any]) -> None:
    roster = decode(Roster, bytes.fromhex(answer["roster"]))
    (member,) = roster.validators
    changed = replace(member, consensus_key=bytes(32))
    answer["roster"] = encode(replace(roster, validators=(changed,))).hex()


def no_certificate(answer: dict[str, Any]) -> None:
    answer["certificate"] = None


LIES = [
    lie_about_value,
    deny_value,
    invent_value,
    swap_entries,
    leave_out,
    change_header,
    drop_signatures,
    spoil_signature,
    other_set,
    no_certificate,
]


@pytest.mark.parametrize("lie", LIES)
async def test_every_lie_is_seen(world: World, lie: Any) -> None:
    """Whatever part of the answer is false, the whole is refused."""
    answer = ask(world)
    lie(answer)
    with pytest.raises(ChainError):
        check_answer(world.ledger.genesis_hash, answer, KEYS, world.services.spec)


async def test_validators_that_genesis_does_not_know_vouch_for_nothing(world: World) -> None:
    """A chain whose validators share no key with the chain spec is refused, however well it is signed."""
    spec = world.services.spec
    ((who, _, commission),) = spec.validators.validators
    strangers = replace(spec.validators, validators=((who, bytes(32), commission),))
    answer = ask(world)
    with pytest.raises(ChainError, match="too few"):
        check_answer(world.ledger.genesis_hash, answer, KEYS, replace(spec, validators=strangers))


async def test_another_network_is_refused(world: World) -> None:
    """The chain spec names the network that the node must be of."""
    with pytest.raises(ChainError):
        check_chain(replace(world.services.spec, name="other"), world.ledger.genesis_hash)
    check_chain(world.services.spec, world.ledger.genesis_hash)
