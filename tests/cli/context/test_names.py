"""Ids, titles and names: found where only one thing fits, else told what is wrong and what is near."""

from pathlib import Path
from typing import Any

import pytest

from chain.primitives.addresses import encode_address
from cli.context.client import Client
from cli.context.names import find_address, find_datum, parse_block, parse_id
from cli.context.network import NetworkContext
from cli.errors import CliError, UsageFault
from cli.terminal.cells import shorten
from cli.terminal.options import build_settings
from node.home.profiles import load_profile
from node.keys import keystore
from node.keys.derivation import KeyRole

FIRST, SECOND = "3614f61f" + "a" * 56, "3614f61f" + "b" * 56
HOST = bytes(range(32))
ENTRIES = {
    "/v1/datums": [
        {"id": FIRST, "title": "Almanac of Port Lattice"},
        {"id": SECOND, "title": "Tides"},
        {"id": "cc" * 32, "title": "Tides"},
    ],
    "/v1/hosts": [{"address": encode_address("vdev", HOST)}],
}


class Listed(Client):
    """A node whose lists are those above, in one page each."""

    def get(self, path: str, **parameters: Any) -> Any:
        """A page."""
        return {path.rpartition("/")[2]: ENTRIES[path], "next": None}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkContext:
    """A network with a wallet of one key, alice."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIDYA_HOME", raising=False)
    profile = keystore.Profile.DEVNET
    keystore.create(tmp_path / "wallet", "alice", b"s" * 32, "pw", role=KeyRole.ACCOUNT, profile=profile)
    found = NetworkContext(build_settings({"home": str(tmp_path)}), Listed("http://127.0.0.1:9"))
    found.__dict__["spec"] = load_profile("devnet")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FIRST, FIRST),
        (FIRST.upper(), FIRST),
        (shorten(FIRST), FIRST),
        (shorten(FIRST).replace("...", "…"), FIRST),
        (SECOND[:9], SECOND),
        ("almanac of port lattice", FIRST),
    ],
)
def test_a_datum_is_found(network: NetworkContext, text: str, expected: str) -> None:
    """By its id, a short id, its first digits, or its title."""
    assert find_datum(network, text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3614f61f", "fits several"),
        ("tides", "fits several"),
        ("Almanak of Port Lattice", "Almanac of Port Lattice"),
        ("almanac", "Almanac of Port Lattice"),
        ("../../etc", "vidya search"),
        ("0x" + FIRST, "without it"),
        ("dddddddd", "whole id"),
        ("", "vidya search"),
    ],
)
def test_what_is_wrong_with_a_datum_is_said(network: NetworkContext, text: str, said: str) -> None:
    """Exit 2, with what is near or what to do; never a regular expression."""
    with pytest.raises(UsageFault) as caught:
        find_datum(network, text)
    assert said in f"{caught.value.message} {caught.value.hint}" and "^" not in caught.value.message


def test_accounts_are_found(network: NetworkContext) -> None:
    """By name, by address, and by the short address of a key or a host."""
    alice, host = find_address(network, "alice"), encode_address("vdev", HOST)
    assert find_address(network, shorten(network.address(alice))) == alice
    assert find_address(network, host) == find_address(network, shorten(host)) == HOST


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("alise", "key_not_found", "did you mean alice?"),
        ("Alice", "key_not_found", "did you mean alice?"),
        ("zzz", "key_not_found", "vdev1..."),
        (encode_address("vidya", HOST), "usage", "network of 'vidya'"),
        ("vdev1qqqqqqq...qqqq", "usage", "vdev1qqqqqqq"),
    ],
)
def test_what_is_wrong_with_an_account_is_said(
    network: NetworkContext, text: str, code: str, said: str
) -> None:
    """A misspelt name, an address of another network, a short address that fits nothing."""
    with pytest.raises(CliError) as caught:
        find_address(network, text)
    assert caught.value.code == code and said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("text", ["", "zzz", "0x" + FIRST, FIRST[:-1], FIRST + "0", "-1"])
def test_odd_ids_and_blocks_are_refused(text: str) -> None:
    """Before a node is asked."""
    with pytest.raises(UsageFault):
        parse_id(text, "transaction")
    with pytest.raises(UsageFault):
        parse_block(text)


def test_blocks_are_heights_hashes_or_latest() -> None:
    """Each of the three forms is taken as it is."""
    assert [parse_block(one) for one in ("7", "latest", FIRST.upper())] == ["7", "latest", FIRST]
