"""Local verification: an honest answer passes, every lie in it is seen."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chain.block import Header
from chain.errors import ChainError
from chain.light import ForgedHeader
from chain.modules.balances import ACCOUNTS, Account
from chain.primitives.codec import decode, encode, replace
from chain.validator_set import Roster
from chain.votes import CommitCertificate
from cli.light.client import LightClient, TrustFile
from cli.light.proofs import check_answer, trust_client, trust_signatures
from node.api.routes.accounts import prove_keys
from node.api.routes.blocks import build_light_block
from tests.chain.support.signed_chain import get_person
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
    return dict(prove_keys(world.ledger.view, KEYS))


def open_client_of(world: World, folder: Path) -> LightClient:
    """A light client that trusts the world's chain spec, in the time of its head."""
    spec = world.services.spec
    file = TrustFile(folder, world.ledger.genesis_hash)
    return LightClient(spec, Headers(world), file, now_ms=lambda: world.ledger.head.time_ms + 1)


class Headers:
    """The node, asked for headers."""

    url = "http://world"

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, path: str, **parameters: Any) -> Any:
        """A light block."""
        return build_light_block(self._world.ledger.view, int(path.removeprefix("/v1/headers/")))


async def test_honest_answer_is_verified(world: World, tmp_path: Path) -> None:
    """Presence and absence are proven; the chain spec vouches for the header, and later that header does."""
    client = open_client_of(world, tmp_path)
    proven = check_answer(ask(world), KEYS, trust_client(client))
    value = proven.values["alice"]
    assert value is not None and decode(Account, value).free == world.ledger.get_free(ALICE.address)
    assert proven.values["nobody"] is None and proven.block.header == world.ledger.head
    assert proven.describe()["trusted"].startswith("the chain spec")
    world.make_block()
    again = check_answer(ask(world), KEYS, trust_client(open_client_of(world, tmp_path)))
    assert again.describe()["trusted"].startswith("height 2, verified before")


async def test_without_a_chain_spec_the_set_is_taken_on_trust(world: World) -> None:
    """The result says what was not checked."""
    proven = check_answer(ask(world), KEYS, trust_signatures(world.ledger.genesis_hash))
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


def nonsense(answer: dict[str, Any]) -> None:
    answer["entries"] = [{"name": "alice"}, {"name": "nobody"}]


def no_hex(answer: dict[str, Any]) -> None:
    answer["roster"] = 7


@pytest.mark.parametrize("lie", [*LIES, nonsense, no_hex])
async def test_every_lie_is_seen(world: World, tmp_path: Path, lie: Any) -> None:
    """Whatever part of the answer is false, the whole is refused, with a chain spec and without."""
    answer = ask(world)
    lie(answer)
    for trust in (
        trust_client(open_client_of(world, tmp_path)),
        trust_signatures(world.ledger.genesis_hash),
    ):
        with pytest.raises(ChainError):
            check_answer(answer, KEYS, trust)


async def test_validators_that_genesis_does_not_know_vouch_for_nothing(world: World, tmp_path: Path) -> None:
    """A chain whose validators share no key with the chain spec is refused, however well it is signed."""
    spec = world.services.spec
    ((who, _, commission),) = spec.validators.validators
    strangers = replace(spec.validators, validators=((who, get_person(9).consensus.public_key, commission),))
    client = open_client_of(world, tmp_path)
    client.spec = replace(spec, validators=strangers)
    with pytest.raises(ForgedHeader):
        check_answer(ask(world), KEYS, trust_client(client))
