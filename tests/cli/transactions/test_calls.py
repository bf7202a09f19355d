"""Calls as commands: every call has a verb, and what is typed becomes exactly the record meant."""

from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from chain.modules.balances import Send
from chain.modules.hosting import RegisterHost, RegisterSubset
from chain.modules.membership import Join
from chain.modules.schedule import MODULES
from chain.modules.sessions import HostAllotment, OpenSession
from chain.modules.validators.calls import SetCommission
from chain.primitives.addresses import encode_address
from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.errors import CliError, UsageFault
from cli.main import app
from cli.terminal.options import build_settings
from cli.transactions.calls import build_arguments, list_verbs, read_batch
from node.home.profiles import load_profile
from p2p.identity import compute_peer_id, format_peer

WHO = bytes(range(32))
ID = "ab" * 32


@pytest.fixture
def network(tmp_path: Path) -> NetworkContext:
    """The network context of the devnet profile; the node behind them is never asked."""
    found = NetworkContext(build_settings({"home": str(tmp_path)}), Client("http://127.0.0.1:9"))
    found.__dict__["spec"] = load_profile("devnet")
    return found


def build(network: NetworkContext, name: str, **typed: Any) -> Any:
    (verb,) = [verb for verb in list_verbs() if verb.name == name]
    values = {field.name: typed.get(field.name) for field in verb.fields}
    return build_arguments(network, verb, values)


def test_every_call_of_an_account_is_a_verb() -> None:
    """No call is forgotten, no two have one name, and none collides with the group's own commands."""
    verbs = list_verbs()
    names = [verb.name for verb in verbs]
    calls = [spec for module in MODULES for spec in module.calls.values() if not spec.is_duty]
    assert [verb.spec for verb in verbs] == calls
    assert len(set(names)) == len(names) and not {"batch", "sign", "broadcast", "history"} & set(names)


@pytest.mark.parametrize("name", [verb.name for verb in list_verbs()])
def test_every_verb_explains_itself(name: str) -> None:
    """Each verb has help with the options of every transaction."""
    result = CliRunner().invoke(app, ["tx", name, "--help"])
    assert result.exit_code == 0 and "--dry-run" in result.output


def test_typed_calls_become_their_records(network: NetworkContext) -> None:
    """Amounts, addresses, peers, sizes, shares and lists are read into base units and bytes."""
    address = encode_address("vdev", WHO)
    peer = compute_peer_id(WHO)
    assert build(network, "send", recipient=address, amount="12.5") == Send(WHO, 12_500_000_000)
    assert build(network, "join-collective") == Join()
    assert build(network, "set-commission", commission_ppm="7.5%") == SetCommission(75_000)
    assert build(network, "register-subset", add=[ID]) == RegisterSubset((bytes.fromhex(ID),), ())
    host = build(network, "register-host", peer_id=format_peer(peer), addresses=["/x"], capacity="10MiB")
    assert host == RegisterHost(peer, ("/x",), 10 * 2**20)
    session = build(
        network,
        "open-session",
        datum=ID,
        voucher_key=ID,
        price_max_per_gib="10",
        expires_at="99",
        allotments=[f"{address}=0.5"],
    )
    expected = (HostAllotment(WHO, 500_000_000),)
    assert session == OpenSession(bytes.fromhex(ID), bytes.fromhex(ID), 10**10, 99, expected)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("send", {"recipient": encode_address("vidya", WHO), "amount": "1"}),
        ("send", {"recipient": encode_address("vdev", WHO)[:-1] + "q", "amount": "1"}),
        ("send", {"recipient": "nobody", "amount": "1"}),
        ("delist", {"datum": "abcd"}),
        ("delist", {"datum": "zz" * 32}),
        ("beacon-commit", {"tip": ID, "links": "-1"}),
        ("beacon-commit", {"tip": ID, "links": "4294967296"}),
        ("register-subset", {"add": [ID] * 257}),
        ("open-session", {"allotments": ["no-amount"]}),
    ],
)
def test_what_cannot_be_meant_is_refused(network: NetworkContext, name: str, typed: dict[str, Any]) -> None:
    """Addresses of another network, typos, short ids and numbers out of bounds never get into a record."""
    defaults = {"datum": ID, "voucher_key": ID, "price_max_per_gib": "1", "expires_at": "1"}
    from chain.primitives.errors import ChainError

    with pytest.raises((CliError, ChainError)):
        build(network, name, **{**(defaults if name == "open-session" else {}), **typed})


def test_batch_is_read_in_order(network: NetworkContext) -> None:
    """A batch names calls as the API does or as the verbs do; amounts are base units."""
    document = [
        {"call": "balances.send", "arguments": {"recipient": encode_address("vdev", WHO), "amount": 5}},
        {"call": "join-collective"},
    ]
    assert read_batch(network, document) == [Send(WHO, 5), Join()]


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        ["x"],
        [{"call": "balances.steal"}],
        [{"call": "balances.send", "arguments": {"amount": 5}}],
        [{"call": "balances.send", "arguments": {"recipient": "x", "amount": 5}}],
        [{"call": "balances.burn_own", "arguments": {"amount": -5}}],
        [{"call": "balances.burn_own", "arguments": {"amount": 1.5}}],
        [{"call": "balances.burn_own", "arguments": []}],
    ],
)
def test_malformed_batch_is_refused(network: NetworkContext, document: Any) -> None:
    """Unknown calls, missing or wrong arguments are usage errors, not tracebacks."""
    with pytest.raises(UsageFault):
        read_batch(network, cast(Any, document))
